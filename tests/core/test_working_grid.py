"""The grid of a run: cases resized, coarsened and taken apart into slices; samples rotated; the way back."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from ssmis_core.batches import Batches, Sampling, crop_range, draw_turn
from ssmis_core.datasets.cases import Case
from ssmis_core.draws import Clock, Draws
from ssmis_core.errors import UserError
from ssmis_core.geometry import Turn
from ssmis_core.resampling import resize_nearest
from ssmis_core.volume_bank import VolumeBank
from ssmis_core.working_grid import WorkingGrid, rotated_box


def volume(shape: tuple[int, ...] = (20, 14, 5), name: str = "a", scale: float = 1.0) -> Case:
    """A case whose voxels all differ."""
    image = 1 + scale * np.arange(np.prod(shape), dtype=np.float32).reshape(1, *shape)
    label = (np.arange(np.prod(shape)).reshape(shape) % 4).astype(np.uint8)
    return Case(name, image, label, np.eye(4), None, "")


# --- nearest neighbour -----------------------------------------------------------------------------------------------


@given(sizes=st.tuples(st.integers(2, 300), st.integers(2, 40)), out=st.tuples(st.integers(2, 300), st.integers(2, 40)))
def test_nearest_neighbour_is_that_of_the_published_code(sizes: tuple[int, int], out: tuple[int, int]) -> None:
    image = np.arange(np.prod(sizes)).reshape(sizes)
    expected = ndimage.zoom(image, [b / a for a, b in zip(sizes, out, strict=True)], order=0)
    found = resize_nearest(torch.from_numpy(image), out).numpy()
    # of some sizes rounding puts scipy's last place outside of the image, where it fills in 0
    np.testing.assert_array_equal(found[:-1, :-1], expected[:-1, :-1])
    assert found[-1, -1] == image[-1, -1]


@pytest.mark.parametrize("size", [154, 174, 200, 216, 224, 232, 248, 256, 320, 428, 512])
def test_the_sizes_of_acdc_are_brought_to_256_exactly_as_published_and_back_up_to_the_last_place(size: int) -> None:
    there, back = (ndimage.zoom(np.arange(a), b / a, order=0) for a, b in ((size, 256), (256, size)))
    np.testing.assert_array_equal(resize_nearest(torch.arange(size), (256,)).numpy(), there)
    np.testing.assert_array_equal(resize_nearest(torch.arange(256), (size,)).numpy()[:-1], back[:-1])


def test_leading_axes_stay_and_the_own_size_is_left_alone() -> None:
    image = torch.rand(3, 9, 7)
    assert resize_nearest(image, (9, 7)) is image
    assert resize_nearest(image, (4, 16)).shape == (3, 4, 16)
    assert torch.equal(resize_nearest(image, (18, 14))[:, [0, -1], [0, -1]], image[:, [0, -1], [0, -1]])


# --- the grid --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_are_resized_and_coarsened_each_by_itself(axis: int) -> None:
    case, grid = volume(), WorkingGrid((2, 2), (16, 12), axis)
    image = grid.image(torch.from_numpy(case.image))
    parts = grid.samples(case.id, image, grid.label(torch.from_numpy(case.label), 4))
    assert [part.id for part in parts] == [f"a_slice_{k + 1}" for k in range(case.shape[axis])]
    flat = WorkingGrid((2, 2), (16, 12))
    for k, part in enumerate(parts):
        torch.testing.assert_close(part.image, flat.image(torch.from_numpy(case.image.take(k, axis + 1))))
        assert part.label is not None
        assert torch.equal(part.label, flat.label(torch.from_numpy(case.label.take(k, axis)), 4))


@pytest.mark.parametrize(("resize", "axis"), [((), None), ((), 2), ((24, 16), 2), ((16, 12), 0), ((8, 8, 8), None)])
def test_maps_come_back_to_the_grid_of_the_case(resize: tuple[int, ...], axis: int | None) -> None:
    shape, ones = (21, 15, 5), (1,) * (3 if axis is None else 2)
    grid = WorkingGrid(ones, resize, axis)
    maps = torch.rand(4, *grid.image(torch.zeros(1, *shape)).shape[1:])
    assert grid.back(maps, shape).shape == (4, *shape)
    coarse = WorkingGrid(tuple(2 * n for n in ones), resize, axis)
    half = torch.full((1, *coarse.image(torch.zeros(1, *shape)).shape[1:]), 0.25)
    torch.testing.assert_close(coarse.back(half, shape), torch.full((1, *shape), 0.25))


def test_a_finer_grid_gives_every_voxel_back_its_own_value() -> None:
    case, grid = volume((20, 14, 5)), WorkingGrid((1, 1), (64, 32), 2)
    image = torch.from_numpy(case.image)
    assert torch.equal(grid.back(grid.image(image), case.shape), image)


def test_a_whole_case_is_one_sample_under_its_own_name() -> None:
    case = volume()
    (part,) = WorkingGrid((1, 1, 1)).samples(case.id, torch.from_numpy(case.image), None)
    assert part.id == "a" and part.label is None and part.image.shape == (1, 20, 14, 5)


@pytest.mark.parametrize("axis", [None, 0, 1, 2])
@pytest.mark.parametrize(("resize", "factor"), [(None, 1), (None, 3), (40, 2), (12, 1)])
def test_voxels_of_the_grid_lie_where_their_values_came_from(axis: int | None, resize: int | None, factor: int) -> None:
    dims = 3 if axis is None else 2
    grid, shape = WorkingGrid((factor,) * dims, () if resize is None else (resize,) * dims, axis), (24, 18, 15)
    first, step = grid.lattice(shape)
    for a in range(3):
        places = torch.arange(shape[a], dtype=torch.float32).reshape([-1 if b == a else 1 for b in range(3)])
        seen = grid.image(places.expand(1, *shape))[0].movedim(a, 0).flatten(1)[:, 0].numpy()
        inside = slice(None) if shape[a] % factor == 0 or resize else slice(0, shape[a] // factor)
        wanted = first[a] + step[a] * np.arange(len(seen))
        np.testing.assert_allclose(seen[inside], wanted[inside], atol=0.5 if resize and a != axis else 1e-5)


def test_a_sample_tells_its_case_and_its_place() -> None:
    flat, whole = WorkingGrid((1, 1), (), 2), WorkingGrid((1, 1, 1))
    assert flat.sample_id("a_slice_3", 0) == "a_slice_3_slice_1"
    assert (flat.case_of("a_slice_3_slice_12"), flat.place_of("a_slice_3_slice_12")) == ("a_slice_3", 11)
    assert (whole.sample_id("a", 0), whole.case_of("a_slice_3"), whole.place_of("a")) == ("a", "a_slice_3", None)


# --- the bank --------------------------------------------------------------------------------------------------------


def sliced_bank(**grid: object) -> VolumeBank:
    cases = [volume(), volume((18, 22, 3), "b", 0.5)]
    return VolumeBank(cases, num_classes=4, **{"factor": (1, 1), "slice_axis": 2, **grid})  # type: ignore[arg-type]


def test_the_bank_knows_which_case_its_slices_are_of() -> None:
    bank = sliced_bank()
    assert bank.ids == [*(f"a_slice_{k}" for k in range(1, 6)), *(f"b_slice_{k}" for k in range(1, 4))]
    assert bank.samples_of(["b"]) == [5, 6, 7] and bank.samples_of(["a", "b"]) == list(range(8))
    image, label = bank.cut(6, (0, 0), (18, 22), label=True)
    case = volume((18, 22, 3), "b", 0.5)
    np.testing.assert_array_equal(image.numpy(), case.image[..., 1])
    assert label is not None
    np.testing.assert_array_equal(label.numpy(), case.label[..., 1])


def test_a_samples_voxels_have_the_size_that_the_grid_gives_them() -> None:
    assert sliced_bank(resize=(40, 7), factor=(2, 1)).spacing(0, (1.5, 1.25, 10.0)) == (1.5, 2.5)
    assert sliced_bank(slice_axis=0, factor=(2, 1)).spacing(6, (9.0, 1.5, 1.25)) == (3.0, 1.25)


def test_values_are_scaled_by_the_whole_volume_not_by_the_slice() -> None:
    bank, whole = sliced_bank(), volume().image
    image, _ = bank.cut(2, (0, 0), (20, 14), label=False, scaled=True)
    np.testing.assert_allclose(
        image.numpy(), (whole[..., 2] - whole.min()) / (whole.max() - whole.min()), rtol=1e-5, atol=1e-6
    )


def test_batches_of_slices_are_whole_resized_slices_of_labeled_cases() -> None:
    bank = sliced_bank(resize=(16, 16))
    sampling = Sampling(labeled=3, unlabeled=2, augmentations=("rot_flip",))
    own, rest = bank.samples_of(["a"]), bank.samples_of(["b"])
    batches = Batches(bank, labeled=own, unlabeled=rest, patch=(16, 16), sampling=sampling)
    clock = Clock("main", 0, 10)
    batch = batches.at(clock, Draws(0).at(clock))
    assert batch.image.shape == (5, 1, 16, 16) and (batch.corner == 0).all()
    assert all(name.startswith("a_slice_") for name in batch.labeled.case)
    for row, name in enumerate(batch.case):  # no padding: the slice itself, turned
        whole, _ = bank.cut(bank.ids.index(name), (0, 0), (16, 16), label=False)
        assert torch.equal(batch.turn[row].undo(batch.image[row], 2), whole)


def test_what_was_resized_is_not_padded() -> None:
    assert [one.tolist() for one in crop_range((16, 16), (16, 12), padded=False)] == [[0, 0], [0, 4]]
    assert crop_range((16, 16), (16, 12))[0].tolist() == [-3, -1]


# --- rotation --------------------------------------------------------------------------------------------------------


def blob(shape: tuple[int, int], angle: float, stretch: tuple[float, float] = (1.0, 1.0)) -> np.ndarray:
    """A smooth, lopsided picture rotated by `angle` degrees, on a grid stretched along its axes."""
    grid = np.indices(shape).astype(float)
    x, y = ((one - (n - 1) / 2) / s for one, n, s in zip(grid, shape, stretch, strict=True))
    turn = np.deg2rad(angle)
    u, v = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    return np.exp(-((u / 14) ** 2) - (v / 7) ** 2) + 0.5 * np.exp(-(((u - 8) / 4) ** 2) - ((v - 4) / 4) ** 2)


@pytest.mark.parametrize("angle", [-20.0, 7.0, 19.0])
@pytest.mark.parametrize("stretch", [(1.0, 1.0), (1.4, 0.8)])
def test_a_rotation_is_one_of_the_cases_own_voxels_whatever_the_grid(
    angle: float, stretch: tuple[float, float]
) -> None:
    shape = (61, 58)
    straight = torch.from_numpy(blob(shape, 0.0, stretch))
    turned, inside = rotated_box(straight, (0, 0), shape, angle, stretch)
    expected = blob(shape, angle, stretch)
    middle = (slice(12, -12), slice(12, -12))
    error = np.abs(turned.numpy() - expected)[middle]
    assert error.mean() < 0.02 < np.abs(straight.numpy() - expected)[middle].mean()
    assert inside[middle].all() and not inside.all()


def test_a_rotated_box_is_a_part_of_the_rotated_whole_and_zero_outside() -> None:
    bank = sliced_bank()
    cut = partial(bank.cut, 1, label=True, angle=13.0)
    (whole, truth), (box, part) = cut((0, 0), (20, 14)), cut((-2, 5), (9, 12))
    assert truth is not None and part is not None
    assert torch.equal(box[:, 2:, :9], whole[:, :7, 5:]) and torch.equal(part[2:, :9], truth[:7, 5:])
    assert not box[:, :2].any() and not box[:, :, 9:].any()
    values = set(volume().image[0, ..., 1].ravel()) | {0.0}
    assert set(whole.ravel().tolist()) <= values and (whole == 0).any()  # nearest neighbour makes no new values


def test_image_and_label_are_rotated_alike_in_3d_too() -> None:
    case = volume((12, 10, 7))
    bank = VolumeBank([case], num_classes=4, factor=(1, 1, 1))
    image, label = bank.cut(0, (1, 0, -1), (10, 10, 9), label=True, angle=-17.0)
    assert label is not None and image.shape == (1, 10, 10, 9)
    seen = image[0] > 0
    assert torch.equal(label[seen].long(), (image[0][seen].long() - 1) % 4)
    assert not seen[..., 0].any() and seen[..., 1].any()


def test_half_are_turned_a_quarter_rotated_and_a_quarter_left() -> None:
    turns = [draw_turn(f"{n}", ("rot_flip_or_rotate",), Draws(0)) for n in range(2000)]
    flipped = sum(turn.flip is not None for turn in turns)
    rotated = [turn.angle for turn in turns if turn.flip is None and turn != Turn()]
    assert abs(flipped - 1000) < 100 and abs(len(rotated) - 490) < 80
    assert min(rotated) == -20 and max(rotated) == 19
    assert all(turn.angle == 0 for turn in turns if turn.flip is not None)
    assert {turn.quarters for turn in turns} == {0, 1, 2, 3}


def test_both_ways_of_turning_at_once_are_refused() -> None:
    with pytest.raises(UserError, match="expected one of them"):
        Sampling(augmentations=("rot_flip", "rot_flip_or_rotate"))


def test_two_crops_of_a_rotated_slice_share_their_overlap() -> None:
    bank = VolumeBank([volume((40, 36))], num_classes=4, factor=(1, 1))
    sampling = Sampling(labeled=1, unlabeled=0, crops=2, min_overlap=4, augmentations=("rot_flip_or_rotate",))
    batches = Batches(bank, labeled=[0], unlabeled=[], patch=(16, 16), sampling=sampling)
    rotated = 0
    for t in range(40):
        clock = Clock("main", t, 40)
        patches = batches.at(clock, Draws(0).at(clock)).labeled
        if not patches.turn[0].angle:
            continue
        rotated += 1
        (rows, columns), (one, other) = (patches.corner[0, 0] - patches.corner[0, 1]).tolist(), patches.image[0, :, 0]
        assert torch.equal(one[: 16 - rows, : 16 - columns], other[rows:, columns:])
    assert rotated > 3
