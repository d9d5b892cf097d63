"""How far it is from every voxel of one object's surface to the nearest voxel of another's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby, product
from math import ceil, prod, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

# Nearest voxels closer than this many steps of the finest axis are found by looking around, the rest by a tree.
LOOKUP_REACH = 4

Mask = NDArray[np.bool_]
Distances = NDArray[np.float64]


def directed_distances(
    prediction: Mask, reference: Mask, units: Sequence[tuple[float, ...]]
) -> Iterator[tuple[Distances, Distances]]:
    """The distances from the prediction's surface to the reference's, and back, in each unit."""
    one, other = _surface(prediction), _surface(reference)
    known: dict[tuple[float, ...], tuple[Distances, Distances]] = {}
    for spacing in units:
        even = len(set(spacing)) == 1  # then they are those in voxels, times a factor
        factor, grid = (spacing[0], (1.0,) * len(spacing)) if even else (1.0, spacing)
        if grid not in known:
            known[grid] = _distances(one, other, grid), _distances(other, one, grid)
        there, back = known[grid]
        yield factor * there, factor * back


def _surface(mask: Mask) -> Mask:
    """The voxels of `mask` with a face neighbour outside it; beyond the array is outside."""
    inner = mask.copy()
    for axis in range(mask.ndim):
        inside, along = np.moveaxis(inner, axis, 0), np.moveaxis(mask, axis, 0)
        inside[1:] &= along[:-1]
        inside[:-1] &= along[1:]
        inside[0] = inside[-1] = False
    return mask & ~inner


def _distances(source: Mask, target: Mask, spacing: tuple[float, ...]) -> Distances:
    """Distance from every True voxel of `source` (in raster order) to the nearest True voxel of `target`; exact.

    Two surfaces that nearly agree are the usual case, so nearest voxels are first looked up in shells of growing
    distance around each voxel; a k-d tree over `target` answers for the few that have none within reach.
    """
    reach, shells = _shells(spacing)
    margin = [(r, r) for r in reach]
    padded = np.pad(target, margin)
    grid = padded.ravel()
    strides = [prod(padded.shape[axis + 1 :]) for axis in range(padded.ndim)]
    place = np.flatnonzero(np.pad(source, margin))
    result = np.empty(place.size)
    waiting = np.arange(place.size)
    for distance, offsets in shells:
        hit = np.zeros(place.size, dtype=bool)
        for offset in offsets:
            hit |= grid[place + sum(o * s for o, s in zip(offset, strides, strict=True))]
        result[waiting[hit]] = distance
        place, waiting = place[~hit], waiting[~hit]
    if place.size:
        points = _points(np.flatnonzero(grid), padded, spacing)
        # An unbalanced tree with large leaves is the fastest to build and no slower to ask on voxel grids.
        tree = cKDTree(points, leafsize=32, balanced_tree=False, compact_nodes=False)
        result[waiting] = tree.query(_points(place, padded, spacing))[0]
    return result


def _points(flat: NDArray[Any], grid: Mask, spacing: tuple[float, ...]) -> NDArray[np.float64]:
    """Flat indices into `grid` -> coordinates [n, axes] in units of `spacing`."""
    return np.stack(np.unravel_index(flat, grid.shape), axis=1) * np.asarray(spacing)


@lru_cache(maxsize=32)
def _shells(spacing: tuple[float, ...]) -> tuple[tuple[int, ...], list[tuple[float, list[tuple[int, ...]]]]]:
    """(largest step along each axis, [(distance, voxel offsets at that distance), ...] by growing distance).

    Every offset shorter than the limit is there: a shell that is hit is the nearest one.
    """
    limit = LOOKUP_REACH * min(spacing)
    reach = tuple(ceil(limit / step) - 1 for step in spacing)
    near = []
    for offset in product(*(range(-r, r + 1) for r in reach)):
        length = sqrt(sum((o * step) ** 2 for o, step in zip(offset, spacing, strict=True)))
        if length < limit:
            near.append((length, offset))
    shells = groupby(sorted(near), key=lambda pair: pair[0])
    return reach, [(length, [offset for _, offset in shell]) for length, shell in shells]
