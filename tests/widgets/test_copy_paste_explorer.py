"""The explorer of copy-paste: mixes, regions, pseudo-labels and losses are those of CPAM's own loss."""

from __future__ import annotations

import math
from typing import Any

import ipywidgets
import numpy as np
import pytest
import torch
from ipywidgets.widgets.widget import _instances

from ssmis_core.errors import UserError
from ssmis_core.metrics import evaluate_classes
from ssmis_core.perturbations import box_mask, box_places
from tests.widgets.explorer_scenes import scene
from widgets import style
from widgets.copy_paste_explorer import explore_copy_paste
from widgets.explorer import Explorer, values_of
from widgets.scene import Scene

CASE = "phantom-090"


def trcm(dims: int = 2, classes: int = 2, **options: Any) -> Scene:
    return scene(dims, "cpam_trcm", classes=classes, **options)


def labeled_of(one: Scene, shown: Explorer) -> list[str]:
    """The labeled cases of a batch whose first pair is the one that was chosen."""
    first, second = (shown.controls[f"labeled_{half}"].value for half in "ab")
    others = [case for case in one.dataset.split(4)[0] if case not in (first, second)]
    return [first, second] if one.method.sampling.labeled == 2 else [first, others[0], second, others[1]]


@pytest.mark.parametrize(("dims", "classes"), [(2, 4), (3, 2)])
def test_the_numbers_are_those_of_the_core(dims: int, classes: int) -> None:
    one = trcm(dims, classes, augmentations=("rot_flip",))
    shown = explore_copy_paste(one, CASE)
    for name, value in {"share": 0.4, "box_x": 11, "box_y": 3, "gamma": 0.25, "threshold": 0.6, "seed": 2}.items():
        shown.controls[name].value = value
    labeled = labeled_of(one, shown)
    example = one.example(CASE, seed=2, labeled=labeled)
    corner = [shown.controls[f"box_{axis}"].value for axis in "xyz"[:dims]]
    step, views = one.look(example.fixed(box=np.array(corner)), box=0.4, gamma=0.25, threshold=0.6, dropout=False)
    n, half = example.batch.num_labeled, example.batch.num_labeled // 2
    assert list(example.batch.case[: n + 1]) == [*labeled, CASE] and example.batch.case.count(CASE) == 1
    box = box_mask(one.config.patch, corner, 0.4).numpy() == 0
    reliable = [views[f"reliable_{part}"].value[0, 0].numpy() > 0 for part in "ab"]
    told = shown.numbers
    assert told["share of the box (%)"] == pytest.approx(100 * box.mean())
    assert told["reliable outside the box (%)"] == pytest.approx(100 * reliable[0].sum() / (~box).sum())
    assert told["reliable inside (%)"] == pytest.approx(100 * reliable[1].sum() / box.sum())
    right = []
    for part, row in (("a", n), ("b", n + half)):
        label, guess = one.truth(example, row), views["pseudo_label"].value[row - n, 0].numpy()
        assert label is not None
        dice = [s.dice for s in evaluate_classes(guess, label, classes)]
        known = [d for d in dice if not math.isnan(d)]
        assert told[f"Dice of pseudo-label {part}"] == pytest.approx(np.mean(known))
        right.append(guess == label)
    believed = np.stack([reliable[0] | reliable[1]] * 2)
    assert told["pseudo-labels right where reliable (%)"] == pytest.approx(100 * np.stack(right)[believed].mean())
    assert told["where not reliable (%)"] == pytest.approx(100 * np.stack(right)[~believed].mean())
    assert told["loss of L–U, whole batch"] == pytest.approx(float(step.terms["l_u"]))
    assert told["mean weight in L–U"] == pytest.approx(float(views["weight_l_u"].value[0].mean()), rel=1e-5)
    assert told["loss of all mixes"] == pytest.approx(float(step.total))
    shown.close()


def test_each_viewer_shows_the_mix_that_was_chosen_and_what_it_is_asked_for() -> None:
    one = trcm(3)
    shown = explore_copy_paste(one, CASE)
    shown.controls["above"].value, shown.controls["below"].value = "u_l", "l_l"
    example = one.example(CASE, labeled=labeled_of(one, shown))
    corner = [shown.controls[f"box_{axis}"].value for axis in "xyz"]
    views = one.look(example.fixed(box=np.array(corner)), dropout=False)[1]
    for viewer, name in zip(shown.viewers, ("u_l", "l_l"), strict=True):
        image, layer = views[f"mix_{name}"].value[0, 0].numpy(), viewer.layers["mix"]
        clipped = np.clip(image, layer.low, layer.high)
        assert np.abs(values_of(layer) - clipped).max() <= 0.51 * (layer.high - layer.low) / 255
        assert (viewer.layers["asked for"].values == views[f"target_{name}"].value[0, 0].numpy()).all()
        weight = views[f"weight_{name}"].value[0, 0].numpy()
        assert np.abs(values_of(viewer.layers["weight"]) - weight).max() <= 0.51 / 255
        assert (viewer.layers["does not count"].values == (weight == 0)).all()
    known = shown.viewers[1].layers
    assert (known["reference"].values == known["asked for"].values).all()  # both sides of L–L have their labels
    shown.close()


def test_the_box_opens_where_training_drew_it_and_its_sliders_reach_as_far_as_it_may() -> None:
    one = trcm(2)
    shown = explore_copy_paste(one, CASE)
    example = one.example(CASE)
    drawn = example.draws.integers("box", 0, box_places((32, 32), (32, 32), 2 / 3))
    assert [shown.controls[f"box_{axis}"].value for axis in "xy"] == drawn.tolist()
    shown.controls["box_x"].value = 0
    shown.controls["share"].value = 0.25
    assert shown.controls["box_x"].max == 23 == shown.controls["box_y"].max
    shown.controls["box_x"].value = 23
    shown.controls["share"].value = 0.75
    assert shown.controls["box_x"].value == shown.controls["box_x"].max == 7
    assert shown.numbers["share of the box (%)"] == pytest.approx(100 * 0.75**2)
    shown.close()


def test_each_control_changes_pictures_or_numbers() -> None:
    shown = explore_copy_paste(trcm(2, 4, dropout=0.3), CASE)

    def state() -> tuple[Any, ...]:
        pictures = (one.values.tobytes() for viewer in shown.viewers for one in viewer.layers.values())
        return (*pictures, tuple(shown.numbers.items()))

    for name, control in shown.controls.items():
        if name in ("threshold", "largest"):  # an untrained teacher is of one opinion everywhere
            continue
        before, own = state(), control.value
        if isinstance(control, ipywidgets.Dropdown):
            control.value = next(value for _, value in control._options_full if value != control.value)
        elif isinstance(control, ipywidgets.Checkbox):
            control.value = not control.value
        else:
            control.value = control.min if control.value > control.min else control.max
        assert state() != before and not shown.frame.line.value, name
        control.value = own
        assert state() == before, name
    shown.close()


def test_the_rules_of_pseudo_labels_reach_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, asked, look = explore_copy_paste(trcm(), CASE), [], Scene.look

    def recorded(self: Scene, *args: Any, **options: Any) -> Any:
        asked.append((options["threshold"], options["largest_component"]))
        return look(self, *args, **options)

    monkeypatch.setattr(Scene, "look", recorded)
    shown.controls["threshold"].value = 0.8
    shown.controls["largest"].value = False
    assert asked == [(0.8, True), (0.8, False)]
    shown.close()


def test_showing_another_mix_asks_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = explore_copy_paste(trcm(), CASE)
    asked: list[Any] = []
    monkeypatch.setattr(Scene, "look", lambda *_args, **options: asked.append(options))
    shown.controls["above"].value = "u_u"
    assert not asked and "unlabeled a with a box of unlabeled b" in shown.viewers[0].title
    shown.close()


def test_without_calibration_every_pseudo_label_counts_and_nothing_is_called_reliable() -> None:
    shown = explore_copy_paste(scene(2, "cpam", unlabeled_unlabeled=False), CASE)
    assert not any("reliable" in name for name in shown.numbers)
    assert not any(viewer.layers["does not count"].values.any() for viewer in shown.viewers)
    assert [value for _, value in shown.controls["above"].options] == ["l_u", "u_l", "l_l"]
    shown.close()


def test_a_calibration_that_has_nothing_to_ask_is_told_in_a_line() -> None:
    off = {"labeled_labeled": False, "labeled_unlabeled": False}
    shown = explore_copy_paste(scene(2, "cpam", **off), CASE)
    shown.controls["trcm"].value = True
    assert "option trcm=True needs labeled_labeled" in shown.frame.line.value
    shown.close()


@pytest.mark.parametrize("labeled", [1, 2, 3])
def test_few_labeled_cases_are_shown_over_again(labeled: int) -> None:
    one = trcm(2, labeled=labeled)
    shown = explore_copy_paste(one, CASE)
    assert not shown.frame.line.value
    shown.controls["labeled_b"].value = shown.controls["labeled_a"].value
    assert not shown.frame.line.value
    shown.close()


def test_truth_is_turned_like_the_patch_and_the_reference_is_not() -> None:
    one = trcm(2, augmentations=("rot_flip",), patch=(32, 16), stride=(32, 16))
    for seed in range(4):
        example = one.example(CASE, seed=seed)
        batch = example.batch
        for row in range(batch.num_labeled):
            assert np.array_equal(one.truth(example, row), batch.label[row].numpy())
        row = batch.num_labeled
        truth, reference = one.truth(example, row), one.reference(CASE, example)
        assert truth is not None and reference is not None
        assert np.array_equal(batch.turn[row].undo(torch.from_numpy(truth), 2).numpy(), reference)


def test_a_still_stands_in_and_nothing_stays_behind() -> None:
    one, counts = trcm(), []
    for _ in range(3):
        shown = explore_copy_paste(one)
        figure = shown.still()
        shown.close()
        counts.append(len(_instances))
    assert counts[0] == counts[-1]
    assert "share of the box" in style.alt_text(figure) and figure.layout.xaxis.title.text == "x (mm)"


@pytest.mark.parametrize("method", ["tracoco", "supervised"])
def test_a_method_without_boxes_is_one_line(method: str) -> None:
    with pytest.raises(UserError, match="pastes no boxes of scans, expected cpam or cpam_trcm"):
        explore_copy_paste(scene(method=method))
