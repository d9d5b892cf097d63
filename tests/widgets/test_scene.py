"""Scenes: a case's crops where they are asked for, labeled cases in the order asked for, and whole scans."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

from ssmis_core.datasets.phantom import Phantom
from tests.widgets.explorer_scenes import scene
from widgets.kept_cases import LastUsed
from widgets.replay import array, first_unlabeled
from widgets.scene import Scene

CASE = "phantom-090"


def crops(size: tuple[int, ...] = (48, 41), patch: tuple[int, ...] = (32, 16)) -> Scene:
    data = {"dims": len(size), "num_classes": 2, "size": size}
    given = {"patch": patch, "stride": patch, "min_overlap": 6, "augmentations": ("rot_flip", "min_max")}
    return scene(len(size), "tracoco", dataset_options=data, **given)


@pytest.mark.parametrize("corners", [[[3, 8]], [[3, 8], [1, 20]], [[16, 25], [0, 0]]])
def test_crops_lie_where_they_are_asked_for_and_show_the_scan_there(corners: list[list[int]]) -> None:
    one = crops()
    example, (scan, label) = one.example(CASE, corners=corners), one.whole(CASE)
    row = example.batch.num_labeled
    for crop, corner in enumerate(corners):
        assert example.batch.corners(crop)[row].tolist() == corner
        box = tuple(slice(c, c + n) for c, n in zip(corner, (32, 16), strict=True))
        patch = example.batch.turn[row].undo(example.batch.images(crop)[row], 2)[0].numpy()
        assert np.array_equal(patch, scan[box])
    assert label is not None
    box = tuple(slice(c, c + n) for c, n in zip(corners[0], (32, 16), strict=True))
    assert np.array_equal(label[box], one.reference(CASE, example))


def test_without_corners_the_second_crop_is_drawn_as_in_training() -> None:
    one = crops()
    for seed in range(5):
        example = one.example(CASE, seed=seed)
        first, second = (example.batch.corners(crop)[example.batch.num_labeled].numpy() for crop in (0, 1))
        assert (second <= first).all() and (first - second <= np.array([26, 10])).all()


def test_a_scan_that_patches_reach_over_is_whole_with_its_padding() -> None:
    one = crops(size=(20, 41))
    (low, high), (scan, label) = one.room(CASE), one.whole(CASE)
    assert low.tolist() == [-9, 0] and high.tolist() == [-3, 25] and scan.shape == (38, 41)
    assert not scan[:9].any() and not scan[29:].any() and label is not None and not label[:9].any()
    assert first_unlabeled(one.example(CASE, corners=[[-9, 4]])).shape == (32, 16)


def test_labeled_cases_come_in_the_order_asked_for_and_over_again() -> None:
    one = scene(2, "cpam_trcm")
    known, count = one.dataset.split(4)[0], one.method.sampling.labeled
    for t in (0, 3, None):
        batch = one.example(CASE, t=t, labeled=known[2:0:-1]).batch
        assert batch.case[:count] == tuple((known[2:0:-1] * count)[:count]) and batch.case[count] == CASE
    assert one.example(CASE).batch.case[count] == CASE


def test_a_draw_of_the_loss_can_be_replaced() -> None:
    one = scene(2, "cpam_trcm")
    example = one.example(CASE)
    views = one.look(example.fixed(box=np.array([2, 5])))[1]
    assert np.argwhere(array(views["box"], 0)[0] == 0).min(0).tolist() == [2, 5]
    assert "box" not in example.draws._fixed


def test_what_was_used_last_is_kept_up_to_so_many_bytes_and_as_long_as_the_data_set() -> None:
    datasets, made, kept = [Phantom(dims=2)], [], LastUsed(100)

    def get(key: str, size: int) -> Any:
        def make() -> np.ndarray:
            made.append(key)
            return np.zeros(size, np.uint8)

        return kept.get(datasets[0], key, make)

    first = get("a", 40)
    assert get("a", 40) is first and made == ["a"]
    get("b", 40)
    get("a", 40)  # used again, so it is not the next one to go
    get("c", 40)
    assert get("a", 40) is first and made == ["a", "b", "c"]
    get("b", 40)
    assert made == ["a", "b", "c", "b"]
    large = get("large", 1000)  # larger than all that may be kept: alone, but kept
    assert get("large", 1000) is large and made[-1] == "large"
    get("a", 40)
    assert made[-1] == "a"
    datasets.clear()
    gc.collect()
    assert not kept.of
