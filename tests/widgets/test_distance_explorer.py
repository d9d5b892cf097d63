"""The explorer of signed distances: maps, soft masks and volumes are those of the core, in 2D and 3D."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from ipywidgets.widgets.widget import _instances

from ssmis_core.errors import UserError
from ssmis_core.geometry import inverse_transform, signed_distance
from ssmis_core.losses import dice_loss
from ssmis_core.metrics import evaluate
from tests.widgets.explorer_scenes import scene
from widgets import style
from widgets.distance_explorer import explore_distance
from widgets.explorer import values_of
from widgets.scene import Scene

CASE = "phantom-090"


@pytest.mark.parametrize(
    ("dims", "classes", "options"),
    [
        (2, 2, {}),
        (2, 4, {}),
        (3, 2, {}),
        (3, 2, {"variant": "released"}),
        (2, 2, {"patch": (48, 16), "stride": (48, 16)}),
    ],
)
def test_the_numbers_and_maps_are_those_of_the_core(dims: int, classes: int, options: dict[str, Any]) -> None:
    given = {"norm": "instance"} if options.get("variant") == "released" else {}
    one = scene(dims, "ugmcl", classes=classes, **options, **given)
    shown = explore_distance(one, CASE)
    assert ("which" in shown.controls) == (classes > 2)
    which = classes - 1
    if classes > 2:
        shown.controls["which"].value = which
    shown.controls["k"].value, shown.controls["level"].value = 20.0, 0.1
    example = one.example(CASE)
    views = one.look(example, dropout=False)[1]
    first, label = example.batch.num_labeled, one.reference(CASE, example)
    assert label is not None
    network, target = views["distance"].value[first, -1], signed_distance((label == which)[None])[0]
    inside = torch.from_numpy(label == which)
    spacing = example.spacing
    assert spacing is not None
    size, unit = (np.prod(spacing) / 10**dims, "mL" if dims == 3 else "cm²")
    for whose, one_map, viewer in (("label", target, shown.viewers[0]), ("network", network, shown.viewers[1])):
        soft = inverse_transform(one_map, 20.0)
        dice = 1 - float(dice_loss(soft[None, None], inside[None, None], background=True))
        between = ((soft > 0.1) & (soft < 0.9)).float().mean()
        assert shown.numbers[f"soft Dice, {whose}'s map"] == pytest.approx(dice, abs=1e-6)
        assert shown.numbers[f"undecided, {whose}'s map (%)"] == pytest.approx(100 * float(between), abs=1e-5)
        assert shown.numbers[f"zero level, {whose} ({unit})"] == pytest.approx(size * int((one_map <= 0).sum()))
        assert shown.numbers[f"chosen level, {whose} ({unit})"] == pytest.approx(size * int((one_map <= 0.1).sum()))
        drawn = viewer.layers
        assert np.abs(values_of(drawn["distance"]) - one_map.numpy()).max() <= 0.51 * 2 / 255
        assert np.abs(values_of(drawn["soft mask"]) - soft.numpy()).max() <= 0.51 / 255
        assert (drawn["level set"].values == (one_map <= 0.1).numpy()).all()
    assert shown.numbers["mean |difference| of the maps"] == pytest.approx(
        float((network - target).abs().mean()), rel=1e-5
    )
    wanted = evaluate(network.numpy() <= 0, label == which).dice
    assert shown.numbers["Dice, network's s ≤ 0"] == pytest.approx(wanted, nan_ok=True)
    shown.close()


def test_the_zero_level_of_the_labels_map_is_the_label() -> None:
    one = scene(3, "ugmcl")
    shown = explore_distance(one, CASE)
    label = one.reference(CASE, one.example(CASE))
    assert label is not None and (shown.viewers[0].layers["level set"].values == label).all()
    shown.close()


@pytest.mark.parametrize(("dims", "kind"), [(2, "scatter"), (3, "mesh3d")])
def test_each_control_changes_its_pictures(dims: int, kind: str) -> None:
    shown = explore_distance(scene(dims, "ugmcl", classes=4), CASE)
    assert {trace.type for trace in shown.charts[0].figure.data} == {kind}

    def state() -> list[Any]:
        drawn = [layer.values.tobytes() for viewer in shown.viewers for layer in viewer.layers.values()]
        return [drawn, *(chart.figure.to_json() for chart in shown.charts), dict(shown.numbers)]

    last = state()
    changes = {"k": [0, 2, 3], "level": [0, 1, 3], "which": [0, 1, 3], "dropout": [0, 3], "case": [0, 1, 3]}
    values = {"k": 20.0, "level": 0.2, "which": 2, "dropout": True, "case": "phantom-084"}
    for name, parts in changes.items():
        shown.controls[name].value = values[name]
        now = state()
        assert [n for n in parts if now[n] == last[n]] == [], name
        last = now
    shown.close()


def test_moving_the_level_or_k_does_not_ask_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = explore_distance(scene(2, "ugmcl"), CASE)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("asked the network")

    monkeypatch.setattr(Scene, "look", refuse)
    before = dict(shown.numbers)
    shown.controls["k"].value, shown.controls["level"].value = 10.0, -0.1
    assert shown.numbers != before
    shown.close()


def test_k_opens_at_the_methods_own() -> None:
    shown = explore_distance(scene(2, "ugmcl", steepness=333.0), CASE)
    assert shown.controls["k"].value == 333.0 and shown.controls["k"].options[-1][1] > 1500
    shown.close()


def test_the_still_has_maps_level_sets_and_the_curve() -> None:
    shown = explore_distance(scene(3, "ugmcl"), CASE)
    figure = shown.still()
    assert {trace.type for trace in figure.data} == {"heatmap", "scatter", "mesh3d"}
    texts = [note.text for note in figure.layout.annotations]
    assert "Where is s = 0?" in texts and f"{CASE}, left atrium: signed distance by the network" in texts
    assert "undecided" in style.alt_text(figure)
    shown.close()


def test_a_case_without_a_reference_shows_the_network_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = explore_distance(scene(2, "ugmcl"), CASE)
    monkeypatch.setattr(Scene, "reference", lambda *_: None)
    shown.controls["case"].value = "phantom-084"
    assert list(shown.viewers[0].layers) == ["scan"] and "reference" not in shown.viewers[1].layers
    assert [name for name in shown.numbers if "label" in name or "Dice" in name] == []
    assert [trace.name for trace in shown.charts[0].figure.data] == ["network"]
    shown.close()


def test_opening_and_closing_leaves_no_widget_behind() -> None:
    one, counts = scene(2, "ugmcl"), []
    for _ in range(10):
        explore_distance(one, CASE).close()
        counts.append(len(_instances))
    assert counts[1] == counts[9]


@pytest.mark.parametrize(
    ("method", "options"), [("ssnet", {}), ("ugmcl", {"distance": False, "cross_task": False}), ("mean_teacher", {})]
)
def test_a_method_without_signed_distances_is_one_line(method: str, options: dict[str, Any]) -> None:
    before = len(_instances)
    with pytest.raises(UserError, match="answers with no signed distance, expected one that does, such as ugmcl"):
        explore_distance(scene(method=method, **options))
    assert len(_instances) == before
