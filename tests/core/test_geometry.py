"""Signed distance maps against their definition, computed voxel by voxel."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ssmis_core.errors import UserError
from ssmis_core.geometry import inverse_transform, signed_distance, signed_distance_per_class

grids = st.one_of(
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5)),
)
masks = grids.flatmap(lambda shape: hnp.arrays(bool, shape))


def inner_boundary(mask: np.ndarray) -> np.ndarray:
    """Voxels inside that have a face neighbour outside; beyond the grid is neither."""
    found = np.zeros_like(mask)
    for place in product(*map(range, mask.shape)):
        for axis, side in product(range(mask.ndim), (-1, 1)):
            near = list(place)
            near[axis] += side
            if mask[place] and 0 <= near[axis] < mask.shape[axis] and not mask[tuple(near)]:
                found[place] = True
    return found


def by_definition(mask: np.ndarray) -> np.ndarray:
    """Outside / max(outside) - inside / max(inside), with every distance measured by hand."""
    if mask.all() or not mask.any():
        return np.zeros(mask.shape)
    points = np.argwhere(np.ones(mask.shape))
    away = np.linalg.norm(points[:, None] - points[None], axis=-1)
    to_inside = away[:, mask.ravel()].min(1).reshape(mask.shape)
    to_outside = away[:, ~mask.ravel()].min(1).reshape(mask.shape)
    return np.where(inner_boundary(mask), 0.0, to_inside / to_inside.max() - to_outside / to_outside.max())


def one(mask: np.ndarray) -> np.ndarray:
    return signed_distance(mask[None])[0].numpy()


@given(masks)
def test_equals_the_definition(mask: np.ndarray) -> None:
    np.testing.assert_allclose(one(mask), by_definition(mask), atol=1e-6)


@given(masks)
def test_outside_is_positive_and_the_inside_is_not(mask: np.ndarray) -> None:
    distance = one(mask)
    assert (distance[mask] <= 0).all()
    if mask.any():
        assert (distance[~mask] > 0).all()
    assert np.abs(distance).max() <= 1


@given(masks)
def test_is_0_on_the_inner_boundary_and_reaches_1_outside(mask: np.ndarray) -> None:
    distance, boundary = one(mask), inner_boundary(mask)
    assert (distance[boundary] == 0).all()
    if mask.any() and not mask.all():
        assert distance.max() == 1
        assert (distance[mask & ~boundary] < 0).all()


@given(masks, st.integers(0, 3))
def test_turns_with_the_mask(mask: np.ndarray, quarters: int) -> None:
    np.testing.assert_allclose(one(np.rot90(mask, quarters).copy()), np.rot90(one(mask), quarters), atol=1e-6)


@pytest.mark.parametrize("shape", [(7, 5), (5, 4, 3)])
@pytest.mark.parametrize("value", [False, True], ids=["empty", "full"])
def test_a_mask_without_a_boundary_is_0_everywhere(shape: tuple[int, ...], value: bool) -> None:
    assert not one(np.full(shape, value)).any()


def test_each_mask_of_a_batch_is_scaled_by_itself() -> None:
    batch = np.zeros((3, 9, 9), bool)
    batch[0, 4, 4] = True
    batch[2, 2:7, 2:7] = True
    together = signed_distance(batch)
    assert together.shape == batch.shape and together.dtype == torch.float32
    assert all(torch.equal(together[i], signed_distance(batch[i : i + 1])[0]) for i in range(3))


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32, bool])
def test_anything_that_is_not_0_is_inside(kind: type) -> None:
    mask = np.zeros((1, 6, 6))
    mask[0, 1:4, 1:4] = 1 if kind is bool else 3
    assert torch.equal(signed_distance(mask.astype(kind)), signed_distance(torch.from_numpy(mask != 0)))


def test_one_map_a_foreground_class_and_an_absent_class_is_0() -> None:
    label = torch.zeros(2, 8, 8, dtype=torch.int64)
    label[:, 1:4, 1:4], label[0, 5:, 5:] = 1, 3
    maps = signed_distance_per_class(label, 4)
    assert maps.shape == (2, 3, 8, 8)
    assert torch.equal(maps[:, 0], signed_distance(label == 1)) and torch.equal(maps[:, 2], signed_distance(label == 3))
    assert not maps[:, 1].any() and not maps[1, 2].any()


@pytest.mark.parametrize("shape", [(4, 4), (1, 1, 4, 4, 4)])
def test_another_number_of_axes_is_a_user_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"mask has shape .*expected \[batch, \*spatial\]"):
        signed_distance(np.zeros(shape))


def test_inverse_transform_gives_the_mask_back_except_on_its_boundary() -> None:
    mask = np.zeros((1, 9, 9), bool)
    mask[0, 2:7, 2:7] = True
    soft = inverse_transform(signed_distance(mask)).numpy()[0]
    boundary = inner_boundary(mask[0])
    assert (soft[boundary] == 0.5).all()
    np.testing.assert_allclose(soft[~boundary], mask[0][~boundary], atol=1e-6)


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_inverse_transform_falls_with_distance_and_mirrors_round_the_boundary(a: float, b: float) -> None:
    near, far = inverse_transform(torch.tensor([min(a, b), max(a, b)], dtype=torch.float64), steepness=10.0)
    assert near >= far
    assert float(near + inverse_transform(torch.tensor(-min(a, b), dtype=torch.float64), 10.0)) == pytest.approx(1.0)
