"""Corrected label maps beside a run: corrections/<case>.nii.gz, and who changed what in corrections.csv."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ssmis_core.datasets import Case
from ssmis_core.datasets.cases import Truth
from ssmis_core.errors import UserError
from ssmis_core.evaluation import METRICS, save_nifti, score_labels
from ssmis_core.files import read_table, write_csv
from widgets.review.nifti import read_labels
from widgets.review.remarks import now

FOLDER, TABLE = "corrections", "corrections.csv"
TEXT = ("case", "class", "who", "when")
COLUMNS = {**dict.fromkeys(TEXT, str), "voxels_changed": int}
EXPECTED = f"the columns {', '.join(TEXT)}, voxels_changed and scores"


class Corrections:
    """The corrected label maps in a folder, and their table: one row a save and class, oldest first."""

    def __init__(self, folder: Path):
        self.folder, self.table = folder / FOLDER, folder / TABLE
        self.rows()  # a damaged table shows at the start, not in the middle of a review

    def path(self, case: str) -> Path:
        return self.folder / f"{case}.nii.gz"

    def rows(self, case: str | None = None) -> list[dict[str, Any]]:
        """All saves, or those of one case; UserError for a file that a review did not write."""
        rows = read_table(self.table, columns=COLUMNS, text=TEXT, expected=EXPECTED) if self.table.is_file() else []
        return [row for row in rows if case is None or row["case"] == case]

    def read(self, case: Case) -> np.ndarray | None:
        """The corrected labels [*spatial], uint8; None where nobody corrected the case."""
        path = self.path(case.id)
        return read_labels(path, shape=case.shape)[0] if path.is_file() else None

    def save(
        self,
        case: Case,
        prediction: np.ndarray,
        labels: np.ndarray,
        *,
        class_names: Sequence[str],
        who: str,
        truth: Truth | None = None,
        empty: str = "nan",
    ) -> list[dict[str, Any]]:
        """Write the labels with the case's voxel-to-world matrix, and a row a class with what changed by them.

        Scores before are those of the prediction; without a reference there are none. truth: what they are made
        against (default: the case's own label), see `Dataset.truth`. Returns the new rows.
        Raises UserError for labels of another shape or with other classes, for labels that are the prediction and no
        earlier correction, and rather than replace a file that no review has written.
        """
        labels = checked(labels, case, len(class_names))
        path, earlier = self.path(case.id), self.rows()
        known = any(row["case"] == case.id for row in earlier)
        if path.exists() and not known:
            raise UserError(f"{path}: is not listed in {self.table.name}, so it is not replaced; move it away first")
        if not known and np.array_equal(labels, prediction):
            raise UserError(
                f"case {case.id}: nothing to save, the labels are those of the prediction; expected an edit"
            )
        choices: dict[str, Any] = {"class_names": class_names, "truth": truth, "empty": empty}
        rows = changes(case, prediction, labels, who=who, when=now(), **choices)
        save_nifti(path, labels, case.affine)
        try:
            write_csv(self.table, [*earlier, *rows])
        except BaseException:
            if not known:
                path.unlink(missing_ok=True)  # a file that no row tells of would bar the next save
            raise
        return rows


def checked(labels: np.ndarray, case: Case, num_classes: int) -> np.ndarray:
    """The labels as uint8; UserError when they do not fit the case."""
    labels = np.asarray(labels)
    if labels.shape != case.shape:
        raise UserError(f"case {case.id}: labels have shape {labels.shape}, expected {case.shape}, that of the scan")
    low, high = labels.min(), labels.max()
    if low < 0 or high >= num_classes or not np.array_equal(labels, np.round(labels)):
        raise UserError(
            f"case {case.id}: labels go from {low} to {high}, expected whole numbers 0 to {num_classes - 1}"
        )
    return labels.astype(np.uint8)


def changes(
    case: Case,
    prediction: np.ndarray,
    labels: np.ndarray,
    *,
    class_names: Sequence[str],
    who: str,
    when: str,
    truth: Truth | None = None,
    empty: str = "nan",
) -> list[dict[str, Any]]:
    """One row a foreground class: voxels that became or ceased to be it, each metric before, after and their change."""
    told = {"case": case.id, "who": who, "when": when}
    before: Sequence[Mapping[str, Any]] = [{}] * (len(class_names) - 1)
    after = before
    if case.label is not None:
        how: dict[str, Any] = {"class_names": class_names, "truth": truth, "empty": empty}
        before, after = (score_labels(one, case, **how) for one in (prediction, labels))
    rows = []
    for k, (old, new) in enumerate(zip(before, after, strict=True), start=1):
        row: dict[str, Any] = {**told, "class": class_names[k]}
        row["voxels_changed"] = int(((prediction == k) != (labels == k)).sum())
        for metric in METRICS:
            if metric in new:
                row |= {f"{metric}_before": old[metric], f"{metric}_after": new[metric]}
                row[f"{metric}_change"] = new[metric] - old[metric]
        rows.append(row)
    return rows
