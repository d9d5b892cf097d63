"""Small evaluated runs to review."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import ssmis_core as ssmis
from ssmis_core.evaluation import evaluate_run, save_nifti, score_labels
from ssmis_core.runs import Run
from ssmis_core.training import train

SIZES = {2: (33, 27), 3: (32, 24, 19)}  # odd ones, as scans have


def evaluated_run(path: Path, dims: int = 2, *, classes: int = 2, method: str = "ugmcl", **options: Any) -> Run:
    """A run of two iterations on the phantom, scored, with its predictions."""
    size = SIZES[dims]
    patch = {2: (16, 16), 3: (16, 16, 16)}[dims]
    small = {"patch": patch, "stride": patch, "factor": 2, "iterations": 2, "filters": 2, "norm": "batch"}
    data = {"dims": dims, "num_classes": classes, "size": size}
    config = ssmis.configure(method, labeled=4, dataset_options=data, **{**small, **options})
    run = train(config, run_dir=path, device="cpu")
    evaluate_run(run, device="cpu")
    return Run(path)


def shifted_run(path: Path, dims: int = 2, **options: Any) -> Run:
    """The same, as if the network had found every object but a few voxels aside, further from case to case."""
    run = evaluated_run(path, dims, **options)
    dataset, rows = run.dataset(), []
    for number, case_id in enumerate(dataset.test):
        case = dataset.load(case_id)
        assert case.label is not None
        labels = np.roll(case.label, 1 + number % 5, axis=0)
        save_nifti(path / "predictions" / f"{case_id}.nii.gz", labels, case.affine)
        rows += score_labels(labels, case, class_names=dataset.class_names)
    run.write_rows("cases", rows)
    return run
