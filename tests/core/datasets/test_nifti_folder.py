"""nifti_folder: found, opened, trained on and predicted, with everything written back where the scans lie."""

from __future__ import annotations

import json
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest

from ssmis_core import cli, open_dataset
from ssmis_core.datasets import nifti_folder
from ssmis_core.datasets.cases import Grid
from ssmis_core.datasets.grids import on_original_grid, resample_label
from ssmis_core.datasets.preparation import Wish, prepare_folder
from ssmis_core.errors import UserError
from ssmis_core.inference import predict_labels
from ssmis_core.runs import Run
from tests.core.cli_helpers import NETWORK, empty_folder, refused
from tests.core.datasets.own_helpers import OBLIQUE, blocks, scan, write_image, write_source

fresh = pytest.fixture(autouse=True)(empty_folder)  # it unsets SSMIS_DATA


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    source = write_source(folder / "scans")
    prepare_folder("own", source, folder / "out", spacing=(1.5, 2.0, 1.0), wish=Wish(test_share=0.3))
    return folder / "out"


def test_train_evaluate_and_predict_write_on_the_grid_of_the_file(prepared: Path) -> None:
    command = ["train", "supervised", "--dataset", "nifti_folder", "--data-root", str(prepared), "--labeled", "3"]
    command += [*NETWORK, "--set", "factor=1", "--set", "unlabeled_per_batch=0", "--iterations", "2", "--run-dir", "r"]
    assert cli.run(command) == 0
    data, run = open_dataset("nifti_folder", prepared), Run("r")
    assert run.config.dataset_options["fingerprint"] == data.options()["fingerprint"]
    images = prepared.parent / "scans" / "images"
    for case_id in data.test:
        found, file = nibabel.load(f"r/predictions/{case_id}.nii.gz"), nibabel.load(images / f"{case_id}.nii.gz")
        assert found.shape == file.shape
        np.testing.assert_allclose(found.affine, file.affine, atol=1e-5)
        case = data.load(case_id)
        expected, _ = on_original_grid(predict_labels(run.method(), case.image, run.config), case)
        np.testing.assert_array_equal(np.asarray(found.dataobj), expected)
        assert cli.run(["predict", "r", str(images / f"{case_id}.nii.gz"), "--output", f"{case_id}.nii.gz"]) == 0
        np.testing.assert_array_equal(np.asarray(nibabel.load(f"{case_id}.nii.gz").dataobj), expected)
    file = nibabel.load(images / f"{data.test[0]}.nii.gz")
    write_image(Path("new.mha"), np.asarray(file.dataobj), file.affine)
    assert cli.run(["predict", "r", "new.mha"]) == 0
    again = nibabel.load("new-labels.nii.gz")
    np.testing.assert_array_equal(np.asarray(again.dataobj), np.asarray(nibabel.load(f"{data.test[0]}.nii.gz").dataobj))


def test_a_run_refuses_a_folder_that_was_split_otherwise_since(tmp_path: Path, prepared: Path) -> None:
    source = prepared.parent / "scans"
    prepare_folder("own", source, tmp_path / "out")
    then = open_dataset("nifti_folder", tmp_path / "out").options()
    done = prepare_folder("own", source, tmp_path / "out", wish=Wish(seed=5))
    assert done.made == () and "the split is another than before" in str(done)
    with pytest.raises(UserError, match="its scans or its split are others"):
        open_dataset("nifti_folder", tmp_path / "out", **then)


def test_scans_are_the_same_by_their_voxels_and_not_by_a_header_of_its_own(tmp_path: Path) -> None:
    contents = []
    for place, seed, ending in (("here", 0, ".mhd"), ("there", 1, ".mhd"), ("again", 0, ".nhdr")):
        write_image(tmp_path / place / "images" / f"a{ending}", scan(seed=seed), OBLIQUE)
        write_image(tmp_path / place / "labels" / "a.mha", blocks(), OBLIQUE)
        prepare_folder("own", tmp_path / place, tmp_path / f"{place}-out")
        contents.append(set(open_dataset("nifti_folder", tmp_path / f"{place}-out").contents("a")))
    headers = [(tmp_path / place / "images" / "a.mhd").read_bytes() for place in ("here", "there")]
    assert headers[0] == headers[1] and contents[0].isdisjoint(contents[1])
    assert contents[0] == contents[2] and len(contents[0]) == 1


def test_what_is_no_prepared_folder_is_told(
    tmp_path: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match="holds scans that are not prepared yet"):
        open_dataset("nifti_folder", prepared.parent / "scans")
    with pytest.raises(UserError, match=r"has no manifest\.json"):
        open_dataset("nifti_folder", tmp_path)
    monkeypatch.setattr(nifti_folder, "data_directory", lambda: tmp_path)
    with pytest.raises(UserError, match="no folder is prepared; use `ssmis data prepare"):
        open_dataset("nifti_folder")
    (tmp_path / "nifti_folder").mkdir()
    os.symlink(prepared, tmp_path / "nifti_folder" / "own")
    assert open_dataset("nifti_folder").title == "own (own scans)"
    os.symlink(prepared, tmp_path / "nifti_folder" / "more")
    with pytest.raises(UserError, match="several folders are prepared"):
        open_dataset("nifti_folder")
    monkeypatch.setenv("SSMIS_DATA", str(prepared))
    assert open_dataset("nifti_folder").num_classes == 3
    assert "is a data set of its own" in refused(["data", "prepare", "phantom", "--source", "x"], capsys)
    assert "'acdc': its files are read in place" in refused(["data", "prepare", "acdc", "--source", "x"], capsys)
    assert "name '': expected one" in refused(["data", "prepare", "", "--source", "x"], capsys)
    assert "--no-crop: is for la" in refused(["data", "prepare", "x", "--source", "x", "--no-crop"], capsys)
    assert "expected 1 or 2 or 3 numbers" in refused(
        ["data", "prepare", "x", "--source", "x", "--spacing", "a"], capsys
    )


def test_damaged_prepared_files_are_told_in_one_line(tmp_path: Path, prepared: Path) -> None:
    out = tmp_path / "out"
    prepare_folder("own", prepared.parent / "scans", out)
    data = open_dataset("nifti_folder", out)
    first, second = data.train[:2]
    path = out / "cases" / f"{first}.h5"
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(UserError, match="not a whole prepared case"):
        data.load(first)
    (out / "cases" / f"{second}.h5").unlink()
    with pytest.raises(UserError, match="no such file, expected a prepared case"):
        data.load(second)
    with pytest.raises(UserError, match=r"no case 'case_'; did you mean 'case_\d'"):
        data.load("case_")
    done = prepare_folder("own", prepared.parent / "scans", out)
    assert set(done.made) == {first, second}
    manifest = json.loads((out / "manifest.json").read_text())
    for damage, told in (
        ("{", "not whole JSON"),
        (json.dumps({**manifest, "format": 99}), "has format 99, expected 1"),
        (json.dumps({**manifest, "split": {}}), "cannot be read"),
        (json.dumps({"format": 1}), "no 'name'"),
    ):
        (out / "manifest.json").write_text(damage)
        with pytest.raises(UserError, match=told):
            open_dataset("nifti_folder", out)


def test_a_case_that_was_prepared_anew_without_a_new_manifest_is_refused(tmp_path: Path) -> None:
    """Another case's fault, or a kill, keeps the old manifest, whose places are not those of the new voxels."""
    source, out = write_source(tmp_path / "scans", unlabeled=0), tmp_path / "out"
    prepare_folder("own", source, out)
    for kind in ("images", "labels"):
        write_image(source / kind / "case_0.nii.gz", scan((9, 9, 9)) % (900 if kind == "images" else 3), np.eye(4))
    kept = (source / "images" / "case_1.nii.gz").read_bytes()
    (source / "images" / "case_1.nii.gz").write_bytes(b"")
    assert prepare_folder("own", source, out).made == ("case_0",)
    data = open_dataset("nifti_folder", out)
    with pytest.raises(UserError, match=r"case_0\.h5: was prepared anew since manifest\.json was written"):
        data.load("case_0")
    assert data.load("case_1").label is not None
    (source / "images" / "case_1.nii.gz").write_bytes(kept)
    prepare_folder("own", source, out)
    assert open_dataset("nifti_folder", out).load("case_0").shape == (9, 9, 9)


def test_a_new_scan_of_channels_is_read_from_their_files(tmp_path: Path) -> None:
    source = tmp_path / "s"
    for name in ("a", "b"):
        for channel in range(2):
            write_image(source / "images" / f"{name}_000{channel}.nii.gz", scan(seed=channel), OBLIQUE)
        write_image(source / "labels" / f"{name}.nii.gz", (scan() > 500).astype(np.uint8), OBLIQUE)
    prepare_folder("own", source, tmp_path / "out")
    data = open_dataset("nifti_folder", tmp_path / "out")
    assert isinstance(data, nifti_folder.NiftiFolder)
    case, _ = nifti_folder.scan(source / "images" / "a_0000.nii.gz", data.recipe)
    np.testing.assert_array_equal(case.image, data.load("a").image)


def test_real_hippocampi_come_back_as_they_were(real_hippocampus: Path, tmp_path: Path) -> None:
    folder = real_hippocampus
    for number, image in enumerate(sorted((folder / "images").glob("*.nii.gz"))[:12]):
        for kind in ("images", "labels"):
            target = tmp_path / "s" / kind / image.name
            target.parent.mkdir(parents=True, exist_ok=True)
            if kind == "images" or number < 8:
                target.symlink_to(folder / kind / image.name)
    prepare_folder("hippo", tmp_path / "s", tmp_path / "out", classes=["anterior", "posterior"])
    data = open_dataset("nifti_folder", tmp_path / "out")
    assert (len(data.train), len(data.validation), len(data.test)) == (9, 1, 2)
    for case_id in (*data.split(5)[0], *data.test):
        case = data.load(case_id)
        assert case.label is not None
        file = nibabel.load(folder / "labels" / f"{case_id}.nii.gz")
        back, affine = on_original_grid(case.label, case)
        np.testing.assert_array_equal(back, np.asarray(file.dataobj))
        np.testing.assert_allclose(affine, file.affine, atol=1e-5)
        grid = Grid(file.shape, file.affine)
        np.testing.assert_array_equal(resample_label(case.label, Grid(case.shape, case.affine), grid), back)


def test_without_a_test_list_training_says_so_before_it_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_source(tmp_path / "scans", cases=1, unlabeled=1)
    prepare_folder("own", source, tmp_path / "out")
    run = tmp_path / "run"
    words = ["train", "supervised", "--dataset", "nifti_folder", "--data-root", str(tmp_path / "out"), "--labeled", "1"]
    assert "no test list to evaluate on; train with --no-evaluate" in refused([*words, "--run-dir", str(run)], capsys)
    assert not run.exists()
