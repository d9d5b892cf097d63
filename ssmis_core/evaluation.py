"""Honest evaluation: whole test volumes, one row a case and class, conventions written beside the numbers."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ssmis_core.background import in_background
from ssmis_core.configuration import Configuration
from ssmis_core.datasets import Case, Truth
from ssmis_core.datasets.cases import FILE_GRID, own_truth
from ssmis_core.datasets.grids import on_original_grid
from ssmis_core.devices import choose_device
from ssmis_core.errors import UserError
from ssmis_core.evaluated_data import EvaluatedData, evaluated_data, scored_elsewhere
from ssmis_core.files import alone, staged, write_atomic, write_json
from ssmis_core.host_memory import freed_memory_kept
from ssmis_core.inference import predict_labels
from ssmis_core.methods.base import Method
from ssmis_core.metrics import check_rules, evaluate_classes_in
from ssmis_core.runs import Run
from ssmis_core.voxel_size import unlike

BEHIND = 2  # cases that are scored and written while the next one is predicted
METRICS = ("dice", "jaccard", "hd95", "asd", "hd95_mm", "asd_mm")
DISTANCES = {
    "distances": "voxels (hd95, asd); millimetres (hd95_mm, asd_mm) where spacing is known",
    "hd95": "95th percentile of both directed distance sets pooled",
    "asd": "one-sided, prediction to reference",
}


def score_case(
    method: Method,
    case: Case,
    config: Configuration,
    *,
    class_names: Sequence[str],
    truth: Truth | None = None,
    empty: str = "nan",
    **how: Any,
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """(predicted labels on the case's grid, one row a foreground class); see `score_labels`, how: `predict_labels`."""
    labels = predict_labels(method, case.image, config, **how)
    return labels, score_labels(labels, case, class_names=class_names, truth=truth, empty=empty)


def score_labels(
    labels: np.ndarray, case: Case, *, class_names: Sequence[str], truth: Truth | None = None, empty: str = "nan"
) -> list[dict[str, Any]]:
    """One row a foreground class for labels [*spatial] of a case: distances in voxels, and in mm where they are known.

    truth: what `Dataset.truth` says; where that is on the grid of the scan's file, so are the scores, voxels and mm,
    and the rows say so. Without it, the case's own label. Raises UserError for a case without a label.
    """
    truth = truth or own_truth(case)
    if truth.grid == FILE_GRID:
        labels = on_original_grid(labels, case)[0].reshape(truth.label.shape)  # a plane without an axis of one voxel
    classes = len(class_names)
    units = [None, truth.spacing] if truth.spacing else [None]
    rows = []
    for k, (scores, *in_mm) in enumerate(evaluate_classes_in(units, labels, truth.label, classes, empty), start=1):
        row: dict[str, Any] = {"case": case.id, "class": class_names[k], **scores.as_dict()}
        for one in in_mm:
            row.update(hd95_mm=one.hd95, asd_mm=one.asd)
        if truth.grid:
            row["grid"] = truth.grid
        rows.append(row)
    return rows


def evaluate_run(
    run: Run | str | os.PathLike[str],
    *,
    data_root: str | os.PathLike[str] | None = None,
    device: str | torch.device = "auto",
    split: str = "test",
    empty: str = "nan",
    largest_component: bool = False,
    precision: str = "float32",
    save_predictions: bool = True,
    report: Callable[[int, int, str], None] | None = None,
) -> dict[str, Any]:
    """Score a run on a list of its data set; writes cases.csv, summary.json, predictions/ and a row an evaluation.

    Of another list than the test list these are cases-<split>.csv, summary-<split>.json and predictions-<split>/.
    One's own scans (nifti_folder) are scored where their labels lie: on the grid of each scan's file. For them
    data_root may be another prepared folder than the run's; then <split> is external-<name> (see `evaluated_data`).
    empty: what a missed object scores ("nan": distances not counted; "zero": as the papers do). precision: "float32",
    or "bf16" for speed on a GPU, which the summary then says. Predictions need nibabel; without it they are left out
    and the summary says so. Returns the summary.
    """
    check_rules(empty)
    run = run if isinstance(run, Run) else Run(run)
    device = choose_device(device)
    config, method = run.config, run.method(device)
    data = evaluated_data(run, split, data_root)
    _check_writable(run, data)
    folder = run.path / f"predictions{data.ending}"
    rows: list[dict[str, Any]] = []
    spacings: list[tuple[float, ...] | None] = []
    written = save_predictions and _has_nibabel()
    how: dict[str, Any] = {"device": device, "largest_component": largest_component, "precision": precision}
    predict = partial(predict_labels, method, config=config, **how)

    with alone(run.path, what="training or evaluation"), freed_memory_kept(device):
        # staged, so that an evaluation that is stopped leaves the one before whole
        with (
            staged(folder) as fresh,
            closing(_scored(data, predict, empty=empty, folder=fresh if written else None)) as scored,
        ):
            for number, (case, scores) in enumerate(scored, start=1):
                rows += scores
                spacings.append(case.spacing)
                if report:
                    report(number, len(data.cases), case.id)
        if not written:
            _discard(folder, data.cases)
        predictions = f"{folder.name}/" if written else "not written"
        if save_predictions and not written:
            predictions += ": nibabel is not installed"
        choices = {"empty": empty, "largest_component": largest_component, "predictions": predictions}
        choices |= {} if precision == "float32" else {"precision": precision}
        return _record(run, rows, data, {**choices, **_data_notes(run, data, rows, spacings)})


def _scored(
    data: EvaluatedData, predict: Callable[[np.ndarray], np.ndarray], *, folder: Path | None, empty: str
) -> Generator[tuple[Case, list[dict[str, Any]]]]:
    """Each case and its rows in turn. It is scored, and written into the folder, while the next one is predicted."""
    finish = partial(_finish, class_names=data.dataset.class_names, empty=empty, folder=folder)
    with closing(data.dataset.stream(data.cases)) as cases:
        known = ((case, data.dataset.truth(case)) for case in cases)  # one without is told before it is predicted
        made = (partial(finish, case, truth, predict(case.image)) for case, truth in known)
        with closing(in_background(made, BEHIND)) as finished:
            yield from finished


def _finish(
    case: Case, truth: Truth, labels: np.ndarray, *, folder: Path | None, **rules: Any
) -> tuple[Case, list[dict[str, Any]]]:
    """The case and its rows; its predicted labels go into the folder, where there is one, on the grid of its file."""
    scores = score_labels(labels, case, truth=truth, **rules)
    if folder:
        of_file = case.original is not None
        save_nifti(folder / f"{case.id}.nii.gz", *on_original_grid(labels, case), flat=of_file)
    return case, scores


def _check_writable(run: Run, data: EvaluatedData) -> None:
    """UserError where scores could not be written, or would replace those of another folder of the same name."""
    run.rows("evaluations")  # a damaged table is told before the work
    before = ""
    with suppress(UserError):  # a damaged summary: this evaluation writes it anew
        before = scored_elsewhere(run, data)
    if before:
        mend = f"prepare {data.folder} under another name, or move that evaluation's files elsewhere"
        raise UserError(f"{run.path}: summary{data.ending}.json has the scores of {before}, of the same name; {mend}")


def _data_notes(
    run: Run, data: EvaluatedData, rows: Sequence[Mapping[str, Any]], spacings: Sequence[tuple[float, ...] | None]
) -> dict[str, str]:
    """What the summary says of the data beside its conventions: the scores' grid, and other data than the run's."""
    notes = {"grid": rows[0]["grid"]} if "grid" in rows[0] else {}
    if data.external:
        trained = run.info.get("training", {}).get("spacing")
        odd = sum(bool(unlike(spacing, trained)) for spacing in spacings)
        notes |= {"external": data.external, "external_folder": str(data.folder)}
        notes["external_fingerprint"] = data.fingerprint
        if odd:
            notes["voxel_size"] = f"{odd} of {len(spacings)} scans differ by more than 25 % from all training scans"
    return notes


def _discard(folder: Path, cases: Sequence[str]) -> None:
    """Delete what an earlier evaluation predicted of these cases: it does not belong to the new scores."""
    for case_id in cases:
        (folder / f"{case_id}.nii.gz").unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _record(run: Run, rows: list[dict[str, Any]], data: EvaluatedData, choices: Mapping[str, Any]) -> dict[str, Any]:
    """Write the tables of one evaluation and its summary, which is returned."""
    config, info, split = run.config, run.info, data.name
    iteration = (info.get("selected") or {}).get("iteration", info.get("iterations_done", config.iterations))
    kept = [row for row in run.rows("evaluations") if (row["iteration"], row["split"]) != (iteration, split)]
    run.write_rows("evaluations", kept + [{"iteration": iteration, "split": split, **row} for row in rows])
    run.write_rows(f"cases{data.ending}", rows)
    conventions = {
        "split": split,
        "iteration": iteration,  # of the weights that were scored: the selected ones where the protocol selects
        "status": info["status"],
        "checkpoint_protocol": config.protocol,
        **DISTANCES,
        **choices,
    }
    summary = {"method": config.method, "labeled": config.labeled, **summarise(rows), "conventions": conventions}
    write_json(run.path / f"summary{data.ending}.json", summary)
    return summary


def summarise(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over cases: per class, and over classes; each metric with mean, standard deviation and count of numbers.

    missed counts objects that were there and not predicted; false_alarms those predicted and not there.
    """
    classes = list(dict.fromkeys(row["class"] for row in rows))
    by_class = {name: _statistics([row for row in rows if row["class"] == name]) for name in classes}
    overall = {
        metric: _mean([by_class[name][metric]["mean"] for name in classes if metric in by_class[name]])
        for metric in METRICS
    }
    return {
        "cases": len({row["case"] for row in rows}),
        "mean": {metric: value for metric, value in overall.items() if value is not None},
        "missed": sum(row["missed"] for row in rows),
        "false_alarms": sum(row["false_alarm"] for row in rows),
        "classes": by_class,
    }


def save_nifti(path: Path, labels: np.ndarray, affine: np.ndarray, *, flat: bool = False) -> None:
    """Write a label map [X, Y] or [X, Y, Z] as compressed NIfTI with its voxel-to-world matrix (mm).

    flat: write [X, Y] with two axes, as for a scan whose file has two, rather than with a third of one voxel.
    """
    import nibabel

    volume = labels[..., None] if labels.ndim == 2 and not flat else labels
    image = nibabel.Nifti1Image(volume.astype(np.uint8), affine)
    image.header.set_xyzt_units("mm")

    def write(temporary: Path) -> None:
        import gzip

        # mtime 0: the same labels make the same bytes
        with (
            open(temporary, "wb") as raw,
            gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=4, mtime=0) as file,
        ):
            file.write(image.to_bytes())

    write_atomic(path, write)


def _statistics(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    table: dict[str, Any] = {
        "missed": sum(row["missed"] for row in rows),
        "false_alarms": sum(row["false_alarm"] for row in rows),
    }
    for metric in METRICS:
        values = [row[metric] for row in rows if metric in row and not math.isnan(row[metric])]
        if any(metric in row for row in rows):
            std = float(np.std(values, ddof=1)) if len(values) > 1 else None
            table[metric] = {"mean": _mean(values), "std": std, "n": len(values)}
    return table


def _mean(values: Sequence[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return float(np.mean(numbers)) if numbers else None


def _has_nibabel() -> bool:
    return find_spec("nibabel") is not None
