"""Scores of one's own scans are made where their labels lie: on the grid of each scan's own file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest

from ssmis_core import Run, cli, evaluate_run, open_dataset
from ssmis_core.configuration import Configuration
from ssmis_core.datasets.cases import FILE_GRID
from ssmis_core.datasets.grids import on_original_grid
from ssmis_core.datasets.preparation import Wish, prepare_folder
from ssmis_core.datasets.preparation.one_case import FILE_LABEL
from ssmis_core.errors import UserError
from ssmis_core.metrics import evaluate_classes
from tests.core.cli_helpers import NETWORK, empty_folder
from tests.core.datasets.own_helpers import OBLIQUE, affine_of, blocks, scan, write_image, write_source

fresh = pytest.fixture(autouse=True)(empty_folder)
TRAIN = ["train", "supervised", "--dataset", "nifti_folder", "--labeled", "2", *NETWORK, "--iterations", "2"]
TRAIN += ["--set", "factor=1", "--set", "unlabeled_per_batch=0", "--run-dir", "r"]
COARSE = (1.5, 2.0, 1.0)


def of_file(run: Run, case_id: str, source: Path, spacing: list[float]) -> list[dict[str, float]]:
    """What the saved prediction scores against the user's own label, read from their files alone."""
    found = np.asarray(nibabel.load(run.path / "predictions" / f"{case_id}.nii.gz").dataobj)
    label = np.asarray(nibabel.load(source / "labels" / f"{case_id}.nii.gz").dataobj)
    assert found.shape == label.shape
    mm = [step for step, size in zip(spacing, label.shape, strict=False) if size > 1]
    found, label = found.squeeze(), label.squeeze()
    pairs = zip(evaluate_classes(found, label, 3), evaluate_classes(found, label, 3, spacing=mm), strict=True)
    return [{**voxels.as_dict(), "hd95_mm": in_mm.hd95, "asd_mm": in_mm.asd} for voxels, in_mm in pairs]


def check_scores(run: Run, source: Path, spacing: list[float]) -> None:
    rows, cases = run.rows("cases"), list(run.dataset().test)
    assert rows and [row["case"] for row in rows] == [case for case in cases for _ in range(2)]
    for case_id in cases:
        expected = of_file(run, case_id, source, spacing)
        for row, scores in zip((row for row in rows if row["case"] == case_id), expected, strict=True):
            assert row["grid"] == "file"
            for key, value in scores.items():
                assert row[key] == pytest.approx(value, rel=1e-5, nan_ok=True), (case_id, key)


@pytest.mark.parametrize("spacing", [COARSE, None])
def test_scores_are_those_of_the_files(tmp_path: Path, spacing: tuple[float, ...] | None) -> None:
    source, out = write_source(tmp_path / "scans", cases=5, unlabeled=0), tmp_path / "out"
    prepare_folder("own", source, out, spacing=spacing, wish=Wish(test_share=0.4))
    assert cli.run([*TRAIN, "--data-root", str(out), "--protocol", "best-on-validation", "--validate-every", "1"]) == 0
    run = Run("r")
    check_scores(run, source, [0.7, 1.1, 3.0])
    assert run.summary["conventions"]["grid"] == FILE_GRID
    rows = run.rows("evaluations")
    assert {row["split"] for row in rows} == {"validation", "test"} and {row["grid"] for row in rows} == {"file"}


def write_planes(source: Path, affine: np.ndarray) -> Path:
    """Four labeled planes: the files of p0 and p1 have three axes, those of p2 and p3 two."""
    for number in range(4):
        shape = (18, 20, 1) if number < 2 else (18, 20)
        write_image(source / "images" / f"p{number}.nii.gz", scan(shape, number), affine)
        write_image(source / "labels" / f"p{number}.nii.gz", blocks(shape, number), affine)
    return source


def test_planes_are_scored_and_written_as_their_files_have_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    source = write_planes(tmp_path / "scans", affine_of((2, 0, 1), (1, -1, 1), (0.5, 2.0, 7.0)))
    prepare_folder("own", source, out, spacing=(1.0, 1.0), wish=Wish(test=("p0", "p2")))
    assert cli.run([*TRAIN, "--data-root", str(out)]) == 0
    check_scores(Run("r"), source, [0.5, 2.0, 7.0])
    for case_id in ("p0", "p2"):
        capsys.readouterr()
        assert cli.run(["predict", "r", str(source / "images" / f"{case_id}.nii.gz"), "--output", "new.nii.gz"]) == 0
        told = capsys.readouterr().out
        assert "voxels" in told and " ml" not in told  # nobody knows how thick the structure is
        file, found = (nibabel.load(name) for name in (source / f"images/{case_id}.nii.gz", "new.nii.gz"))
        evaluated = nibabel.load(f"r/predictions/{case_id}.nii.gz")
        assert found.shape == file.shape
        for one in (found, evaluated):
            np.testing.assert_allclose(one.affine, file.affine, atol=1e-6)
        np.testing.assert_array_equal(np.asarray(found.dataobj), np.asarray(evaluated.dataobj))
        Path("new.nii.gz").unlink()


@pytest.mark.parametrize("place", [affine_of(), affine_of((1, 0, 2), (-1, 1, 1))])
def test_labels_of_planes_go_back_to_two_axes_or_three(tmp_path: Path, place: np.ndarray) -> None:
    source = write_planes(tmp_path / "scans", place)
    prepare_folder("own", source, tmp_path / "out", wish=Wish(test_share=0.0, validation_share=0.0))
    data = open_dataset("nifti_folder", tmp_path / "out")
    for case in map(data.load, ("p0", "p2")):
        file = np.asarray(nibabel.load(source / "labels" / f"{case.id}.nii.gz").dataobj)
        np.testing.assert_array_equal(data.truth(case).label, file.squeeze())
        assert case.label is not None
        if case.original is not None:
            np.testing.assert_array_equal(on_original_grid(case.label, case)[0], file)


def test_the_label_of_the_file_is_kept_and_made_where_it_is_lost(tmp_path: Path) -> None:
    source, out = write_source(tmp_path / "scans", cases=3, unlabeled=1), tmp_path / "out"
    prepare_folder("own", source, out, spacing=COARSE)
    data = open_dataset("nifti_folder", out)
    for case_id in data.split(2)[0]:
        label = np.asarray(nibabel.load(source / "labels" / f"{case_id}.nii.gz").dataobj)
        truth = data.truth(data.load(case_id))
        np.testing.assert_array_equal(truth.label, label)
        assert truth.spacing == pytest.approx(np.linalg.norm(OBLIQUE[:3, :3], axis=0), abs=1e-5)
    with pytest.raises(UserError, match=r"case case_3: has no label to evaluate against"):
        data.truth(data.load("case_3"))
    with h5py.File(out / "cases" / "case_1.h5", "a") as file:
        del file[FILE_LABEL]
    with pytest.raises(UserError, match=r"case_1\.h5: not a whole prepared case .* run `ssmis data prepare` again"):
        data.truth(data.load("case_1"))
    assert prepare_folder("own", source, out, spacing=COARSE).made == ("case_1",)
    data.truth(data.load("case_1"))


def test_sets_whose_files_are_the_truth_say_nothing_of_a_grid(
    tiny: Callable[..., Configuration], quietly: Callable[..., Run], tmp_path: Path
) -> None:
    run = quietly(tiny("supervised", iterations=2), tmp_path / "run")
    summary = evaluate_run(run, device="cpu")
    assert "grid" not in summary["conventions"] and "grid" not in run.rows("cases")[0]
