"""`ssmis review`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ssmis_core.cli_options import DataRoot, Device, RunPath

Case = Annotated[str | None, typer.Option(metavar="NAME", help="Case to open first (default: the worst one).")]
Split = Annotated[str, typer.Option(metavar="NAME", help="List of cases that was evaluated.")]
Folder = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Where remarks and corrections go (default: the run folder).")
]
Who = Annotated[str | None, typer.Option(metavar="NAME", help="Who reviews (default: the account's name).")]


def review(
    run: RunPath,
    case: Case = None,
    split: Split = "test",
    folder: Folder = None,
    who: Who = None,
    data_root: DataRoot = None,
    device: Device = "auto",
) -> None:
    """Look through an evaluated run in napari: cases worst first, to flag, note and correct.

    Flags and notes go to review.csv, corrected labels to corrections/CASE.nii.gz, and who changed what by how much to
    corrections.csv. The run's own files and the data stay as they are.

    \b
    Examples:
      ssmis review runs/ugmcl-la-16
      ssmis review runs/ugmcl-la-16 --who anna --folder reviews/anna
    """
    from ssmis_core.devices import choose_device
    from widgets.review.start import review as open_window

    choices: dict[str, Any] = {"split": split, "folder": folder, "who": who, "data_root": data_root}
    open_window(run, case, device=choose_device(device), block=True, **choices)
