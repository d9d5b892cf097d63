"""Runs that see volumes slice by slice: scenes, explorers, figures and review show the slice, where it lies."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ssmis_core.errors import UserError
from ssmis_core.volume_bank import VolumeBank
from tests.widgets.explorer_scenes import EXPLORERS, METHOD_OF_VIEW, sliced
from tests.widgets.review_runs import evaluated_run
from widgets import copy_paste, translation
from widgets.cases import as_seen
from widgets.explorer import Explorer
from widgets.kept_cases import load
from widgets.replay import array, example_batch, first_unlabeled, look
from widgets.review.layers import case_layers
from widgets.review.state import Review
from widgets.review.view_layers import TOPICS, clearest_slice, view_layers
from widgets.scene import Scene
from widgets.uncertainty_explorer import explore_uncertainty

CASE = "phantom-090"


def on_the_grid(one: Scene, case_id: str) -> VolumeBank:
    """All slices of a case, as training cuts them."""
    return VolumeBank([load(one.dataset, case_id)], num_classes=one.dataset.num_classes, **vars(one.config.grid))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_case_opens_at_its_fullest_slice_and_each_slice_can_be_asked_for(axis: int) -> None:
    one = sliced(axis=axis)
    label, bank = load(one.dataset, CASE).label, on_the_grid(one, CASE)
    counts = np.moveaxis(label, axis, 0).astype(bool).sum((1, 2))
    assert one.samples(CASE) == bank.ids and len(bank.ids) == label.shape[axis]
    assert one.sample(CASE) == bank.ids[int(counts.argmax())]
    wanted = bank.ids[7]
    assert one.sample(wanted) == wanted and one.case_of(wanted) == one.case_of(CASE) == CASE
    for name in (CASE, wanted):
        example = one.example(name)
        row, number = example.batch.num_labeled, bank.ids.index(one.sample(name))
        corner = example.batch.corner[row].tolist()
        image, truth = bank.cut(number, corner, (32, 32), label=True)
        assert example.batch.case[row] == one.sample(name)
        np.testing.assert_array_equal(first_unlabeled(example), image[0].numpy())
        np.testing.assert_array_equal(one.reference(name, example), truth.numpy())


def test_labeled_samples_are_slices_and_none_is_rotated_by_an_angle() -> None:
    one = sliced("cpam_trcm")
    named = [one.samples("phantom-002")[4], "phantom-001"]
    example = one.example(CASE, labeled=named)
    batch, first = example.batch, one.sample("phantom-001")
    assert batch.case[: batch.num_labeled] == tuple(([named[0], first] * 4)[: batch.num_labeled])
    for seed in range(6):
        example = one.example(CASE, seed=seed)
        assert {turn.angle for turn in example.batch.turn} == {0.0}
        for row in range(example.batch.num_labeled):
            np.testing.assert_array_equal(one.truth(example, row), example.batch.label[row].numpy())


def test_where_slices_are_brought_to_a_size_patches_stay_inside_and_voxels_have_their_size() -> None:
    one = sliced("tracoco", min_overlap=6)
    low, high = one.room(CASE)
    assert low.tolist() == [0, 0] and high.tolist() == [8, 0]  # of 40 x 32, where unresized samples get a rim
    assert one.whole(CASE)[0].shape == (40, 32)
    spacing = load(one.dataset, CASE).spacing
    assert one.grid(CASE) == pytest.approx((spacing[0] * 31 / 40, spacing[1] * 29 / 32))
    assert one.example(CASE).spacing == one.grid(CASE)


def test_slices_that_are_not_there_are_told_in_one_line() -> None:
    one = sliced()
    with pytest.raises(UserError, match=r"slice 'phantom-090_slice_99': expected phantom-090_slice_1 to .*_slice_27$"):
        one.known(f"{CASE}_slice_99")
    with pytest.raises(UserError, match="is not labeled in the run"):
        one.known("phantom-001_slice_3")


@pytest.mark.parametrize("function", EXPLORERS, ids=lambda function: function.__name__)
def test_explorers_go_through_the_slices_of_a_case(function: Callable[..., Explorer]) -> None:
    one = sliced(EXPLORERS[function])
    shown = function(one, CASE)
    slices, start = one.samples(CASE), one.sample(CASE)
    assert not shown.frame.line.value and list(shown.controls)[:2] == ["case", "slice"]
    slider = shown.controls["slice"]
    assert (slider.min, slider.max, slices[slider.value - 1]) == (1, len(slices), start)
    before = shown.viewers[0].layers[shown.viewers[0].name].values.copy()
    slider.value -= 5
    assert not shown.frame.line.value
    assert (shown.viewers[0].layers[shown.viewers[0].name].values != before).any()
    shown.controls["case"].value = "phantom-085"
    assert not shown.frame.line.value and slider.value == 1 + one.config.grid.place_of(one.sample("phantom-085"))
    assert shown.still().data
    shown.close()
    named = function(one, slices[3])
    assert named.controls["slice"].value == 4 and named.controls["case"].value == CASE
    named.close()


def test_the_numbers_of_an_explorer_are_those_of_the_slice() -> None:
    one = sliced("ugmcl")
    shown = explore_uncertainty(one, CASE)
    shown.controls["slice"].value = 12
    controls = {name: shown.controls[name].value for name in ("passes", "noise", "seed", "t")}
    example = one.example(one.samples(CASE)[11], t=controls["t"], seed=controls["seed"])
    views = one.look(example)[1]
    row = example.batch.num_labeled
    assert shown.numbers["mean entropy (nats)"] == pytest.approx(float(array(views["uncertainty"], row).mean()))
    shown.close()


def test_the_scan_is_drawn_rotated_as_its_crops_were_cut() -> None:
    one, angles = sliced("tracoco", augmentations=("rot_flip_or_rotate", "min_max"), min_overlap=6), set()
    for t in range(4):
        example = example_batch(one.config, one.method, one.dataset, t=t)
        views = look(one.method, example)[1]
        for sample in range(len(example.batch.case)):
            scan = translation.whole_scan(one.dataset, one.config, one.method, example, sample=sample)
            for name in ("image", "second_image"):
                crop, (x, y) = array(views[name], sample)[0], views[name].corner[sample].tolist()
                np.testing.assert_array_equal(crop, scan[x : x + 32, y : y + 32])
            angles.add(example.batch.turn[sample].angle)
        figure = translation.two_crops(scan, views, example, sample=sample)
        assert figure.data
    assert len(angles) > 1


def test_mistakes_of_pseudo_labels_are_counted_on_the_slice_as_it_was_cut() -> None:
    one, angles = sliced("cpam_trcm"), set()
    for t in range(4):
        example = example_batch(one.config, one.method, one.dataset, t=t)
        views, batch = look(one.method, example)[1], example.batch
        for row, name in enumerate(views["pseudo_label"].case):
            turn, bank = batch.turn[batch.case.index(name)], on_the_grid(one, one.case_of(name))
            corner = views["pseudo_label"].corner[row].tolist()
            truth = bank.cut(bank.ids.index(name), corner, (32, 32), label=True, angle=turn.angle)[1]
            views["pseudo_label"].value[row, 0] = turn.apply(truth, 2)
            angles.add(turn.angle)
        views["reliable_a"].value[:, :, :16] = 1.0
        found = copy_paste.trusted_and_true(views, example, one.dataset, one.config)
        assert found == {"trusted": 0.0, "others": 0.0}
    assert len(angles) > 1


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("topic", TOPICS)
def test_a_view_lies_on_its_slice_where_its_patch_was_cut(topic: str, axis: int) -> None:
    one = sliced(METHOD_OF_VIEW[topic], axis=axis)
    scan, sample = load(one.dataset, CASE), one.samples(CASE)[9]
    views = one.look(one.example(sample))[1]
    names = one.dataset.class_names
    layers = view_layers(views, topic, scan, grid=one.config.grid, class_names=names, sample=sample)
    spacing, found = np.array(scan.spacing), []
    for data, look_, kind in layers:
        kept = look_["metadata"]["ssmis"]
        if kept["role"] == "frame":
            assert len(data) == 12 and np.ptp(np.concatenate(data), axis=0)[axis] == pytest.approx(spacing[axis])
        if kept["role"] != "view":
            continue
        assert data.shape[axis] == 1 and look_["translate"][axis] == pytest.approx(9 * spacing[axis])
        if kind != "image" or kept["view"] != "image":
            continue
        places = np.stack(np.meshgrid(*(np.arange(n) for n in data.shape), indexing="ij"), -1).reshape(-1, 3)
        own = (np.array(look_["translate"]) + places * look_["scale"]) / spacing
        near = np.clip(np.rint(own).astype(int), 0, np.array(scan.shape) - 1)
        found.append(np.corrcoef(data[tuple(places.T)], scan.image[0][tuple(near.T)])[0, 1])
    assert found and min(found) > 0.9  # a coarse voxel is the mean of four
    place = clearest_slice(views, topic, scan, grid=one.config.grid, sample=sample)
    assert place is not None
    if axis == 2:
        assert place == pytest.approx(9 * spacing[2])


def test_a_run_on_slices_is_reviewed_as_volumes(tmp_path: Path) -> None:
    small = {"slice_axis": 2, "network": "unet2d", "patch": (16, 16), "stride": (16, 16), "resize": (32, 32)}
    review = Review(evaluated_run(tmp_path / "run", 3, classes=4, **small))
    seen = review.open()
    layers = case_layers(seen, review.dataset.class_names)
    assert {data.shape for data, _, _ in layers} == {seen.case.shape} == {seen.prediction.shape}
    entropy = review.uncertainty(seen.case)
    assert entropy.shape == seen.case.shape and entropy.min() >= 0 and entropy.max() <= math.log(4) + 1e-5
    one = Scene.of(review.run)
    assert one.look(one.example(review.case))[1]["certainty"].case.count(one.sample(review.case)) == 1


def test_a_labeled_case_is_seen_as_its_fullest_slice_on_the_grid_of_the_run() -> None:
    one = sliced(axis=1)
    image, label, spacing = as_seen(load(one.dataset, CASE), one.config)
    wanted = one.example(CASE, corners=[[0, 0]])
    np.testing.assert_array_equal(image[:32, :32], first_unlabeled(wanted))
    np.testing.assert_array_equal(label[:32, :32], one.reference(CASE, wanted))
    assert image.shape == label.shape == (40, 32) and spacing == pytest.approx(one.grid(CASE))


def test_several_classes_are_as_unsure_as_their_number_allows() -> None:
    one = sliced("ugmcl")
    entropy = one.look(one.example(CASE))[1]["uncertainty"].value
    assert torch.isfinite(entropy).all() and math.log(2) < float(entropy.max()) <= math.log(4) + 1e-5
