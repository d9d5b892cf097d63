"""Scans of another place that a run was evaluated on: reviewed, corrected and browsed apart from the run's own."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from ssmis_core.errors import UserError
from ssmis_core.evaluation import evaluate_run
from ssmis_core.runs import Run
from tests.core.datasets.own_helpers import affine_of
from tests.core.other_scans import others, run_on_own_scans
from widgets.case_browser import browse_cases
from widgets.review.state import Review

here = pytest.fixture(scope="module")(run_on_own_scans)


@pytest.fixture
def run(here: Path, tmp_path: Path) -> Run:
    return Run(shutil.copytree(here / "run", tmp_path / "run"))


def test_other_scans_are_reviewed_after_their_evaluation_and_corrected_in_a_folder_of_their_own(
    run: Run, tmp_path: Path
) -> None:
    there = others(tmp_path / "there", spacing=(1.3,))
    with pytest.raises(UserError, match=rf"no cases-external-theirs.csv\); run `ssmis evaluate .* --data-root {there}"):
        Review(run, data_root=there)
    evaluate_run(run, data_root=there, device="cpu")
    review = Review(run, data_root=there, who="anna")
    assert set(review.order) == {row["case"] for row in run.rows("cases-external-theirs")}
    seen = review.open()
    assert seen.case.label is not None
    rows = review.save(seen.case.label)
    scored = {row["class"]: row for row in run.rows("cases-external-theirs") if row["case"] == review.case}
    for row in rows:  # on the grid of the scan's file, as the evaluation has it
        assert row["dice_before"] == pytest.approx(scored[row["class"]]["dice"], nan_ok=True)
        assert row["dice_after"] > 0.7
    own = run.path / "review-external-theirs"
    assert (own / "corrections" / f"{review.case}.nii.gz").is_file() and not (run.path / "corrections").exists()
    again = Review(run, data_root=there)
    again.go(review.case)
    correction = again.open().correction
    assert correction is not None and np.array_equal(correction, seen.case.label)


def test_the_case_browser_shows_the_scores_of_other_scans(run: Run, tmp_path: Path) -> None:
    there = others(tmp_path / "there")
    with pytest.raises(UserError, match=r"no cases-external-theirs\.csv"):
        browse_cases(run, data_root=there)
    evaluate_run(run, data_root=there, device="cpu")
    shown = browse_cases(run, data_root=there)
    assert set(shown.cases) == {row["case"] for row in run.rows("cases-external-theirs")}
    assert "external-theirs" in shown.title and not shown.frame.line.value
    shown.close()


def test_scores_of_another_folder_of_the_same_name_are_not_shown_over_its_scans(run: Run, tmp_path: Path) -> None:
    first, second = others(tmp_path / "first"), others(tmp_path / "second", affine=affine_of(spacing=(1, 1, 2)))
    evaluate_run(run, data_root=first, device="cpu")
    for read in (lambda: Review(run, data_root=second), lambda: browse_cases(run, data_root=second)):
        with pytest.raises(
            UserError, match=f"has scores of {first}, which has the same name, expected those of {second}"
        ):
            read()
