"""Curves over the iterations of a training, from its history."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from ssmis_core.runs import NOT_TERMS, Run
from widgets import style

WEIGHTS = ("consistency_weight",)


def term_names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the loss terms in rows of a history, in their order; schedules and weights are left out."""
    names = dict.fromkeys(key for row in rows for key in row)
    return [name for name in names if name not in NOT_TERMS and name not in WEIGHTS]


def loss_terms(run: Run, *, title: str = "Which loss terms fall, and when?") -> go.Figure:
    """Every named loss term against the iteration, on a logarithmic axis that a button makes linear.

    Below the terms, on its own axis: the weight of the consistency terms, where the method has one.
    """
    rows = run.rows("history")
    figure = term_curves(rows)
    weights = [name for name in WEIGHTS if rows and name in rows[0]]
    if weights:
        x, y = [row["iteration"] for row in rows], [row[weights[0]] for row in rows]
        pen = {"color": style.GREY, "dash": "dot", "width": 2}
        figure.add_scatter(x=x, y=y, mode="lines", name="weight of consistency (right)", line=pen, yaxis="y2")
        axis = {"overlaying": "y", "side": "right", "rangemode": "tozero", "showgrid": False, "tickmode": "auto"}
        figure.update_layout(yaxis2={**axis, "title": {"text": "weight λ(t), no unit"}})
    figure.update_layout(yaxis=log_axis(rows))
    kinds = (("log", log_axis(rows)), ("linear", {"type": "linear", "tickmode": "auto", "dtick": None}))
    buttons = [
        {"label": name, "method": "relayout", "args": [{f"yaxis.{key}": value for key, value in settings.items()}]}
        for name, settings in kinds
    ]
    menu = {"type": "buttons", "direction": "right", "buttons": buttons, "x": 0, "xanchor": "left", "y": 1.02}
    figure.update_layout(updatemenus=[{**menu, "yanchor": "bottom"}], margin={"t": 95, "l": 75, "r": 230, "b": 55})
    figure.update_layout(legend={"x": 1.13, "y": 1, "xanchor": "left"})
    names = ", ".join(term_names(rows)) or "none yet"
    alt = f"Loss terms against the iteration ({names}), with the weight of the consistency terms."
    return style.finish(figure, title=title, alt=alt, height=440, width=940, runs=[run])


def log_axis(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Settings of a logarithmic y axis for the terms in rows of a history, with labels that do not crowd.

    Labeled are the powers of ten, over fewer than three of them 1, 2 and 5 of each, and over less than one whatever
    plotly chooses, which is then evenly spaced.
    """
    names = term_names(rows)
    values = [row[name] for row in rows for name in names if row.get(name, 0) > 0]
    decades = math.log10(max(values) / min(values)) if values else 0.0
    dtick = None if decades < 0.8 else "D2" if decades < 3 else math.ceil(decades / 8)
    return {"type": "log", "tickmode": "linear" if dtick else "auto", "dtick": dtick, "tickformat": "~g"}


def term_curves(rows: Sequence[Mapping[str, Any]]) -> go.Figure:
    """The plain curves of every term in rows of a history; an empty frame for no rows."""
    figure = go.Figure()
    for number, name in enumerate(term_names(rows)):
        points = [(row["iteration"], row[name]) for row in rows if name in row]
        width = 3 if name == "loss" else 2
        colour = style.BLACK if name == "loss" else style.CYCLE[(number - 1) % (len(style.CYCLE) - 1)]
        figure.add_scatter(
            x=[x for x, _ in points],
            y=[y for _, y in points],
            mode="lines+markers",
            name=name.replace("_", " "),
            line={"color": colour, "width": width},
            marker={"size": 5},
            hovertemplate="iteration %{x}: %{y:.4f}",
        )
    if not figure.data:
        where = {"x": 0.5, "y": 0.5, "xref": "paper", "yref": "paper", "showarrow": False}
        figure.add_annotation(text="no iteration logged yet", **where)
    figure.update_xaxes(title_text="iteration")
    figure.update_yaxes(title_text="loss (no unit)")
    return figure
