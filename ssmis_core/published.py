"""Numbers that papers and their code report, with who reported them and which checkpoint they chose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ssmis_core.datasets import data_directory
from ssmis_core.errors import UserError, unknown
from ssmis_core.files import read_csv

FILE = "published_results.csv"


def published(
    *, dataset: str | None = None, labeled: int | None = None, method: str | None = None
) -> list[dict[str, Any]]:
    """Rows of data/published_results.csv, all or those that match, in the file's order.

    dataset: "LA", "ACDC", "BraTS2019" or "Pancreas-CT" in any case (also this project's short names, such as "la" or
    "pancreas_ct"); labeled: number of labeled cases; method: its printed name in any case, for example "UG-MCL".
    A row has dataset, labeled, method, dice and jaccard in %, hd95_voxel and asd_voxel in voxels (NaN where not
    reported), checkpoint_protocol ("last", "best-on-test", ..., "unknown") and reported_by. One method can have several
    rows that differ by 3 Dice or more: show all of them, or their range.
    Raises UserError for a data set or method that the file does not have, listing those that it has; an empty list
    means that the combination was not reported.
    """
    rows = _all()
    for key, value in (("dataset", dataset), ("method", method)):
        if value is not None:
            known = {str(row[key]) for row in rows}
            if _plain(value) not in {_plain(name) for name in known}:
                raise unknown(f"published {key}", value, known)
    return [
        row
        for row in rows
        if (dataset is None or _plain(row["dataset"]) == _plain(dataset))
        and (method is None or _plain(row["method"]) == _plain(method))
        and (labeled is None or row["labeled"] == labeled)
    ]


def _plain(name: str) -> str:
    """A name without case and separators; "brats2019" and "BraTS2019", "ug-mcl" and "ugmcl" are the same."""
    return "".join(character for character in str(name).lower() if character.isalnum() or character == "+")


def _all() -> list[dict[str, Any]]:
    path: Path = data_directory() / FILE
    if not path.is_file():
        raise UserError(f"{path}: the table of published results is missing; restore it from the repository")
    return read_csv(path)
