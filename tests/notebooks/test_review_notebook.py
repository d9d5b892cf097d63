"""The notebook on reviewing a run: on the sample, and on a run of one's own, without a reader and without napari."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.notebooks.test_notebooks import execute, figures
from tests.widgets.review_runs import evaluated_run

FIGURES = ["ranking", "worst", "best", "correction"]


def assert_green(notebook: dict[str, Any]) -> None:
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    assert [o for o in outputs if o["output_type"] == "error"] == []
    drawn = figures(notebook)
    assert {tag: len(found) for tag, found in drawn.items()} == dict.fromkeys(FIGURES, 1)
    for tag, (figure,) in drawn.items():
        assert figure["layout"]["title"]["text"].endswith("?"), tag
        assert figure["layout"]["meta"]["alt"] and figure["data"], tag


def test_the_sample_is_reviewed_in_a_copy_and_again_from_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        assert_green(execute("08_review", tmp_path, monkeypatch, run_dir=str(tmp_path / "copy"), who="anna"))
    assert json.loads((tmp_path / "copy" / "run.json").read_text())["configuration"]["method"] == "ugmcl"
    assert {path.name for path in (tmp_path / "copy").iterdir()} >= {"review.csv", "corrections.csv", "corrections"}
    assert "anna" in (tmp_path / "copy" / "review.csv").read_text()


@pytest.mark.slow  # the quick test has all of its cells
def test_a_run_of_slices_with_several_classes_is_reviewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = evaluated_run(tmp_path / "run", 2, classes=4)
    assert_green(execute("08_review", tmp_path, monkeypatch, run=str(run.path)))
