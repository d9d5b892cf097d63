"""`ssmis data check` as a person runs it: text, page and exit code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ssmis_core import cli
from ssmis_core.datasets import nifti_folder
from tests.core.cli_helpers import empty_folder, first_case, refused, write_la
from tests.core.datasets.acdc_helpers import official
from tests.core.datasets.own_helpers import OBLIQUE, scan, write_image, write_source

fresh = pytest.fixture(autouse=True)(empty_folder)


def shown(arguments: list[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> str:
    assert cli.run(["data", "check", *arguments]) == code
    return capsys.readouterr().out


def test_the_phantom_has_nothing_wrong_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    told = shown(["phantom", "--data-option", "size=16", "--data-option", "dims=2"], capsys)
    assert told.endswith("no problems\n")
    rows = {line.split()[0]: line.split() for line in told.splitlines() if line}
    assert rows["train"][:4] == ["train", "1", "left", "atrium"]  # the last table is that of the labels
    assert "16x16" in told and "80/80" in told


def test_a_folder_of_scans_is_checked_before_it_is_prepared(capsys: pytest.CaptureFixture[str]) -> None:
    write_source(Path("scans"), cases=3)
    told = shown(["--source", "scans", "--html", "out/report.html"], capsys)
    assert "no problems that stop a training" in told and "NOTE: no label (1)" in told and "IRP" in told
    assert Path("out/report.html").read_text().count("<figure") == 5
    broken = write_image(Path("scans/images/case_1.nii.gz"), np.zeros((12, 10, 8), np.int16), OBLIQUE)
    told = shown(["--source", "scans"], capsys, code=1)
    assert f"ERROR: a constant image (1)\n  {broken}: image is constant (0 everywhere)" in told
    assert "  why: There is nothing in it" in told and "  mend: " in told and "4/5" in told


def test_what_prepare_is_told_can_be_told_to_the_check(capsys: pytest.CaptureFixture[str]) -> None:
    write_source(Path("scans"), cases=3)
    assert "ventricle" in shown(["--source", "scans", "--classes", "ventricle,atrium"], capsys)
    assert "1 classes are named" in shown(["--source", "scans", "--classes", "atrium"], capsys, code=1)
    assert "values unlike Hounsfield units" in shown(["--source", "scans", "--modality", "ct"], capsys)


def test_a_prepared_folder_is_checked_by_its_lists(capsys: pytest.CaptureFixture[str]) -> None:
    source = write_source(Path("scans"), cases=5)
    assert cli.run(["data", "prepare", "own", "--source", "scans", "--out", "out", "--quiet"]) == 0
    told = shown(["nifti_folder", "--data-root", "out"], capsys)
    assert "2 of 6 training cases" in told and "ERROR" not in told
    test = nifti_folder.open("out").test[0]
    copy = (source / "images" / "case_5.nii.gz", source / "images" / f"{test}.nii.gz")
    copy[0].write_bytes(copy[1].read_bytes())
    assert cli.run(["data", "prepare", "own", "--source", "scans", "--out", "out", "--quiet"]) == 0
    told = shown(["nifti_folder", "--data-root", "out"], capsys, code=1)
    assert "ERROR: the same image in training and in validation or test (1)" in told and f"{test} (test)" in told


def test_the_public_sets_are_checked_in_their_own_layouts(capsys: pytest.CaptureFixture[str]) -> None:
    write_la(Path("la"))
    first_case(Path("la"), "test").write_bytes(b"not HDF5")
    told = shown(["la", "--data-root", "la", "--html", "la.html"], capsys, code=1)
    assert "ERROR: no such file (78)" in told and "ERROR: a file that cannot be read (1)" in told
    official(Path("acdc"))
    told = shown(["acdc", "--data-root", "acdc"], capsys, code=1)
    assert "2/140" in told and "voxels much longer along one axis" in told


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "--source DIR"),
        (["la", "--source", "."], "one of the two"),
        (["--source", "nowhere"], "no such folder"),
        (["--source", "."], "no folder of scans"),
        (["--source", ".", "--data-root", "."], "--data-root"),
        (["phantom", "--classes", "a"], "--classes"),
        (["phantom", "--html", "report.pdf"], "ends in .html"),
    ],
)
def test_a_wrong_request_is_one_line(arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert word in refused(["data", "check", *arguments], capsys)


def test_a_long_list_of_notes_is_cut_and_errors_are_all_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        array = scan((8, 8, 8), number).astype(np.float32)
        array[0, 0, 0] = np.nan if number % 2 else 1e6
        write_image(Path("scans/images") / f"case_{number:02d}.nii.gz", array, OBLIQUE)
    monkeypatch.setattr("ssmis_core.datasets.check.report.MOST", 4)
    told = shown(["--source", "scans"], capsys, code=1)
    assert "... and 2 more; --html FILE lists all" in told
    assert told.count("1 NaN or infinite") == 6
