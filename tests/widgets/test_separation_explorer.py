"""The explorer of class separation: its numbers and its points are those of the core, whatever the classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from ipywidgets.widgets.widget import _instances

from ssmis_core.errors import UserError
from ssmis_core.prototypes import prototype_distance
from ssmis_core.separation import class_distances, separation_ratio, silhouette
from ssmis_core.views import Views
from tests.widgets.explorer_scenes import scene
from widgets import style
from widgets.explorer import Explorer, values_of
from widgets.scene import Scene
from widgets.separation_explorer import PRINCIPAL, explore_separation

CASE = "phantom-090"
MAP = "distance"


def ready(dims: int = 2, **options: Any) -> Scene:
    """A small untrained SS-Net with prototypes in its memory, which are kept as no labeled voxel is right in all."""
    one = scene(dims, "ssnet", **options)
    memory: Any = one.method.memory
    generator = torch.Generator().manual_seed(1)
    memory.prototypes.copy_(torch.randn(memory.prototypes.shape, generator=generator))
    memory.count.fill_(memory.prototypes.shape[1])
    return one


def seen(one: Scene, **options: Any) -> tuple[int, np.ndarray, Views]:
    example = one.example(CASE, seed=0)
    reference = one.reference(CASE, example)
    assert reference is not None
    settings: dict[str, Any] = {"smoothness": False, **options}
    return example.batch.num_labeled, reference, one.look(example, dropout=False, large=True, **settings)[1]


@pytest.fixture
def explorer() -> Iterator[Explorer]:
    shown = explore_separation(ready(), CASE)
    yield shown
    shown.close()


@pytest.mark.parametrize(("dims", "classes", "background"), [(2, 2, False), (2, 4, False), (3, 2, True)])
def test_the_numbers_are_those_of_the_core(dims: int, classes: int, background: bool) -> None:
    one = ready(dims, classes=classes, background=background)
    shown = explore_separation(one, CASE)
    assert ("which" in shown.controls) and shown.controls["which"].value == 1
    first, reference, views = seen(one)
    rows, label = views["embedded"].value[first].flatten(1).T, torch.from_numpy(reference).flatten().long()
    between, score = class_distances(rows, label, classes), silhouette(rows, label, classes)
    names = one.dataset.class_names
    for k, name in enumerate(names):
        assert shown.numbers[f"within {name}"] == pytest.approx(float(between[k, k]), rel=1e-5)
    assert shown.numbers[f"between {names[1]} and background"] == pytest.approx(float(between[1, 0]), rel=1e-5)
    assert shown.numbers["between / within"] == pytest.approx(separation_ratio(between), rel=1e-5)
    assert shown.numbers[f"silhouette of {names[1]}"] == pytest.approx(float(score[label == 1].mean()), abs=1e-5)
    assert shown.numbers["silhouette of all voxels"] == pytest.approx(float(score.mean()), abs=1e-5)
    k = 1 if background else 0
    distance = prototype_distance(rows, views["prototype_centres"].value)[:, k]
    told = (f"to the prototypes, from {names[1]}", "to the prototypes, from elsewhere")
    for name, where in zip(told, (label == 1, label != 1), strict=True):
        assert shown.numbers[name] == pytest.approx(float(distance[where].mean()), rel=1e-5)
    layer = shown.viewers[0].layers[MAP]
    assert np.abs(values_of(layer).ravel() - distance.numpy()).max() <= 0.51 * layer.high / 255
    shown.close()


def test_points_are_the_features_along_the_stated_axes_and_crosses_are_the_wrong_ones(explorer: Explorer) -> None:
    first, reference, views = seen(ready())
    answer = views["probability"].value[first].argmax(0).numpy()
    unit = torch.nn.functional.normalize(views["embedded"].value[first].flatten(1).T, dim=1)
    centre = views["prototype_centres"].value[0]
    cosine = (unit @ centre / centre.norm()).reshape(reference.shape).numpy()
    traces = explorer.charts[0].figure.data
    count = 0
    for trace in traces[:4]:
        for x, text in zip(trace.x, trace.text or (), strict=True):
            place = tuple(int(n) for n in text.split("(")[1].split(")")[0].split(","))
            assert x == pytest.approx(float(cosine[place]), abs=1e-3)  # the first axis is the cosine that it says
            assert (answer[place] == reference[place]) == (trace.marker.symbol == "circle")
            count += 1
    there = int((views["prototypes"].value[0].norm(dim=1) > 0).sum())
    assert 0 < count <= 1000 and len(traces[4].x) == there > 0
    assert explorer.charts[0].figure.layout.xaxis.title.text.startswith("cosine with the mean prototype of left atrium")


def test_each_control_changes_the_plane_or_the_numbers() -> None:
    shown = explore_separation(ready(classes=4), CASE)
    moves = {"voxels": 200, "by": "answer", "axes": PRINCIPAL, "which": 2, "seed": 3, "dropout": True}
    last = (shown.charts[0].figure.to_json(), dict(shown.numbers))
    for name, value in {**moves, "case": "phantom-084"}.items():
        shown.controls[name].value = value
        now = (shown.charts[0].figure.to_json(), dict(shown.numbers))
        assert now != last, name
        last = now
    shown.close()


def test_scores_that_enter_decide_about_the_prototypes() -> None:
    one = scene(2, "ssnet", prototypes_per_class=2)
    bias: Any = next(
        layer for layer in reversed(list(one.method.network.modules())) if getattr(layer, "bias", None) is not None
    )
    with torch.no_grad():
        bias.bias[1] += 10  # every voxel is called foreground, so the labeled ones of it are right
    shown = explore_separation(one, CASE)
    before = np.array(shown.charts[0].figure.data[4].x)
    shown.controls["order"].value = "lowest"
    assert len(before) == 2 and not np.allclose(before, shown.charts[0].figure.data[4].x)
    shown.close()


def test_a_click_on_a_point_puts_the_crosshair_on_its_voxel(explorer: Explorer) -> None:
    traces = explorer.charts[0].figure.data
    number = next(n for n, trace in enumerate(traces) if len(trace.x) > 3)
    explorer.charts[0]._answer(explorer.charts[0], {"type": "pick", "trace": number, "point": 3}, [])
    x, y, _ = explorer.viewers[0].cursor
    assert f"voxel ({x}, {y})" in traces[number].text[3]
    before = explorer.viewers[0].cursor
    explorer.charts[0]._answer(explorer.charts[0], {"type": "pick", "trace": 4, "point": 0}, [])  # a prototype
    assert explorer.viewers[0].cursor == before


def test_the_still_has_the_map_and_the_plane(explorer: Explorer) -> None:
    figure = explorer.still()
    assert {"heatmap", "scatter"} == {trace.type for trace in figure.data}
    assert any(trace.xaxis == "x3" and trace.marker.symbol == "diamond" for trace in figure.data)
    assert "between / within" in style.alt_text(figure) and figure.layout.xaxis.title.text == "x (mm)"


def test_a_case_without_a_reference_is_told_apart_by_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scene, "reference", lambda *_: None)
    shown = explore_separation(ready(), CASE)
    assert shown.controls["by"].value == "answer" and "reference" not in shown.viewers[0].layers
    shown.controls["by"].value = "reference"
    assert "has no reference, expected classes by &#x27;answer&#x27;" in shown.frame.line.value
    shown.close()


def test_opening_and_closing_leaves_no_widget_behind() -> None:
    one, counts = ready(), []
    for _ in range(10):
        explore_separation(one, CASE).close()
        counts.append(len(_instances))
    assert counts[1] == counts[9]


@pytest.mark.parametrize(("method", "options"), [("ugmcl", {}), ("ssnet", {"separation": False}), ("supervised", {})])
def test_a_method_without_prototypes_is_one_line(method: str, options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="has no prototypes, expected ssnet with separation on"):
        explore_separation(scene(method=method, **options))
