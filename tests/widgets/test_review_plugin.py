"""The napari plugin, as far as it needs no napari: what the manifest names is there, and readers read."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

import numpy as np
import pytest
import yaml

from ssmis_core.runs import Run
from tests.widgets.review_runs import shifted_run
from widgets.review.plugin import get_reader, phantom_2d, phantom_3d
from widgets.review.state import Review

REPOSITORY = Path(__file__).resolve().parents[2]
MANIFEST = yaml.safe_load((REPOSITORY / "widgets" / "review" / "napari.yaml").read_text())
PYPROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
QT = ("run_dock", "view_dock")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return shifted_run(tmp_path_factory.mktemp("plugin") / "run", 3)


def test_the_manifest_is_found_by_the_packages_name() -> None:
    (name, place), *others = PYPROJECT["project"]["entry-points"]["napari.manifest"].items()
    package, file = place.split(":")
    assert not others and name == MANIFEST["name"] == PYPROJECT["project"]["name"]
    assert (REPOSITORY.joinpath(*package.split(".")) / file).is_file()
    assert "**/*.yaml" in PYPROJECT["tool"]["setuptools"]["package-data"]["widgets"]


def test_every_command_of_the_manifest_exists_and_is_used() -> None:
    contributions = MANIFEST["contributions"]
    commands = {one["id"]: one["python_name"] for one in contributions["commands"]}
    used = [one["command"] for part in ("readers", "sample_data", "widgets") for one in contributions[part]]
    assert sorted(used) == sorted(commands)
    for place in commands.values():
        module, name = place.split(":")
        if not module.endswith(QT):  # those are tried in napari itself
            assert callable(getattr(importlib.import_module(module), name))


def test_the_command_of_ssmis_is_where_pyproject_says() -> None:
    module, name = PYPROJECT["project"]["entry-points"]["ssmis.commands"]["review"].split(":")
    assert callable(getattr(importlib.import_module(module), name))


@pytest.mark.parametrize(("sample", "dims"), [(phantom_2d, 2), (phantom_3d, 3)])
def test_sample_data_is_a_scan_and_its_label(sample, dims: int) -> None:
    (image, _, kind), (label, look, other) = sample()
    assert (kind, other) == ("image", "labels") and image.shape == label.shape and image.ndim == dims
    assert label.any() and look["scale"] == (1.25,) * dims


def test_a_run_folder_opens_at_its_worst_case(run: Run) -> None:
    reader = get_reader(str(run.path))
    assert reader is not None
    layers = reader(str(run.path))
    assert {look["metadata"]["ssmis"]["case"] for _, look, _ in layers} == {Review(run).order[0]}
    assert [look["name"] for _, look, _ in layers] == ["image", "error", "reference", "prediction", "correction"]


def test_a_prediction_opens_as_labels_at_its_voxel_size(run: Run) -> None:
    path = run.path / "predictions" / f"{Review(run).order[0]}.nii.gz"
    reader = get_reader(str(path))
    assert reader is not None
    ((labels, look, kind),) = reader(str(path))
    seen = Review(run).open()
    assert kind == "labels" and np.array_equal(labels, seen.prediction)
    assert look["scale"] == pytest.approx(seen.case.spacing)


def test_other_files_are_left_to_other_readers(run: Run, tmp_path: Path) -> None:
    (tmp_path / "scan.nii.gz").write_bytes(b"x")
    assert get_reader(str(tmp_path)) is None
    assert get_reader(str(tmp_path / "scan.nii.gz")) is None
    assert get_reader([str(run.path)]) is None
