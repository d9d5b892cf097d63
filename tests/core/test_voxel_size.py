"""The voxel size that a network is used to: kept in run.json, and told where an image has another."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmis_core import cli
from ssmis_core.runs import Run
from ssmis_core.voxel_size import range_of, unlike
from tests.core.cli_helpers import LA, empty_folder, first_case, write_la

fresh = pytest.fixture(autouse=True)(empty_folder)
MM = st.floats(0.1, 10)
SPACING = st.tuples(MM, MM, MM)


@given(st.lists(SPACING, min_size=1, max_size=5), st.integers(0, 2), st.floats(1.01, 3))
def test_only_what_lies_a_quarter_outside_of_all_training_cases_is_told(
    cases: list[tuple[float, ...]], axis: int, factor: float
) -> None:
    trained = range_of(cases)
    assert trained is not None
    assert all(unlike(spacing, trained) == "" for spacing in cases) and unlike(trained["median"], trained) == ""
    for end, more in (("highest", factor), ("lowest", 1 / factor)):
        spacing = list(trained["median"])
        spacing[axis] = trained[end][axis] * more
        if abs(factor - 1.25) > 1e-3:
            assert bool(unlike(spacing, trained)) == (factor > 1.25)


def test_nothing_is_told_where_a_size_is_not_known() -> None:
    assert range_of([(1.0, 1.0, 1.0), None]) is None and range_of([]) is None
    assert unlike((9.0, 9.0, 9.0), None) == "" and unlike(None, range_of([(1.0, 1.0, 1.0)])) == ""


def test_training_keeps_its_voxel_size_and_predict_warns_of_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_la(tmp_path / "la")
    assert cli.run(["train", *LA, "--data-root", str(root), "--no-evaluate", "--run-dir", "r"]) == 0
    size = [0.625, 0.625, 0.625]
    assert Run("r").info["training"]["spacing"] == {"median": size, "lowest": size, "highest": size}
    assert Run("r").info["training"]["class_names"] == ["background", "left atrium"]
    image = np.random.default_rng(0).normal(size=(16, 16, 16)).astype(np.float32)
    for name, mm, odd in (("same", 0.625, False), ("near", 0.75, False), ("thick", 1.25, True)):
        nibabel.save(nibabel.Nifti1Image(image, np.diag([-0.625, 0.625, mm, 1.0])), f"{name}.nii.gz")
        capsys.readouterr()
        assert cli.run(["predict", "r", f"{name}.nii.gz"]) == 0
        told = capsys.readouterr().err
        warning = "warning: thick.nii.gz: voxels of 0.625 x 0.625 x 1.25 mm, while the network was trained on"
        assert (warning in told and told.count("\n") == 1) if odd else told == "", name
    assert cli.run(["predict", "r", str(first_case(root, "test"))]) == 0
    assert capsys.readouterr().err == ""
