"""Writes the tables of a page of docs/ anew from the measured CSV files.

    python benchmarks/page_tables.py docs/baselines.md docs/speed.md

A table ends at `<!-- end -->` and begins at one of:

    <!-- table NAME -->                         a comparison: results/NAME_means.csv and _pairs.csv of compare.py
    <!-- rows NAME column=Title column -->      columns of results/NAME.csv as they stand, _ in a title for a space;
                                                column:value keeps the rows that have it
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from machine import one_line

from ssmis_core.difference_table import p_value
from ssmis_core.errors import UserError
from ssmis_core.files import read_csv, write_text
from ssmis_core.methods import METHODS, method_class

RESULTS = Path(__file__).parent / "results"
TABLE = re.compile(r"(<!-- (table|rows) (\w+)([^\n]*) -->\n).*?(<!-- end -->)", re.DOTALL)
HEAD = ("Method", "seeds", "Dice %", "95HD", "ASD", "Dice minus supervised", "p (Holm)", "missed", "s/run")
BASELINE = " minus supervised"
Table = Sequence[Sequence[str]]


@one_line
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", type=Path, nargs="+", metavar="PAGE")
    for page in parser.parse_args().pages:
        write_text(page, renewed(page.read_text(encoding="utf-8")))
    return 0


def renewed(text: str) -> str:
    """The page with its tables as the results are."""
    return TABLE.sub(lambda found: f"{found[1]}\n{markdown(made(*found.group(2, 3, 4)))}\n\n{found[5]}", text)


def made(kind: str, name: str, columns: str) -> Table:
    return comparison(name) if kind == "table" else as_measured(name, columns.split())


def markdown(rows: Table) -> str:
    """The first row is the head."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (rows[0], ["---"] * len(rows[0]), *rows[1:]))


def as_measured(name: str, columns: Sequence[str]) -> Table:
    """Columns of a measurement, under the titles that are given for them."""
    wanted = [tuple(one.split(":", 1)) for one in columns if ":" in one and "=" not in one]
    titles = dict(one.split("=", 1) if "=" in one else (one, one) for one in columns if "=" in one or ":" not in one)
    rows = read_csv(RESULTS / f"{name}.csv")
    known = rows[0] if rows else ()
    if lacking := [column for column in (*dict(wanted), *titles) if column not in known]:
        raise UserError(f"{name}.csv: no column {', '.join(lacking)} (known: {', '.join(known)})")
    measured = [row for row in rows if all(shown(row[c]) == v for c, v in wanted)]
    if not measured:
        raise UserError(f"{name}.csv: no row has {', '.join(':'.join(one) for one in wanted)}")
    return [
        [title.replace("_", " ") for title in titles.values()],
        *([shown(row[c]) for c in titles] for row in measured),
    ]


def shown(value: object) -> str:
    """A cell: numbers with four digits; empty where nothing was measured, which a column of numbers has NaN for."""
    if not isinstance(value, float):
        return f"{value}"
    if math.isnan(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def comparison(name: str) -> Table:
    """The best first."""
    differences = {
        row["comparison"].removesuffix(BASELINE): row
        for row in read_csv(RESULTS / f"{name}_pairs.csv")
        if (row["metric"], row["over"]) == ("dice", "cases") and row["comparison"].endswith(BASELINE)
    }
    means = sorted(read_csv(RESULTS / f"{name}_means.csv"), key=lambda row: -row["dice"])
    return [HEAD, *(list(cells(row, differences.get(row["name"]))) for row in means)]


def cells(mean: Mapping[str, Any], difference: Mapping[str, Any] | None) -> Iterator[str]:
    name = mean["name"]
    yield method_class(name).card.title if name in METHODS else name
    yield f"{mean['seeds']}"
    for metric, factor in (("dice", 100), ("hd95", 1), ("asd", 1)):
        yield f"{factor * mean[metric]:.1f} ± {factor * mean[f'{metric}_half_width']:.1f}"
    if difference is None:
        yield from ("", "")
    else:
        middle, low, high = (100 * difference[key] for key in ("mean", "bootstrap_low", "bootstrap_high"))
        yield f"{middle:+.1f} ({low:+.1f} to {high:+.1f})"
        yield p_value(difference["p_holm"])
    yield f"{mean['missed']:g}"
    yield f"{mean['seconds']:.0f}"


if __name__ == "__main__":
    sys.exit(main())
