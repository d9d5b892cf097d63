"""`ssmis predict`: labels on the grid of one image file."""

from __future__ import annotations

from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest

from ssmis_core import cli
from ssmis_core.inference import predict_labels
from ssmis_core.prediction import read_image
from ssmis_core.runs import Run
from tests.core.cli_helpers import AFFINE, PHANTOM, empty_folder, refused, write_case, write_nifti
from tests.core.datasets.own_helpers import write_image

fresh = pytest.fixture(autouse=True)(empty_folder)


@pytest.fixture(scope="module")
def solid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished 3D run on the phantom."""
    folder = tmp_path_factory.mktemp("solid") / "run"
    arguments = ["train", "supervised", "--labeled", "2", *PHANTOM, "--iterations", "2", "--run-dir", str(folder)]
    assert cli.run([*arguments, "--no-evaluate"]) == 0
    return folder


def test_predict_keeps_grid_and_affine_and_is_blind_to_scale(solid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = np.random.default_rng(2).normal(size=(20, 17, 19))
    write_nifti(Path("a.nii.gz"), image)
    write_nifti(Path("b.nii"), 300 + 40 * image)
    assert cli.run(["predict", str(solid), "a.nii.gz"]) == 0
    assert "z-scored" in capsys.readouterr().out
    assert cli.run(["predict", str(solid), "b.nii", "--output", "out/b.nii.gz"]) == 0
    labels = nibabel.load("a-labels.nii.gz")
    np.testing.assert_allclose(labels.affine, AFFINE)
    assert labels.shape == image.shape and labels.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(np.asarray(labels.dataobj), np.asarray(nibabel.load("out/b.nii.gz").dataobj))
    run = Run(solid)
    scored = ((image - image.mean()) / image.std()).astype(np.float32)[None]
    np.testing.assert_array_equal(np.asarray(labels.dataobj), predict_labels(run.method(), scored, run.config))


def test_predict_takes_h5_as_it_is(solid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = (3 + np.random.default_rng(3).normal(size=(16, 16, 16))).astype(np.float32)
    write_case(Path("patient/mri_norm2.h5"), image, None)
    assert cli.run(["predict", str(solid), "patient/mri_norm2.h5"]) == 0
    assert "no voxel size" in capsys.readouterr().out
    run = Run(solid)
    found = np.asarray(nibabel.load("patient-labels.nii.gz").dataobj)
    np.testing.assert_array_equal(found, predict_labels(run.method(), image[None], run.config))


def test_predict_reads_other_formats(solid: Path) -> None:
    image = np.random.default_rng(5).normal(size=(16, 16, 16)).astype(np.float32)
    write_nifti(Path("scan.nii.gz"), image)
    write_image(Path("scan.mha"), image, AFFINE)
    for name, output in (("scan.nii.gz", "a.nii.gz"), ("scan.mha", "b.nii.gz")):
        assert cli.run(["predict", str(solid), name, "--output", output]) == 0
    first, second = nibabel.load("a.nii.gz"), nibabel.load("b.nii.gz")
    np.testing.assert_array_equal(np.asarray(first.dataobj), np.asarray(second.dataobj))
    np.testing.assert_allclose(first.affine, second.affine, atol=1e-4)


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 1)])
def test_labels_of_a_plane_have_the_axes_of_its_file(shape: tuple[int, ...]) -> None:
    write_nifti(Path("plane.nii"), np.arange(30.0).reshape(shape))
    assert read_image(Path("plane.nii"), dims=2, channels=1, dataset="phantom").shape == shape


def test_predict_refuses_what_it_cannot_label(solid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = np.random.default_rng(5).normal(size=(16, 16, 16)).astype(np.float32)
    write_nifti(Path("good.nii.gz"), image)
    write_nifti(Path("flat.nii.gz"), image[0])
    write_nifti(Path("time.nii.gz"), np.stack([image, image], -1))
    write_nifti(Path("constant.nii.gz"), np.ones_like(image))
    write_nifti(Path("nan.nii.gz"), np.where(image > 2, np.nan, image))
    flattened = bytearray(nibabel.Nifti1Image(image, AFFINE).to_bytes())
    flattened[280:328] = bytes(48)  # the rows of the voxel-to-world matrix
    Path("singular.nii").write_bytes(flattened)
    Path("cut.nii.gz").write_bytes(Path("good.nii.gz").read_bytes()[:2000])
    write_nifti(Path("whole.nii"), image)
    Path("cut.nii").write_bytes(Path("whole.nii").read_bytes()[:2000])
    Path("words.nii.gz").write_text("scan")
    Path("words.h5").write_text("scan")
    with h5py.File("label.h5", "w") as file:
        file["label"] = image
    for name, told in {
        "nowhere.nii.gz": "no such image file",
        "scan.png": "expected an image file that ends in",
        "flat.nii.gz": "expected 3 spatial axes",
        "time.nii.gz": "expected 3 spatial axes",
        "constant.nii.gz": "image is constant",
        "singular.nii": "expected finite numbers that span a volume",
        "nan.nii.gz": "NaN or infinite voxels",
        "cut.nii.gz": "its compressed voxels are cut short",
        "cut.nii": "it is cut short",
        "words.nii.gz": "is not compressed by gzip",
        "words.h5": "not a whole HDF5 file",
        "label.h5": "no dataset 'image' (found 'label')",
    }.items():
        assert told in refused(["predict", str(solid), name], capsys), name
    good = ["predict", str(solid), "good.nii.gz", "--output"]
    assert "is the image itself" in refused([*good, "good.nii.gz"], capsys)
    assert "is there already; name another file, or replace it with --overwrite" in refused(
        [*good, "flat.nii.gz"], capsys
    )
    assert "ends in .nii.gz" in refused([*good, "out.png"], capsys)
    assert "cannot be written" in refused([*good, "words.h5/out.nii.gz"], capsys)
    assert cli.run([*good, "flat.nii.gz", "--overwrite"]) == 0
