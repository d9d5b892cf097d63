"""The browser of test cases: its table is cases.csv, its pictures are the run's answers, nothing gets lost."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np
import pytest

from ssmis_core.datasets import phantom
from ssmis_core.errors import UserError
from ssmis_core.inference import predict_labels, predict_probabilities
from ssmis_core.uncertainty import entropy
from tests.widgets.evaluated_runs import CASES, evaluated
from widgets.case_answers import MEAN, MISTAKES, mistakes
from widgets.case_browser import browse_cases
from widgets.explorer import values_of
from widgets.results import case_scores
from widgets.style import alt_text
from widgets.viewer import Viewer

MISSED = "phantom-082"  # the third test case, see `evaluated`


@pytest.mark.parametrize(("dims", "classes"), [(2, 2), (2, 4), (3, 2)])
def test_the_table_is_cases_csv_worst_first_and_the_missed_case_stays(dims: int, classes: int, tmp_path: Path) -> None:
    run = evaluated(tmp_path / "run", dims=dims, classes=classes)
    shown = browse_cases(run)
    assert shown.table.columns == ["Dice (%)", "95HD (voxels)", "ASD (voxels)"]
    dice, hd95 = case_scores(run, "dice"), case_scores(run, "hd95")
    cells = {row["case"]: row["cells"] for row in shown.table.rows}
    assert {case: cell[0][1] for case, cell in cells.items()} == {case: 100 * value for case, value in dice.items()}
    assert cells[MISSED][1] == ["missed", 1e30] and cells[MISSED][0] == ["0.0", 0.0]
    assert shown.table.order() == sorted(dice, key=lambda case: dice[case]) and shown.table.order()[0] == MISSED
    shown.table.sort = {"column": 1, "descending": True}
    assert shown.table.order()[0] == MISSED  # no distance is worse than any
    points = {point["case"]: point for point in shown.table.points}
    assert len(points) == CASES and points[MISSED]["x"] is None and points[MISSED]["y"] == 0
    assert all(points[case]["x"] == pytest.approx(hd95[case]) for case in points if case != MISSED)
    shown.close()


@pytest.mark.parametrize(("dims", "classes"), [(2, 2), (2, 4), (3, 2)])
def test_an_opened_case_shows_the_runs_own_answer_and_where_it_is_wrong(
    dims: int, classes: int, tmp_path: Path
) -> None:
    run = evaluated(tmp_path / "run", dims=dims, classes=classes)
    shown = browse_cases(run)
    shown.show_case("phantom-083")
    case, viewer = run.dataset().load("phantom-083"), shown.viewers[0]
    assert case.label is not None
    predicted = np.roll(case.label, 3, axis=0)
    layers = viewer.layers
    assert list(layers) == ["image", "entropy", "error", "reference", "prediction"]
    assert (layers["prediction"].values == predicted).all() and (layers["reference"].values == case.label).all()
    assert (layers["error"].values == mistakes(predicted, case.label)).all()
    maps = predict_probabilities(run.method(), case.image, run.config)
    unsure = entropy(maps[None])[0, 0].numpy()
    assert np.abs(values_of(layers["entropy"]) - unsure).max() <= 0.51 * math.log(classes) / 255
    wrong = predicted != case.label
    assert shown.numbers["entropy where wrong (nats)"] == pytest.approx(float(unsure[wrong].mean()))
    assert shown.numbers["entropy where right (nats)"] == pytest.approx(float(unsure[~wrong].mean()))
    assert shown.numbers["Dice (%)"] == f"{100 * case_scores(run, 'dice')['phantom-083']:.1f}"
    assert viewer.title == "phantom-083: supervised, 4 labels"
    shown.close()


def test_every_kind_of_mistake_has_its_number() -> None:
    predicted, reference = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 1, 1])
    assert [MISTAKES[kind] for kind in mistakes(predicted, reference)] == [
        "right",
        "missing",
        "too much",
        "right",
        "other class",
    ]


def test_predictions_that_are_not_there_are_computed_as_the_evaluation_does(tmp_path: Path) -> None:
    run = evaluated(tmp_path / "run", predictions=False)
    shown = browse_cases(run)
    case = run.dataset().load(shown.table.selected)
    expected = predict_labels(run.method(), case.image, run.config)
    assert (shown.viewers[0].layers["prediction"].values == expected).all()
    shown.close()


def test_two_runs_stand_side_by_side_on_one_case_with_one_cursor(tmp_path: Path) -> None:
    runs = [evaluated(tmp_path / name, step=step, labeled=n) for name, step, n in (("a", 2, 4), ("b", 1, 8))]
    shown = browse_cases(*runs)
    assert [viewer.title for viewer in shown.viewers] == [f"{MISSED}: supervised, {n} labels" for n in (4, 8)]
    assert len(shown._links) == 1 and shown.viewers[0].cursor == shown.viewers[1].cursor
    assert len(shown.table.points) == 2 * CASES and [one["name"] for one in shown.table.series] == list(shown.answers)
    assert shown.table.columns[:2] == [f"supervised, {n} labels\nDice (%)" for n in (4, 8)]
    shown.show_case("phantom-084")
    for run, viewer, step in zip(runs, shown.viewers, (2, 1), strict=True):
        label = run.dataset().load("phantom-084").label
        assert (viewer.layers["prediction"].values == np.roll(label, 4 * step, axis=0)).all()
    shown.close()


def test_each_control_changes_what_is_shown(tmp_path: Path) -> None:
    run = evaluated(tmp_path / "run", dims=3, classes=4)
    shown, data = browse_cases(run), run.dataset()
    assert shown.controls["of"].options == (MEAN, *data.class_names[1:])
    of = data.class_names[2]
    shown.controls["of"].value = of
    rows = {row["case"]: row["dice"] for row in run.rows("cases") if row["class"] == of}
    assert {row["case"]: row["cells"][0][1] for row in shown.table.rows} == {c: 100 * v for c, v in rows.items()}
    shown.controls["against"].value = "volume"
    case = data.load("phantom-081")
    assert case.label is not None and case.spacing is not None
    (point,) = [one for one in shown.table.points if one["case"] == case.id]
    assert point["x"] == pytest.approx((case.label == 2).sum() * math.prod(case.spacing) / 1000)
    assert shown.table.axes["x"] == shown.table.columns[-1] == "volume of the reference (ml)"
    shown.controls["uncertainty"].value = False
    assert "entropy" not in shown.viewers[0].layers and not any("entropy" in name for name in shown.numbers)
    shown.close()


def test_the_page_has_the_case_before_the_network_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = browse_cases(evaluated(tmp_path / "run"))
    told: list[str] = []
    monkeypatch.setattr(Viewer, "send", lambda self, content, _: told.extend(one["name"] for one in content["layers"]))
    ask = shown.first.uncertainty

    def asked(case: Any) -> np.ndarray:
        told.append("asked")
        return ask(case)

    monkeypatch.setattr(shown.first, "uncertainty", asked)
    shown.show_case("phantom-083")
    assert told == ["image", "entropy", "error", "reference", "prediction", "asked", "entropy"]
    shown.close()


def test_a_case_of_another_shape_gets_viewers_of_its_own_that_look_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = evaluated(tmp_path / "a", dims=3)
    evaluated(tmp_path / "b", dims=3, labeled=8)
    read = phantom.Phantom.read

    def odd(self: Any, case_id: str) -> Any:
        case = read(self, case_id)
        return replace(case, image=case.image[:, :-1, :-3], label=case.label[:-1, :-3]) if case_id == MISSED else case

    monkeypatch.setattr(phantom.Phantom, "read", odd)
    for name in ("a", "b"):
        (tmp_path / name / "predictions" / f"{MISSED}.nii.gz").unlink()
    shown = browse_cases(run, tmp_path / "b")
    assert shown.viewers[0].shape == [31, 29, 16]
    before = shown.viewers
    before[0].looks = {**before[0].looks, "entropy": {"opacity": 0.1, "visible": False}}
    shown.show_case("phantom-080")
    assert shown.viewers[0] is not before[0] and shown.viewers[0].shape == [32, 32, 16]
    assert shown.viewers[0].looks["entropy"] == {"opacity": 0.1, "visible": False} and len(shown._links) == 1
    assert not shown.frame.line.value
    again = shown.viewers
    shown.show_case("phantom-081")
    assert shown.viewers is again
    (tmp_path / "b" / "predictions" / f"{MISSED}.nii.gz").write_bytes(b"no")
    shown.show_case(MISSED)  # of another shape, and it cannot be read
    assert "not a whole NIfTI file" in shown.frame.line.value and shown.numbers["case"] == "phantom-081"
    assert shown.viewers is again and shown.viewers[0].title.startswith("phantom-081")
    shown.close()


def test_the_still_has_worst_median_and_best_of_every_run(tmp_path: Path) -> None:
    runs = [evaluated(tmp_path / name, step=step, labeled=n) for name, step, n in (("a", 2, 4), ("b", 1, 8))]
    shown = browse_cases(*runs)
    ranked = shown.ranked()
    dice = case_scores(runs[0], "dice")
    assert (ranked["worst"], ranked["best"]) == (MISSED, "phantom-080")
    assert sorted(dice.values())[CASES // 2] == dice[ranked["median"]]
    still = shown.still()
    texts = [note.text for note in still.layout.annotations]
    assert texts[0] == f"worst: {MISSED}<br>supervised, 4 labels<br>Dice 0.0 %, missed"
    assert [text.split("<br>")[0] for text in texts[3:6]] == [ranked[rank] for rank in ("worst", "median", "best")]
    assert [text for text in texts[6:9]] == [f"how unsure: {case}" for case in ranked.values()]
    assert "5 test cases; 1 objects missed" in alt_text(still)
    shown.close()


def test_without_weights_the_table_and_the_predictions_are_still_there(tmp_path: Path) -> None:
    run = evaluated(tmp_path / "run")
    (run.path / "weights.safetensors").unlink()
    shown = browse_cases(run)
    assert "no weights yet" in shown.numbers["entropy"] and "prediction" in shown.viewers[0].layers
    assert len(shown.still().layout.annotations) == 3
    shown.close()


def test_wrong_use_is_one_line(tmp_path: Path) -> None:
    run = evaluated(tmp_path / "run")
    other = evaluated(tmp_path / "other", dims=3)
    with pytest.raises(
        UserError, match=r"other: is on phantom \(dims=3, .*expected the data of .*run, phantom \(dims=2"
    ):
        browse_cases(run, other)
    shown = browse_cases(run)
    with pytest.raises(
        UserError, match="case 'phantom-001': expected one of the 5 that were evaluated, such as phantom-080"
    ):
        shown.show_case("phantom-001")
    shown.close()
    (run.path / "cases.csv").unlink()
    with pytest.raises(UserError, match=r"not evaluated yet \(no cases.csv\)"):
        browse_cases(run)
    with pytest.raises(UserError, match="not a run folder"):
        browse_cases(tmp_path)


def test_a_damaged_prediction_is_told_in_a_line_and_another_case_opens(tmp_path: Path) -> None:
    run = evaluated(tmp_path / "run")
    path = run.path / "predictions" / "phantom-083.nii.gz"
    path.write_bytes(path.read_bytes()[:40])
    shown = browse_cases(run)
    shown.show_case("phantom-083")
    assert "phantom-083.nii.gz: not a whole NIfTI file" in shown.frame.line.value
    shown.show_case("phantom-084")
    assert not shown.frame.line.value and shown.numbers["case"] == "phantom-084"
    shown.close()


def test_runs_of_one_method_and_size_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    shown = browse_cases(evaluated(tmp_path / "a"), evaluated(tmp_path / "b"))
    assert list(shown.answers) == ["supervised, 4 labels, a", "supervised, 4 labels, b"]
    shown.close()


def test_opening_and_closing_leaves_nothing_behind(tmp_path: Path) -> None:
    runs, counts = [evaluated(tmp_path / name, labeled=n) for name, n in (("a", 4), ("b", 8))], []
    for _ in range(10):
        shown = browse_cases(*runs)
        shown.show_case("phantom-084")
        shown.close()
        counts.append(len(ipywidgets.widgets.widget._instances))
    assert counts[9] == counts[1]
