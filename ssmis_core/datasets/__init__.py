"""Data sets by name: `open_dataset("la", root)`."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

from ssmis_core.datasets.cases import Case, Dataset, DatasetInfo, Fingerprint, Grid, Truth
from ssmis_core.errors import UserError, unknown

__all__ = [
    "DATASETS",
    "Case",
    "Dataset",
    "DatasetInfo",
    "Fingerprint",
    "Grid",
    "Truth",
    "data_directory",
    "open_dataset",
]

DATASETS: dict[str, DatasetInfo] = {
    info.name: info
    for info in (
        DatasetInfo(
            "phantom",
            "Synthetic left atria, made on the fly",
            "ssmis_core.datasets.phantom",
            False,
            ("dims", "num_classes", "size", "version"),
        ),
        DatasetInfo("la", "Left atrium MRI (2018 challenge), 80 train / 20 test", "ssmis_core.datasets.la", True),
        DatasetInfo(
            "acdc",
            "Cardiac cine MRI (2017 challenge), 70 / 10 / 20 patients, three structures",
            "ssmis_core.datasets.acdc",
            True,
            get="how to get it: data/acdc/README.md",
            scaling="min_max",
            h5_axes="zyx",
        ),
        DatasetInfo(
            "nifti_folder",
            "Your own scans, after `ssmis data prepare`",
            "ssmis_core.datasets.nifti_folder",
            True,
            ("fingerprint", "recipe"),
            get="make it of a folder of scans with `ssmis data prepare`",
        ),
    )
}


def data_directory() -> Path:
    """The repository's data/ folder: split lists, manifests and, by default, downloaded volumes."""
    return Path(__file__).resolve().parents[2] / "data"


def open_dataset(name: str, root: str | os.PathLike[str] | None = None, **options: object) -> Dataset:
    """Open a data set by name.

    root: the folder that holds its files (default: $SSMIS_DATA, then data/<name>); sets that need no files ignore it.
    Raises UserError for an unknown name or option, or when the files are not there.
    """
    if name not in DATASETS:
        raise unknown("data set", name, DATASETS)
    info = DATASETS[name]
    for option in options:
        if option not in info.options:
            raise unknown(f"option of data set {name!r}", option, info.options)
    module = importlib.import_module(info.module)
    try:
        return module.open(root, **options)
    except TypeError as error:
        raise UserError(f"data set {name!r}: {error}") from error
