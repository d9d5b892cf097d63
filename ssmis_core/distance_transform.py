"""The exact Euclidean distance transform: how far it is from every voxel to the nearest voxel of a mask.

Squared distances split into axes, so the nearest voxel is found axis by axis: what is known along the axes so far, f,
becomes min over j of f(j) + (x - j)^2 along the next. On a CPU that runs over the lines and planes that have something
of the mask in them, in whole numbers of two bytes where those are large enough, several masks at once; on another
device it is one batched operation an axis.
Source: Felzenszwalb & Huttenlocher, Distance transforms of sampled functions (2012), section 2, without its envelopes:
on grids of this size, trying every j in registers is faster than finding out which j may be left out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import prod

import numpy as np
import torch
from torch import Tensor

from ssmis_core.boxes import box_around
from ssmis_core.errors import UserError

BLOCK = 1 << 16  # values that are worked on at a time on a CPU: they stay in its second cache
AT_ONCE = 1 << 28  # sums that are held at a time on a device: 1 GiB


def distance_transform(mask: Tensor, spacing: Sequence[float] | None = None) -> Tensor:
    """Euclidean distance from the centre of every voxel to that of the nearest voxel of each mask; 0 within it.

    d(x) = min over the voxels y of the mask of |x - y|; infinite everywhere for an empty mask.

    mask: [batch, *spatial] in 2D or 3D, any type, non-zero is in. spacing: mm between voxel centres along each axis;
    None: distances in voxels. Returns float32 of the mask's shape, on its device. Raises UserError for another number
    of axes and for a spacing that does not fit.
    """
    if mask.ndim not in (3, 4):
        raise UserError(f"mask has shape {tuple(mask.shape)}, expected [batch, *spatial] in 2D or 3D")
    steps = None if spacing is None else tuple(float(step) for step in spacing)
    if steps is not None and (len(steps) != mask.ndim - 1 or not all(0 < step < float("inf") for step in steps)):
        raise UserError(f"spacing={tuple(steps)}: expected {mask.ndim - 1} positive numbers, one an axis")
    inside = mask != 0
    if mask.device.type == "cpu":
        return each(lambda one: distance_to(one, steps), inside)
    return batched_distance(inside, steps)


def each(transform: Callable[[np.ndarray], np.ndarray], masks: Tensor) -> Tensor:
    """transform of every mask [*spatial] of a batch on the CPU, side by side in as many threads as torch uses."""
    if not len(masks):
        return torch.zeros(masks.shape)
    arrays = masks.numpy()
    threads = min(len(arrays), torch.get_num_threads(), os.cpu_count() or 1)
    if threads < 2:
        return torch.from_numpy(np.stack([transform(one) for one in arrays]))
    with ThreadPoolExecutor(threads) as pool:
        return torch.from_numpy(np.stack(list(pool.map(transform, arrays))))


def batched_distance(inside: Tensor, steps: Sequence[float] | None = None) -> Tensor:
    """`distance_transform` of boolean masks [batch, *spatial] in plain tensor operations, on any device."""
    squared = torch.where(inside, 0.0, torch.inf)
    for axis in range(1, inside.ndim):
        squared = _nearest(squared.movedim(axis, -1), 1.0 if steps is None else steps[axis - 1]).movedim(-1, axis)
    return squared.sqrt().contiguous()


def _nearest(f: Tensor, step: float) -> Tensor:
    """min over j of f[..., j] + (step (x - j))^2 for every x of the last axis."""
    if not f.numel():
        return f
    n = f.shape[-1]
    places = torch.arange(n, device=f.device, dtype=f.dtype)
    apart = ((places[:, None] - places[None, :]) * step) ** 2  # whole numbers are subtracted, which rounds nothing
    lines = f.reshape(-1, 1, n)
    parts = [(part + apart).amin(-1) for part in lines.split(max(1, AT_ONCE // (n * n)))]
    return torch.cat(parts).reshape(f.shape)


def distance_to(inside: np.ndarray, steps: Sequence[float] | None = None) -> np.ndarray:
    """`distance_transform` of one boolean mask [*spatial] on the CPU."""
    if not inside.any():
        return np.full(inside.shape, np.inf, np.float32)
    steps = (1.0,) * inside.ndim if steps is None else steps
    # the axis along which the mask is shortest comes last: that pass goes over whole planes
    order = np.argsort([part.stop - part.start for part in box_around(inside)], kind="stable")
    turned = np.ascontiguousarray(inside.transpose(order))
    squared = _squared(turned, [steps[axis] for axis in order])
    return np.ascontiguousarray(np.sqrt(squared, dtype=np.float32).transpose(np.argsort(order)))


def _squared(inside: np.ndarray, steps: Sequence[float]) -> np.ndarray:
    """Squared distances to the nearest voxel of a mask that is not empty."""
    dtype = _dtype(inside.shape, steps)
    f, there = _along_the_last_axis(inside, steps[-1], dtype)
    for axis in reversed(range(inside.ndim - 1)):
        n, rest = inside.shape[axis], prod(inside.shape[axis + 1 :])
        places = np.arange(n) * steps[axis]
        apart = ((places[:, None] - places[None, :]) ** 2).astype(dtype)
        known, sources = f.reshape(-1, n, rest), there.reshape(-1, n)
        nearest = np.empty_like(known)  # stays as it is where nothing is known yet
        for k in np.flatnonzero(sources.any(1)):
            _nearest_plane(known[k], np.flatnonzero(sources[k]), apart, nearest[k])
        f, there = nearest.reshape(inside.shape), np.asarray(sources.any(1))
    return f


def _dtype(shape: Sequence[int], steps: Sequence[float]) -> type[np.generic]:
    """The smallest type that holds the square of the grid's diagonal; of whole numbers where steps are of one voxel."""
    if any(step != 1.0 for step in steps):
        return np.float32
    largest = sum((n - 1) ** 2 for n in shape)
    return np.int16 if largest <= np.iinfo(np.int16).max else np.int32


def _along_the_last_axis(inside: np.ndarray, step: float, dtype: type[np.generic]) -> tuple[np.ndarray, np.ndarray]:
    """(squared distances along the last axis, which lines have any of the mask in them); the others are not set."""
    n = inside.shape[-1]
    lines = inside.reshape(-1, n)
    there = np.asarray(lines.any(1))
    some, place = lines[there], np.arange(n, dtype=np.int32)
    before = np.maximum.accumulate(np.where(some, place, -2 * n), axis=1)
    after = np.minimum.accumulate(np.where(some, place, 3 * n)[:, ::-1], axis=1)[:, ::-1]
    squared = np.empty(lines.shape, dtype)
    squared[there] = (np.minimum(place - before, after - place) * step) ** 2
    return squared.reshape(inside.shape), there


def _nearest_plane(f: np.ndarray, sources: np.ndarray, apart: np.ndarray, nearest: np.ndarray) -> None:
    """nearest[x] = min over the sources j of f[j] + apart[x, j], for [n, rest], in blocks of whole rows x."""
    n, rest = f.shape
    rows = max(1, min(n, BLOCK // rest))
    buffer = np.empty((rows, rest), f.dtype)
    for start in range(0, n, rows):
        block, squares = nearest[start : start + rows], apart[start : start + rows]
        sums = buffer[: len(block)]
        np.add(f[sources[0]], squares[:, sources[0], None], out=block)
        for j in sources[1:]:
            np.add(f[j], squares[:, j, None], out=sums)
            np.minimum(block, sums, out=block)
