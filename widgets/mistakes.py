"""Predictions that are wrong in a known way: a reference, with one mistake or several made in it on purpose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

BRANCH_SHARE = 0.01  # of the object's voxels: smaller pieces are crumbs of the voxel grid


@dataclass(frozen=True)
class Mistake:
    """What is done to a reference, in this order. Lengths in voxels; places as shares of each axis, 0 to 1.

    branches: so many thin parts (veins) cut off, the largest first; cut: share of the object that is missing from one
    end along its longest side, 1 for all of it; hole: radius of a hole where the object is deepest; grow: layers put on
    (or, negative, taken off) by voxels that share a face; shift: along each axis, what leaves the volume is lost; blob:
    radius of an island with its centre at `place`.
    """

    branches: int = 0
    cut: float = 0.0
    hole: int = 0
    grow: int = 0
    shift: Sequence[int] = ()
    blob: int = 0
    place: Sequence[float] = ()


@dataclass(frozen=True)
class Anatomy:
    """A reference [*spatial] with what mistakes are made at: its deepest voxel, and its thin parts as flat indices."""

    reference: np.ndarray
    deepest: tuple[int, ...]
    branches: list[np.ndarray] = field(default_factory=list)

    @classmethod
    def of(cls, reference: np.ndarray) -> Anatomy:
        """Look at a mask. Thin is what a ball of half the radius of the largest that fits inside cannot reach."""
        from scipy import ndimage

        reference = np.asarray(reference) != 0
        if not reference.any():
            return cls(reference, tuple(n // 2 for n in reference.shape))
        box = around(reference, 1)
        mask = np.pad(reference[box], 1)  # an object that ends at the border of the volume is not deep there
        depth = ndimage.distance_transform_edt(mask)
        radius = depth.max() / 2
        thick = ndimage.distance_transform_edt(depth <= radius) <= radius
        pieces, count = ndimage.label(mask & ~thick)
        sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
        kept = [int(n) for n in np.argsort(-sizes, kind="stable") if sizes[n] >= BRANCH_SHARE * mask.sum()]
        low = [side.start - 1 for side in box]
        found = [np.argwhere(pieces == n + 1) + low for n in kept]
        flat = [np.ravel_multi_index(tuple(points.T), reference.shape) for points in found]
        deepest = np.array(np.unravel_index(int(depth.argmax()), depth.shape)) + low
        return cls(reference, tuple(int(n) for n in deepest), flat)


def make(anatomy: Anatomy, mistake: Mistake) -> np.ndarray:
    """The prediction [*spatial], bool, that is the reference with this mistake."""
    made = anatomy.reference.copy()
    for branch in anatomy.branches[: mistake.branches]:
        made.ravel()[branch] = False
    if mistake.cut > 0:
        made = _cut_off(made, anatomy.reference, mistake.cut)
    if mistake.hole > 0:
        _fill_ball(made, anatomy.deepest, mistake.hole, False)
    made = grown(made, mistake.grow)
    made = shifted(made, mistake.shift)
    if mistake.blob > 0:
        place = [share * (n - 1) for share, n in zip(mistake.place, made.shape, strict=True)]
        _fill_ball(made, [round(p) for p in place], mistake.blob, True)
    return made


def grown(mask: np.ndarray, layers: int) -> np.ndarray:
    """The mask with layers of voxels put on that share a face with it, or taken off; outside the volume is empty."""
    from scipy import ndimage

    if not layers or not mask.any():
        return mask.copy()
    made, box = np.zeros_like(mask), around(mask, abs(layers))
    change = ndimage.binary_dilation if layers > 0 else ndimage.binary_erosion
    made[box] = change(mask[box], iterations=abs(layers))
    return made


def shifted(mask: np.ndarray, voxels: Sequence[int]) -> np.ndarray:
    """The mask moved by whole voxels along its first axes, empty where nothing comes from."""
    moved = np.zeros_like(mask)
    there: list[Any] = [slice(max(0, n), None if n >= 0 else n) for n in voxels]
    back: list[Any] = [slice(max(0, -n), None if n <= 0 else -n) for n in voxels]
    moved[tuple(there)] = mask[tuple(back)]
    return moved


def around(mask: np.ndarray, margin: int) -> tuple[slice, ...]:
    """The smallest box that holds a mask that is not empty, with a margin where the volume has room."""
    sides = []
    for axis, size in enumerate(mask.shape):
        filled = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        sides.append(slice(max(0, int(filled[0]) - margin), min(size, int(filled[-1]) + 1 + margin)))
    return tuple(sides)


def _cut_off(mask: np.ndarray, reference: np.ndarray, share: float) -> np.ndarray:
    """The mask without what lies in this share of the reference, counted from the low end of its longest side."""
    if share >= 1 or not reference.any():
        return np.zeros_like(mask)
    axis = int(np.argmax([side.stop - side.start for side in around(reference, 0)]))
    first = int(np.quantile(np.nonzero(reference)[axis], share))
    kept = mask.copy()
    np.moveaxis(kept, axis, 0)[:first] = False
    return kept


def _fill_ball(mask: np.ndarray, centre: Sequence[int], radius: int, value: bool) -> None:
    """Set the voxels of a mask within a radius of a voxel."""
    box = tuple(slice(max(0, c - radius), c + radius + 1) for c in centre)
    places = np.ogrid[tuple(slice(s.start, min(s.stop, n)) for s, n in zip(box, mask.shape, strict=True))]
    away = sum((p - c) ** 2 for p, c in zip(places, centre, strict=True))
    mask[box][away <= radius**2] = value
