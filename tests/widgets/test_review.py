"""A review without a window: the order of cases, remarks, corrections, and what stays as it was."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

from ssmis_core.errors import UserError
from ssmis_core.files import read_csv
from ssmis_core.inference import predict_probabilities
from ssmis_core.metrics import evaluate
from ssmis_core.runs import Run
from ssmis_core.uncertainty import entropy
from tests.widgets.review_runs import evaluated_run, shifted_run
from widgets.review.corrections import Corrections
from widgets.review.order import worst_first
from widgets.review.remarks import Remarks
from widgets.review.state import Review, errors_of


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Run]:
    """By number of axes; the one of slices has four classes."""
    folder = tmp_path_factory.mktemp("runs")
    return {2: shifted_run(folder / "flat", 2, classes=4), 3: shifted_run(folder / "solid", 3)}


@pytest.fixture
def run(runs: dict[int, Run], tmp_path: Path) -> Run:
    """A copy of the run of volumes that a test may write to."""
    return Run(shutil.copytree(runs[3].path, tmp_path / "run"))


def contents(folder: Path) -> dict[str, str]:
    """Digest of every file of the run itself."""
    own = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.parts[-2] != "corrections"]
    kept = [path for path in own if path.name not in ("review.csv", "corrections.csv")]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}


def row(case: str, dice: float, missed: bool = False, name: str = "a") -> dict:
    return {"case": case, "class": name, "dice": dice, "missed": missed}


def test_missed_cases_come_first_then_the_lowest_mean_dice_and_unscored_ones_last() -> None:
    nan = float("nan")
    rows = [row("good", 0.9), row("none", nan), row("bad", 0.2), row("bad", 0.4, name="b"), row("mean", 0.5)]
    rows += [row("half", 0.95), row("half", 0.0, missed=True, name="b")]
    ranked = worst_first(rows)
    assert [one.case for one in ranked] == ["half", "bad", "mean", "good", "none"]
    assert ranked[1].dice == pytest.approx(0.3)
    assert [r["class"] for r in ranked[0].rows] == ["a", "b"]


def test_the_order_is_that_of_the_table_and_steps_stop_at_its_ends(runs: dict[int, Run]) -> None:
    review = Review(runs[3])
    dice = {r["case"]: r["dice"] for r in runs[3].rows("cases")}
    assert [dice[case] for case in review.order] == sorted(dice.values())
    assert not review.step(-1) and review.place == 0
    assert review.step(+1) and review.case == review.order[1]
    review.go(review.order[-1])
    assert not review.step(+1) and review.case == review.order[-1]
    with pytest.raises(UserError, match="unknown case of the review 'nobody'"):
        review.go("nobody")


@pytest.mark.parametrize("dims", [2, 3])
def test_a_case_is_shown_as_the_run_and_the_data_have_it(runs: dict[int, Run], dims: int) -> None:
    review = Review(runs[dims])
    seen = review.open()
    case = review.dataset.load(review.case)
    stored = nibabel.load(runs[dims].path / "predictions" / f"{case.id}.nii.gz")
    assert np.array_equal(seen.prediction, np.asarray(stored.dataobj).reshape(case.shape))
    assert np.array_equal(seen.case.image, case.image)
    assert seen.correction is None and not seen.remark.flag
    assert seen.errors is not None
    assert np.array_equal(seen.errors != 0, seen.prediction != case.label)


def test_errors_say_what_is_missed_too_much_or_taken_for_another_class() -> None:
    prediction, reference = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 0, 1, 1, 2])
    assert errors_of(prediction, reference).tolist() == [0, 1, 2, 0, 3, 0]


def test_uncertainty_is_the_entropy_of_what_the_run_answers(runs: dict[int, Run]) -> None:
    review = Review(runs[2])
    case = review.dataset.load(review.case)
    p = predict_probabilities(runs[2].method(), case.image, runs[2].config)
    assert np.allclose(review.uncertainty(case), entropy(p[None])[0, 0].numpy(), atol=1e-6)


def test_a_prediction_that_the_folder_lacks_is_made_from_the_weights(tmp_path: Path) -> None:
    run = evaluated_run(tmp_path / "run", 2, classes=3)
    before = Review(run).open().prediction
    shutil.rmtree(run.path / "predictions")
    assert np.array_equal(Review(run).open().prediction, before)
    (run.path / "weights.safetensors").unlink()
    with pytest.raises(UserError, match="no prediction of this case and no weights"):
        Review(run).open()


def test_remarks_are_there_again_and_name_who_made_them(run: Run) -> None:
    review = Review(run, who="anna")
    review.remark(flag=True)
    review.remark(note='the "left" vein,\nmissed: 007')
    review.step(+1)
    review.remark(note="fine")
    again = Review(run, who="ben")
    said = again.open().remark
    assert (said.flag, said.note, said.who) == (True, 'the "left" vein,\nmissed: 007', "anna")
    assert "T" in said.when and said.when[-6] in "+-"
    again.remark(flag=False)
    assert (Review(run).open().remark.flag, Review(run).open().remark.who) == (False, "ben")
    assert {r["case"] for r in read_csv(run.path / "review.csv", text=("case",))} == set(review.order[:2])


def test_two_readers_do_not_undo_each_others_remarks(tmp_path: Path) -> None:
    one, other = Remarks(tmp_path), Remarks(tmp_path)
    one.write("a", who="anna", flag=True)
    other.write("b", who="ben", note="x")
    one.write("c", who="anna", flag=True)
    assert set(other.read()) == {"a", "b", "c"}


def test_a_remark_that_changes_nothing_is_not_written(tmp_path: Path) -> None:
    Remarks(tmp_path).write("a", who="anna", flag=False, note="  ")
    assert not (tmp_path / "review.csv").exists()


def test_a_file_of_remarks_that_is_none_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "review.csv").write_text("name,score\na,1\n")
    with pytest.raises(
        UserError, match=r"review\.csv: cannot be read \(found no column case.*expected the columns case, flag"
    ):
        Remarks(tmp_path)


def test_a_table_of_corrections_that_is_none_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "corrections.csv").write_text("name,score\na,1\n")
    with pytest.raises(
        UserError, match=r"corrections\.csv: cannot be read \(found no column case, class, .*expected the columns"
    ):
        Corrections(tmp_path)
    (tmp_path / "corrections.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="bytes that are no table"):
        Corrections(tmp_path)


@pytest.mark.parametrize("dims", [2, 3])
def test_a_correction_keeps_the_affine_and_tells_what_changed(runs: dict[int, Run], tmp_path: Path, dims: int) -> None:
    run = Run(shutil.copytree(runs[dims].path, tmp_path / "run"))
    review, before = Review(run, who="anna"), contents(run.path)
    seen = review.open()
    label = seen.case.label
    assert label is not None
    labels = seen.prediction.copy()
    half = (slice(None), slice(0, label.shape[1] // 2))
    labels[half] = label[half]
    rows = review.save(labels)

    stored = nibabel.load(run.path / "corrections" / f"{review.case}.nii.gz")
    predicted = nibabel.load(run.path / "predictions" / f"{review.case}.nii.gz")
    assert np.array_equal(stored.affine, predicted.affine)
    assert np.allclose(stored.affine, seen.case.affine, rtol=1e-6)  # files keep it in single precision
    assert stored.header.get_zooms() == predicted.header.get_zooms()
    assert np.array_equal(np.asarray(stored.dataobj).reshape(label.shape), labels)
    assert contents(run.path) == before

    for k, told in enumerate(rows, start=1):
        old, new = (evaluate(one == k, label == k) for one in (seen.prediction, labels))
        assert (told["dice_before"], told["dice_after"]) == (old.dice, new.dice)
        assert told["dice_change"] == new.dice - old.dice
        assert told["hd95_after"] == pytest.approx(new.hd95, nan_ok=True)
        assert told["voxels_changed"] == ((seen.prediction == k) != (labels == k)).sum()
        assert (told["who"], told["class"]) == ("anna", review.dataset.class_names[k])
    kept = read_csv(run.path / "corrections.csv", text=("case", "class", "who", "when"))
    assert [r["dice_after"] for r in kept] == pytest.approx([r["dice_after"] for r in rows], nan_ok=True)
    scored = [r["dice"] for r in run.rows("cases") if r["case"] == review.case]
    assert [r["dice_before"] for r in kept] == pytest.approx(scored, nan_ok=True)


def test_a_second_correction_replaces_the_first_and_both_are_told(run: Run) -> None:
    review = Review(run)
    seen = review.open()
    labels = 1 - seen.prediction
    review.save(labels)
    again = Review(run).open()
    assert again.correction is not None and np.array_equal(again.correction, labels)
    assert np.array_equal(again.prediction, seen.prediction)
    review.save(seen.prediction)  # back to what was predicted
    assert [r["voxels_changed"] for r in review.corrections.rows(review.case)] == [labels.size, 0]


def test_labels_that_do_not_fit_are_refused(run: Run) -> None:
    review = Review(run)
    seen = review.open()
    with pytest.raises(UserError, match="nothing to save"):
        review.save(seen.prediction)
    with pytest.raises(UserError, match="labels go from 0 to 7, expected whole numbers 0 to 1"):
        review.save(np.where(seen.prediction, 7, 0))
    with pytest.raises(UserError, match=r"labels have shape \(3, 3\)"):
        review.save(np.ones((3, 3)))
    assert not (run.path / "corrections").exists()


def test_a_file_that_no_review_has_written_is_not_replaced(run: Run) -> None:
    review = Review(run)
    foreign = run.path / "corrections" / f"{review.case}.nii.gz"
    foreign.parent.mkdir()
    shutil.copy(run.path / "predictions" / foreign.name, foreign)
    before = foreign.read_bytes()
    with pytest.raises(UserError, match=r"is not listed in corrections\.csv"):
        review.save(1 - review.open().prediction)
    assert foreign.read_bytes() == before


def test_a_review_can_be_kept_in_another_folder(run: Run, tmp_path: Path) -> None:
    review = Review(run, folder=tmp_path / "anna")
    review.remark(flag=True)
    review.save(1 - review.open().prediction)
    assert {path.name for path in (tmp_path / "anna").iterdir()} == {"review.csv", "corrections", "corrections.csv"}
    assert not (run.path / "review.csv").exists() and Review(run).open().correction is None


def test_a_run_that_was_not_evaluated_is_told_in_one_line(run: Run) -> None:
    (run.path / "cases.csv").unlink()
    with pytest.raises(UserError, match=r"not evaluated yet \(no cases.csv\); run `ssmis evaluate"):
        Review(run)
    with pytest.raises(UserError, match="phantom has no validation list"):
        Review(run, split="validation")


def test_a_damaged_prediction_is_told_in_one_line(run: Run) -> None:
    review = Review(run)
    path = run.path / "predictions" / f"{review.case}.nii.gz"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(UserError, match="not a whole NIfTI file"):
        review.open()
