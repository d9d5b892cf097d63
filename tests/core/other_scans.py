"""A run on one's own scans, and scans of another place that fit it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssmis_core import cli
from ssmis_core.datasets.preparation import Wish, prepare_folder
from tests.core.cli_helpers import NETWORK
from tests.core.datasets.own_helpers import OBLIQUE, blocks, scan, write_image, write_source

TRAIN = ["train", "supervised", "--dataset", "nifti_folder", "--labeled", "2", *NETWORK, "--iterations", "1"]
TRAIN += ["--set", "factor=1", "--set", "unlabeled_per_batch=0"]
NAMES = ["head", "tail"]


def run_on_own_scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with scans/, out/ (prepared) and run/ (trained on it and evaluated)."""
    folder = tmp_path_factory.mktemp("here")
    source = write_source(folder / "scans", cases=5, unlabeled=1)
    prepare_folder("mine", source, folder / "out", classes=NAMES, wish=Wish(test_share=0.4))
    assert cli.run([*TRAIN, "--data-root", str(folder / "out"), "--run-dir", str(folder / "run")]) == 0
    return folder


def others(folder: Path, *, affine: np.ndarray = OBLIQUE, **how: Any) -> Path:
    """Four labeled scans of another place, prepared; two to test on."""
    for number in range(4):
        write_image(folder / "scans" / "images" / f"case_{number}.nii.gz", scan((12, 10, 9), 50 + number), affine)
        write_image(folder / "scans" / "labels" / f"case_{number}.nii.gz", blocks((12, 10, 9), number), affine)
    choices = {"classes": NAMES, "wish": Wish(test_share=0.5), **how}
    done = prepare_folder("theirs", folder / "scans", folder / "out", **choices)
    assert done.problems == ()
    return folder / "out"
