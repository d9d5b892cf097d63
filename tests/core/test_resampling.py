"""The coarser grid: block means down, blocks kept in place on the way back."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssmis_core.resampling import coarsen_image, coarsen_label, refine

grids = st.integers(2, 3).flatmap(
    lambda dims: st.tuples(st.tuples(*[st.integers(1, 7)] * dims), st.tuples(*[st.integers(1, 3)] * dims))
)


def blocks(shape: tuple[int, ...], factor: tuple[int, ...]) -> list[tuple[tuple[int, ...], tuple[np.ndarray, ...]]]:
    """(coarse place, fine indices an axis) of every block, the edge repeated to make the last ones whole."""
    counts = [-(-s // f) for s, f in zip(shape, factor, strict=True)]
    found = []
    for place in product(*map(range, counts)):
        sides = zip(place, factor, shape, strict=True)
        found.append((place, np.ix_(*[np.minimum(np.arange(p * f, p * f + f), s - 1) for p, f, s in sides])))
    return found


@given(grids, st.integers(0, 100))
def test_an_image_becomes_the_mean_of_each_block(grid: tuple[tuple[int, ...], tuple[int, ...]], seed: int) -> None:
    shape, factor = grid
    image = torch.randn((2, *shape), generator=torch.Generator().manual_seed(seed))
    coarse = coarsen_image(image, factor)
    assert coarse.shape == (2, *(-(-s // f) for s, f in zip(shape, factor, strict=True)))
    for channel, (place, inside) in product(range(2), blocks(shape, factor)):
        np.testing.assert_allclose(coarse[(channel, *place)], image[channel].numpy()[inside].mean(), atol=1e-5)


@given(grids, st.integers(2, 4), st.integers(0, 100))
def test_a_label_becomes_the_class_with_most_of_the_block_ties_to_the_higher(
    grid: tuple[tuple[int, ...], tuple[int, ...]], num_classes: int, seed: int
) -> None:
    shape, factor = grid
    label = torch.randint(num_classes, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    coarse = coarsen_label(label, factor, num_classes)
    assert coarse.dtype == torch.uint8
    for place, inside in blocks(shape, factor):
        counts = np.bincount(label.numpy()[inside].ravel(), minlength=num_classes)
        assert int(coarse[place]) == num_classes - 1 - int(counts[::-1].argmax())


@pytest.mark.parametrize("factor", [(1, 1), (1, 1, 1)])
def test_blocks_of_one_voxel_leave_everything_as_it_is(factor: tuple[int, ...]) -> None:
    image = torch.randn(2, *[3] * len(factor))
    label = torch.ones([3] * len(factor), dtype=torch.uint8)
    assert coarsen_image(image, factor) is image and coarsen_label(label, factor, 2) is label
    assert refine(image, factor, image.shape[1:]) is image


@given(grids)
def test_refined_maps_have_the_volumes_shape_and_keep_constants(grid: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    shape, factor = grid
    maps = refine(coarsen_image(torch.full((3, *shape), 0.25), factor), factor, shape)
    torch.testing.assert_close(maps, torch.full((3, *shape), 0.25))


def test_refined_maps_stay_in_place() -> None:
    """A slope keeps its values away from the edge: blocks are neither shifted nor stretched."""
    slope = torch.arange(12.0)[None, :, None].expand(1, 12, 8)
    back = refine(coarsen_image(slope, (2, 2)), (2, 2), (12, 8))
    torch.testing.assert_close(back[:, 1:-1], slope[:, 1:-1])


def test_refined_probabilities_still_sum_to_one() -> None:
    maps = torch.softmax(torch.randn((3, 4, 4, 2), generator=torch.Generator().manual_seed(0)), 0)
    torch.testing.assert_close(refine(maps, (2, 2, 3), (7, 8, 5)).sum(0), torch.ones(7, 8, 5))
