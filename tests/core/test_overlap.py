"""The voxels that two crops share: equal images for any two corners, any size and any turn, in 2D and 3D."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssmis_core.batches import Batches, Sampling
from ssmis_core.datasets.cases import Case
from ssmis_core.draws import Clock, Draws
from ssmis_core.geometry import Turn, overlap_slices
from ssmis_core.volume_bank import VolumeBank

turns = st.builds(Turn, st.integers(0, 3), st.sampled_from([None, 0, 1]))


@st.composite
def crops(draw: st.DrawFn) -> tuple[tuple[int, ...], list[int], list[int], Turn]:
    """(size of the patch once turned, the two corners, the turn)."""
    dims = draw(st.integers(2, 3))
    size = tuple(draw(st.integers(1, 9)) for _ in range(dims))
    corners = [[draw(st.integers(-12, 12)) for _ in range(dims)] for _ in range(2)]
    return size, corners[0], corners[1], draw(turns)


def volume_box(corner: list[int], size: tuple[int, ...]) -> torch.Tensor:
    """The number of every voxel of an endless volume, within a box: no two voxels have the same."""
    axes = [torch.arange(c, c + s) + 100 for c, s in zip(corner, size, strict=True)]
    number = torch.zeros((), dtype=torch.int64)
    for axis in axes:
        number = number[..., None] * 1000 + axis
    return number


def cut(corner: list[int], size: tuple[int, ...], turn: Turn) -> torch.Tensor:
    """A crop of the endless volume as a batch would have it: turned, of that size once turned."""
    own = (size[1], size[0], *size[2:]) if turn.quarters % 2 else size
    return turn.apply(volume_box(corner, own), len(size))


@given(crops())
def test_both_crops_show_the_same_voxels_there_and_all_that_they_share(
    case: tuple[tuple[int, ...], list[int], list[int], Turn],
) -> None:
    size, first, second, turn = case
    a, b = cut(first, size, turn), cut(second, size, turn)
    here, there = overlap_slices(first, second, size, turn)
    assert torch.equal(a[here], b[there])
    shared = np.intersect1d(a.numpy(), b.numpy())
    assert sorted(a[here].flatten().tolist()) == shared.tolist()


@given(crops())
def test_the_order_of_the_crops_does_not_matter(case: tuple[tuple[int, ...], list[int], list[int], Turn]) -> None:
    size, first, second, turn = case
    assert overlap_slices(first, second, size, turn) == overlap_slices(second, first, size, turn)[::-1]
    whole = tuple(slice(0, side) for side in size)
    assert overlap_slices(first, first, size, turn) == (whole, whole)


@given(
    st.integers(2, 3).flatmap(
        lambda dims: st.tuples(
            st.tuples(*[st.integers(5, 20)] * dims), st.tuples(*[st.integers(4, 11)] * dims), st.integers(1, 8)
        )
    ),
    st.integers(0, 1000),
)
def test_crops_of_a_batch_agree_on_their_overlap_padding_and_turns_included(
    sizes: tuple[tuple[int, ...], tuple[int, ...], int], seed: int
) -> None:
    shape, patch, least = sizes
    image = 1.0 + np.arange(np.prod(shape), dtype=np.float32).reshape(1, *shape)
    label = (image[0] % 2).astype(np.uint8)
    dims = len(shape)
    cases = [Case(str(i), image + i, label, np.eye(4), None, "") for i in range(2)]
    bank = VolumeBank(cases, num_classes=2, factor=(1,) * dims)
    sampling = Sampling(1, 1, crops=2, min_overlap=least, augmentations=("rot_flip", "min_max", "brightness"))
    clock = Clock("main", 0, 10)
    batch = Batches(bank, labeled=[0], unlabeled=[1], patch=patch, sampling=sampling).at(clock, Draws(seed).at(clock))
    for row, turn in enumerate(batch.turn):
        corners = [batch.corners(crop)[row].tolist() for crop in (0, 1)]
        here, there = overlap_slices(*corners, patch, turn)
        a, b = batch.images(0)[row, 0][here], batch.images(1)[row, 0][there]
        assert torch.equal(a, b)
        assert all(side >= min(least, size) for side, size in zip(a.shape, patch, strict=True))
