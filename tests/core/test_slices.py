"""Volumes in, slices to the network, volumes out: training, evaluation and prediction slice by slice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from scipy import ndimage

import ssmis_core as ssmis
from ssmis_core.configuration import Configuration
from ssmis_core.datasets import Case, Dataset, acdc, open_dataset
from ssmis_core.errors import UserError
from ssmis_core.evaluation import evaluate_run, score_case
from ssmis_core.inference import predict_labels, predict_probabilities
from ssmis_core.methods import METHODS, create_method
from ssmis_core.metrics import evaluate_classes
from ssmis_core.prediction import predict_file
from ssmis_core.runs import Run
from ssmis_core.validation import held_out
from tests.core.datasets.acdc_helpers import AFFINE, CASE, TRAIN, official, preprocessed
from tests.core.datasets.own_helpers import affine_of, write_image

SMALL: dict[str, Any] = {"factor": 1, "patch": 32, "stride": 32, "filters": 2, "network": "unet2d"}
SMALL |= {"iterations": 2, "log_every": 1}


def phantom_slices(name: str = "ssnet", **settings: Any) -> Configuration:
    """Slices of volumes of 32 x 32 x 16 voxels along their last axis."""
    options = {"dims": 3, "size": (32, 32, 16)}
    return ssmis.configure(name, dataset_options=options, slice_axis=2, **{"labeled": 2, **SMALL, **settings})


@pytest.fixture(scope="module")
def acdc_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the volumes of two patients."""
    root = tmp_path_factory.mktemp("acdc")
    for number, case in enumerate(TRAIN[:4]):
        preprocessed(root, case, seed=number)
    return root


@pytest.fixture(scope="module")
def trained(acdc_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Supervised learning for two iterations on the slices of one patient."""
    small = {**SMALL, "resize": 32}
    config = ssmis.configure("supervised", dataset="acdc", data_root=acdc_root, labeled=1, **small)
    return ssmis.train(config, run_dir=tmp_path_factory.mktemp("runs") / "run", data_root=acdc_root, device="cpu")


# --- training --------------------------------------------------------------------------------------------------------


def test_any_set_of_volumes_trains_a_network_of_slices_and_is_evaluated_on_volumes(tmp_path: Path) -> None:
    config = phantom_slices()
    assert (config.dims, config.case_dims) == (2, 3)
    run = ssmis.train(config, run_dir=tmp_path / "run", device="cpu")
    assert run.info["shape"]["dims"] == 2 and run.status == "finished"
    summary = evaluate_run(run, device="cpu", save_predictions=True)
    case = run.dataset().load(run.dataset().test[0])
    assert summary["cases"] == len(run.dataset().test)
    assert nibabel.load(run.path / "predictions" / f"{case.id}.nii.gz").shape == case.shape == (32, 32, 16)


def test_a_training_on_slices_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    config = phantom_slices(augmentations=("rot_flip_or_rotate",), iterations=3)
    whole = ssmis.train(config, run_dir=tmp_path / "whole", device="cpu")
    ssmis.train(config, run_dir=tmp_path / "parts", device="cpu", max_seconds=0)
    parts = ssmis.train(config, run_dir=tmp_path / "parts", device="cpu")
    assert parts.info["data_fingerprint"] == whole.info["data_fingerprint"]
    for name, weight in whole.load_weights().items():
        assert torch.equal(weight, parts.load_weights()[name]), name


def test_pseudo_labels_of_slices_are_judged_against_the_slices_of_the_truth(tmp_path: Path) -> None:
    config = phantom_slices("mean_teacher", augmentations=("rot_flip_or_rotate",))
    run = ssmis.train(config, run_dir=tmp_path / "run", device="cpu", watch_quality=True)
    assert {row["answer"] for row in run.rows("quality")} >= {"network", "teacher"}


# --- evaluation ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 2])
def test_a_volume_is_predicted_as_each_slice_would_be_by_the_published_code(axis: int) -> None:
    options = {"network": "unet2d", "filters": 2}
    config = phantom_slices("supervised", resize=48, patch=48, stride=48)
    config = Configuration.from_dict({**config.as_dict(), "slice_axis": axis})
    method = create_method("supervised", num_classes=4, dims=2, **options).eval()
    image = np.random.default_rng(0).normal(size=(1, 37, 20, 41)).astype(np.float32)
    found = predict_labels(method, image, config)
    assert found.shape == (37, 20, 41)
    for k in (0, 3, image.shape[axis + 1] - 1):
        plane = image[0].take(k, axis)
        there = [48 / n for n in plane.shape]
        x = torch.from_numpy(ndimage.zoom(plane, there, order=0))[None, None]
        answer = method.predict(x).argmax(1)[0].numpy()
        back = ndimage.zoom(answer, [n / 48 for n in plane.shape], order=0)
        assert (found.take(k, axis) == back).mean() > 0.999  # two windows at once round differently from one


def test_slices_that_are_larger_than_the_patch_are_windowed() -> None:
    config = phantom_slices("supervised", patch=16, stride=8)
    method = create_method("supervised", num_classes=3, dims=2, network="unet2d", filters=2).eval()
    maps = predict_probabilities(method, np.random.default_rng(0).normal(size=(1, 20, 31, 3)).astype("f4"), config)
    torch.testing.assert_close(maps.sum(0), torch.ones(20, 31, 3))


def test_structures_have_rows_of_their_own_and_mm_only_where_the_files_know_them(trained: Run, tmp_path: Path) -> None:
    data, known = trained.dataset(), open_dataset("acdc", official(tmp_path).parent)
    how = {"config": trained.config, "class_names": data.class_names}
    _, rows = score_case(trained.method(), data.load(CASE), **how)
    assert [row["class"] for row in rows] == ["right ventricle", "myocardium", "left ventricle"]
    assert all("hd95_mm" not in row for row in rows)
    _, rows = score_case(trained.method(), known.load(CASE), **how)
    assert all({"hd95_mm", "asd_mm"} <= set(row) for row in rows)


def test_official_scans_that_lie_oblique_are_trained_on_and_their_answers_lie_on_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    affine = affine_of((1, 0, 2), (-1, 1, -1), (1.4, 1.4, 9.5), (0.4, -0.3, 0.2), (81.0, -33.0, 12.5))
    for patient in (TRAIN[0], TRAIN[2]):
        folder = official(tmp_path / "acdc", patient.split("_")[0], affine=affine)
    some = acdc.ACDC(acdc.Official(folder.parent), train=TRAIN[:2], validation=(), test=TRAIN[2:4])
    monkeypatch.setattr(acdc, "open", lambda root=None: some)
    config = ssmis.configure("supervised", dataset="acdc", labeled=1, **{**SMALL, "resize": 32})
    run = ssmis.train(config, run_dir=tmp_path / "run", device="cpu")
    spacing = run.info["training"]["spacing"]
    assert spacing["median"] == pytest.approx([1.4, 1.4, 9.5], abs=1e-4)
    evaluate_run(run, device="cpu")
    for case_id in some.test:
        file, found = nibabel.load(some.source(case_id)), nibabel.load(run.path / "predictions" / f"{case_id}.nii.gz")
        assert found.shape == file.shape == (40, 32, 5)
        np.testing.assert_allclose(found.affine, file.affine, atol=1e-5)
        truth = np.asarray(nibabel.load(some.source(case_id).replace(".nii.gz", "_gt.nii.gz")).dataobj)
        expected = evaluate_classes(np.asarray(found.dataobj), truth, 4, spacing=(1.4, 1.4, 9.5))
        rows = [row for row in run.rows("cases") if row["case"] == case_id]
        for row, scores in zip(rows, expected, strict=True):
            assert row["dice"] == pytest.approx(scores.dice)
            assert row["hd95_mm"] == pytest.approx(scores.hd95, rel=1e-4, nan_ok=True)


def test_a_file_of_either_layout_is_predicted_as_the_case_is(trained: Run, tmp_path: Path) -> None:
    data, method = trained.dataset(), trained.method()
    found = predict_file(trained, data.source(CASE), output=tmp_path / "h5.nii.gz", device="cpu")
    expected = predict_labels(method, data.load(CASE).image, trained.config)
    np.testing.assert_array_equal(np.asarray(nibabel.load(found.path).dataobj), expected)
    assert found.shape == (40, 32, 5) and found.millilitres is None

    known = open_dataset("acdc", official(tmp_path).parent)
    found = predict_file(trained, known.source(CASE), output=tmp_path / "nii.nii.gz", device="cpu")
    image = nibabel.load(found.path)
    np.testing.assert_allclose(image.affine, AFFINE, atol=1e-5)
    expected = predict_labels(method, known.load(CASE).image, trained.config)
    np.testing.assert_array_equal(np.asarray(image.dataobj), expected)


@pytest.mark.parametrize("shape", [(40, 32), (40, 32, 1)])
def test_a_single_slice_is_refused_by_a_run_on_volumes(trained: Run, tmp_path: Path, shape: tuple[int, ...]) -> None:
    """Its grey values would be scaled by the slice, and those of training were by the volume."""
    plane = write_image(tmp_path / "plane.nii.gz", np.random.default_rng(0).normal(size=shape), AFFINE)
    with pytest.raises(UserError, match=r"plane\.nii\.gz: is a single slice, expected 3 spatial axes"):
        predict_file(trained, plane, output=tmp_path / "labels.nii.gz", device="cpu")


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(METHODS))
@pytest.mark.parametrize("preset", ["quick", "full"])
def test_both_presets_know_acdc_for_every_method(acdc_root: Path, name: str, preset: str) -> None:
    config = ssmis.configure(name, dataset="acdc", data_root=acdc_root, labeled=7, preset=preset)
    assert (config.slice_axis, config.resize, config.options["network"]) == (2, (256, 256), "unet2d")
    assert "rot_flip_or_rotate" in config.options["augmentations"]
    if preset == "full":
        assert config.options["labeled_per_batch"] == 12
        assert config.options["unlabeled_per_batch"] == (0 if name == "supervised" else 12)
        assert config.factor == (1, 1) and config.options["filters"] == 16
    assert Configuration.from_dict(config.as_dict()) == config


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"slice_axis": 3}, "slice_axis=3: expected none, or 0 to 2 for volumes"),
        ({"slice_axis": True}, "slice_axis=True"),
        ({"dataset_options": {"dims": 2}}, r"slice_axis=2: .*\(phantom has 2 axes\)"),
        ({"resize": (16, 64)}, r"resize=\[16, 64\]: .* expected at least the patch, \[32, 32\]"),
        ({"resize": 64, "factor": 4}, r"by factor \[4, 4\], is \[16, 16\]"),
        ({"resize": (64, 64, 64)}, "resize=.*: expected 2 whole numbers above 0"),
    ],
)
def test_sizes_that_cannot_be_are_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        ssmis.configure("supervised", **{"slice_axis": 2, "labeled": 2, **SMALL, **settings})
    assert "\n" not in str(error.value)


def test_an_older_runs_configuration_is_still_read() -> None:
    values = ssmis.configure("supervised", labeled=2).as_dict()
    for key in ("resize", "slice_axis"):
        del values[key]
    config = Configuration.from_dict(values)
    assert config.resize == () and config.slice_axis is None


class Frames(Dataset):
    """Two cases of each of 10 subjects, no validation list."""

    name, dims, num_classes, class_names = "frames", 3, 2, ("background", "x")
    train = tuple(f"p{n}_{moment}" for n in range(10) for moment in "ab")
    test: Sequence[str] = ()

    def subject(self, case_id: str) -> str:
        return case_id.split("_")[0]

    def read(self, case_id: str) -> Case:
        raise NotImplementedError


def test_held_out_cases_are_whole_subjects() -> None:
    data, config = Frames(), phantom_slices(protocol="best-on-validation", validate_every=1, labeled=10)
    labeled, rest = data.split(8)
    assert labeled == list(Frames.train[:16]) and rest == list(Frames.train[16:])
    kept, held = held_out(config, data, labeled)
    assert held == ["p7_a", "p7_b"] and kept == labeled[:-2]
