"""Connected components of masks in plain tensor operations: where masks lie on a device, they need not leave it."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

JUMPS = 3  # of pointers in a round, so that a step of one label becomes one of 2^3


def connected_components(mask: Tensor) -> Tensor:
    """Which component each voxel is of: the number, in raster order, of the component's first voxel.

    Neighbours may differ along all axes at once (8 in 2D, 26 in 3D). mask: [batch, *spatial] bool; returns int64 of
    its shape, with the number of voxels of a mask for the background.

    A label is a voxel of the same component, so labels are pointers. In a round every voxel finds the lowest label next
    to it and hands it on to the voxel that its own label is; then every pointer is followed, 2^3 steps far. Along a
    line the steps of a round are eight times those of the round before: rounds are the logarithm of its length.
    Source: pointer jumping, as in Shiloach & Vishkin, An O(log n) parallel connectivity algorithm (1982).
    """
    n = prod(mask.shape[1:])
    label = torch.where(mask, torch.arange(n, device=mask.device).reshape(mask.shape[1:]), n)
    background = torch.full((len(mask), 1), n, device=mask.device)
    while True:
        found = torch.where(mask, lowest_around(label), n).flatten(1)
        pointers = torch.cat([label.flatten(1), background], dim=1).scatter_reduce(1, label.flatten(1), found, "amin")
        for _ in range(JUMPS):
            pointers = pointers.gather(1, pointers)
        before, label = label, pointers[:, :n].reshape(mask.shape)
        if torch.equal(before, label):
            return label


def lowest_around(x: Tensor) -> Tensor:
    """The lowest value among each voxel and its neighbours along all axes but the first: one axis after the other."""
    for axis in range(1, x.ndim):
        further = x.shape[axis] - 1
        low = x.clone()
        low.narrow(axis, 1, further).clamp_(max=x.narrow(axis, 0, further))
        low.narrow(axis, 0, further).clamp_(max=x.narrow(axis, 1, further))
        x = low
    return x


def batched_largest_component(mask: Tensor) -> Tensor:
    """The largest component of each mask [batch, *spatial], bool; of equally large ones, the first in raster order."""
    label = connected_components(mask).flatten(1)
    count, n = label.shape
    numbers = torch.arange(n + 1, device=mask.device)
    each = label + (n + 1) * torch.arange(count, device=mask.device)[:, None]
    sizes = torch.bincount(each.flatten(), minlength=count * (n + 1)).reshape(count, n + 1)
    sizes[:, n] = 0  # the background
    first = torch.where(sizes == sizes.amax(1, keepdim=True), numbers, n + 1).amin(1, keepdim=True)
    return (label == first).reshape(mask.shape)
