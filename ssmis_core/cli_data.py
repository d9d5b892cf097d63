"""`ssmis data list` and `fetch`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ssmis_core.cli_options import DatasetName
from ssmis_core.errors import UserError


def list_() -> None:
    """List the data sets, and say which are here.

    \b
    Example:
      ssmis data list
    """
    from ssmis_core.cli_tables import table
    from ssmis_core.datasets import DATASETS, open_dataset

    rows: list[tuple[str, ...]] = [("name", "title", "options", "files")]
    for name, info in DATASETS.items():
        files = "made on the fly"
        if info.needs_files:
            try:
                open_dataset(name)
                files = "here"
            except UserError:
                files = f"not here; {info.get or f'get them with `ssmis data fetch {name}`'}"
        rows.append((name, info.title, ", ".join(info.options) or "-", files))
    print(table(rows, left=4))


def fetch(
    name: DatasetName,
    to: Annotated[Path | None, typer.Option(metavar="DIR", help="Where the files go (default: data/NAME).")] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Only files and folders of this name (* and ?); may be given again."),
    ] = None,
    workers: Annotated[int, typer.Option(metavar="N", help="Files fetched at once.")] = 4,
    base_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A mirror (default: $SSMIS_DOWNLOAD_BASE, then the published address)."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Download a data set. Every file is checked; run it again to continue where it stopped.

    \b
    Examples:
      ssmis data fetch la
      ssmis data fetch la --to scans/la --workers 8
    """
    from ssmis_core.datasets.download import fetch as download

    print(download(name, to, workers=workers, base_url=base_url, progress=not quiet, only=only or None))
