"""The table of a comparison's differences, and how its settings and numbers are printed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ssmis_core.pages import Table
from ssmis_core.scored_runs import Contestant, Setting, label

UNITS = {"dice": ("Dice %", 100.0), "jaccard": ("Jaccard %", 100.0), "hd95": ("95HD", 1.0), "asd": ("ASD", 1.0)}
NOTHING = "-"
TESTS = {"p_value": "p_holm", "p_wilcoxon": "p_wilcoxon_holm"}
COLUMNS = ("95 % interval", "bootstrap", "t: p (Holm)", "Wilcoxon: p (Holm)", "d", "out", "seeds")
NOTE = (
    "Each case is averaged over the seeds that both have. Interval: Student's, over cases; bootstrap: seeds, then "
    "cases, drawn anew (cases alone where there is one seed); p of the paired t-test and of Wilcoxon's signed-rank "
    "test, corrected by Holm for all comparisons of this table; d: mean over standard deviation of the differences; "
    "out: objects of all seeds that have no number on one side, such as missed ones, and are left out on both; seeds: "
    "how many were paired."
)


def difference_table(rows: Sequence[Mapping[str, Any]], metric: str, setting: Setting, base: Contestant) -> Table:
    """Every contestant minus the baseline, with intervals and both tests; below it, what is to be known of some.

    rows: of `comparison.differences_from`, of one metric, over cases.
    """
    title, factor = UNITS[metric]
    lines = [(row["comparison"], str(row["n"]), *_cells(row, factor)) for row in rows]
    notes = [f"{row['comparison']}: {row['note']}." for row in rows if row["note"]]
    head = ("comparison", "cases", title, *COLUMNS)
    named = f"{title}, difference from {label(base)}: {in_words(setting)}"
    return Table(named, " ".join((NOTE, *notes)), [head, *lines], left=1)


def _cells(row: Mapping[str, Any], factor: float) -> tuple[str, ...]:
    """The mean, then COLUMNS."""
    mean, *ends = (signed(factor * row[key]) for key in ("mean", "low", "high", "bootstrap_low", "bootstrap_high"))
    tests = (_tests(row[test], row[holm]) for test, holm in TESTS.items())
    apart = (NOTHING if ends[at] == NOTHING else f"{ends[at]} to {ends[at + 1]}" for at in (0, 2))
    return (mean, *apart, *tests, signed(row["effect_size"]), number(row["left_out"], 0), str(row["seeds"]))


def in_words(setting: Setting) -> str:
    """ "la 3D full, 16 labels"; with what tells its data where the data set has options."""
    dataset, dims, preset, labeled, data = setting
    return f"{dataset} {dims}D {preset}, {labeled} labels" + (f" ({data})" if data else "")


def number(value: float, digits: int = 2) -> str:
    """With so many digits; a dash where there is none."""
    return NOTHING if math.isnan(value) else f"{value:.{digits}f}"


def signed(value: float) -> str:
    """A difference; a dash where there is none."""
    return NOTHING if math.isnan(value) else f"{value:+.2f}"


def _tests(p: float, corrected: float) -> str:
    return NOTHING if math.isnan(p) else f"{p_value(p)} ({p_value(corrected)})"


def p_value(value: float) -> str:
    """As it is printed; a dash where there is none."""
    if math.isnan(value):
        return NOTHING
    return "<0.001" if value < 0.001 else f"{value:.3f}"
