"""Which files of a folder belong together, and what is told of those that do not."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ssmis_core.datasets.preparation.layout import (
    channel_files,
    find_cases,
    passed_over,
    told_by_source,
    told_of_passed_over,
    with_voxels,
)
from ssmis_core.errors import UserError
from tests.core.datasets.own_helpers import OBLIQUE, scan, write_image


def folder_of(root: Path, *names: str) -> Path:
    """A folder with empty files of these names: what is in them is not looked at."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


FAULTS = {
    "no image has the name": ("labels/bela.nii.gz",),
    "has the label": ("labels/anna.nii.gz", "labels/anna_seg.nii.gz"),
    "has the name of anna.mha": ("images/anna.mha",),
    "has channels of 'anna' as well": ("images/anna_0000.nii.gz", "images/anna_0001.nii.gz"),
    "has no channel 0001": ("images/dora_0000.nii.gz", "images/dora_0002.nii.gz"),
}


@pytest.mark.parametrize("told", FAULTS)
def test_a_file_that_fits_nowhere_is_one_line_and_with_a_list_the_rest_is_found(told: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "images/anna.nii.gz", "images/carl.nii.gz", "labels/carl.nii.gz", *FAULTS[told])
    with pytest.raises(UserError, match=told) as error:
        find_cases(folder)
    faults: list[str] = []
    cases = {case.id: case for case in find_cases(folder, faults)}
    assert faults == [str(error.value)] and "\n" not in faults[0]
    assert {"anna", "carl"} <= set(cases) and cases["carl"].label == folder / "labels" / "carl.nii.gz"


def test_several_faults_are_all_told(tmp_path: Path) -> None:
    names = ("images/anna.nii.gz", "images/anna.nrrd", "labels/bela.nii.gz", "labels/cara.nii.gz")
    faults: list[str] = []
    assert [case.id for case in find_cases(folder_of(tmp_path, *names), faults)] == ["anna"]
    assert len(faults) == 3


def test_accents_in_either_form_of_unicode_are_one_name(tmp_path: Path) -> None:
    apart, one = "Mu\u0308ller", "M\u00fcller"
    folder = folder_of(tmp_path / "a", f"images/{apart}.nii.gz", f"labels/{one}_seg.nii.gz")
    (case,) = find_cases(folder)
    assert case.id == one and case.label == folder / "labels" / f"{one}_seg.nii.gz"
    folder = folder_of(tmp_path / "b", f"images/{apart}_0000.nii", f"images/{one}_0001.nii")
    (case,) = find_cases(folder)
    assert [path.name for path in case.images] == [f"{apart}_0000.nii", f"{one}_0001.nii"]
    assert set(channel_files(case.images[0])) == set(case.images)
    folder_of(folder, f"images/{one}_0000.nii")
    with pytest.raises(UserError, match="expected one file a case"):
        find_cases(folder)


def test_a_header_that_stands_alone_holds_no_voxels() -> None:
    assert with_voxels(["images/a.mhd", "images/a.raw"]) == ["images/a.raw"]
    assert with_voxels(["images/a_0000.nhdr", "images/x/a.raw.gz", "images/a_0001.MHA"]) == [
        "images/x/a.raw.gz",
        "images/a_0001.MHA",
    ]
    assert with_voxels(["images/a.nii.gz"]) == ["images/a.nii.gz"] and with_voxels([]) == []
    assert with_voxels(["images/a/1.dcm", "images/a/2.dcm"]) == ["images/a/1.dcm", "images/a/2.dcm"]


@pytest.mark.parametrize(
    "labels", [{"background": 0, "whole": [1, 2]}, ["background", "tumour"], {"a": "b"}, {"0": "air", "\u00b2": "a"}]
)
def test_labels_that_are_not_understood_do_not_hide_the_modality(tmp_path: Path, labels: object) -> None:
    """nnU-Net has labels of several values; taken for MR, a CT would lose its Hounsfield units."""
    (tmp_path / "dataset.json").write_text(json.dumps({"channel_names": {"0": "CT"}, "labels": labels}))
    told = told_by_source(tmp_path)
    assert told.pop("unread").startswith(f"{tmp_path / 'dataset.json'}: labels {labels!a} are not understood")
    assert told == {"modality": "ct"}


@pytest.mark.parametrize("text", ['{"modality": {"0": "CT"', "\xff", "[]"])
def test_a_damaged_dataset_json_is_one_line_for_ct_would_be_taken_for_mr(tmp_path: Path, text: str) -> None:
    (tmp_path / "dataset.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=r"dataset\.json: cannot be read \(found .*mend it, or take it away") as error:
        told_by_source(tmp_path)
    assert "\n" not in str(error.value)
    (tmp_path / "dataset.json").unlink()
    assert told_by_source(tmp_path) == {}


def test_what_is_no_scan_and_belongs_to_none_is_told_and_what_lies_beside_scans_is_not(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "images/anna.nii.gz", "images/bela/1.dcm", "images/.hidden", "images/anna.json")
    folder_of(folder, "images/cara.nrrd", "labels/notes.txt", "images/README.md")
    write_image(folder / "images" / "dora.mhd", scan(), OBLIQUE)
    assert any(path.name.startswith("dora.") and path.suffix != ".mhd" for path in (folder / "images").iterdir())
    assert passed_over(folder) == [] and told_of_passed_over([]) == ""
    folder_of(folder, "images/a.nii.bz2", "images/emil/study/1.dcm", "labels/a.hdr", "labels/a.img")
    left = [str(path.relative_to(folder)) for path in passed_over(folder)]
    assert left == ["images/a.nii.bz2", "images/emil", "labels/a.hdr", "labels/a.img"]
    told = told_of_passed_over(passed_over(folder))
    assert told.startswith(
        "passed over, since they are no scans: images/a.nii.bz2, images/emil, labels/a.hdr and 1 more"
    )


@pytest.mark.parametrize("name", [b"b\xe9la.db", b"b\nla.db"])
def test_a_name_that_no_line_can_hold_is_told_escaped(tmp_path: Path, name: bytes) -> None:
    folder = folder_of(tmp_path, "images/anna.nii.gz")
    Path(os.fsdecode(os.fsencode(folder) + b"/images/" + name)).touch()
    told = told_of_passed_over(passed_over(folder))
    assert told.isprintable() and told.encode() and "images/'b" in told


@pytest.mark.parametrize("name", [b"images/b\xe9la.nii.gz", b"labels/b\nla.nii.gz"])
def test_a_name_that_no_list_can_hold_is_told_in_one_line_that_can_be_printed(tmp_path: Path, name: bytes) -> None:
    folder = folder_of(tmp_path, "images/anna.nii.gz", "images/ä ö.nii.gz", "labels/ä ö.nii.gz")
    Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).touch()
    with pytest.raises(UserError, match="expected one of plain characters") as error:
        find_cases(folder)
    faults: list[str] = []
    assert [case.id for case in find_cases(folder, faults)] == ["anna", "ä ö"]
    assert faults == [str(error.value)] and faults[0].isprintable() and faults[0].encode()
