"""What the docks of a review say, as text and tables, made without Qt."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

from widgets import style
from widgets.review.colours import CORRECTION, ERRORS
from widgets.review.order import Ranked
from widgets.review.remarks import Remark

METRICS = {  # metric: (how it is called, factor)
    "dice": ("Dice (%)", 100.0),
    "jaccard": ("Jaccard (%)", 100.0),
    "hd95": ("95HD (voxels)", 1.0),
    "asd": ("ASD (voxels)", 1.0),
    "hd95_mm": ("95HD (mm)", 1.0),
    "asd_mm": ("ASD (mm)", 1.0),
}
KEYS = {"next": "N", "previous": "Shift-N", "flag": "G", "correct": "K", "save": "Shift-K"}


def score_table(ranked: Ranked, saves: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """(metric, of the prediction, of the latest correction) for each class and metric; "" where there is no number."""
    latest = {row["class"]: row for row in saves}  # oldest first, so that the last one stays
    table = []
    for row in ranked.rows:
        name = f"{row['class']}, " if len(ranked.rows) > 1 else ""
        corrected = latest.get(row["class"], {})
        for metric, (label, factor) in METRICS.items():
            if metric in row:
                before, after = row[metric], corrected.get(f"{metric}_after", math.nan)
                table.append((name + label, number(before, factor), number(after, factor)))
    return table


def number(value: float, factor: float = 1.0) -> str:
    """One digit after the point; nothing for NaN."""
    return "" if math.isnan(value) else f"{factor * value:.1f}"


def case_title(ranked: Ranked, place: int, remark: Remark) -> str:
    """A case in a list: its rank, name, Dice, and whether it is flagged or was missed."""
    dice = "no Dice" if math.isnan(ranked.dice) else f"Dice {100 * ranked.dice:.1f} %"
    told = [dice, *(["missed"] if ranked.missed else []), *(["flagged"] if remark.flag else [])]
    return f"{place + 1}. {ranked.case} ({', '.join(told)})"


def saved_line(rows: Sequence[Mapping[str, Any]]) -> str:
    """What a save did, for the status line."""
    parts = []
    for row in rows:
        name = f"{row['class']}: " if len(rows) > 1 else ""
        change = row.get("dice_change", math.nan)
        dice = "" if math.isnan(change) else f", Dice {100 * change:+.1f} points"
        parts.append(f"{name}{row['voxels_changed']} voxels{dice}")
    return f"saved: {'; '.join(parts)}"


def legend(class_names: Sequence[str]) -> str:
    """The colours of the layers as rich text."""
    single = len(class_names) == 2
    roles = {"reference": style.REFERENCE, "prediction": style.PREDICTION}
    entries = roles if single else dict(zip(class_names[1:], style.class_colours(len(class_names)), strict=True))
    entries = {**entries, **ERRORS} if not single else {**entries, **dict(list(ERRORS.items())[:2])}
    entries |= {"correction": CORRECTION} if single else {}
    squares = [f"<span style='color:{colour}'>&#9632;</span> {html.escape(name)}" for name, colour in entries.items()]
    return " &nbsp; ".join(squares)


def keys_line() -> str:
    """The keys, for under the buttons."""
    return "Keys on the picture: " + ", ".join(f"{key} {name}" for name, key in KEYS.items())
