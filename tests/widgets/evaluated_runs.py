"""Evaluated runs without a training: an untrained network, and predictions that are wrong in a known way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import ssmis_core as ssmis
from ssmis_core.evaluation import save_nifti, summarise
from ssmis_core.files import write_csv, write_json
from ssmis_core.metrics import evaluate_classes
from ssmis_core.runs import Run
from widgets.replay import fresh

CASES = 5
SIZE = {2: [32, 32], 3: [32, 32, 16]}


def evaluated(
    folder: Path, *, dims: int = 2, classes: int = 2, step: int = 1, predictions: bool = True, **more: Any
) -> Run:
    """A run whose prediction of test case n is the reference moved by n * step voxels; of the third case it is empty.

    predictions: whether the files are there too; more: settings, such as labeled.
    """
    size = {"patch": SIZE[dims], "stride": SIZE[dims], "factor": 1, "filters": 2, "norm": "batch", "iterations": 20}
    data = {"dims": dims, "num_classes": classes, "size": SIZE[dims]}
    config = ssmis.configure("supervised", **{"labeled": 4, "dataset_options": data, **size, **more})
    run = Run.create(folder, config)
    shape = {"num_classes": classes, "dims": dims, "channels": 1}
    run.update(status="finished", iterations_done=20, shape=shape)
    run.save_weights(fresh(config, shape).state_dict())
    dataset = run.dataset()
    rows = []
    for number, case_id in enumerate(dataset.test[:CASES]):
        case = dataset.load(case_id)
        assert case.label is not None
        predicted = np.roll(case.label, number * step, axis=0) * np.uint8(number != 2)
        if predictions:
            save_nifti(run.path / "predictions" / f"{case_id}.nii.gz", predicted, case.affine)
        for k, scores in enumerate(evaluate_classes(predicted, case.label, classes), start=1):
            rows.append({"case": case_id, "class": dataset.class_names[k], **scores.as_dict()})
    write_csv(run.path / "cases.csv", rows)
    told = {"split": "test", "checkpoint_protocol": "last", "hd95": "pooled", "asd": "one-sided", "empty": "nan"}
    write_json(run.path / "summary.json", {**summarise(rows), "conventions": {**told, "largest_component": False}})
    return run
