"""Scans to try a workflow on: whose they are, and that the phantom's files are as mixed as real ones."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from ssmis_core.datasets import example_scans, open_dataset
from ssmis_core.datasets.check import survey_source
from ssmis_core.datasets.example_scans import scans_at_hand, write_example
from ssmis_core.datasets.preparation import prepare_folder
from ssmis_core.errors import UserError

SMALL = {"cases": 6, "unlabeled": 2, "size": (16, 18, 20)}


def test_the_phantoms_files_lie_in_different_directions_and_prepare_to_its_labels(tmp_path: Path) -> None:
    folder = write_example(tmp_path / "scans", **SMALL)
    outcome = survey_source(folder, classes=example_scans.STRUCTURES)
    assert outcome.problems == [] and outcome.counted == {"scans": 8}
    assert [case.orientation for case in outcome.cases[:3]] == ["RAS", "LPS", "AIR"]
    prepare_folder("p", folder, tmp_path / "out", classes=example_scans.STRUCTURES)
    data, known = (
        open_dataset("nifti_folder", tmp_path / "out"),
        open_dataset("phantom", num_classes=3, size=(16, 18, 20)),
    )
    for number, name in enumerate(known.train[:6]):
        np.testing.assert_array_equal(data.load(f"scan_{number:03d}").label, known.load(name).label)


def test_files_that_are_there_stay_and_another_size_goes_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSMIS_DATA", raising=False)
    first = scans_at_hand(None, tmp_path, SMALL)
    before = {path: path.stat().st_mtime_ns for path in first.folder.rglob("*.gz")}
    assert scans_at_hand(None, tmp_path, SMALL) == first
    other = scans_at_hand(None, tmp_path, {**SMALL, "size": 16})
    assert other.folder != first.folder
    assert {path: path.stat().st_mtime_ns for path in first.folder.rglob("*.gz")} == before


def test_hippocampus_is_taken_where_it_is_and_ones_own_folder_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hippocampus" / "imagesTr").mkdir(parents=True)
    monkeypatch.setenv("SSMIS_DATA", str(tmp_path))
    found = scans_at_hand(None, tmp_path / "stand-in")
    assert (found.folder, found.classes) == (tmp_path / "hippocampus", ("anterior", "posterior"))
    own = scans_at_hand(tmp_path, tmp_path / "stand-in")
    assert (own.folder, own.classes, own.name) == (tmp_path, None, tmp_path.name)
    assert not (tmp_path / "stand-in").exists()
    with pytest.raises(UserError, match="no such folder"):
        scans_at_hand(tmp_path / "nowhere", tmp_path / "stand-in")


def test_wrong_options_are_refused_before_a_file_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSMIS_DATA", raising=False)
    with pytest.raises(UserError, match="sizes"):
        scans_at_hand(None, tmp_path, {"sizes": 3})
    with pytest.raises(UserError, match="1 to 100 together"):
        scans_at_hand(None, tmp_path, {"cases": 99, "unlabeled": 2})
    assert not any(tmp_path.rglob("*.gz"))


def test_a_written_file_is_a_scan_of_whole_numbers_in_millimetres(tmp_path: Path) -> None:
    folder = write_example(tmp_path, cases=1, unlabeled=0, size=16)
    image = nibabel.load(folder / "images" / "scan_000.nii.gz")
    assert image.get_data_dtype() == np.int16 and image.header.get_xyzt_units()[0] == "mm"
    assert [path.name for path in (folder / "labels").iterdir()] == ["scan_000.nii.gz"]
