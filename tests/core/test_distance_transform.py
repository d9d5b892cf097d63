"""The distance transform is scipy's, on the CPU and as plain tensor operations, in any spacing and on any grid."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from ssmis_core.distance_transform import batched_distance, distance_transform
from ssmis_core.errors import UserError
from ssmis_core.geometry import batched_signed_distance, signed_distance

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
grids = st.one_of(
    st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 12)),
    st.tuples(st.integers(1, 2), st.integers(1, 7), st.integers(1, 7), st.integers(1, 7)),
)
batches = grids.flatmap(lambda shape: hnp.arrays(bool, shape))
steps = st.none() | st.lists(st.floats(0.1, 10), min_size=3, max_size=3)


def expected(masks: np.ndarray, spacing: list[float] | None) -> np.ndarray:
    nothing = np.full(masks.shape[1:], np.inf)
    return np.stack([ndimage.distance_transform_edt(~one, sampling=spacing) if one.any() else nothing for one in masks])


def blob(shape: tuple[int, ...], seed: int) -> np.ndarray:
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 4.0)
    return smooth > np.quantile(smooth, 0.9)


@given(batches, steps)
def test_every_distance_is_that_of_scipy(masks: np.ndarray, spacing: list[float] | None) -> None:
    spacing = None if spacing is None else spacing[: masks.ndim - 1]
    wanted, given_ = expected(masks, spacing), torch.from_numpy(masks)
    np.testing.assert_allclose(distance_transform(given_, spacing).numpy(), wanted, rtol=2e-6)
    np.testing.assert_allclose(batched_distance(given_, spacing).numpy(), wanted, rtol=2e-6)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("shape", [(300, 181), (4, 260, 3), (33, 48, 21)], ids=str)
@pytest.mark.parametrize("spacing", [None, (0.7, 1.0, 3.0)])
def test_larger_grids_in_whole_numbers_and_in_millimetres(
    shape: tuple[int, ...], spacing: tuple[float, ...] | None, device: str
) -> None:
    mm = None if spacing is None else list(spacing[: len(shape)])
    corner = np.zeros(shape, bool)
    corner[(0,) * len(shape)] = True  # the longest distance that the grid has
    masks = np.stack([blob(shape, 0), ~blob(shape, 1), corner])
    found = distance_transform(torch.from_numpy(masks).to(device), mm)
    assert found.device.type == device and found.dtype == torch.float32
    np.testing.assert_allclose(found.cpu().numpy(), expected(masks, mm), rtol=2e-6)
    plain = batched_distance(torch.from_numpy(masks).to(device), mm)  # what a GPU runs
    np.testing.assert_allclose(plain.cpu().numpy(), expected(masks, mm), rtol=2e-6)


@pytest.mark.parametrize("device", DEVICES)
def test_signed_distances_are_the_same_as_plain_tensor_operations(device: str) -> None:
    masks = torch.from_numpy(
        np.stack([blob((40, 33, 18), 2), np.zeros((40, 33, 18), bool), np.ones((40, 33, 18), bool)])
    )
    there = batched_signed_distance(masks.to(device)).cpu()
    torch.testing.assert_close(there, signed_distance(masks), rtol=1e-5, atol=1e-6)
    assert not there[1:].any() and there[0].min() < -0.5


def test_several_threads_give_what_one_gives() -> None:
    masks, threads = (
        torch.from_numpy(np.stack([blob((32, 24, 16), seed) for seed in range(5)])),
        torch.get_num_threads(),
    )
    try:
        torch.set_num_threads(1)
        alone = signed_distance(masks)
        torch.set_num_threads(4)
        assert torch.equal(signed_distance(masks), alone)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("shape", [(0, 4, 5), (2, 0, 5), (1, 4, 0, 3)])
def test_nothing_is_nothing(shape: tuple[int, ...]) -> None:
    empty = torch.zeros(shape)
    for transform in (distance_transform, signed_distance):
        assert transform(empty).shape == shape
    for batched in (batched_distance, batched_signed_distance):
        assert batched(empty != 0).shape == shape


@pytest.mark.parametrize("spacing", [(1.0,), (1.0, 0.0), (1.0, -2.0), (1.0, float("nan")), (1.0, float("inf"))])
def test_a_spacing_that_does_not_fit_is_one_line(spacing: tuple[float, ...]) -> None:
    with pytest.raises(UserError, match="expected 2 positive numbers, one an axis"):
        distance_transform(torch.ones(1, 4, 4), spacing)


def test_another_number_of_axes_is_one_line() -> None:
    with pytest.raises(UserError, match=r"shape \(4, 4\), expected \[batch, \*spatial\] in 2D or 3D"):
        distance_transform(torch.ones(4, 4))
