"""`ssmis compare`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

Runs = Annotated[list[Path], typer.Argument(metavar="RUN...", help="Evaluated run folders, or folders of them.")]
Baseline = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="What the others are held against (default: supervised, else the first)."),
]
Csv = Annotated[Path | None, typer.Option("--csv", metavar="DIR", help="Write runs, means and differences as CSV.")]
Latex = Annotated[Path | None, typer.Option("--latex", metavar="FILE", help="Write the tables as LaTeX.")]
Html = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page with tables and charts.")]
CountCosts = Annotated[bool, typer.Option("--costs/--no-costs", help="Count parameters and multiply-adds.")]


def compare(
    runs: Runs,
    baseline: Baseline = None,
    csv: Csv = None,
    latex: Latex = None,
    html: Html = None,
    costs: CountCosts = True,
) -> None:
    """Compare evaluated runs: scores, paired differences over the test cases, costs, and published numbers.

    Runs that differ in the seed alone are one contestant; imported weights and a training cut short are others. Only
    runs of the same data, preset and number of labels are compared with one another.

    \b
    Examples:
      ssmis compare runs/supervised-la-16 runs/ugmcl-la-16
      ssmis compare runs --baseline supervised --html report.html --latex tables.tex --csv tables
    """
    from ssmis_core.cli_tables import table
    from ssmis_core.comparison import means
    from ssmis_core.comparison_report import count_costs, latex_of, make_report, page, tables
    from ssmis_core.contestants import read_runs
    from ssmis_core.files import check_writable, write_csv, write_text

    tables_of_csv = [csv / f"{name}.csv" for name in ("runs", "means", "differences")] if csv is not None else []
    check_writable([path for path in (latex, html, *tables_of_csv) if path is not None])
    found = read_runs(runs)
    report = make_report(found, baseline=baseline, costs=count_costs(found) if costs else {})
    for shown in tables(report):
        print(f"{shown.title}\n\n{table(shown.rows, left=shown.left)}\n\n{shown.note}\n".replace("±", "+-"))
    texts = [(path, text(report)) for path, text in ((latex, latex_of), (html, page)) if path is not None]
    rows_of_csv: list[Sequence[Mapping[str, Any]]] = [[one.row for one in found], means(found), report.rows]
    for path, text in texts:  # all of them are made by now: what fails in between leaves no part of the report
        write_text(path, text)
        print(f"written: {path}")
    for path, rows in zip(tables_of_csv, rows_of_csv, strict=False):
        if rows:
            write_csv(path, rows)
            print(f"written: {path}")
