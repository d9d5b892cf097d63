"""Labels that lie on the grid of a scan's own file, shown on the grid that the network sees."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from ssmis_core.datasets import Case, Grid, open_dataset
from ssmis_core.datasets.grids import on_original_grid
from ssmis_core.datasets.preparation import prepare_folder
from ssmis_core.errors import UserError
from ssmis_core.evaluation import save_nifti
from tests.core.datasets.own_helpers import affine_of, blocks, scan, write_image, write_source
from widgets.review.nifti import read_case_labels, read_labels


def saved(folder: Path, case: Case) -> Path:
    """The case's own label as an evaluation would write it, were it predicted."""
    assert case.label is not None
    save_nifti(folder / f"{case.id}.nii.gz", *on_original_grid(case.label, case), flat=case.original is not None)
    return folder / f"{case.id}.nii.gz"


def test_a_prediction_on_a_turned_oblique_file_comes_back_voxel_for_voxel(tmp_path: Path) -> None:
    prepare_folder("own", write_source(tmp_path / "scans"), tmp_path / "out")
    data = open_dataset("nifti_folder", tmp_path / "out")
    for case in map(data.load, data.test):
        assert case.original is not None and case.label is not None and case.original.shape != case.shape
        np.testing.assert_array_equal(read_case_labels(saved(tmp_path, case), case), case.label)


@pytest.mark.parametrize("shape", [(9, 7, 1), (9, 7)])
def test_a_prediction_of_a_plane_comes_back(tmp_path: Path, shape: tuple[int, ...]) -> None:
    turned = affine_of(order=(1, 0, 2), signs=(-1, 1, 1))
    for number in range(3):
        write_image(tmp_path / "scans/images" / f"case_{number}.nii.gz", scan(shape, number), turned)
        write_image(tmp_path / "scans/labels" / f"case_{number}.nii.gz", blocks(shape, number), turned)
    prepare_folder("own", tmp_path / "scans", tmp_path / "out")
    data = open_dataset("nifti_folder", tmp_path / "out")
    case = data.load(data.test[0])
    np.testing.assert_array_equal(read_case_labels(saved(tmp_path, case), case), case.label)


def test_labels_of_another_shape_are_refused(tmp_path: Path) -> None:
    image, affine = np.zeros((1, 4, 5, 6), np.float32), np.eye(4)
    save_nifti(tmp_path / "a.nii.gz", np.zeros((4, 5, 7), np.uint8), affine)
    for original in (None, Grid((6, 5, 4), affine)):
        with pytest.raises(UserError, match=r"a\.nii\.gz: labels have shape \(4, 5, 7\)"):
            read_case_labels(tmp_path / "a.nii.gz", Case("a", image, None, affine, None, "", original))


def test_files_of_colours_and_with_an_unknown_header_are_refused(tmp_path: Path) -> None:
    colours = np.zeros((4, 5, 6), [(channel, "u1") for channel in "RGB"])
    nibabel.save(nibabel.Nifti1Image(colours, np.eye(4)), tmp_path / "colours.nii")
    with pytest.raises(UserError, match=r"colours\.nii: has values that are not whole numbers"):
        read_labels(tmp_path / "colours.nii")
    nibabel.save(nibabel.Nifti2Image(np.zeros((4, 5, 6), np.uint8), np.eye(4)), tmp_path / "other.nii")
    with pytest.raises(UserError, match=r"other\.nii: not a whole NIfTI file"):
        read_labels(tmp_path / "other.nii")
