"""The check of a folder that was not prepared yet: each kind of damage is a row, and the rest is still looked at."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from ssmis_core.datasets.check import KINDS, Survey, survey_source
from ssmis_core.datasets.preparation import prepare_folder
from ssmis_core.errors import UserError
from tests.core.datasets.own_helpers import OBLIQUE, affine_of, blocks, scan, write_image, write_source
from tests.core.datasets.test_check_rules import SCENES

SHAPE = (12, 10, 8)  # of case_0
IMAGE, LABEL = "images/case_0.nii.gz", "labels/case_0.nii.gz"
MOVED = OBLIQUE + np.array([[0, 0, 0, 9.0]] + [[0.0] * 4] * 3)


def image(folder: Path, array: np.ndarray, affine: np.ndarray = OBLIQUE) -> None:
    write_image(folder / IMAGE, array, affine)


def label(folder: Path, array: np.ndarray, affine: np.ndarray = OBLIQUE) -> None:
    write_image(folder / LABEL, array, affine)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def holed() -> np.ndarray:
    array = scan(SHAPE).astype(np.float32)
    array[3, 3, 3] = np.nan
    return array


# kind: (what is done to case_0 of a good folder, a word of the line that tells it)
DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "file": (lambda folder: cut(folder / IMAGE), "cut short"),
    "layout": (lambda folder: (folder / LABEL).rename(folder / "labels/cas_0.nii.gz"), "no image has the name"),
    "axes": (lambda folder: image(folder, np.stack([scan(SHAPE)] * 2, -1)), "expected a volume with 1 channel"),
    "nan": (lambda folder: image(folder, holed()), "1 NaN"),
    "constant": (lambda folder: image(folder, np.full(SHAPE, 7, np.int16)), "constant (7"),
    "label-shape": (lambda folder: label(folder, blocks(SHAPE)[1:]), "voxels"),
    "place": (lambda folder: label(folder, blocks(SHAPE), MOVED), "9 mm off"),
    "label-values": (lambda folder: label(folder, blocks(SHAPE) * 0.5), "whole numbers"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_source(tmp_path / "scans", cases=4, unlabeled=2)


def kinds(outcome: Survey) -> set[str]:
    return {finding.kind for finding in outcome.findings if finding.severity == "error"}


def test_a_good_folder_has_facts_of_every_scan_and_no_errors(folder: Path) -> None:
    outcome = survey_source(folder)
    assert outcome.problems == [] and outcome.counted == {"scans": 6}
    assert outcome.class_names == ("background", "class 1", "class 2")
    first = outcome.cases[0]
    assert first.id == "case_0" and sorted(first.shape) == sorted(SHAPE) and first.orientation == "IRP"
    assert first.voxels == {value: int((blocks(SHAPE) == value).sum()) for value in range(3)}
    assert np.isclose(first.volume(1) or 0, int((blocks(SHAPE) == 1).sum()) * 0.7 * 1.1 * 3 / 1000)
    (unlabeled,) = (finding for finding in outcome.findings if finding.kind == "unlabeled")
    assert unlabeled.cases == ("case_4", "case_5")


@pytest.mark.parametrize("kind", DAMAGE)
def test_each_damage_is_a_row_with_the_file_and_the_rest_is_still_looked_at(kind: str, folder: Path) -> None:
    damage, word = DAMAGE[kind]
    keep = folder / "images" / "a_first.nii.gz"  # so that the damaged one is not what others are compared with
    write_image(keep, scan((11, 10, 8), 99), OBLIQUE)
    damage(folder)
    outcome = survey_source(folder)
    assert kinds(outcome) == {kind}
    (line,) = outcome.problems
    assert word in line and str(folder) in line and "\n" not in line
    expected = 7 if kind == "layout" else 6
    assert len(outcome.cases) == expected
    with pytest.raises(UserError) if kind == "layout" else nullcontext():
        assert prepare_folder("x", folder, folder.parent / "out").problems  # what the check calls an error is refused


def test_what_lies_among_the_scans_and_is_none_is_a_warning(folder: Path) -> None:
    (folder / "images" / "study" / "series").mkdir(parents=True)
    (folder / "images" / "study" / "series" / "1.dcm").touch()
    (found,) = (one for one in survey_source(folder).findings if one.kind == "passed-over")
    assert found.severity == "warning" and "images/study (expected .nii.gz" in found.text


def test_class_names_that_are_not_understood_are_a_warning_unless_others_are_given(folder: Path) -> None:
    (folder / "dataset.json").write_text('{"labels": {"whole": [1, 2]}}')
    (found,) = (one for one in survey_source(folder).findings if one.kind == "unnamed")
    assert found.severity == "warning" and "dataset.json: labels" in found.text
    assert not any(one.kind == "unnamed" for one in survey_source(folder, classes=["head", "tail"]).findings)


def test_two_damages_of_one_case_are_two_rows(folder: Path) -> None:
    image(folder, holed())
    label(folder, blocks(SHAPE) * 0.5, MOVED)
    assert kinds(survey_source(folder)) == {"nan", "place", "label-values"}
    cut(folder / IMAGE)
    cut(folder / LABEL)
    assert [finding.kind for finding in survey_source(folder).findings].count("file") == 2


def test_values_with_gaps_are_one_row_that_naming_them_mends(folder: Path) -> None:
    for path in sorted((folder / "labels").iterdir()):
        number = int(path.name[5])
        write_image(path, (blocks((12 + number % 3, 10, 8 + number % 2), number) > 0) * np.uint8(200), OBLIQUE)
    (line,) = survey_source(folder).problems
    assert "0, 200" in line and "--classes" in line
    outcome = survey_source(folder, classes=["200=tumour"])
    assert outcome.problems == [] and outcome.class_names == ("background", "tumour")


def test_a_window_without_contrast_is_told_before_preparing(folder: Path) -> None:
    image(folder, scan(SHAPE) + 2000)
    outcome = survey_source(folder, modality="ct")
    assert kinds(outcome) == {"unprepared"} and "window" in outcome.problems[0]


def test_a_folder_without_labels_and_one_whose_file_does_not_say_how_it_lies(tmp_path: Path) -> None:
    import nibabel

    for number in range(3):
        written = nibabel.Nifti1Image(scan(SHAPE, number), None)
        (tmp_path / "images").mkdir(exist_ok=True)
        nibabel.save(written, tmp_path / "images" / f"case_{number}.nii.gz")
    header = b"NRRD0004\ntype: short\ndimension: 3\nsizes: %d %d %d\nencoding: raw\nendian: little\n\n" % SHAPE
    (tmp_path / "images" / "case_3.nrrd").write_bytes(header + scan(SHAPE, 3).astype("<i2").tobytes(order="F"))
    outcome = survey_source(tmp_path)
    assert kinds(outcome) == {"no-label"}
    assert sum(finding.kind == "unplaced" for finding in outcome.findings) == 4


def test_a_copy_is_found_by_its_content_however_it_was_saved(folder: Path) -> None:
    import nibabel

    original = nibabel.load(folder / IMAGE)
    turned = original.as_reoriented(np.array([[1, -1], [0, 1], [2, -1]]))
    again = np.asarray(turned.dataobj).astype(np.float64)
    write_image(folder / "images" / "other.mha", again, turned.affine)
    (found,) = (finding for finding in survey_source(folder).findings if finding.kind == "repeated")
    assert found.cases == ("case_0", "other")


def test_planes_are_looked_at_with_two_axes(tmp_path: Path) -> None:
    for number in range(3):
        write_image(tmp_path / "images" / f"case_{number}.nii.gz", scan((9, 1, 7), number), affine_of())
        write_image(tmp_path / "labels" / f"case_{number}.nii.gz", blocks((9, 1, 7), number), affine_of())
    outcome = survey_source(tmp_path, pictures=True)
    assert outcome.problems == [] and {case.shape for case in outcome.cases} == {(9, 7)}
    assert all(len(case.spacing or ()) == 2 and case.picture for case in outcome.cases)


def test_a_wrong_request_is_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        survey_source(tmp_path / "nowhere")
    with pytest.raises(UserError, match="modality"):
        survey_source(folder, modality="pet")


def test_each_kind_of_finding_has_a_test_here_or_with_the_rules() -> None:
    here = {"classes", "passed-over", "unprepared", "no-label", "unplaced", "unlabeled", "unnamed"}
    rules = {"never-learned", "listed", "subject", "untestable", "label-lost", "looks-ct", "not-hounsfield"}
    assert {*DAMAGE, *SCENES, *here, *rules, "turned", "names", "missing", "empty"} == set(KINDS)


def test_an_image_packed_as_no_scan_can_be_is_found_as_preparing_refuses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_source(tmp_path / "scans", unlabeled=0)
    nearly_empty = np.zeros((64, 64, 64), np.uint8)
    nearly_empty[0, 0] = range(64)
    write_image(source / "images" / "packed.nii.gz", nearly_empty, OBLIQUE)
    monkeypatch.setattr("ssmis_core.datasets.formats.volume.MANY_VOXELS", 1000)
    told = survey_source(source).problems
    assert told == list(prepare_folder("own", source, tmp_path / "out").problems)
    assert len(told) == 1 and "nearly all alike" in told[0]
