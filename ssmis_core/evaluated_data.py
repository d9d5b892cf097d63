"""Which cases an evaluation scores: a list of the run's own data set, or of scans that it was not trained on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssmis_core.errors import UserError, unknown

if TYPE_CHECKING:
    from ssmis_core.datasets import Dataset
    from ssmis_core.datasets.nifti_folder import NiftiFolder
    from ssmis_core.runs import Run

OWN = "nifti_folder"
SAME_GREYS = ("modality", "window", "version")  # parts of the recipe that say what a grey value means


@dataclass(frozen=True)
class EvaluatedData:
    """Cases to score, and the data set that they are of.

    split: the list. name: of it, for files and tables: the same, or for another set than the run's
    "external-<data set>" (with -<list> where that is not the test list). external: what a reader of its scores is to
    know, in a line; "" for the run's own. folder, fingerprint: those of other scans than the run's.
    """

    dataset: Dataset
    cases: Sequence[str]
    split: str
    name: str
    external: str = ""
    folder: Path | None = None
    fingerprint: str = ""

    @property
    def ending(self) -> str:
        """What the names of the run's files about these cases end with: "" for the test list, else -<name>."""
        return "" if self.name == "test" else f"-{self.name}"


def evaluated_data(run: Run, split: str, data_root: str | os.PathLike[str] | None) -> EvaluatedData:
    """The cases of a list (test, validation or train) of the run's data set, or of another prepared folder.

    A run on one's own scans (nifti_folder) can be taken to others: where `data_root` is a prepared folder of another
    fingerprint. Raises UserError for a list that is empty, for another folder whose axes, channels, classes or grey
    values are not those of the run, and for scans of it that the run's training used.
    """
    if run.config.dataset != OWN or data_root is None:
        return _listed(run.dataset(data_root), split)
    from ssmis_core.datasets import nifti_folder

    data = nifti_folder.open(data_root)
    own = str(run.config.dataset_options.get("fingerprint"))
    if data.fingerprint == own:
        return _listed(data, split)
    _check_fits(run, data)
    found = _listed(data, split)
    used = set(run.info.get("training", {}).get("contents", ()))
    _check_unseen(used, data, found.cases)
    told = f"{data.folder} (fingerprint {data.fingerprint[:12]}), not the data that the run was trained on ({own[:12]})"
    if not used:
        told += "; run.json does not tell whether its training used some of them"
    name = f"external-{data.given_name}" + ("" if split == "test" else f"-{split}")
    return EvaluatedData(data, found.cases, split, name, told, data.folder.resolve(), data.fingerprint)


def scored_elsewhere(run: Run, data: EvaluatedData) -> str:
    """The folder of the same name whose scores the run's files of these cases hold; "" where they are these scans'."""
    if data.folder is None or not (run.path / f"summary{data.ending}.json").is_file():
        return ""
    told = run.summary_of(data.ending)["conventions"]
    before = told.get("external_folder")
    moved = told.get("external_fingerprint") == data.fingerprint  # the very same scans, at another place
    return "" if before is None or moved or Path(before) == data.folder else str(before)


def check_of_these(run: Run, data: EvaluatedData) -> None:
    """UserError where the run's scores of other scans are those of another folder of the same name."""
    before = scored_elsewhere(run, data)
    if before:
        raise UserError(f"{run.path}: has scores of {before}, which has the same name, expected those of {data.folder}")


def _listed(dataset: Dataset, split: str) -> EvaluatedData:
    lists = {"test": dataset.test, "validation": dataset.validation, "train": dataset.train}
    if split not in lists:
        raise unknown("split", split, lists)
    if not lists[split]:
        raise UserError(f"{dataset.name} has no {split} list to evaluate on")
    return EvaluatedData(dataset, lists[split], split, split)


def _check_unseen(used: set[str], data: Dataset, cases: Sequence[str]) -> None:
    """UserError when training used an image of one of these cases, by the content of its files with voxels."""
    seen = [case_id for case_id in cases if used.intersection(data.contents(case_id))]
    if seen:
        more = f" and {len(seen) - 1} more" if len(seen) > 1 else ""
        raise UserError(
            f"{data.source(seen[0])}: training used this very scan{more}, expected scans that the run has not seen"
        )


def _check_fits(run: Run, data: NiftiFolder) -> None:
    """UserError unless the run's network can be asked about these scans, and its answers mean what their labels do."""
    config, shape = run.config, run.info["shape"]
    names = run.info.get("training", {}).get("class_names")
    recipe: dict[str, Any] = config.dataset_options["recipe"]
    pairs: list[tuple[str, Any, Any]] = [
        ("axes", data.dims, config.case_dims),
        ("channels", data.channels, shape["channels"]),
        ("number of classes", data.num_classes, shape["num_classes"]),
    ]
    if names is not None:
        pairs.append(("classes", ", ".join(data.class_names), ", ".join(names)))
    pairs += [(f"{key} of the recipe", data.recipe.as_dict().get(key), recipe.get(key)) for key in SAME_GREYS]
    for what, found, expected in pairs:
        if found != expected:
            raise UserError(f"{data.folder}: {what} {found}, expected {expected} as in the data of {run.path}")
