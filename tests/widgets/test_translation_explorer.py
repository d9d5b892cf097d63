"""The explorer of TraCoCo's two crops: numbers and pictures are those of its loss, wherever the crops are put."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from ipywidgets.widgets.widget import _instances

from ssmis_core.errors import UserError
from ssmis_core.losses import confident_regions, negative_entropy, translation_kl
from ssmis_core.metrics import evaluate_classes
from ssmis_core.views import Views
from tests.widgets.explorer_scenes import scene
from widgets import style
from widgets.explorer import Explorer, values_of
from widgets.replay import Example, array
from widgets.scene import Scene
from widgets.translation_explorer import explore_translation

CASE = "phantom-090"
SIZES = {2: (41, 48), 3: (48, 33, 25)}
PATCHES = {2: (32, 16), 3: (32, 16, 16)}


def small(dims: int, classes: int = 2, **options: Any) -> Scene:
    """TraCoCo with patches smaller than the scans, whose sides are odd and unlike each other."""
    data = {"dims": dims, "num_classes": classes, "size": SIZES[dims]}
    size = {"patch": PATCHES[dims], "stride": PATCHES[dims], "min_overlap": 6}
    return scene(dims, "tracoco", dataset_options=data, **size, **options)


def direct(one: Scene, shown: Explorer, **options: Any) -> tuple[Example, Views, list[list[int]]]:
    """The loss itself for the crops that the explorer's controls name."""
    axes = "xyz"[: one.dataset.dims]
    corners = [[shown.controls[f"{which}_{axis}"].value for axis in axes] for which in ("first", "second")]
    example = one.example(CASE, seed=shown.controls["seed"].value, corners=corners)
    return example, one.look(example, dropout=False, **options)[1], corners


def put(shown: Explorer, **values: int) -> None:
    for name, value in values.items():
        shown.controls[name].value = value


@pytest.mark.parametrize(("dims", "classes", "network"), [(2, 4, "1"), (3, 2, "2")])
def test_the_numbers_are_those_of_the_core(dims: int, classes: int, network: str) -> None:
    one = small(dims, classes)
    shown = explore_translation(one, CASE)
    put(shown, first_x=9, second_x=4, second_y=7, network=network, positive=0.4, negative=0.2, noise=0.25)
    example, views, corners = direct(one, shown, noise=0.25, cutmix="none")
    row, patch = example.batch.num_labeled, PATCHES[dims]
    assert [example.batch.corners(crop)[row].tolist() for crop in (0, 1)] == corners
    both = [patch[axis] - abs(a - b) for axis, (a, b) in enumerate(zip(*corners, strict=True))]
    assert shown.numbers["voxels shared"] == math.prod(both)
    assert shown.numbers["share of a crop (%)"] == pytest.approx(100 * math.prod(both) / math.prod(patch))
    p = views["probability" if network == "1" else "probability_2"].value[row]
    q = views[f"second_probability_{network}"].value[row]
    here, there = (views[name].value[row, 0] > 0 for name in ("overlap", "second_overlap"))
    a, b = (x[:, where][None].log() for x, where in ((p, here), (q, there)))
    assert shown.numbers["mean KL (nats)"] == pytest.approx(float(translation_kl(a, b)), rel=1e-3)
    entropy = -0.5 * float(negative_entropy(a) + negative_entropy(b))
    assert shown.numbers["mean entropy (nats)"] == pytest.approx(entropy, rel=1e-3)
    answers = [x[:, where].argmax(0).reshape(both).numpy() for x, where in ((p, here), (q, there))]
    dice = np.array([s.dice for s in evaluate_classes(answers[1], answers[0], classes)])
    wanted = np.nanmean(dice) if not np.isnan(dice).all() else math.nan
    assert shown.numbers["Dice of the two answers"] == pytest.approx(wanted, nan_ok=True)
    assert shown.numbers["voxels that differ"] == int((answers[0] != answers[1]).sum())
    shown.close()


@pytest.mark.parametrize(("dims", "classes"), [(2, 4), (3, 2)])
def test_the_confident_regions_are_those_of_the_loss_with_these_thresholds(dims: int, classes: int) -> None:
    one = small(dims, classes)
    shown = explore_translation(one, CASE)
    put(shown, positive=0.3, negative=0.22)
    example, views, _ = direct(one, shown, positive=0.3, negative=0.22)
    row = example.batch.num_labeled
    sure, out = (views[f"{name}_1"].value[row].numpy() > 0 for name in ("confident", "ruled_out"))
    q = views["teacher_probability_1"].value[row].numpy()
    label = one.reference(CASE, example)
    assert label is not None
    right = q.argmax(0) == label
    hit = np.arange(classes).reshape(-1, *[1] * dims) != label
    for name, wanted in {
        "sure voxels (%)": sure.mean(),
        "ruled out (%)": out.any(0).mean(),
        "teacher right where sure (%)": right[sure[0]].mean() if sure.any() else math.nan,
        "where unsure (%)": right[~sure[0]].mean() if not sure.all() else math.nan,
        "right to rule out (%)": hit[out].mean() if out.any() else math.nan,
    }.items():
        assert shown.numbers[name] == pytest.approx(100 * wanted, nan_ok=True), name
    assert 0 < shown.numbers["sure voxels (%)"] <= 100
    shown.close()


def test_the_crops_show_what_the_loss_was_given_where_they_lie_in_the_scan() -> None:
    one = small(3, augmentations=("rot_flip", "min_max", "brightness"))
    shown = explore_translation(one, CASE)
    put(shown, first_y=3, second_y=17)
    example, views, corners = direct(one, shown)
    row, (low, _) = example.batch.num_labeled, one.room(CASE)
    drawn = values_of(shown.viewers[0].layers["scan"])
    image = array(views["image"], row)[0]
    box = tuple(slice(a, a + n) for a, n in zip(np.array(corners[0]) - low, image.shape, strict=True))
    ends = shown.viewers[0].layers["scan"]
    assert np.abs(drawn[box] - np.clip(image, ends.low, ends.high)).max() <= 0.51 * (ends.high - ends.low) / 255
    regions = shown.viewers[0].layers["crops"].values
    assert (regions == 3).sum() == shown.numbers["voxels shared"] and (regions[box] % 2 == 1).all()
    kl = values_of(shown.viewers[0].layers["KL"])
    assert np.abs(kl[box] - array(views["divergence_1"], row)[0]).max() <= 0.51 * kl.max() / 255
    shown.close()


def test_crops_that_no_training_draws_can_be_looked_at_also_without_a_shared_voxel() -> None:
    one = small(2)
    shown = explore_translation(one, CASE)
    assert shown.numbers["training draws such crops"] == "yes"
    put(shown, first_y=0, second_y=5)
    assert shown.numbers["training draws such crops"] == "no"
    put(shown, second_y=32)
    assert shown.numbers["voxels shared"] == 0 == shown.numbers["mean KL (nats)"]
    assert math.isnan(shown.numbers["Dice of the two answers"]) and not shown.frame.line.value
    shown.close()


def test_each_control_changes_the_pictures() -> None:
    shown = explore_translation(small(3), CASE)

    def pictures() -> bytes:
        return b"".join(one.values.tobytes() for viewer in shown.viewers for one in viewer.layers.values())

    moves: dict[str, Any] = {"network": "2", "positive": 0.52, "negative": 0.45, "noise": 0.4, "case": "phantom-084"}
    for name, control in shown.controls.items():
        if name == "dropout":
            continue
        before = pictures()
        control.value = moves.get(name) or (control.min if control.value > control.min else control.max)
        assert pictures() != before and not shown.frame.line.value, name
    shown.close()


def test_thresholds_and_the_network_move_without_asking_the_networks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    one = small(2)
    shown = explore_translation(one, CASE)
    asked: list[Any] = []
    monkeypatch.setattr(Scene, "look", lambda *_args, **options: asked.append(options))
    put(shown, positive=0.9, negative=0.3, network="2")
    assert not asked
    shown.close()


def test_another_case_brings_its_own_shape_and_crops(monkeypatch: pytest.MonkeyPatch) -> None:
    one = small(2)
    load = type(one.dataset).load

    def cropped(self: Any, case_id: str) -> Any:
        from dataclasses import replace

        case = load(self, case_id)
        assert case.label is not None
        return replace(case, image=case.image[:, :37], label=case.label[:37]) if case_id == "phantom-085" else case

    monkeypatch.setattr(type(one.dataset), "load", cropped)
    shown = explore_translation(one, CASE)
    put(shown, first_x=9, first_y=30)
    shown.controls["case"].value = "phantom-085"
    assert shown.viewers[0].shape == shown.viewers[1].shape == [37, 48, 1]
    example = one.example("phantom-085")
    assert shown.controls["first_x"].max == 5 and not shown.frame.line.value
    corner = [shown.controls[name].value for name in ("first_x", "first_y")]
    assert corner == example.batch.corners(0)[example.batch.num_labeled].tolist()
    shown.close()


def test_the_boxes_lie_where_the_crops_do_and_stand_in_the_still() -> None:
    shown = explore_translation(small(3), CASE)
    put(shown, first_x=10, second_x=4)
    lines = {trace.name: trace for trace in shown.charts[0].figure.data if trace.type == "scatter3d"}
    assert set(lines) == {"scan", "first crop", "second crop", "shared"}
    (low, _), spacing = small(3).room(CASE), small(3).grid(CASE)
    assert spacing is not None
    for name, start in (("first crop", 10), ("second crop", 4)):
        assert np.nanmin(lines[name].x) == pytest.approx((start - low[0] - 0.5) * spacing[0])
        assert np.nanmax(lines[name].x) == pytest.approx((start - low[0] + 31.5) * spacing[0])
    figure = shown.still()
    assert "voxels shared" in style.alt_text(figure) and {"heatmap", "scatter3d"} <= {t.type for t in figure.data}
    shown.close()


def test_opening_and_closing_leaves_no_widget_behind_and_the_method_as_it_was() -> None:
    one, counts = small(3), []
    before = {name: value.clone() for name, value in one.method.state_dict().items()}
    for _ in range(3):
        explore_translation(one).close()
        counts.append(len(_instances))
    assert counts[0] == counts[-1]
    assert all(torch.equal(value, before[name]) for name, value in one.method.state_dict().items())


def test_regions_by_the_cores_function_are_the_views() -> None:
    one = small(2, 4)
    example = one.example(CASE)
    views = one.look(example, positive=0.3, negative=0.2, dropout=False)[1]
    regions = confident_regions(views["teacher_probability_1"].value, positive=0.3, negative=0.2)
    assert all(torch.equal(views[f"{n}_1"].value, r) for n, r in zip(("confident", "ruled_out"), regions, strict=True))


@pytest.mark.parametrize(("method", "options"), [("ugmcl", {}), ("tracoco", {"translation": False})])
def test_a_method_without_two_crops_is_one_line(method: str, options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="compares no two crops, expected tracoco"):
        explore_translation(scene(method=method, **options))
