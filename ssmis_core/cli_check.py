"""`ssmis data check`: what is there, what would go wrong, and how to mend it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ssmis_core.cli_options import Counter, DataOptions, DataRoot
from ssmis_core.errors import UserError


def check(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Name of the data set; see `ssmis data list`.")
    ] = None,
    data_root: DataRoot = None,
    data_option: DataOptions = None,
    source: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Instead of NAME: a folder of scans that is not prepared yet."),
    ] = None,
    modality: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --source: mr or ct, as `prepare` is to take it.")
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="With --source: names of labels, or VALUE=NAME, as for `prepare`."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the report as one web page too, with a picture of every case."),
    ] = None,
) -> None:
    """Open every case once; tell what is there, what would go wrong and how to mend it.

    Exit code 1 when something stops a training or makes its test worth nothing; warnings and notes do not count.

    \b
    Examples:
      ssmis data check la --data-root scans/la
      ssmis data check phantom --data-option size=32
      ssmis data check --source my_scans --html report.html
    """
    from ssmis_core.cli_values import data_options
    from ssmis_core.datasets import open_dataset
    from ssmis_core.datasets.check import survey, survey_source
    from ssmis_core.datasets.check.report import report

    if (name is None) == (source is None):
        raise UserError("name a data set (see `ssmis data list`), or a folder of scans by --source DIR, one of the two")
    if html is not None and html.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--html {html}: expected a file that ends in .html")
    pictures, counter = html is not None, Counter("checked")
    if source is not None:
        if data_root is not None or data_option:
            raise UserError("--data-root and --data-option are for a data set by name; --source is the folder of scans")
        found = survey_source(
            source,
            modality=modality,
            classes=classes.split(",") if classes else None,
            pictures=pictures,
            progress=counter,
        )
    else:
        if modality is not None or classes is not None:
            raise UserError("--modality and --classes are for scans of --source; a data set has its own")
        assert name is not None
        found = survey(open_dataset(name, data_root, **data_options(data_option)), pictures=pictures, progress=counter)
    print(report(found))
    if html is not None:
        from ssmis_core.datasets.check.page import write_page

        write_page(html, found)
        print(f"page: {html}")
    if found.problems:
        raise typer.Exit(1)
