"""The ACDC reader, on generated files of both layouts and on the real volumes."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from ssmis_core.datasets import acdc, open_dataset
from ssmis_core.datasets.check import survey
from ssmis_core.datasets.manifest import read_manifest
from tests.core.datasets.acdc_helpers import (
    AFFINE,
    CASE,
    PATIENT,
    TEST,
    TRAIN,
    VALIDATION,
    heart,
    official,
    preprocessed,
    scaled,
    write_h5,
    write_nifti,
)
from tests.core.datasets.la_helpers import one_line

IMAGE, LABEL = heart()

# --- what a case is --------------------------------------------------------------------------------------------------


def test_a_preprocessed_case_has_its_axes_turned_to_x_y_z_and_no_spacing(tmp_path: Path) -> None:
    preprocessed(tmp_path)
    case = open_dataset("acdc", tmp_path).load(CASE)
    assert case.label is not None and (case.image.dtype, case.label.dtype) == (np.float32, np.uint8)
    np.testing.assert_array_equal(case.image[0], scaled(IMAGE))
    np.testing.assert_array_equal(case.label, LABEL)
    assert case.spacing is None and case.image.flags.c_contiguous and case.modality == "cine MRI"


def test_an_official_case_is_the_same_voxels_with_the_affine_and_spacing_of_its_file(tmp_path: Path) -> None:
    official(tmp_path)
    case = open_dataset("acdc", tmp_path).load(CASE)
    image, label = heart(1)
    np.testing.assert_array_equal(case.image[0], scaled(image))
    np.testing.assert_array_equal(case.label, label)
    np.testing.assert_allclose(case.affine, AFFINE, atol=1e-5)
    assert case.spacing is not None
    np.testing.assert_allclose(case.spacing, np.linalg.norm(AFFINE[:3, :3], axis=0), rtol=1e-5)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0)])
def test_a_label_that_is_stored_with_other_axes_is_turned_as_its_affine_says(
    tmp_path: Path, order: tuple[int, int, int]
) -> None:
    folder, label = official(tmp_path), heart(1)[1]
    label[4, 6, 2] = 3  # so that no turn is the label again
    mirror = np.diag([-1.0, 1, 1, 1])
    mirror[0, 3] = label.shape[0] - 1
    stored, affine = label[::-1].transpose(order), (AFFINE @ mirror)[:, [*order, 3]]
    write_nifti(folder / f"{PATIENT}_frame01_gt.nii.gz", stored, affine)
    case = open_dataset("acdc", tmp_path).load(CASE)
    np.testing.assert_array_equal(case.label, label)
    np.testing.assert_array_equal(case.image[0], scaled(heart(1)[0]))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_label_that_does_not_say_how_it_lies_is_taken_voxel_by_voxel(tmp_path: Path, sign: float) -> None:
    folder, (image, label) = official(tmp_path), heart(1)
    affine = np.diag([1.5 * sign, 1.5 * sign, 10.0, 1.0])
    write_nifti(folder / f"{PATIENT}_frame01.nii.gz", image, affine)
    data = open_dataset("acdc", tmp_path)
    write_unplaced(folder / f"{PATIENT}_frame01_gt.nii.gz", label, affine)
    np.testing.assert_array_equal(data.load(CASE).label, label)
    write_unplaced(folder / f"{PATIENT}_frame01_gt.nii.gz", label[1:], affine)
    assert "has 39 x 32 x 5 voxels" in one_line(lambda: data.load(CASE))


def write_unplaced(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    """A file with a voxel size alone."""
    image = nibabel.Nifti1Image(array, affine)
    image.header.set_sform(None, code=0)
    image.header.set_qform(None, code=0)
    nibabel.save(image, path)


def test_info_says_which_frame_is_end_diastole_also_where_it_is_the_later_one(tmp_path: Path) -> None:
    official(tmp_path, frames=(4, 11), info="ED: 11\nES: 4\n")
    data = open_dataset("acdc", tmp_path)
    assert Path(data.source(f"{PATIENT}_frame01")).name == f"{PATIENT}_frame11.nii.gz"
    np.testing.assert_array_equal(data.load(f"{PATIENT}_frame02").label, heart(4)[1])
    (tmp_path / PATIENT / "Info.cfg").unlink()
    assert Path(data.source(f"{PATIENT}_frame01")).name == f"{PATIENT}_frame04.nii.gz"


def test_a_volume_that_is_missing_is_put_together_from_its_slices(tmp_path: Path) -> None:
    shape = (40, 32, 11)  # more than nine, so that 10 must not come before 2
    image, label = heart(0, shape)
    for k in range(shape[2]):
        plane = {"image": scaled(image)[..., k].T, "label": label[..., k].T}
        write_h5(tmp_path / "slices" / f"{CASE}_slice_{k + 1}.h5", **plane)
    data = open_dataset("acdc", tmp_path)
    np.testing.assert_array_equal(data.load(CASE).image[0], scaled(image))
    np.testing.assert_array_equal(data.load(CASE).label, label)
    lost = tmp_path / "slices" / f"{CASE}_slice_3.h5"
    lost.unlink()
    message = one_line(lambda: data.load(CASE))
    assert message.startswith(str(lost)) and "expected slices 1 to 11" in message


# --- lists -----------------------------------------------------------------------------------------------------------


def test_the_lists_are_the_published_ones_and_no_patient_is_in_two(tmp_path: Path) -> None:
    preprocessed(tmp_path)
    data = open_dataset("acdc", tmp_path)
    assert (list(data.train), list(data.validation), list(data.test)) == (TRAIN, VALIDATION, TEST)
    assert (len(TRAIN), len(VALIDATION), len(TEST)) == (140, 20, 40)
    patients = [{data.subject(case) for case in cases} for cases in (TRAIN, VALIDATION, TEST)]
    assert [len(one) for one in patients] == [70, 10, 20] and len(set.union(*patients)) == 100
    assert (data.dims, data.slice_axis, data.channels, data.num_classes) == (3, 2, 1, 4)
    assert tuple(data.class_names) == ("background", "right ventricle", "myocardium", "left ventricle")


@pytest.mark.parametrize("labeled", [3, 7, 14])
def test_patients_are_labeled_with_both_their_frames(tmp_path: Path, labeled: int) -> None:
    preprocessed(tmp_path)
    data = open_dataset("acdc", tmp_path)
    own, rest = data.split(labeled)
    assert own == TRAIN[: 2 * labeled] and rest == TRAIN[2 * labeled :]
    assert len({data.subject(case) for case in own}) == labeled


@pytest.mark.parametrize("labeled", [0, 71, 2.0])
def test_more_patients_than_there_are_is_one_line(tmp_path: Path, labeled: object) -> None:
    preprocessed(tmp_path)
    message = one_line(lambda: open_dataset("acdc", tmp_path).split(labeled))  # type: ignore[arg-type]
    assert message == f"labeled={labeled!r}: acdc has 70 training patients; choose 1 to 70"


# --- where the files are ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("below", ["", "data", "ACDC/data", "acdc"])
def test_preprocessed_files_are_found_by_argument_and_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    preprocessed(tmp_path / below)
    monkeypatch.delenv("SSMIS_DATA", raising=False)
    assert open_dataset("acdc", tmp_path).load(CASE).shape == (40, 32, 5)
    monkeypatch.setenv("SSMIS_DATA", str(tmp_path))
    assert open_dataset("acdc").load(CASE).shape == (40, 32, 5)


@pytest.mark.parametrize("below", ["", "training", "database/training", "ACDC/database/training"])
def test_official_files_are_found(tmp_path: Path, below: str) -> None:
    official(tmp_path / below)
    assert open_dataset("acdc", tmp_path).load(f"{PATIENT}_frame02").spacing is not None


def test_missing_data_is_one_line_with_the_places_and_the_card(tmp_path: Path) -> None:
    message = one_line(lambda: open_dataset("acdc", tmp_path / "nowhere"))
    assert str(tmp_path / "nowhere") in message and "data/acdc/README.md" in message
    assert "data/acdc/README.md" in one_line(lambda: read_manifest("acdc"))


# --- files that cannot be used ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"image": scaled(IMAGE).T}, "no dataset 'label' (found 'image')"),
        ({"image": scaled(IMAGE).T, "label": LABEL.T[1:]}, "differ in shape"),
        ({"image": scaled(IMAGE).T[0], "label": LABEL.T[0]}, "expected 1 channel(s) and 3 spatial axes"),
        ({"image": scaled(IMAGE).T, "label": 2 * LABEL.T}, "label has values up to 6, expected 0 to 3"),
        ({"image": scaled(IMAGE).T, "label": LABEL.T * -1.0}, "like -1.0, expected only 0 to 3"),
        ({"image": np.full((5, 32, 40), np.nan), "label": LABEL.T}, "6400 NaN or infinite voxels"),
        ({"image": np.zeros((5, 32, 40)), "label": LABEL.T}, "image is constant (0 everywhere)"),
    ],
)
def test_unusable_content_is_one_line_that_names_the_file(tmp_path: Path, arrays: dict, message: str) -> None:
    path = write_h5(tmp_path / f"{CASE}.h5", **arrays)
    told = one_line(lambda: open_dataset("acdc", tmp_path).load(CASE))
    assert told.startswith(str(path)) and message in told


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.97])
def test_a_file_cut_short_is_named(tmp_path: Path, keep: float) -> None:
    nifti = "cut short" if keep else "is empty, expected a NIfTI file"
    for path, what in (
        (preprocessed(tmp_path / "h5"), "not a whole HDF5 file"),
        (official(tmp_path / "nii") / f"{PATIENT}_frame01.nii.gz", nifti),
    ):
        path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
        message = one_line(lambda base=path.parents[0 if path.suffix == ".h5" else 1]: acdc.open(base).load(CASE))
        assert message.startswith(str(path)) and what in message


def test_official_files_that_do_not_belong_together_are_named(tmp_path: Path) -> None:
    folder = official(tmp_path)
    label, data = folder / f"{PATIENT}_frame01_gt.nii.gz", acdc.open(tmp_path)
    write_nifti(label, LABEL, np.diag([1.0, 1.0, 5.0, 1.0]))
    assert "its label 1 x 1 x 5 mm, expected the same" in one_line(lambda: data.load(CASE))
    write_nifti(label, LABEL[1:])
    assert "has 39 x 32 x 5 voxels" in one_line(lambda: data.load(CASE))
    elsewhere = AFFINE.copy()
    elsewhere[0, 3] += 50
    write_nifti(label, LABEL, elsewhere)
    told = one_line(lambda: data.load(CASE))
    assert told.startswith(str(label)) and f"lies up to 50 mm off {PATIENT}_frame01.nii.gz, expected" in told
    label.unlink()
    assert one_line(lambda: data.load(CASE)).startswith(str(label))
    write_nifti(folder / f"{PATIENT}_frame01.nii.gz", np.stack([IMAGE, IMAGE], -1))
    assert "expected three axes: a single frame" in one_line(lambda: data.load(CASE))
    (folder / "Info.cfg").write_text("ED: 1\n")
    assert one_line(lambda: data.load(CASE)).startswith(str(folder / "Info.cfg"))
    (folder / "Info.cfg").unlink()
    (folder / f"{PATIENT}_frame12.nii.gz").unlink()
    assert "has 1 frames" in one_line(lambda: data.load(CASE))


def test_an_unknown_case_suggests_the_nearest(tmp_path: Path) -> None:
    preprocessed(tmp_path)
    message = one_line(lambda: open_dataset("acdc", tmp_path).load(CASE + "x"))
    assert f"did you mean {CASE!r}" in message and "val.list" in message


# --- the real volumes ------------------------------------------------------------------------------------------------


def test_the_real_volumes_are_whole_and_as_the_data_card_says(real_acdc: Path) -> None:
    outcome = survey(open_dataset("acdc", real_acdc))
    assert outcome.problems == [] and dict(outcome.counted) == {"train": 140, "validation": 20, "test": 40}
    twice = [finding.cases for finding in outcome.findings if finding.kind == "repeated"]
    assert twice == [tuple(f"patient{n}_frame{frame}" for n in ("074", "076")) for frame in ("01", "02")]
    shapes = np.array([case.shape for case in outcome.cases])
    assert shapes.min() == 6 and shapes[:, :2].min() == 154 and shapes.max(0).tolist() == [428, 512, 18]
    train = [case for case in outcome.cases if case.split == "train"]
    assert sum(case.shape[2] for case in train) == 1312
    # 3, 7 and 14 patients are the first 68, 136 and 256 slices, as the papers count them
    assert [sum(case.shape[2] for case in train[: 2 * n]) for n in (3, 7, 14)] == [68, 136, 256]


def test_real_hearts_are_larger_at_end_diastole(real_acdc: Path) -> None:
    data = open_dataset("acdc", real_acdc)
    for patient in (TRAIN[0], VALIDATION[0], TEST[0]):
        cavity = [int((data.load(patient[:-1] + moment).label == 3).sum()) for moment in "12"]
        assert cavity[0] > cavity[1]
