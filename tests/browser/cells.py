"""Notebooks that tests make of a few cells, and the explorer that one of them shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat

# A training of small slices into a folder (%r), too long to wait for its end.
TRAIN = """from ssmis_core import configure, train
from ssmis_core.progress import silent
options = {"dims": 2, "size": 32}
small = {"patch": 32, "stride": 32, "filters": 2, "log_every": 2, "passes": 1, "iterations": 20_000}
config = configure("ugmcl", labeled=4, dataset_options=options, **small)
run = train(config, run_dir=%r, watch_quality=True, report=silent)
run.status"""


def notebook(folder: Path, *cells: str) -> Path:
    """A notebook of code cells."""
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path = folder / "made.ipynb"
    nbformat.write(made, path)
    return path


def place(cell: int) -> int:
    """Where a cell of `notebook` is: behind the one that its parameters were put into, which are none."""
    return cell + 1


def run_cell(opened: Any, cell: int) -> None:
    """Run a cell of `notebook`, without waiting for it."""
    opened.select(place(cell))
    opened.page.keyboard.press("Control+Enter")


def explorer(opened: Any) -> Any:
    """The explorer on the page."""
    return opened.page.locator(".ssmis-explorer")


def numbers(opened: Any) -> dict[str, str]:
    """The numbers that the explorer tells, as they are written."""
    return dict(
        explorer(opened)
        .locator("td[data-name]")
        .evaluate_all("cells => cells.map(cell => [cell.dataset.name, cell.innerText])")
    )
