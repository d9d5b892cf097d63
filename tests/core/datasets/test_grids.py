"""Turning, resampling and the way back: a label comes back to where it was."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from ssmis_core.datasets.cases import Case, Grid
from ssmis_core.datasets.grids import (
    axis_codes,
    on_original_grid,
    plane_last,
    resample_image,
    resample_label,
    resampled_grid,
    to_ras,
)
from tests.core.datasets.own_helpers import affine_of

SIZES = st.integers(1, 14)
ORDERS = st.permutations((0, 1, 2))
SIGNS = st.tuples(*[st.sampled_from((-1, 1))] * 3)
MM = st.sampled_from((0.4, 0.7, 1.0, 1.3, 2.5, 4.0))


@st.composite
def places(draw: st.DrawFn, oblique: bool = True) -> np.ndarray:
    angles = draw(st.tuples(*[st.floats(-0.7, 0.7)] * 3)) if oblique else (0.0,) * 3
    origin = draw(st.tuples(*[st.floats(-300, 300)] * 3))
    return affine_of(draw(ORDERS), draw(SIGNS), draw(st.tuples(MM, MM, MM)), angles, origin)


@st.composite
def labels(draw: st.DrawFn, shape: tuple[int, ...] | None = None) -> np.ndarray:
    shape = shape or draw(st.tuples(SIZES, SIZES, SIZES))
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    return random.integers(0, 4, shape).astype(np.uint8)


def case_of(label: np.ndarray, affine: np.ndarray, original: Grid | None) -> Case:
    return Case("c", label[None].astype(np.float32), label, affine, None, "MR", original)


@given(labels(), places())
def test_turned_voxels_keep_their_place_in_the_world_and_point_right_front_up(
    label: np.ndarray, affine: np.ndarray
) -> None:
    turned, matrix = to_ras(label, affine)
    assert np.linalg.det(matrix[:3, :3]) > 0 and (np.diag(matrix[:3, :3]) > 0).all()
    assert axis_codes(matrix) == "RAS"
    voxel = [size // 2 for size in turned.shape]
    back = np.linalg.solve(affine, matrix @ [*voxel, 1])[:3]
    assert turned[tuple(voxel)] == label[tuple(np.rint(back).astype(int))]
    assert np.abs(back - np.rint(back)).max() < 1e-6


@given(labels(), places(), st.tuples(*[st.integers(-4, 6)] * 3), st.integers(0, 5))
def test_a_turned_label_comes_back_exactly_with_any_padding_or_crop(
    label: np.ndarray, affine: np.ndarray, corner: tuple[int, ...], more: int
) -> None:
    turned, matrix = to_ras(label, affine)
    low = np.minimum(corner, 0)  # a grid that reaches beyond the turned one on all sides
    padded = np.zeros([s - a + more for s, a in zip(turned.shape, low, strict=True)], np.uint8)
    padded[tuple(slice(-a, -a + s) for s, a in zip(turned.shape, low, strict=True))] = turned
    moved = matrix.copy()
    moved[:3, 3] += matrix[:3, :3] @ low
    back, place = on_original_grid(padded, case_of(padded, moved, Grid(label.shape, affine)))
    np.testing.assert_array_equal(back, label)
    np.testing.assert_array_equal(place, affine)
    crop = tuple(slice(min(1, s - 1), None) for s in turned.shape)
    moved = matrix.copy()
    moved[:3, 3] += matrix[:3, :3] @ [c.start for c in crop]
    back, _ = on_original_grid(turned[crop], case_of(turned[crop], moved, Grid(label.shape, affine)))
    again, _ = to_ras(back, affine)
    np.testing.assert_array_equal(again[crop], turned[crop])
    assert np.count_nonzero(back) == np.count_nonzero(turned[crop])


@given(st.data())
def test_a_plane_comes_back_with_the_axis_that_its_file_had(data: st.DataObject) -> None:
    thin = data.draw(st.integers(0, 2))
    shape = tuple(1 if axis == thin else data.draw(st.integers(2, 9)) for axis in range(3))
    label, affine = data.draw(labels(shape)), data.draw(places())
    flat, matrix = plane_last(*to_ras(label, affine))
    assert flat.shape[2] == 1
    case = case_of(flat[..., 0], matrix, Grid(shape, affine))
    back, _ = on_original_grid(flat[..., 0], case)
    np.testing.assert_array_equal(back, label)


@given(st.data())
@settings(max_examples=60)
def test_a_resampled_label_comes_back_within_a_voxel_of_the_coarser_grid(data: st.DataObject) -> None:
    """Nothing appears farther than that from where it was, and what is deeper inside than that stays: so a part that is
    two coarse voxels thick cannot be lost."""
    shape = tuple(data.draw(st.integers(6, 26)) for _ in range(3))
    affine = data.draw(places())
    fine = np.linalg.norm(affine[:3, :3], axis=0)
    mm = np.array(data.draw(st.tuples(MM, MM, MM)))
    random = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    label = np.zeros(shape, np.uint8)
    for value in (1, 2, 1):
        low = [int(random.integers(0, size)) for size in shape]
        label[tuple(slice(a, a + int(random.integers(1, 12))) for a in low)] = value
    turned, matrix = to_ras(label, affine)
    grid = Grid(turned.shape, matrix)
    coarse = resampled_grid(grid, mm)
    there = resample_label(turned, grid, coarse)
    back, _ = on_original_grid(there, case_of(there, coarse.affine, Grid(label.shape, affine)))
    turned_back, _ = to_ras(back, affine)
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    # whole voxels of the file's grid within one voxel of the coarser one, along each axis
    reach = np.floor(np.maximum(mm, spacing) / spacing + 1e-6).astype(int)
    near = np.ones(2 * reach + 1, bool)
    for value in (1, 2):
        before, after = turned == value, turned_back == value
        assert not (after & ~ndimage.binary_dilation(before, near)).any()
        inside = ndimage.binary_erosion(before, near, border_value=1)
        assert not (inside & ~after).any()
    assert sorted(fine) == sorted(spacing)


@given(places(), st.tuples(SIZES, SIZES, SIZES), st.tuples(MM, MM, MM))
def test_a_resampled_grid_has_that_spacing_and_the_same_centre(
    affine: np.ndarray, shape: tuple[int, ...], mm: tuple[float, ...]
) -> None:
    grid = resampled_grid(Grid(shape, affine), mm)
    np.testing.assert_allclose(np.linalg.norm(grid.affine[:3, :3], axis=0), mm, rtol=1e-9)
    for one in (grid, Grid(shape, affine)):
        middle = one.affine @ [*(np.array(one.shape) - 1) / 2, 1]
        np.testing.assert_allclose(middle, affine @ [*(np.array(shape) - 1) / 2, 1], atol=1e-6)


def test_a_resampled_image_is_linear_in_the_world() -> None:
    affine = affine_of(spacing=(1.0, 2.0, 3.0))
    grid = Grid((20, 12, 9), affine)
    x, y, z = np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij")
    image = (2.0 * x + 3.0 * 2 * y - 3 * z).astype(np.float32)  # 2 mm of x, 3 of y, -1 of z, from the first voxel
    to = resampled_grid(grid, (1.5, 1.5, 1.5))
    found = resample_image(image, grid, to)
    start = np.linalg.solve(affine, to.affine[:, 3])[:3]
    inner = tuple(slice(2, -2) for _ in range(3))
    i, j, k = np.meshgrid(*(np.arange(n) for n in to.shape), indexing="ij")
    expected = 2 * (start[0] + 1.5 * i) + 3 * 2 * (start[1] + 0.75 * j) - 3 * (start[2] + 0.5 * k)
    np.testing.assert_allclose(found[inner], expected[inner], atol=1e-3)
