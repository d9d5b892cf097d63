"""The explorer of the metrics: its numbers are those of `evaluate`, each control moves them or the picture."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ipywidgets.widgets.widget import _instances

from ssmis_core.datasets import Case, open_dataset
from ssmis_core.errors import UserError
from ssmis_core.metrics import evaluate
from widgets import style
from widgets.explorer import Explorer, values_of
from widgets.metric_explorer import explore_metrics

SMALL = {"dims": 3, "size": (33, 32, 30)}
SCORES = ("Dice (%)", "Jaccard (%)", "95HD (voxels)", "95HD (mm)", "ASD (voxels)", "ASD (mm)")
MOVES: dict[str, Any] = {
    "shift_x": 3,
    "shift_y": -2,
    "shift_z": 1,
    "grow": -1,
    "blob": 4,
    "place_x": 50,
    "place_y": 0,
    "place_z": 95,
    "hole": 2,
    "branches": 1,
    "cut": 30,
    "spacing_x": 3.0,
    "spacing_y": 0.5,
    "spacing_z": 5.0,
    "asd": "two-sided",
    "hd95": "max",
}


def opened(**options: Any) -> Explorer:
    return explore_metrics(dataset_options={**SMALL, **options})


@pytest.fixture
def explorer() -> Iterator[Explorer]:
    shown = opened()
    yield shown
    shown.close()


def masks(shown: Explorer) -> tuple[np.ndarray, np.ndarray]:
    """(prediction, reference) as drawn."""
    layers = shown.viewers[0].layers
    return layers["prediction"].values > 0, layers["reference"].values > 0


def direct(shown: Explorer) -> dict[str, float]:
    """The scores of what is drawn, by the rules that the controls say."""
    prediction, reference = masks(shown)
    value = {name: control.value for name, control in shown.controls.items()}
    spacing = [value[f"spacing_{axis}"] for axis in "xyz" if f"spacing_{axis}" in value]
    rules = {rule: value[rule] for rule in ("empty", "hd95", "asd")}
    voxels, mm = evaluate(prediction, reference, **rules), evaluate(prediction, reference, spacing, **rules)
    overlap = (100 * voxels.dice, 100 * voxels.jaccard)
    return dict(zip(SCORES, (*overlap, voxels.hd95, mm.hd95, voxels.asd, mm.asd), strict=True))


@pytest.mark.parametrize("options", [{}, {"dims": 2, "size": (33, 30), "num_classes": 4}])
def test_the_numbers_are_those_of_the_core_wherever_the_controls_stand(options: dict[str, Any]) -> None:
    shown = opened(**options)
    case = open_dataset("phantom", **{**SMALL, **options}).load(shown.controls["case"].value)
    assert case.label is not None and (masks(shown)[1] == (case.label == 1)).all()
    for name, value in [
        (None, None),
        *MOVES.items(),
        ("cut", 100),
        ("empty", "zero"),
        ("k", 3),
        ("case", "phantom-003"),
    ]:
        if name is not None and name not in shown.controls:
            continue
        if name is not None:
            shown.controls[name].value = value
        assert {key: shown.numbers[key] for key in SCORES} == pytest.approx(direct(shown), nan_ok=True), name
        prediction, reference = masks(shown)
        assert shown.numbers["too much"] == (prediction & ~reference).sum()
        assert shown.numbers["lacking"] == (reference & ~prediction).sum()
    shown.close()


def test_each_mistake_moves_numbers_and_error_map(explorer: Explorer) -> None:
    for name, value in MOVES.items():
        before, error = dict(explorer.numbers), explorer.viewers[0].layers["error"].values.copy()
        explorer.controls[name].value = value
        assert explorer.numbers != before, name
        drawn = values_of(explorer.viewers[0].layers["error"])
        prediction, reference = masks(explorer)
        np.testing.assert_allclose(drawn, prediction.astype(float) - reference, atol=0.01)
        rule = name.startswith("spacing") or name in ("asd", "hd95")
        assert (explorer.viewers[0].layers["error"].values == error).all() == rule, name


def test_a_miss_is_nan_and_counted_or_a_perfect_distance_as_the_policy_says(explorer: Explorer) -> None:
    explorer.controls["blob"].value = 0
    explorer.controls["cut"].value = 100
    assert explorer.numbers["the object counts as"] == "missed" and explorer.numbers["Dice (%)"] == 0
    assert math.isnan(explorer.numbers["95HD (voxels)"]) and math.isnan(explorer.numbers["ASD (mm)"])
    explorer.controls["empty"].value = "zero"
    assert explorer.numbers["95HD (voxels)"] == 0 and explorer.numbers["the object counts as"] == "missed"


def test_the_size_of_a_voxel_moves_mm_alone_and_the_picture_goes_along(explorer: Explorer) -> None:
    before = dict(explorer.numbers)
    explorer.controls["spacing_z"].value = 5.0
    moved = {name for name in SCORES if explorer.numbers[name] != before[name]}
    assert moved <= {"95HD (mm)", "ASD (mm)"} and "ASD (mm)" in moved
    assert explorer.viewers[0].spacing[2] == 5.0
    assert "set here; the file has" in explorer.numbers["a voxel is (mm)"]


def lines(shown: Explorer) -> dict[str, tuple[list[Any], list[float]]]:
    """The drawn lines of the chart by name."""
    return {t.name: (list(t.x), list(t.y)) for t in shown.charts[0].figure.data if t.mode == "lines+markers"}


def test_the_chart_follows_the_control_that_was_moved_last(explorer: Explorer) -> None:
    x, y = lines(explorer)["95HD (voxels)"]
    assert x[0] == 0 and len(x) > 3 and y[0] == 0.0  # the path of the blob, from none on
    seen = {}
    for value in (2, -1, 4):
        explorer.controls["shift_x"].value = value
        seen[value] = explorer.numbers["Dice (%)"]
    x, y = lines(explorer)["Dice (%)"]
    assert x == [-1, 0, 2, 4] and [y[n] for n in (2, 0, 3)] == list(seen.values())
    assert explorer.charts[0].figure.layout.xaxis2.title.text == "shift along x (voxels)"
    ring = explorer.charts[0].figure.data[1]
    assert (ring.x[0], ring.y[0]) == (4, seen[4])
    explorer.controls["asd"].value = "two-sided"
    assert lines(explorer)["ASD (mm)"][0] == ["one-sided", "two-sided"]
    assert explorer.charts[0].figure.layout.xaxis2.type == "category"


def test_a_still_shows_the_slices_the_error_and_the_chart(explorer: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    figure = explorer.still()
    assert figure.layout.title.text == explorer.title and "95HD (mm)" in style.alt_text(figure)
    assert {"prediction", "reference", "Dice (%)", "ASD (mm)"} <= {trace.name for trace in figure.data}
    assert len(figure.to_json()) < 1_000_000


def test_opening_and_closing_leaves_no_widget_behind() -> None:
    counts = []
    for _ in range(3):
        opened().close()
        counts.append(len(_instances))
    assert counts[0] == counts[-1]


def test_a_case_or_data_set_that_is_not_there_is_one_line() -> None:
    with pytest.raises(UserError, match="case 'x': expected one of phantom, such as phantom-080"):
        explore_metrics("phantom", "x")
    with pytest.raises(UserError, match="data set"):
        explore_metrics("nothing")


class Changed:
    """A data set whose cases are changed while they are read."""

    def __init__(self, **changes: Any):
        self.inner, self.changes = open_dataset("phantom", **SMALL), changes

    def __call__(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        read = self.inner.read

        def changed(case_id: str) -> Case:
            return replace(read(case_id), **self.changes)

        monkeypatch.setattr(self.inner, "read", changed)
        return self.inner


def test_a_case_without_a_label_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="has no label, expected one to compare"):
        explore_metrics(Changed(label=None)(monkeypatch))


def test_a_case_without_spacing_says_so_and_opens_in_voxels(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = explore_metrics(Changed(spacing=None)(monkeypatch))
    assert not shown.viewers[0].in_mm and "the file has none" in shown.numbers["a voxel is (mm)"]
    assert shown.numbers["95HD (voxels)"] == shown.numbers["95HD (mm)"]
    shown.close()


def test_an_object_that_the_case_lacks_is_a_false_alarm_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = explore_metrics(Changed(label=np.zeros((33, 32, 30), np.uint8))(monkeypatch))
    assert shown.numbers["the object counts as"] == "a false alarm"
    shown.controls["blob"].value = 0
    assert shown.numbers["the object counts as"] == "not there" and math.isnan(shown.numbers["Dice (%)"])
    shown.close()
