"""Between a volume's own grid and others: exact block means down, linear interpolation back up; nearest neighbour."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ssmis_core.losses import one_hot


def coarsen_image(image: Tensor, factor: Sequence[int]) -> Tensor:
    """Mean of blocks of `factor` voxels; the last block of an axis repeats its edge to be whole.

    image: [C, *spatial] to [C, *ceil(spatial / factor)]. Blocks start at voxel 0, so `refine` can put the result back.
    """
    if all(f == 1 for f in factor):
        return image
    pool = F.avg_pool3d if len(factor) == 3 else F.avg_pool2d
    return pool(_whole_blocks(image.float(), factor)[None], tuple(factor))[0]


def coarsen_label(label: Tensor, factor: Sequence[int], num_classes: int) -> Tensor:
    """The class that holds most of each block, a tie going to the higher class (thin objects survive).

    label: integer [*spatial] to uint8 [*ceil(spatial / factor)].
    """
    if all(f == 1 for f in factor):
        return label
    shares = coarsen_image(one_hot(label[None], num_classes)[0], factor)
    return (num_classes - 1 - shares.flip(0).argmax(0)).to(torch.uint8)


def refine(maps: Tensor, factor: Sequence[int], shape: Sequence[int]) -> Tensor:
    """Linear interpolation of maps [K, *coarse] back to [K, *shape], voxel blocks kept in place."""
    if all(f == 1 for f in factor):
        return maps
    mode = "trilinear" if len(factor) == 3 else "bilinear"
    fine = F.interpolate(
        maps[None].float(), scale_factor=tuple(float(f) for f in factor), mode=mode, align_corners=False
    )[0]
    return fine[(slice(None), *(slice(0, size) for size in shape))]


def resize_nearest(x: Tensor, size: Sequence[int]) -> Tensor:
    """The last axes of x brought to `size` by nearest neighbour: voxel i comes from i (n_in - 1) / (n_out - 1).

    The first and the last voxel stay the first and the last one (of some sizes, rounding makes scipy's last one 0);
    halves are rounded up. Any dtype.
    Source: `scipy.ndimage.zoom(order=0)`, with which the field brings slices of ACDC to 256x256 and answers back.
    """
    first = x.ndim - len(size)
    for axis, (n_in, n_out) in enumerate(zip(x.shape[first:], size, strict=True), start=first):
        if n_in != n_out:
            step = (n_in - 1) / (n_out - 1) if n_out > 1 else 0.0
            places = torch.floor(torch.arange(n_out, dtype=torch.float64) * step + 0.5).long().clamp(max=n_in - 1)
            x = x.index_select(axis, places.to(x.device))
    return x


def _whole_blocks(image: Tensor, factor: Sequence[int]) -> Tensor:
    padding: list[int] = []
    for size, f in zip(reversed(image.shape[1:]), reversed(factor), strict=True):
        padding += [0, -size % f]
    return F.pad(image[None], padding, mode="replicate")[0] if any(padding) else image
