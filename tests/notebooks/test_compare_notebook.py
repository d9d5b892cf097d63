"""The notebook of comparisons trains what is asked, takes runs that are there, and agrees by hand with the library."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.notebooks.test_notebooks import COMPARED, FLAT, FLAT_OPTIONS, assert_figures, execute, printed

NAME = "07_compare"
NUMBER = r"([-+]?\d+\.?\d*(?:e-?\d+)?)"


def test_methods_are_trained_with_seeds_and_compared_by_hand_as_by_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, asked = tmp_path / "run", {"methods": "supervised bcp", "seeds": 2, "iterations": 30}
    notebook = execute(NAME, tmp_path, monkeypatch, dataset_options=FLAT_OPTIONS, run_dir=str(run), **asked, **FLAT)
    assert_figures(notebook, COMPARED[NAME])
    trained = sorted(json.loads(path.read_text())["configuration"]["method"] for path in run.glob("*/run.json"))
    assert trained == ["bcp", "bcp", "supervised", "supervised"]
    assert (run / "report.html").is_file() and "booktabs" in (run / "tables.tex").read_text()
    text = printed(notebook)
    by_hand, by_library = re.findall(rf"by (?:hand|library): +{NUMBER} Dice points, {NUMBER} to {NUMBER}", text)
    assert by_hand == by_library
    p_by_hand, p_by_library, p_by_scipy = re.findall(rf"[ ,] p = {NUMBER}", text.partition("not paired")[0])
    assert p_by_hand == p_by_library == p_by_scipy
    ends = [tuple(map(float, pair)) for pair in re.findall(rf"by (?:hand|library): +{NUMBER} to {NUMBER}\n", text)]
    assert ends[0] == pytest.approx(ends[1], abs=0.15 * (ends[1][1] - ends[1][0]))
    assert re.search(rf"p = {NUMBER} x 1 -> {NUMBER} +by library \2 +bcp minus supervised", text)


@pytest.mark.slow  # the quick test has all of its cells
def test_trainings_cut_short_are_compared_and_again_from_their_folder_the_other_way_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {"iterations": 10_000, "max_seconds": 0.2, "run_dir": str(tmp_path / "run"), "seeds": 1}
    options, methods = {**FLAT_OPTIONS, "num_classes": 4}, "mcnet uamt"  # both have what their code computes
    own = {"variant": "released", "methods": methods}
    notebook = execute(NAME, tmp_path, monkeypatch, dataset_options=options, **own, **limits, **FLAT)
    assert_figures(notebook, COMPARED[NAME])

    own = {"runs": str(tmp_path / "run"), "run_dir": str(tmp_path / "other"), "methods": "uamt mcnet"}
    again = execute(NAME, tmp_path, monkeypatch, **own)
    assert_figures(again, COMPARED[NAME])
    assert sorted(path.name for path in (tmp_path / "other").iterdir()) == ["report.html", "tables.tex"]
    told = [printed(one) for one in (notebook, again)]
    one, other = (re.findall(rf"by hand: +{NUMBER} Dice points, {NUMBER} to {NUMBER}", text)[0] for text in told)
    assert [-float(value) for value in one] == pytest.approx([float(other[place]) for place in (0, 2, 1)])
