"""Machines that train often have only torch, numpy, scipy and h5py (and safetensors): that must be enough."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ssmis_core import Run, evaluate_run

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = "2018LA_Seg_Training Set"
WITHOUT = (
    "nibabel",
    "medpy",
    "pandas",
    "typer",
    "rich",
    "plotly",
    "pydantic",
    "pooch",
    "requests",
    "SimpleITK",
    "matplotlib",
    "skimage",
    "IPython",
    "ipywidgets",
    "anywidget",
    "papermill",
    "tqdm",
)

TRAIN = """
import importlib.machinery, sys
class Finder(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {without!r} else super().find_spec(name, path, target)
sys.meta_path = [Finder if finder is importlib.machinery.PathFinder else finder for finder in sys.meta_path]
from ssmis_core import configure, evaluate_run, train
root, run_dir = sys.argv[1:]
config = configure("ugmcl", dataset="la", data_root=root, labeled=4, factor=1, patch=16, stride=16, norm="batch",
                   filters=2, passes=1, iterations=2)
run = train(config, run_dir=run_dir, data_root=root, device="cpu")
print(evaluate_run(run, device="cpu")["conventions"]["predictions"])
"""


@pytest.fixture
def la_root(tmp_path: Path) -> Path:
    """A tree laid out as the published LA volumes, with small random scans."""
    random = np.random.default_rng(0)
    for name in ("train.list", "test.list"):
        for case in (REPOSITORY / "data" / "la" / name).read_text().split():
            folder = tmp_path / "la" / FOLDER / case
            folder.mkdir(parents=True)
            label = np.zeros((20, 18, 16), np.uint8)
            label[5:15, 5:13, 4:12] = 1
            with h5py.File(folder / "mri_norm2.h5", "w") as file:
                file["label"] = label
                file["image"] = (label + random.normal(size=label.shape)).astype(np.float32)
    return tmp_path / "la"


def test_training_and_scoring_need_no_other_package_and_predictions_can_follow_elsewhere(
    la_root: Path, require: Callable[[str, str], None], tmp_path: Path
) -> None:
    command = [sys.executable, "-c", TRAIN.format(without=set(WITHOUT)), str(la_root), str(tmp_path / "run")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "not written: nibabel is not installed\n"
    run = Run(tmp_path / "run")
    assert run.status == "finished" and len(run.rows("cases")) == 20 and not (run.path / "predictions").exists()
    there = run.summary
    require("nibabel", "pip install nibabel")
    here = evaluate_run(run, device="cpu")  # on a machine that has it, with the data where the run says that it was
    assert here["mean"] == pytest.approx(there["mean"]) and here["conventions"]["predictions"] == "predictions/"
    assert len(list((run.path / "predictions").glob("*.nii.gz"))) == 20


def test_a_run_whose_data_moved_is_evaluated_where_the_data_is_now(
    la_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ssmis_core import UserError, configure, train
    from ssmis_core.progress import silent

    small: dict[str, Any] = {"factor": 1, "patch": 16, "stride": 16, "norm": "batch", "filters": 2, "iterations": 1}
    config = configure("supervised", dataset="la", data_root=la_root, labeled=2, **small)
    run = train(config, run_dir=tmp_path / "run", data_root=la_root, device="cpu", report=silent)
    monkeypatch.delenv("SSMIS_DATA", raising=False)  # or the data would be found there
    moved = la_root.rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="la: no folder"):
        evaluate_run(run, device="cpu", save_predictions=False)
    assert evaluate_run(run, device="cpu", save_predictions=False, data_root=moved)["cases"] == 20
