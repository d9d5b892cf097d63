"""Evaluation of runs: rows, means and the conventions beside them."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch

from ssmis_core import Run, UserError, evaluate_run, evaluation
from ssmis_core.configuration import Configuration
from ssmis_core.evaluation import save_nifti, score_case, score_labels, summarise
from ssmis_core.inference import _predict, predict_labels, predict_probabilities
from ssmis_core.methods import create_method
from ssmis_core.methods.base import Method

NAN = float("nan")


def row(case: str, name: str, dice: float, hd95: float, *, missed: bool = False, alarm: bool = False) -> dict[str, Any]:
    numbers = {"dice": dice, "jaccard": dice / 2, "hd95": hd95, "asd": hd95 / 2}
    return {"case": case, "class": name, **numbers, "missed": missed, "false_alarm": alarm}


@pytest.fixture
def run(tiny: Callable[..., Configuration], quietly: Callable[..., Run], tmp_path: Path) -> Run:
    config = tiny("supervised", dataset_options={"dims": 2, "size": 32, "num_classes": 3}, iterations=2)
    return quietly(config, tmp_path / "run")


def test_means_are_over_cases_a_class_and_then_over_classes() -> None:
    first, second = (
        [row("a", "x", 0.8, 2.0), row("b", "x", 0.6, 4.0)],
        [row("a", "y", 0.4, 8.0), row("b", "y", 0.2, 8.0)],
    )
    summary = summarise(first + second)
    assert summary["cases"] == 2
    assert summary["classes"]["x"]["dice"] == {"mean": pytest.approx(0.7), "std": pytest.approx(0.02**0.5), "n": 2}
    assert summary["mean"]["dice"] == pytest.approx(0.5) and summary["mean"]["hd95"] == pytest.approx(5.5)
    assert "hd95_mm" not in summary["mean"]


def test_a_missed_object_is_counted_and_its_distances_are_not() -> None:
    missed, alarm = row("b", "x", 0.0, NAN, missed=True), row("c", "x", NAN, NAN, alarm=True)
    summary = summarise([row("a", "x", 0.8, 2.0), missed, alarm])
    assert summary["missed"] == 1 and summary["false_alarms"] == 1
    assert summary["classes"]["x"]["hd95"] == {"mean": 2.0, "std": None, "n": 1}
    assert summary["classes"]["x"]["dice"]["n"] == 2


def test_a_class_that_was_never_found_has_no_distance_at_all() -> None:
    summary = summarise([row("a", "x", 0.0, NAN, missed=True)])
    assert summary["classes"]["x"]["hd95"] == {"mean": None, "std": None, "n": 0} and "hd95" not in summary["mean"]
    json.dumps(summary, allow_nan=False)


def test_a_run_is_scored_by_case_and_class_with_its_conventions(run: Run) -> None:
    summary = evaluate_run(run, device="cpu")
    rows = run.rows("cases")
    assert [(r["case"], r["class"]) for r in rows] == [
        (case, name) for case in ("phantom-010", "phantom-011") for name in ("left atrium", "left ventricle")
    ]
    assert summary == run.summary and summary["cases"] == 2
    assert set(summary["classes"]) == {"left atrium", "left ventricle"}
    conventions = summary["conventions"]
    assert conventions["split"] == "test" and conventions["empty"] == "nan" and "one-sided" in conventions["asd"]
    dated = [(r["iteration"], r["split"], r["case"]) for r in run.rows("evaluations")]
    assert dated == [(2, "test", r["case"]) for r in rows]
    for key in ("hd95", "asd"):
        for r in rows:  # 96 voxels of 1.25 mm are 32 voxels here
            assert math.isnan(r[key]) or r[f"{key}_mm"] == pytest.approx(3.75 * r[key])


def test_predictions_are_label_maps_on_the_cases_own_grid(run: Run, require: Callable[[str, str], None]) -> None:
    require("nibabel", "pip install nibabel")
    import nibabel

    evaluate_run(run, device="cpu")
    case = run.dataset().load("phantom-010")
    image = nibabel.load(run.path / "predictions" / "phantom-010.nii.gz")
    labels = predict_labels(run.method(), case.image, run.config)
    assert np.array_equal(np.asarray(image.dataobj)[..., 0], labels) and np.allclose(image.affine, case.affine)


def test_evaluating_again_gives_the_same_files_and_no_second_row(run: Run) -> None:
    evaluate_run(run, device="cpu")
    before = {path: path.read_bytes() for path in sorted(run.path.rglob("*")) if path.is_file()}
    evaluate_run(run, device="cpu")
    assert before == {path: path.read_bytes() for path in sorted(run.path.rglob("*")) if path.is_file()}


def test_the_next_case_is_predicted_while_one_is_scored(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    second, predicted = threading.Event(), []

    def predict(*given: Any, **how: Any) -> np.ndarray:
        predicted.append(len(predicted))
        if len(predicted) == 2:
            second.set()
        return predict_labels(*given, **how)

    def score(*given: Any, **how: Any) -> list[dict[str, Any]]:
        assert second.wait(30), "the second case was not predicted beside the scores of the first"
        return score_labels(*given, **how)

    evaluate_run(run)
    wanted = [(run.path / name).read_bytes() for name in ("cases.csv", "summary.json")]
    monkeypatch.setattr(evaluation, "predict_labels", predict)
    monkeypatch.setattr(evaluation, "score_labels", score)
    evaluate_run(run)
    assert [(run.path / name).read_bytes() for name in ("cases.csv", "summary.json")] == wanted


def test_another_split_leaves_the_test_result_as_it_is(run: Run, require: Callable[[str, str], None]) -> None:
    require("nibabel", "pip install nibabel")
    evaluate_run(run, device="cpu")
    result = [run.path / "cases.csv", run.path / "summary.json", *sorted((run.path / "predictions").iterdir())]
    before = {path: path.read_bytes() for path in result}
    summary = evaluate_run(run, device="cpu", split="train")
    assert before == {path: path.read_bytes() for path in result}
    assert json.loads((run.path / "summary-train.json").read_text()) == summary and summary["cases"] == 10
    assert summary["conventions"]["predictions"] == "predictions-train/"
    assert len(run.rows("cases-train")) == 20 and len(list((run.path / "predictions-train").iterdir())) == 10


def test_an_evaluation_that_is_stopped_leaves_the_one_before_whole(
    run: Run, require: Callable[[str, str], None]
) -> None:
    require("nibabel", "pip install nibabel")

    def stop(number: int, *_: object) -> None:
        if number == 2:
            raise KeyboardInterrupt

    evaluate_run(run, device="cpu")
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    with pytest.raises(KeyboardInterrupt):
        evaluate_run(run, device="cpu", largest_component=True, report=stop)
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before


def test_no_prediction_of_an_earlier_evaluation_stays_where_none_is_written(
    run: Run, require: Callable[[str, str], None]
) -> None:
    require("nibabel", "pip install nibabel")
    for split, folder in (("test", "predictions"), ("train", "predictions-train")):
        evaluate_run(run, device="cpu", split=split)
        assert (run.path / folder).is_dir()
        evaluate_run(run, device="cpu", split=split, save_predictions=False)
        assert not (run.path / folder).exists()


def test_empty_zero_reproduces_the_papers(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(self: Method, x: torch.Tensor) -> torch.Tensor:
        p = torch.zeros(len(x), 3, *x.shape[2:])
        p[:, 0] = 1
        return p

    monkeypatch.setattr(Method, "predict", nothing)
    as_papers = evaluate_run(run, device="cpu", empty="zero", save_predictions=False)
    honest = evaluate_run(run, device="cpu", save_predictions=False)
    assert as_papers["mean"]["hd95"] == 0 and "hd95" not in honest["mean"]
    assert honest["missed"] == as_papers["missed"] == 4 and honest["mean"]["dice"] == 0
    assert as_papers["conventions"]["predictions"] == "not written"


def test_the_largest_component_is_an_option_and_is_said(run: Run) -> None:
    assert evaluate_run(run, device="cpu", largest_component=True)["conventions"]["largest_component"] is True


def test_float32_is_whole_and_another_precision_is_said(
    run: Run, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    def precision() -> tuple[bool, str]:
        return torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()

    seen: list[tuple[bool, str]] = []
    predict = Method.predict

    def looking(self: Method, x: torch.Tensor) -> torch.Tensor:
        seen.append(precision())
        return predict(self, x)

    monkeypatch.setattr(Method, "predict", looking)
    before = torch.get_float32_matmul_precision()
    request.addfinalizer(partial(torch.set_float32_matmul_precision, before))
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    torch.set_float32_matmul_precision("medium")
    case, method = run.dataset().load("phantom-010"), run.method()
    whole, short = (predict_probabilities(method, case.image, run.config, precision=p) for p in ("float32", "bf16"))
    assert set(seen) == {(False, "highest")} and precision() == (True, "medium")  # as they were
    assert short.dtype == torch.float32 and 0 < float((short - whole).abs().mean()) < 0.02

    summary = evaluate_run(run, device="cpu", precision="bf16", save_predictions=False)
    assert summary["conventions"]["precision"] == "bf16"
    assert "precision" not in evaluate_run(run, device="cpu", save_predictions=False)["conventions"]


@pytest.mark.parametrize(
    ("size", "seen"), [((16, 16, 16), [2, 2, 2]), ((64, 48, 48), [2, 2, 1]), ((16, 16), [2, 2, 1])], ids=str
)
def test_the_last_window_goes_in_twice_where_torch_convolves_a_small_volume_slowly(
    size: tuple[int, ...], seen: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    method, found = create_method("supervised", dims=len(size), filters=2), []

    def predict(self: Method, x: torch.Tensor) -> torch.Tensor:
        found.append(len(x))
        return x.expand(-1, 2, *x.shape[2:]) / 2

    monkeypatch.setattr(Method, "predict", predict)
    one = partial(_predict, method, torch.device("cpu"))
    for windows in (torch.rand(2, 1, *size), torch.rand(2, 1, *size), torch.rand(1, 1, *size)):
        torch.testing.assert_close(one(windows), windows.expand(-1, 2, *size) / 2)
    assert found == seen


def test_a_volume_for_which_a_device_has_no_room_is_predicted_from_the_host(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, method = run.dataset().load("phantom-010"), run.method()
    expected = predict_probabilities(method, case.image, run.config)
    asked: list[int] = []
    monkeypatch.setattr("ssmis_core.inference.has_room", lambda device, nbytes: asked.append(nbytes))
    assert torch.equal(predict_probabilities(method, case.image, run.config), expected)
    assert asked == [4 * 32 * 32 * (2 * 1 + 3 * 3)]  # the image and the probabilities of 3 classes on both grids; sums
    predict_probabilities(method, case.image, replace(run.config, resize=(64, 64)))
    assert asked[1:] == [4 * asked[0]]  # as large as the larger of the two


def test_probabilities_come_back_on_the_images_own_grid(
    tiny: Callable[..., Configuration], quietly: Callable[..., Run], tmp_path: Path
) -> None:
    config = tiny("supervised", dataset_options={"dims": 2, "size": 70}, factor=2, iterations=1)
    run = quietly(config, tmp_path / "run")
    case = run.dataset().load("phantom-010")
    p = predict_probabilities(run.method(), case.image, config)
    assert p.shape == (2, 70, 70)
    torch.testing.assert_close(p.sum(0), torch.ones(70, 70))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split": "tets"}, r"unknown split 'tets'; did you mean 'test'"),
        ({"split": "validation"}, r"phantom has no validation list to evaluate on"),
        ({"empty": "none"}, r"unknown empty policy 'none'"),
        ({"precision": "bf8"}, r"unknown precision 'bf8' \(known: bf16, float32\)"),
    ],
    ids=["split", "no_list", "empty", "precision"],
)
def test_what_cannot_be_evaluated_is_one_line(settings: dict[str, Any], message: str, run: Run) -> None:
    with pytest.raises(UserError, match=message), patch.object(evaluation, "score_labels") as scored:
        evaluate_run(run, device="cpu", **settings)
    scored.assert_not_called()


def test_a_case_without_a_truth_is_told_before_it_is_predicted(run: Run) -> None:
    refused = UserError("case phantom-010: has no label")
    with (
        patch.object(type(run.dataset()), "truth", side_effect=refused),
        patch.object(evaluation, "predict_labels") as predicted,
        pytest.raises(UserError, match="has no label"),
    ):
        evaluate_run(run, device="cpu")
    predicted.assert_not_called()


def test_a_case_without_a_label_is_named(run: Run) -> None:
    from dataclasses import replace

    case = replace(run.dataset().load("phantom-010"), label=None)
    with pytest.raises(UserError, match="case phantom-010: has no label to evaluate against"):
        score_case(run.method(), case, run.config, class_names=("a", "b", "c"))


def test_a_summary_before_any_evaluation_says_what_to_do(run: Run) -> None:
    with pytest.raises(UserError, match=r"not evaluated yet \(no summary\.json\); run `ssmis evaluate "):
        _ = run.summary


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 3)])
def test_the_same_labels_make_the_same_bytes(
    shape: tuple[int, ...], require: Callable[[str, str], None], tmp_path: Path
) -> None:
    require("nibabel", "pip install nibabel")
    import nibabel

    labels = (np.arange(np.prod(shape)).reshape(shape) % 3).astype(np.uint8)
    affine = np.diag([0.5, 0.5, 2.0, 1.0])
    for name in ("a", "b"):
        save_nifti(tmp_path / f"{name}.nii.gz", labels, affine)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    image = nibabel.load(tmp_path / "a.nii.gz")
    assert image.get_data_dtype() == np.uint8 and image.header.get_xyzt_units()[0] == "mm"
    assert np.array_equal(np.asarray(image.dataobj).reshape(shape), labels) and np.allclose(image.affine, affine)


def test_rows_of_evaluations_stay_up_to_the_iteration_that_training_goes_on_from(
    tiny: Callable[..., Configuration], quietly: Callable[..., Run], clockwork: Any, tmp_path: Path
) -> None:
    config = tiny(iterations=8, protocol="best-on-test", validate_every=2)
    run = quietly(config, tmp_path / "run", max_seconds=5, observers=[clockwork.observer()])
    evaluate_run(run, save_predictions=False, device="cpu", split="train")
    before = run.rows("evaluations")
    # a row that a killed training wrote after its last checkpoint: that iteration is trained again
    run.write_rows("evaluations", [*before, {**before[0], "iteration": 6, "dice": -1.0}])
    for seconds in (1, None):  # the second time, the evaluation stands in the checkpoint too
        run = quietly(config, run.path, max_seconds=seconds, observers=[clockwork.observer()])
    rows, trained = run.rows("evaluations"), [row for row in before if row["split"] == "train"]
    assert len(trained) == 10 and [row for row in rows if row["split"] == "train"] == trained
    validated = [row["iteration"] for row in rows if row["split"] == "test"]
    assert validated == [2, 2, 4, 4, 6, 6, 8, 8] and all(row["dice"] >= 0 for row in rows)
