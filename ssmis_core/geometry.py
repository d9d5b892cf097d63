"""Where voxels lie: turns of a patch, the overlap of two crops, signed distance maps and the way back to a mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ssmis_core.boxes import box_around
from ssmis_core.distance_transform import batched_distance, distance_to, each
from ssmis_core.errors import UserError


@dataclass(frozen=True)
class Turn:
    """`quarters` quarter-turns of the first plane, counter-clockwise, then a flip of axis `flip` (None: no flip).

    angle: degrees by which the whole scan was rotated before the patch was cut from it (`VolumeBank.cut` does that).
    Voxels of a rotated scan have no place of their own in the scan as it was, so `apply` and `undo` leave it alone.
    """

    quarters: int = 0
    flip: int | None = None
    angle: float = 0.0

    def apply(self, x: Tensor, dims: int) -> Tensor:
        """Turn the last `dims` axes of x."""
        first = x.ndim - dims
        x = torch.rot90(x, self.quarters, (first, first + 1))
        return x if self.flip is None else x.flip(first + self.flip)

    def undo(self, x: Tensor, dims: int) -> Tensor:
        """The inverse of `apply`: back to the volume's own orientation."""
        first = x.ndim - dims
        x = x if self.flip is None else x.flip(first + self.flip)
        return torch.rot90(x, -self.quarters, (first, first + 1))

    def apply_to_box(self, box: Sequence[slice], shape: Sequence[int]) -> tuple[slice, ...]:
        """Where a box of an array of that shape lies once the array is turned; each slice needs start and stop."""
        box, sizes = list(box), list(shape)
        for _ in range(self.quarters % 4):
            box[:2], sizes[:2] = [_mirrored(box[1], sizes[1]), box[0]], [sizes[1], sizes[0]]
        if self.flip is not None:
            box[self.flip] = _mirrored(box[self.flip], sizes[self.flip])
        return tuple(box)


def overlap_slices(
    first: Sequence[int], second: Sequence[int], size: Sequence[int], turn: Turn = Turn()
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The voxels that two crops of one volume share: slices into the first crop and into the second.

    first, second: corners of the crops in the volume, in any order and also outside of it (padding); size: of both
    patches as they are, so after the turn that they have in common. Per axis the overlap is
    [max(c_1, c_2), min(c_1, c_2) + size) in the volume. Crops that share no voxel give empty slices.
    Source: Liu et al., TraCoCo (TMI), the region of the translation consistency loss.
    """
    shape = list(size)
    if turn.quarters % 2:
        shape[:2] = [shape[1], shape[0]]
    boxes: list[list[slice]] = [[], []]
    for a, b, side in zip(first, second, shape, strict=True):
        low = max(int(a), int(b))
        high = max(low, min(int(a), int(b)) + int(side))
        for box, corner in zip(boxes, (int(a), int(b)), strict=True):
            box.append(slice(min(low - corner, int(side)), min(high - corner, int(side))))
    return turn.apply_to_box(boxes[0], shape), turn.apply_to_box(boxes[1], shape)


def signed_distance(mask: Tensor | np.ndarray) -> Tensor:
    """Normalised signed distance map of each mask: outside / max(outside) - inside / max(inside).

    Distances are Euclidean, in voxels, to the other side of the boundary; voxels on the inner boundary (inside, with a
    face neighbour outside) are 0, the inside is negative, the outside positive, all within [-1, 1]. An empty mask, and
    one that fills the whole grid, has no boundary: its map is 0 everywhere.

    mask: [batch, *spatial] in 2D or 3D, any type, non-zero is inside. Returns float32 of the same shape, on the mask's
    device. Raises UserError for another number of axes.
    Source: Luo et al., DTC (AAAI 2021), eq. 1; Zhang et al., UG-MCL (2022), eq. 2 (arXiv 2112.02508).
    """
    mask = torch.as_tensor(mask)
    if mask.ndim not in (3, 4):
        raise UserError(f"signed_distance: mask has shape {tuple(mask.shape)}, expected [batch, *spatial] in 2D or 3D")
    inside = mask != 0
    return each(_signed_distance_one, inside) if inside.device.type == "cpu" else batched_signed_distance(inside)


def batched_signed_distance(inside: Tensor) -> Tensor:
    """`signed_distance` of boolean masks [batch, *spatial] in plain tensor operations, on any device."""
    if not inside.numel():
        return torch.zeros(inside.shape, device=inside.device)
    outer, inner = batched_distance(torch.cat([inside, ~inside])).chunk(2)
    axes = tuple(range(1, inside.ndim))
    signed = outer / outer.amax(axes, keepdim=True) - inner / inner.amax(axes, keepdim=True)
    # NaN: all of a mask without a boundary, whose distances are infinite on one side and 0 on the other
    return torch.where(inner == 1, 0.0, signed.nan_to_num(nan=0.0))


def signed_distance_per_class(label: Tensor, num_classes: int) -> Tensor:
    """Signed distance maps of the foreground classes: [batch, *spatial] labels to [batch, K - 1, *spatial] float32."""
    classes = torch.arange(1, num_classes, device=label.device).reshape(-1, *[1] * (label.ndim - 1))
    masks = label[:, None] == classes  # [batch, K - 1, *spatial]
    return signed_distance(masks.flatten(0, 1)).reshape(masks.shape)


def inverse_transform(distance: Tensor, steepness: float = 1500.0) -> Tensor:
    """Soft mask of a signed distance map, sigmoid(-k s): 1 inside, 0 outside, 1/2 on the boundary.

    A smooth stand-in for the step function; with k = 1500 a voxel at |s| > 0.003 is as good as binary.
    Source: DTC, eq. 2; UG-MCL, eq. 5.
    """
    return torch.sigmoid(-steepness * distance)


def _mirrored(part: slice, size: int) -> slice:
    return slice(size - part.stop, size - part.start)


def _signed_distance_one(inside: np.ndarray) -> np.ndarray:
    """`signed_distance` of one boolean mask [*spatial] on the CPU."""
    if not inside.any() or inside.all():
        return np.zeros(inside.shape, np.float32)
    signed = distance_to(inside)
    signed /= signed.max()
    box = box_around(inside, margin=1)  # the nearest voxel outside lies in it
    inner = distance_to(~inside[box])
    signed[box] -= np.where(inner == 1, 0.0, inner / inner.max())
    return signed
