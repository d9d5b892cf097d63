"""Writes the tables of a page of docs/ anew from the measured CSV files.

    python benchmarks/page_tables.py docs/baselines.md

A table stands between `<!-- table NAME -->` and `<!-- end -->`: that of benchmarks/results/NAME_means.csv and
NAME_pairs.csv, which compare.py writes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ssmis_core.difference_table import p_value
from ssmis_core.files import read_csv, write_text
from ssmis_core.methods import METHODS, method_class

RESULTS = Path(__file__).parent / "results"
TABLE = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
HEAD = ("Method", "seeds", "Dice %", "95HD", "ASD", "Dice minus supervised", "p (Holm)", "missed", "s/run")
BASELINE = " minus supervised"


def main(*pages: str) -> int:
    for page in map(Path, pages):
        write_text(page, renewed(page.read_text(encoding="utf-8")))
    return 0


def renewed(text: str) -> str:
    """The page with its tables as the results are."""
    return TABLE.sub(lambda found: found[1] + "\n" + table(found[2]) + "\n\n" + found[3], text)


def table(name: str) -> str:
    """The best first."""
    differences = {
        row["comparison"].removesuffix(BASELINE): row
        for row in read_csv(RESULTS / f"{name}_pairs.csv")
        if (row["metric"], row["over"]) == ("dice", "cases") and row["comparison"].endswith(BASELINE)
    }
    means = sorted(read_csv(RESULTS / f"{name}_means.csv"), key=lambda row: -row["dice"])
    rows = [HEAD, ["---"] * len(HEAD), *(list(cells(row, differences.get(row["name"]))) for row in means)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


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
    sys.exit(main(*sys.argv[1:]))
