"""The notebook on one's own scans: with files of the phantom, and with a folder that somebody brings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from ssmis_core.datasets.example_scans import write_example
from tests.core.datasets.own_helpers import affine_of, blocks, scan, write_image
from tests.notebooks.test_notebooks import FILES, OWN_SCANS, assert_figures, execute, printed

NAME = "06_your_data"
TINY = {"patch": [32, 32, 16], "stride": [32, 32, 16], "filters": 2}
EXAMPLE = {"cases": 9, "unlabeled": 3, "size": [24, 20, 18]}
SHORT = {"iterations": 3, "labeled": 3, "device": "cpu"}


def assert_runs(run: Path, test_cases: int) -> None:
    for folder in (run, run / "extra" / "supervised"):
        assert [file for file in FILES if not (folder / file).is_file()] == []
        assert len(list((folder / "predictions").glob("*.nii.gz"))) == test_cases


def test_files_of_the_phantom_stand_in_where_there_are_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSMIS_DATA", raising=False)
    parameters = {"dataset_options": EXAMPLE, "run_dir": str(tmp_path / "runs" / "mine"), "settings": TINY, **SHORT}
    notebook = execute(NAME, tmp_path, monkeypatch, **parameters)
    assert_figures(notebook, OWN_SCANS[NAME])
    assert_runs(tmp_path / "runs" / "mine", 2)
    told = printed(notebook)
    assert (
        "files of the phantom" in told and "made 0, kept 12" in told and "12 scans, 3 of them without a label" in told
    )
    assert (tmp_path / "runs" / "06_your_data-phantom-files-prepared" / "manifest.json").is_file()
    (answer,) = (tmp_path / "runs" / "mine" / "example").glob("*.nii.gz")
    (original,) = (tmp_path / "runs" / "06_your_data-scans").rglob(f"images/{answer.name}")
    assert nibabel.load(answer).shape == nibabel.load(original).shape
    np.testing.assert_allclose(nibabel.load(answer).affine, nibabel.load(original).affine, atol=1e-5)


def test_ones_own_planes_of_several_formats_and_another_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, ending in enumerate((".nii.gz", ".mha", ".nrrd") * 4):
        shape, turned = (20 + number % 3, 18, 1), affine_of(order=(1, 0, 2), spacing=(1.5, 1.0, 4.0))
        label = blocks(shape, number) * 100  # classes by value
        write_image(tmp_path / "scans" / "images" / f"case_{number:02d}{ending}", scan(shape, number), turned)
        if number < 9:
            write_image(tmp_path / "scans" / "labels" / f"case_{number:02d}_seg.nii.gz", label, turned)
    parameters: dict[str, Any] = {"source": str(tmp_path / "scans"), "classes": "100=left,200=right", "method": "ugmcl"}
    parameters |= {"data_root": str(tmp_path / "prepared"), "run_dir": str(tmp_path / "mine")}
    flat = {"patch": [32, 32], "stride": [32, 32], "filters": 2}
    notebook = execute(NAME, tmp_path, monkeypatch, settings=flat, **parameters, **SHORT)
    assert_figures(notebook, OWN_SCANS[NAME])
    assert_runs(tmp_path / "mine", 2)
    assert json.loads((tmp_path / "prepared" / "manifest.json").read_text())["classes"] == [
        "background",
        "left",
        "right",
    ]


@pytest.mark.slow  # the notebooks of methods have the same
def test_a_training_that_is_cut_short_leaves_the_other_cells_working(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_example(tmp_path / "scans", **EXAMPLE)
    parameters = {"source": str(folder), "run_dir": str(tmp_path / "mine"), "settings": TINY, **SHORT}
    notebook = execute(NAME, tmp_path, monkeypatch, **{**parameters, "iterations": 10_000, "max_seconds": 0.2})
    assert_figures(notebook, OWN_SCANS[NAME])
    assert json.loads((tmp_path / "mine" / "run.json").read_text())["status"] == "stopped"
