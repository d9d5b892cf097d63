"""Batches: pure functions of seed and iteration, cut where they say, without the truth of the unlabeled."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ssmis_core.batches import Batch, Batches, Patches, Sampling, Turn, crop_corners, pick
from ssmis_core.datasets.cases import Case
from ssmis_core.draws import Clock, Draws
from ssmis_core.errors import UserError
from ssmis_core.views import Views
from ssmis_core.volume_bank import VolumeBank

PATCH = {2: (16, 24), 3: (8, 12, 16)}
SHAPE = {2: (40, 44), 3: (20, 22, 24)}


def make_cases(
    dims: int, count: int = 6, shape: tuple[int, ...] | None = None, labeled: int | None = None
) -> list[Case]:
    """Cases whose every voxel has a value of its own (1, 2, ... within a case, never the 0 of the padding)."""
    shape = shape or SHAPE[dims]
    cases = []
    for index in range(count):
        image = 1.0 + 100_000 * index + np.arange(np.prod(shape), dtype=np.float32).reshape(1, *shape)
        label = (np.arange(np.prod(shape)).reshape(shape) % 3).astype(np.uint8)
        known = label if labeled is None or index < labeled else None
        cases.append(Case(f"case-{index}", image, known, np.eye(4), None, "test"))
    return cases


def make_batches(dims: int, sampling: Sampling, *, cases: list[Case] | None = None, labeled: int = 3) -> Batches:
    bank = VolumeBank(cases or make_cases(dims), num_classes=3, factor=(1,) * dims)
    numbers = range(len(bank.ids))
    return Batches(bank, labeled=numbers[:labeled], unlabeled=numbers[labeled:], patch=PATCH[dims], sampling=sampling)


def batch_at(batches: Batches, t: int, seed: int = 0) -> Batch:
    clock = Clock("main", t, 1000)
    return batches.at(clock, Draws(seed).at(clock))


def every_stream(batch: Batch) -> list[Patches]:
    return [batch.labeled, *batch.streams]


def turned_size(patch: tuple[int, ...], turn: Turn) -> tuple[int, ...]:
    return (patch[1], patch[0], *patch[2:]) if turn.quarters % 2 else patch


def boxes_in_volume(batches: Batches, patches: Patches) -> list[tuple[Tensor, Tensor]]:
    """(patch turned back, the bank's box where it says that it starts) of every crop."""
    dims, pairs = len(batches.patch), []
    for row, (case, turn) in enumerate(zip(patches.case, patches.turn, strict=True)):
        size = turned_size(batches.patch, turn)
        for image, corner in zip(patches.image[row], patches.corner[row], strict=True):
            box, _ = batches.bank.cut(batches.bank.ids.index(case), corner.tolist(), size, label=False)
            pairs.append((turn.undo(image, dims), box))
    return pairs


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("crops", [1, 2])
def test_every_patch_is_the_volume_at_its_corner_under_its_turn(dims: int, crops: int) -> None:
    batches = make_batches(dims, Sampling(crops=crops, min_overlap=4, unlabeled_streams=2))
    turns = set()
    for t in range(12):
        for patches in every_stream(batch_at(batches, t)):
            assert patches.image.shape == (2, crops, 1, *PATCH[dims])
            turns |= set(patches.turn)
            assert all(torch.equal(back, box) for back, box in boxes_in_volume(batches, patches))
    assert len(turns) == 8  # four quarter turns, each with a flip of one axis or the other


@pytest.mark.parametrize("dims", [2, 3])
def test_labels_are_cut_and_turned_with_their_images(dims: int) -> None:
    batches = make_batches(dims, Sampling(crops=2, min_overlap=4))
    for t in range(6):
        patches = batch_at(batches, t).labeled
        assert patches.label is not None and patches.label.dtype == torch.uint8
        voxel = (patches.image[:, :, 0].double() - 1) % 100_000
        assert torch.equal(patches.label.double(), voxel % 3)


@pytest.mark.parametrize("dims", [2, 3])
def test_labels_of_unlabeled_cases_never_enter_a_batch(dims: int) -> None:
    batches = make_batches(dims, Sampling(unlabeled_streams=2))
    assert all(batches.bank.has_label(index) for index in batches.unlabeled)
    for t in range(4):
        batch = batch_at(batches, t)
        assert all(stream.label is None for stream in batch.streams)
        assert len(batch.label) == batch.num_labeled == 2


@pytest.mark.parametrize("dims", [2, 3])
def test_a_batch_is_the_same_whether_or_not_the_bank_knows_the_truth(dims: int) -> None:
    with_truth = make_batches(dims, Sampling())
    without = make_batches(dims, Sampling(), cases=make_cases(dims, labeled=3))
    for t in range(4):
        a, b = batch_at(with_truth, t), batch_at(without, t)
        assert torch.equal(a.image, b.image) and torch.equal(a.label, b.label) and a.case == b.case


def test_a_batch_is_a_pure_function_of_the_seed_and_the_iteration() -> None:
    one, other = make_batches(2, Sampling()), make_batches(2, Sampling())
    forwards = [batch_at(one, t) for t in range(8)]
    backwards = [batch_at(other, t) for t in reversed(range(8))][::-1]
    for a, b in zip(forwards, backwards, strict=True):
        assert torch.equal(a.image, b.image) and torch.equal(a.corner, b.corner) and a.turn == b.turn
    assert not torch.equal(batch_at(one, 0).image, batch_at(one, 0, seed=1).image)
    assert not torch.equal(forwards[0].image, forwards[1].image)


def test_labeled_rows_come_first_and_rows_agree_with_cases_corners_and_turns() -> None:
    batch = batch_at(make_batches(2, Sampling(labeled=2, unlabeled=3)), 0)
    assert batch.unlabeled is not None
    assert torch.equal(batch.image[:2], batch.labeled.image[:, 0])
    assert torch.equal(batch.image[2:], batch.unlabeled.image[:, 0])
    assert len(batch.case) == len(batch.turn) == len(batch.corner) == len(batch.image) == 5
    assert batch.label.dtype == torch.int64 and batch.label.shape == (2, *PATCH[2])
    numbers = [int(name[-1]) for name in batch.case]
    assert set(numbers[:2]) <= {0, 1, 2} and set(numbers[2:]) <= {3, 4, 5}


def test_without_unlabeled_samples_a_batch_has_labeled_rows_alone() -> None:
    batch = batch_at(make_batches(2, Sampling(unlabeled=0)), 0)
    assert batch.streams == () and batch.unlabeled is None and len(batch.image) == 2 == len(batch.case)


@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 50))
def test_an_epoch_takes_every_item_at_most_once_and_drops_the_remainder(n: int, size: int, seed: int) -> None:
    steps = n // size if n >= size else 0
    for epoch in range(3):
        clocks = [Clock("main", epoch * steps + i, 100) for i in range(steps)]
        taken = [item for clock in clocks for item in pick("labeled", n, size, clock, Draws(seed).at(clock))]
        assert len(taken) == len(set(taken)) == steps * size
        assert set(taken) <= set(range(n))


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 50))
def test_fewer_items_than_a_batch_holds_are_repeated_evenly(n: int, more: int, seed: int) -> None:
    size = n + more
    clocks = [Clock("main", t, 100) for t in range(n)]  # n batches of `size` are `size` whole passes
    taken = [item for clock in clocks for item in pick("labeled", n, size, clock, Draws(seed).at(clock))]
    assert np.bincount(taken, minlength=n).tolist() == [size] * n


def test_epochs_are_shuffled_anew_and_streams_by_themselves() -> None:
    def order(name: str, epoch: int) -> list[int]:
        clocks = [Clock("main", 10 * epoch + t, 100) for t in range(10)]
        return [pick(name, 10, 1, clock, Draws(0).at(clock))[0] for clock in clocks]

    orders = [order("labeled", 0), order("labeled", 1), order("unlabeled_0", 0), order("unlabeled_1", 0)]
    assert all(sorted(one) == list(range(10)) for one in orders)
    assert len({tuple(one) for one in orders}) == 4


@given(st.tuples(*[st.integers(1, 30)] * 2), st.tuples(*[st.integers(4, 12)] * 2), st.integers(0, 30))
def test_corners_stay_in_the_volume_or_its_padding(shape: tuple[int, int], size: tuple[int, int], seed: int) -> None:
    """The field's rule: when any axis is not larger than the patch, all are padded, 3 a side more than needed."""
    small = any(s <= p for s, p in zip(shape, size, strict=True))
    pad = [max((p - s) // 2 + 3, 0) if small else 0 for s, p in zip(shape, size, strict=True)]
    corner = crop_corners("x", shape, size, Sampling(), Draws(seed))
    assert corner.shape == (1, 2)
    for at, s, p, a in zip(corner[0], shape, size, pad, strict=True):
        assert -a <= at <= s + a - p


@pytest.mark.parametrize("shape", [(40, 44), (9, 44), (16, 24), (18, 10)])
def test_corners_reach_both_ends(shape: tuple[int, int]) -> None:
    size = (16, 24)
    small = any(s <= p for s, p in zip(shape, size, strict=True))
    corners = np.array([crop_corners("x", shape, size, Sampling(), Draws(seed))[0] for seed in range(400)])
    for axis, (s, p) in enumerate(zip(shape, size, strict=True)):
        pad = max((p - s) // 2 + 3, 0) if small else 0
        assert corners[:, axis].min() == -pad and corners[:, axis].max() == s + pad - p


def test_a_volume_smaller_than_the_patch_is_padded_with_zeros() -> None:
    batches = make_batches(2, Sampling(), cases=make_cases(2, shape=(9, 11)))
    for t in range(6):
        batch = batch_at(batches, t)
        for row in range(len(batch.image)):
            inside = batch.image[row, 0] != 0
            assert int(inside.sum()) == 9 * 11  # the whole volume, and nothing else
        assert int((batch.label != 0).sum()) == 2 * (9 * 11 - 33)
        assert all(torch.equal(back, box) for back, box in boxes_in_volume(batches, batch.labeled))


@pytest.mark.parametrize("dims", [2, 3])
def test_two_crops_share_their_turn_and_at_least_the_least_overlap(dims: int) -> None:
    batches = make_batches(dims, Sampling(crops=2, min_overlap=5))
    moved = False
    for t in range(12):
        for patches in every_stream(batch_at(batches, t)):
            for row, turn in enumerate(patches.turn):
                first, second = patches.corner[row]
                size = torch.tensor(turned_size(PATCH[dims], turn))
                overlap = second + size - first
                moved |= bool((first != second).any())
                assert bool((second <= first).all()) and bool((overlap >= 5).all())
                a, b = (turn.undo(patches.image[row, crop, 0], dims) for crop in (0, 1))
                low = (first - second).tolist()
                common_b = b[tuple(slice(low_, None) for low_ in low)]
                common_a = a[tuple(slice(0, n) for n in overlap.tolist())]
                assert torch.equal(common_a, common_b)
    assert moved


def test_without_augmentations_patches_keep_the_volumes_orientation() -> None:
    batch = batch_at(make_batches(2, Sampling(augmentations=())), 0)
    assert set(batch.turn) == {Turn()}
    assert bool((batch.image.diff(dim=-1) == 1).all())


@given(st.integers(0, 3), st.sampled_from([None, 0, 1]), st.integers(2, 3))
def test_a_turn_undone_is_no_turn(quarters: int, flip: int | None, dims: int) -> None:
    x = torch.arange(2.0 * 60).reshape(2, 3, 4, 5) if dims == 3 else torch.arange(24.0).reshape(2, 3, 4)
    turn = Turn(quarters, flip)
    assert torch.equal(turn.undo(turn.apply(x, dims), dims), x)
    assert torch.equal(turn.apply(turn.undo(x.rot90(quarters, (1, 2)), dims), dims), x.rot90(quarters, (1, 2)))


def test_views_are_placed_back_where_the_patch_was_cut() -> None:
    batches, views = make_batches(2, Sampling()), Views()
    batch = batch_at(batches, 3)
    views.keep("image", batch, image=batch.image)
    for row in range(4):
        placed = views["image"].placed(row)
        index = batches.bank.ids.index(views["image"].case[row])
        box, _ = batches.bank.cut(index, views["image"].corner[row].tolist(), placed.shape[1:], label=False)
        assert torch.equal(placed, box)


def test_a_fixed_draw_puts_a_patch_where_an_explorer_wants_it() -> None:
    batches, clock = make_batches(2, Sampling()), Clock("main", 0, 10)
    fixed = {"labeled/0/corner_0": 7, "labeled/0/corner_1": 5, "labeled/0/quarters": 0, "labeled/0/flip": 1}
    patches = batches.at(clock, Draws(0).fixed(**fixed)).labeled
    assert patches.corner[0, 0].tolist() == [7, 5] and patches.turn[0] == Turn(0, 1)


def test_the_bank_works_on_the_coarser_grid() -> None:
    bank = VolumeBank(make_cases(2, count=1, shape=(9, 8)), num_classes=3, factor=(2, 2))
    assert bank.shape(0) == (5, 4)
    image, label = bank.cut(0, (0, 0), (5, 4), label=True)
    assert image.shape == (1, 5, 4) and float(image[0, 0, 0]) == pytest.approx(1 + (0 + 1 + 8 + 9) / 4)
    assert label is not None and label.shape == (5, 4) and label.dtype == torch.uint8


def test_a_method_that_needs_unlabeled_cases_says_so_when_none_is_left() -> None:
    with pytest.raises(UserError, match="no unlabeled case is left beside 6 labeled ones"):
        make_batches(2, Sampling(), labeled=6)


def test_a_labeled_case_without_a_label_is_named() -> None:
    with pytest.raises(UserError, match="case case-2 is to be a labeled one, but it has no label"):
        make_batches(2, Sampling(), cases=make_cases(2, labeled=2))


def test_an_unknown_augmentation_is_a_user_error() -> None:
    with pytest.raises(UserError, match=r"unknown augmentation 'rotflip'; did you mean 'rot_flip'\?"):
        replace(Sampling(), augmentations=("rotflip",))


def test_consecutive_iterations_take_other_crops() -> None:
    batches = make_batches(2, Sampling(), labeled=2)
    corners = [batch_at(batches, t).labeled.corner.tolist() for t in range(8)]
    assert all(a != b for a, b in pairwise(corners))
