"""The picture of a training: its terms, the weight of the unlabeled ones, and how good its pseudo-labels are."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from widgets import style
from widgets.curves import WEIGHTS, log_axis, term_curves, term_names
from widgets.tail import Tail

MANY = 120  # points from which on a curve is a line without markers
# of a row of quality.csv: (what the curve is called, column, dash)
QUALITY = (
    ("Dice", "dice", "solid"),
    ("share certain", "certain", "dot"),
    ("right where certain", "right_where_certain", "dash"),
)
COLOURS = (style.VERMILLION, style.BLUE, style.GREEN, style.PURPLE, style.ORANGE, style.SKY)
LINEAR = {"type": "linear", "tickmode": "auto", "dtick": None, "tickformat": None}


@dataclass(frozen=True)
class Choice:
    """What to show of a training: hidden curves by name, the vertical axis, how many points a mean takes in, and x."""

    hidden: Collection[str] = ()
    log: bool = True
    smoothing: int = 1
    seconds: bool = False


def curve_names(tail: Tail) -> list[str]:
    """What can be shown or hidden: every term, the weight where there is one, every judged answer."""
    weights = [name for name in WEIGHTS if any(name in row for row in tail.history)]
    answers = dict.fromkeys(f"{row['answer']} (pseudo-labels)" for row in tail.quality)
    return [*(name.replace("_", " ") for name in [*term_names(tail.history), *weights]), *answers]


def curves(tail: Tail, choice: Choice) -> list[Any]:
    """The traces: terms on y, the weight on y2 (right), quality in percent on y3 (below)."""
    drawn = [trace for trace in term_curves(tail.history).data if trace.name not in choice.hidden]
    for name in WEIGHTS:
        points = [(row["iteration"], row[name]) for row in tail.history if name in row]
        if points and name.replace("_", " ") not in choice.hidden:
            pen = {"color": style.GREY, "dash": "dot", "width": 2}
            places, heights = zip(*points, strict=True)
            drawn.append(
                go.Scatter(x=places, y=heights, name=f"{name.replace('_', ' ')} (right)", line=pen, yaxis="y2")
            )
    answers = list(dict.fromkeys(row["answer"] for row in tail.quality))
    for number, answer in enumerate(answers):
        if f"{answer} (pseudo-labels)" not in choice.hidden:
            drawn += _quality(tail, answer, COLOURS[number % len(COLOURS)])
    against = "second" if choice.seconds else "iteration"
    for trace in drawn:
        weight = trace.yaxis == "y2"
        x, y = np.asarray(trace.x, float), np.asarray(trace.y, float)
        trace.x = tail.seconds_at(x) if choice.seconds else x
        trace.y = y if weight else trailing_mean(y, choice.smoothing)
        trace.mode = "lines" if weight or len(x) > MANY else "lines+markers"
        trace.hovertemplate = f"{against} %{{x:.0f}}: %{{y:.4g}}"
    return drawn


def layout(tail: Tail, choice: Choice) -> dict[str, Any]:
    """Axes for `curves`; settings that do not apply are None, so that it can follow another layout."""
    names = [name for name in term_names(tail.history) if name.replace("_", " ") not in choice.hidden]
    rows = [{name: row[name] for name in names if name in row} for row in tail.history]
    weight = any(name in row for row in tail.history for name in WEIGHTS)
    below = bool(tail.quality)
    axis = log_axis(rows) if choice.log else LINEAR
    right = {"overlaying": "y", "side": "right", "anchor": "x", "rangemode": "tozero", "showgrid": False}
    right |= {"tickmode": "auto", "tickformat": "~g", "visible": weight, "title": {"text": "weight λ(t), no unit"}}
    quality = {"domain": [0.0, 0.4], "anchor": "x", "range": [0, 101], "visible": below}
    return {
        "xaxis": {
            "title": {"text": "seconds of training" if choice.seconds else "iteration"},
            "anchor": "free",
            "position": 0.0,
        },
        "yaxis": {**axis, "domain": [0.48 if below else 0.0, 1.0], "title": {"text": "terms (no unit)"}},
        "yaxis2": right,
        "yaxis3": {**quality, "title": {"text": "against the truth (%)"}},
        "legend": {"x": 1.13 if weight else 1.02, "y": 1.0, "xanchor": "left"},
        "legend2": {"x": 1.02, "y": 0.4, "xanchor": "left"},
        "margin": {"t": 75, "l": 75, "r": 270, "b": 55},
        "height": 560 if below else 400,
        "uirevision": "kept",
        "annotations": [] if tail.history else [_waiting(tail)],
    }


def trailing_mean(values: Sequence[float] | np.ndarray, count: int) -> np.ndarray:
    """Each value's mean with up to count - 1 before it; NaN are left out, and stay NaN where they are."""
    y = np.asarray(values, float)
    if count == 1:
        return y
    there = ~np.isnan(y)
    sums, numbers = np.cumsum(np.where(there, y, 0.0)), np.cumsum(there)
    start = np.maximum(np.arange(len(y)) - count, -1)
    before = [np.where(start >= 0, part[start], 0) for part in (sums, numbers)]
    with np.errstate(invalid="ignore"):
        return np.where(there, (sums - before[0]) / (numbers - before[1]), np.nan)


def _quality(tail: Tail, answer: str, colour: str) -> list[Any]:
    """Dice of an answer, the share that is certain and how right that is, as far as they are known."""
    rows = [row for row in tail.quality if row["answer"] == answer]
    x, drawn = [row["iteration"] for row in rows], []
    for name, column, dash in QUALITY:
        y = [100.0 * row[column] for row in rows]
        if not np.isnan(y).all():
            pen = {"color": colour, "width": 2, "dash": dash}
            named = {"name": f"{answer}: {name}", "legend": "legend2"}
            drawn.append(go.Scatter(x=x, y=y, line=pen, marker={"size": 5}, yaxis="y3", **named))
    return drawn


def _waiting(tail: Tail) -> dict[str, Any]:
    """What stands in an empty frame."""
    text = "no iteration logged yet" if tail.info else "no training here yet"
    return {"text": text, "x": 0.5, "y": 0.6, "xref": "paper", "yref": "paper", "showarrow": False}
