"""Components in tensor operations are those that scipy finds, whatever their shape."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage
from torch import Tensor

from ssmis_core.connected_components import batched_largest_component, connected_components, lowest_around
from ssmis_core.inference import largest_component
from ssmis_core.pseudo_labels import batched_largest_components, largest_components

MASKS = st.one_of(
    arrays.arrays(bool, st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 8))),
    arrays.arrays(bool, st.tuples(st.integers(1, 2), st.integers(1, 5), st.integers(1, 6), st.integers(1, 4))),
)


def first_voxels(mask: np.ndarray) -> np.ndarray:
    """The number of the first voxel of each voxel's component, by scipy; the number of voxels for the background."""
    labels, count = ndimage.label(mask, np.ones([3] * mask.ndim))
    flat = labels.ravel()
    first = np.array([mask.size, *(int((flat == one).argmax()) for one in range(1, count + 1))])
    return first[labels]


def spiral(side: int) -> np.ndarray:
    """One long path of a single voxel's width, which turns in on itself with a gap of one voxel."""
    mask, place = np.zeros((side, side), bool), [0, 0]
    mask[0, 0] = True
    lengths = [side - 1, *(n for n in range(side - 1, 1, -2) for _ in range(2))]
    for turn, length in enumerate(lengths):
        for _ in range(length):
            place[(turn + 1) % 2] += 1 if turn % 4 < 2 else -1
            mask[tuple(place)] = True
    return mask


@given(MASKS)
def test_components_are_those_of_scipy(masks: np.ndarray) -> None:
    found = connected_components(torch.from_numpy(masks))
    assert np.array_equal(found.numpy(), np.stack([first_voxels(mask) for mask in masks]))


@given(MASKS)
def test_the_largest_component_of_each_mask_is_scipys_with_the_first_of_equal_ones(masks: np.ndarray) -> None:
    found = batched_largest_component(torch.from_numpy(masks))
    assert np.array_equal(found.numpy(), np.stack([largest_component(mask) for mask in masks]))


@pytest.mark.parametrize("shape", [(1, 512), (512, 1)])
def test_rounds_grow_with_the_logarithm_of_a_line(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[int] = []

    def counted(x: Tensor) -> Tensor:
        rounds.append(1)
        return lowest_around(x)

    monkeypatch.setattr("ssmis_core.connected_components.lowest_around", counted)
    line = torch.ones(1, *shape, dtype=torch.bool)
    line.view(-1)[0] = False
    assert int(connected_components(line).unique().numel()) == 2
    assert len(rounds) <= 6  # steps of 8, 64 and 512, and one round that finds nothing new


@pytest.mark.parametrize("flipped", [(), (0,), (1,), (0, 1)])
def test_a_long_winding_path_is_one_component(flipped: tuple[int, ...]) -> None:
    path = np.flip(spiral(41), flipped).copy()
    assert ndimage.label(path)[1] == 1 and path.sum() > 500
    found = connected_components(torch.from_numpy(path)[None])[0].numpy()
    assert np.array_equal(found, first_voxels(path))


@given(st.integers(0, 1000), st.integers(2, 4), st.sampled_from([(9, 8), (6, 5, 4)]))
def test_every_class_keeps_its_largest_component_as_on_the_cpu(seed: int, classes: int, shape: tuple[int, ...]) -> None:
    label: Tensor = torch.randint(classes, (3, *shape), generator=torch.Generator().manual_seed(seed))
    label[0] = 0  # nothing to keep
    found = batched_largest_components(label, classes)
    assert found.dtype == label.dtype and torch.equal(found, largest_components(label, classes))
