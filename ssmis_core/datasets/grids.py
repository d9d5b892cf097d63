"""Volumes turned to the usual orientation, brought to another spacing, and labels brought back to where they were.

Everything is told by two grids (shape and voxel-to-world matrix), so the way back needs no memory of the way there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ssmis_core.datasets.cases import Case, Grid
from ssmis_core.errors import UserError

EXACT = 1e-3  # voxels: grids that agree to this have their voxels in common


def to_ras(array: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(array, affine) with axes that point to the right, the front and up as nearly as they can; voxels are kept.

    array: [x, y, z] or [x, y, z, channels]. An oblique grid keeps its angle. Each world axis goes to the voxel axis
    that is most along it, so that the sum of the cosines is largest.
    """
    order, flips = _nearest_axes(affine)
    return _turned(array, affine, order, flips)


def plane_last(array: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(array, affine) of a plane with its axis of one voxel last, the two others in their order."""
    thin = next(axis for axis in (2, 1, 0) if array.shape[axis] == 1)
    order = [axis for axis in range(3) if axis != thin] + [thin]
    return _turned(array, affine, order, (False,) * 3)


def axis_codes(affine: np.ndarray) -> str:
    """Three letters for where the voxel axes point, such as "RAS" or "LPI"."""
    order, flips = _nearest_axes(affine)
    letters = [""] * 3
    for world, (axis, flip) in enumerate(zip(order, flips, strict=True)):
        letters[axis] = ("RAS", "LPI")[flip][world]
    return "".join(letters)


def resampled_grid(grid: Grid, spacing: Sequence[float]) -> Grid:
    """The grid of that spacing (mm an axis) over the same field of view, centre on centre, at least a voxel an axis."""
    here = np.linalg.norm(grid.affine[:3, :3], axis=0)
    scale = np.asarray(spacing, float) / here
    shape = tuple(max(1, round(size / factor)) for size, factor in zip(grid.shape, scale, strict=True))
    affine = grid.affine.copy()
    affine[:3, :3] = grid.affine[:3, :3] * scale
    centre = grid.affine[:3, :3] @ ((np.array(grid.shape) - 1) / 2)
    affine[:3, 3] += centre - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


def resample_image(image: np.ndarray, grid: Grid, to: Grid) -> np.ndarray:
    """Linear interpolation of [x, y, z] at the voxels of another grid; beyond the edge its values go on. float32."""
    from scipy import ndimage

    matrix, offset = _voxels_to_voxels(to, grid)
    if np.allclose(matrix, np.diag(np.diag(matrix)), atol=1e-9):
        matrix = np.diag(matrix).copy()  # the separable way, several times faster
    return ndimage.affine_transform(
        image.astype(np.float32, copy=False), matrix, offset, output_shape=to.shape, order=1, mode="nearest"
    )


def resample_label(label: np.ndarray, grid: Grid, to: Grid) -> np.ndarray:
    """The nearest voxel's class for each voxel of another grid; outside of the label's own grid 0.

    Where the grids have their voxels in common this is exact. Else a boundary moves by at most half a voxel of each
    grid along each axis. The outermost half voxel of the target takes the class at the edge.
    """
    matrix, offset = _voxels_to_voxels(to, grid)
    if _is_turn(matrix):
        return _copied(label, np.rint(matrix).astype(int), offset, to.shape)
    result = np.zeros(to.shape, label.dtype)
    rest = np.stack(np.meshgrid(*(np.arange(n) for n in to.shape[1:]), indexing="ij")).reshape(2, -1)
    reach = 1.0 + np.abs(matrix).sum(1) / 2
    limits = np.array(label.shape)[:, None]
    for i in range(to.shape[0]):  # a plane at a time: coordinates are many times the label's size
        at = matrix[:, 1:] @ rest + (matrix[:, :1] * i + offset[:, None])
        inside = ((at > -reach[:, None]) & (at < limits - 1 + reach[:, None])).all(0)
        nearest = np.clip(np.floor(at + 0.5).astype(int), 0, limits - 1)
        result[i] = np.where(inside, label[tuple(nearest)], 0).reshape(to.shape[1:])
    return result


def same_place(grid: Grid, other: Grid, tolerance: float) -> float:
    """How far (mm) the corners of two grids of one shape are apart; 0.0 when within `tolerance` voxels."""
    ends = [(0, size - 1) for size in grid.shape]
    corners = np.array([[a, b, c, 1] for a in ends[0] for b in ends[1] for c in ends[2]], float).T
    apart = np.linalg.norm((grid.affine - other.affine) @ corners, axis=0).max()
    voxel = float(np.linalg.norm(grid.affine[:3, :3], axis=0).min())
    return float(apart) if apart > tolerance * voxel else 0.0


def on_original_grid(labels: np.ndarray, case: Case) -> tuple[np.ndarray, np.ndarray]:
    """(labels, affine) on the grid that the case's file had; as they are for a case that was never moved.

    labels: uint8 [*spatial] on the case's own grid. Exact where nothing was resampled. A plane comes back with as many
    axes as its file had, one of one voxel where those are three.
    """
    if labels.shape != case.shape:
        raise UserError(f"case {case.id}: labels have shape {labels.shape}, expected the case's {case.shape}")
    if case.original is None:
        return labels, case.affine
    here = Grid(labels.shape, case.affine).solid
    back = resample_label(labels.reshape(here.shape), here, case.original.solid)
    return back.reshape(case.original.shape), case.original.affine


def _nearest_axes(affine: np.ndarray) -> tuple[list[int], tuple[bool, ...]]:
    """For each world axis the voxel axis that goes there, and whether it runs the other way."""
    from itertools import permutations

    cosines = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    order = max(permutations(range(3)), key=lambda p: round(sum(abs(cosines[w, p[w]]) for w in range(3)), 9))
    return list(order), tuple(bool(cosines[world, axis] < 0) for world, axis in enumerate(order))


def _turned(
    array: np.ndarray, affine: np.ndarray, order: Sequence[int], flips: Sequence[bool]
) -> tuple[np.ndarray, np.ndarray]:
    """Axes in another order, and some run backwards, without a copy; the matrix goes with them."""
    turned = array.transpose(*order, *range(3, array.ndim))
    matrix = affine[:, [*order, 3]].copy()
    for axis, flip in enumerate(flips):
        if flip:
            turned = np.flip(turned, axis)
            matrix[:3, 3] += matrix[:3, axis] * (turned.shape[axis] - 1)
            matrix[:3, axis] *= -1
    return turned, matrix


def _voxels_to_voxels(source: Grid, target: Grid) -> tuple[np.ndarray, np.ndarray]:
    """(matrix [3, 3], offset [3]) from voxels of one grid to those of another."""
    both = np.linalg.solve(target.affine, source.affine)
    return both[:3, :3], both[:3, 3]


def _is_turn(matrix: np.ndarray) -> bool:
    """Whether voxels map to voxels: a permutation of the axes with signs."""
    whole = np.rint(matrix)
    near = np.abs(matrix - whole).max() < EXACT / 10
    return bool(near and (np.abs(whole).sum(0) == 1).all() and (np.abs(whole).sum(1) == 1).all())


def _copied(label: np.ndarray, matrix: np.ndarray, offset: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The label's voxels at matrix @ voxel + offset, 0 outside: cropping and padding are a part of it."""
    start = np.floor(offset + 0.5).astype(int)
    order = [int(np.flatnonzero(matrix[:, axis])[0]) for axis in range(3)]  # the label's axis for each of the result's
    result = np.zeros(tuple(shape), label.dtype)
    to, take = [], []
    for axis in range(3):
        sign, first, size = matrix[order[axis], axis], start[order[axis]], label.shape[order[axis]]
        at = first + sign * np.arange(shape[axis])
        inside = np.flatnonzero((at >= 0) & (at < size))
        to.append(inside)
        take.append(at[inside])
    result[np.ix_(*to)] = label.transpose(order)[np.ix_(*take)]
    return result
