"""Shapes as fields: signed distance maps and the way back to a soft mask."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ssmis_core.errors import UserError


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
    inside = (mask != 0).cpu().numpy()
    maps = np.stack([_signed_distance_one(one) for one in inside])
    return torch.from_numpy(maps).to(mask.device)


def signed_distance_per_class(label: Tensor, num_classes: int) -> Tensor:
    """Signed distance maps of the foreground classes: [batch, *spatial] labels to [batch, K - 1, *spatial] float32."""
    return torch.stack([signed_distance(label == k) for k in range(1, num_classes)], dim=1)


def inverse_transform(distance: Tensor, steepness: float = 1500.0) -> Tensor:
    """Soft mask of a signed distance map, sigmoid(-k s): 1 inside, 0 outside, 1/2 on the boundary.

    A smooth stand-in for the step function; with k = 1500 a voxel at |s| > 0.003 is as good as binary.
    Source: DTC, eq. 2; UG-MCL, eq. 5.
    """
    return torch.sigmoid(-steepness * distance)


def _signed_distance_one(inside: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    if not inside.any() or inside.all():
        return np.zeros(inside.shape, np.float32)
    outer = ndimage.distance_transform_edt(~inside)
    inner = ndimage.distance_transform_edt(inside)
    signed = outer / outer.max() - inner / inner.max()
    eroded = ndimage.binary_erosion(inside, ndimage.generate_binary_structure(inside.ndim, 1), border_value=1)
    signed[inside & ~eroded] = 0.0
    return signed.astype(np.float32)
