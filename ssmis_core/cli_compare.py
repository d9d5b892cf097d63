"""`ssmis compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Runs = Annotated[list[Path], typer.Argument(metavar="RUN...", help="Evaluated run folders, or folders of them.")]
Baseline = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="What the others are compared with (default: supervised, else the first)."),
]
Csv = Annotated[Path | None, typer.Option("--csv", metavar="DIR", help="Write runs, means and differences as CSV.")]
Latex = Annotated[Path | None, typer.Option("--latex", metavar="FILE", help="Write the tables as LaTeX.")]
Html = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page with tables and charts.")]
Costs = Annotated[bool, typer.Option("--costs/--no-costs", help="Count parameters and multiply-adds.")]


def compare(
    runs: Runs,
    baseline: Baseline = None,
    csv: Csv = None,
    latex: Latex = None,
    html: Html = None,
    costs: Costs = True,
) -> None:
    """Compare evaluated runs: scores, paired differences over the test cases, costs, and published numbers.

    Runs that differ in the seed alone are one contestant. Only runs of one data set, preset and number of labels are
    compared with one another.

    \b
    Examples:
      ssmis compare runs/supervised-la-16 runs/ugmcl-la-16
      ssmis compare runs --baseline supervised --html report.html --latex tables.tex --csv tables
    """
    from ssmis_core import comparison
    from ssmis_core.cli_tables import table
    from ssmis_core.comparison_report import latex_of, make_report, page, tables
    from ssmis_core.contestants import read_runs
    from ssmis_core.files import write_csv, write_text
    from ssmis_core.model_cost import model_cost
    from ssmis_core.runs import Run

    found = read_runs(runs)
    counted = {}
    for one in found if costs else ():
        name = comparison.label(one.contestant)
        if name not in counted and (Path(one.folder) / "weights.safetensors").is_file():
            counted[name] = model_cost(Run(one.folder))
    report = make_report(found, baseline=baseline, costs=counted)
    for shown in tables(report):
        print(f"{shown.title}\n\n{table(shown.rows, left=shown.left)}\n\n{shown.note}\n".replace("±", "+-"))
    if csv is not None:
        write_csv(csv / "runs.csv", [one.row for one in found])
        write_csv(csv / "means.csv", comparison.means(found))
        if report.rows():
            write_csv(csv / "differences.csv", report.rows())
    for path, text in ((latex, latex_of), (html, page)):
        if path is not None:
            write_text(path, text(report))
            print(f"written: {path}")
