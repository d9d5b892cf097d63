"""Notebooks 01 to 04 on ACDC, whose volumes the networks see slice by slice: in small, and on the real ones."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.core.datasets.acdc_helpers import TEST, TRAIN, preprocessed
from tests.notebooks.test_notebooks import assert_whole, execute, figures, printed

NAMES = ["01_ssnet", "02_ugmcl", "03_tracoco", "04_cpam_trcm"]
RARELY = ("01_ssnet", "02_ugmcl", "03_tracoco")
SLICES = {"patch": [32, 32], "stride": [32, 32], "resize": [80, 72], "factor": [2, 2], "filters": 2}


@pytest.fixture(scope="module")
def small_acdc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ACDC's training and test volumes in small: of two shapes, with empty slices at both ends."""
    root = tmp_path_factory.mktemp("ACDC")
    for number, case in enumerate((*TRAIN, *TEST)):
        preprocessed(root, case, number, shape=((40, 32, 4), (33, 46, 5))[number // 2 % 2])
    return root


# One of the four in the quick tests: their cells are mostly the same, and each takes half a minute and more.
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in RARELY else name for name in NAMES]
)
def test_a_notebook_runs_on_the_slices_of_acdc(
    name: str, small_acdc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = {"dataset": "acdc", "data_root": str(small_acdc), "labeled": 7, "run_dir": str(tmp_path / "run")}
    notebook = execute(name, tmp_path, monkeypatch, iterations=3, settings=SLICES, **where)
    assert_whole(notebook, name, tmp_path / "run", test_cases=40)
    assert_speaks_of_acdc(notebook)


def assert_speaks_of_acdc(notebook: dict[str, Any]) -> None:
    """Patients are counted, slices looked at, loss terms add up to the loss, and what papers report is of ACDC."""
    told, drawn = printed(notebook), figures(notebook)
    assert "labeled 7 patients: 14 scans\nunlabeled 126, test 40 scans" in told
    ((by_hand, by_method),) = re.findall(r"(?:by hand|\]:) (-?[\d.]+), by the method (-?[\d.]+)", told)
    assert float(by_hand) == pytest.approx(float(by_method), abs=2e-4)
    assert drawn["published"][0]["layout"]["title"]["text"].startswith("ACDC, ")
    explored = [json.dumps(drawn[tag], ensure_ascii=False) for tag in drawn if tag.startswith("explore-")]
    assert explored and all("_slice_" in text or "L–U: labeled a with a box" in text for text in explored)
    for structure in ("right ventricle", "myocardium", "left ventricle"):
        assert structure in json.dumps(drawn["best-median-worst"]), structure


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_on_the_real_acdc(
    name: str, real_acdc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few iterations at the sizes of the quick preset: every figure of real slices, in a file that can be shared."""
    where = {"dataset": "acdc", "data_root": str(real_acdc), "labeled": 7, "run_dir": str(tmp_path / "run")}
    notebook = execute(name, tmp_path, monkeypatch, iterations=10, **where)
    assert_whole(notebook, name, tmp_path / "run", test_cases=40)
    assert_speaks_of_acdc(notebook)
