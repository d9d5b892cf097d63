"""Figures of a comparison: every case of every contestant, pairs of them, seeds, intervals, and what each costs.

Scores are {case: value} in the units of the axis, NaN where a case has none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from ssmis_core.errors import UserError
from ssmis_core.pages import Table
from ssmis_core.scored_runs import Scored, label
from ssmis_core.statistics import bootstrap_interval, limits_of_agreement, mean_interval
from widgets import style

if TYPE_CHECKING:
    import pandas

Cases = Mapping[str, float]

NAMED_IN_PLACE = 6  # contestants; the names of more would lie on one another, and stand in a legend
SYMBOLS = ("circle", "diamond", "square", "cross")


def boxes(contestants: Mapping[str, Cases], *, title: str, unit: str = "Dice (%)") -> go.Figure:
    """A box a contestant with the points of all test cases; a case's name under the pointer."""
    figure = go.Figure()
    for number, (name, cases) in enumerate(contestants.items()):
        known = _known(cases)
        colour = style.CYCLE[number % len(style.CYCLE)]
        figure.add_box(
            x=list(known.values()),
            name=style.wrapped(name),
            text=list(known),
            boxpoints="all",
            jitter=0.5,
            pointpos=0,
            marker={"color": colour, "opacity": 0.55, "size": 6},
            line={"color": colour},
            fillcolor="rgba(0,0,0,0)",
            boxmean=True,
            hovertemplate="%{text}: %{x:.1f}<extra></extra>",
        )
    figure.update_xaxes(title_text=unit)
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.update_layout(showlegend=False, margin={"t": 60, "l": 20, "r": 20, "b": 55})
    alt = f"{unit} of every test case for {', '.join(contestants)}, with quartiles (box) and mean (dashed)."
    return style.finish(figure, title=title, alt=alt, height=130 + 45 * max(3, len(contestants)), width=860)


def slopes(a: Cases, b: Cases, *, names: tuple[str, str], title: str, unit: str = "Dice (%)") -> go.Figure:
    """A line a test case from a to b: blue where it rises, red-orange where it falls, else grey; means as diamonds."""
    figure, both = go.Figure(), _both(a, b)
    for case, (before, after) in both.items():
        colour = style.GREY if after == before else style.BLUE if after > before else style.VERMILLION
        look = {"line": {"color": colour, "width": 1.3}, "opacity": 0.6}
        hover = f"{case}: %{{y:.1f}}<extra></extra>"
        figure.add_scatter(x=names, y=[before, after], mode="lines+markers", hovertemplate=hover, **look)
    means = [float(np.mean(side)) for side in zip(*both.values(), strict=True)]
    diamond = {"symbol": "diamond", "size": 13, "color": style.BLACK}
    places = ["middle left", "middle right"]
    text = [f"{means[0]:.1f}  ", f"  {means[1]:.1f}"]
    figure.add_scatter(x=names, y=means, mode="markers+text", marker=diamond, text=text, textposition=places)
    rises = sum(after > before for before, after in both.values())
    figure.update_xaxes(range=[-0.35, 1.5])
    figure.update_yaxes(title_text=unit)
    figure.update_layout(showlegend=False, margin={"t": 60, "l": 70, "b": 45})
    alt = f"{unit} of {len(both)} test cases from {names[0]} to {names[1]}: it rises in {rises} of them."
    return style.finish(figure, title=title, alt=alt, height=430, width=640)


def agreement(a: Cases, b: Cases, *, names: tuple[str, str], title: str, unit: str = "Dice points") -> go.Figure:
    """Bland-Altman: b - a of every test case against the mean of the two, with the limits of agreement."""
    both = _both(a, b)
    x = [0.5 * (before + after) for before, after in both.values()]
    y = [after - before for before, after in both.values()]
    low, mean, high = limits_of_agreement([after for _, after in both.values()], [one for one, _ in both.values()])
    figure = go.Figure()
    dot = {"color": style.VERMILLION, "size": 10, "opacity": 0.65}
    figure.add_scatter(
        x=x, y=y, mode="markers", marker=dot, text=list(both), hovertemplate="%{text}: %{y:+.1f}<extra></extra>"
    )
    figure.add_hline(y=0, line={"color": style.GREY, "width": 1})
    for value, dash, told in ((low, "dot", "mean − 1.96 s"), (mean, "solid", "mean"), (high, "dot", "mean + 1.96 s")):
        line = {"color": style.BLUE, "dash": dash, "width": 2}
        figure.add_hline(y=value, line=line, annotation={"text": f"{told}: {value:+.1f}", "xanchor": "right"})
    figure.update_xaxes(title_text=f"mean of both ({unit})")
    figure.update_yaxes(title_text=f"{names[1]} minus {names[0]}")
    figure.update_layout(showlegend=False, margin={"t": 60, "l": 75, "r": 30, "b": 55})
    alt = f"{names[1]} minus {names[0]} against the mean of both: {mean:+.1f}, most from {low:+.1f} to {high:+.1f}."
    return style.finish(figure, title=title, alt=alt, height=430, width=760)


def seeds_and_cases(
    table: Sequence[Sequence[float]] | np.ndarray, *, seeds: Sequence[int], title: str, unit: str = "Dice points"
) -> go.Figure:
    """Differences [seeds, cases] of two contestants: a column a seed, and one of the cases averaged over seeds.

    Diamonds are means with Student's interval over cases; of several seeds, the last column has that of
    `bootstrap_interval` too.
    """
    values = np.atleast_2d(np.asarray(table, float))
    columns = {f"seed {seed}": row[~np.isnan(row)] for seed, row in zip(seeds, values, strict=True)}
    columns["averaged over seeds"] = _column_means(values)
    figure = go.Figure()
    for number, (name, points) in enumerate(columns.items()):
        colour = style.CYCLE[number % len(style.CYCLE)]
        spread = number - 0.1 + 0.3 * (np.arange(len(points)) / max(1, len(points) - 1) - 0.5)
        marker = {"color": colour, "size": 7, "opacity": 0.55}
        figure.add_scatter(x=spread, y=points, mode="markers", marker=marker, hovertemplate="%{y:+.1f}<extra></extra>")
        mean, half = mean_interval(points)
        _interval(figure, number + 0.15, mean, (mean - half, mean + half), style.BLACK, f"{name}, over cases")
    low, high = bootstrap_interval(values)
    last = len(columns) - 1
    if len(values) > 1:
        _interval(figure, last + 0.3, mean, (low, high), style.VERMILLION, "seeds and cases drawn anew")
    figure.add_hline(y=0, line={"color": style.GREY, "width": 1})
    figure.update_xaxes(tickvals=list(range(len(columns))), ticktext=list(columns), range=[-0.5, last + 0.6])
    figure.update_yaxes(title_text=unit)
    figure.update_layout(showlegend=False, margin={"t": 60, "l": 75, "r": 20, "b": 45})
    alt = f"Differences of every test case of {len(seeds)} seeds, and averaged: {mean:+.1f}, {low:+.1f} to {high:+.1f}."
    return style.finish(figure, title=title, alt=alt, height=430, width=860)


def forest(rows: Sequence[Mapping[str, Any]], *, title: str, factor: float = 100.0, unit: str = "Dice") -> go.Figure:
    """A line a comparison: the mean difference, its interval over cases (thick), and over seeds and cases (thin).

    rows: of `comparison.differences`, of one metric and pairing. The p-values of the paired t-test stand beside, as
    they are and after Holm. Rows of fewer than two pairs have no interval to draw and are left out.
    """
    rows = [row for row in rows if row["n"] > 1]
    if not rows:
        raise UserError("forest: no comparison to draw, expected at least one")
    figure = go.Figure()
    names, of = _without_common_baseline([str(row["comparison"]) for row in rows])
    for place, row in enumerate(rows):
        mean, low, high, wide_low, wide_high = (
            factor * row[key] for key in ("mean", "low", "high", "bootstrap_low", "bootstrap_high")
        )
        for ends, width, colour in (((wide_low, wide_high), 2, style.VERMILLION), ((low, high), 6, style.BLUE)):
            line = {"color": colour, "width": width}
            hover = f"{ends[0]:+.1f} to {ends[1]:+.1f}<extra></extra>"
            figure.add_scatter(x=ends, y=[place, place], mode="lines", line=line, hovertemplate=hover)
        diamond = {"symbol": "diamond", "size": 13, "color": style.BLACK}
        hover = f"{names[place]}: %{{x:+.2f}}<extra></extra>"
        figure.add_scatter(x=[mean], y=[place], mode="markers", marker=diamond, hovertemplate=hover)
        told = f"p {_p(row['p_value'])}, Holm {_p(row['p_holm'])}"
        figure.add_annotation(x=1.01, xref="paper", y=place, text=told, showarrow=False, xanchor="left")
    figure.add_vline(x=0, line={"color": style.GREY, "width": 1})
    ticks = [style.wrapped(name) for name in names]
    figure.update_yaxes(tickvals=list(range(len(names))), ticktext=ticks, autorange="reversed", automargin=True)
    figure.update_xaxes(title_text=f"difference{of} in {unit}, with 95 % intervals")
    figure.update_layout(showlegend=False, margin={"t": 60, "l": 20, "r": 190, "b": 55})
    alt = "; ".join(f"{name}: {factor * row['mean']:+.1f}" for name, row in zip(names, rows, strict=True))
    return style.finish(figure, title=title, alt=alt, height=150 + 45 * len(names), width=900)


def score_and_seconds(scored: Sequence[Scored], *, title: str) -> go.Figure:
    """The mean Dice of every contestant against the seconds that one training took; bars are intervals over seeds."""
    figure = go.Figure()
    names = list(dict.fromkeys(label(one.contestant) for one in scored))
    beside = len(names) <= NAMED_IN_PLACE
    for number, name in enumerate(names):
        runs = [one for one in scored if label(one.contestant) == name]
        mean, half = mean_interval([100 * one.row["dice"] for one in runs])
        seconds = float(np.mean([one.row["seconds"] for one in runs]))
        colour = style.CYCLE[number % len(style.CYCLE)]
        symbol = SYMBOLS[number // len(style.CYCLE) % len(SYMBOLS)]
        figure.add_scatter(
            x=[seconds],
            y=[mean],
            error_y={"array": [0.0 if math.isnan(half) else half], "thickness": 1.5, "color": colour},
            mode="markers+text" if beside else "markers",
            marker={"color": colour, "symbol": symbol, "size": 12},
            name=style.wrapped(name),
            text=[f"  {name}"],
            textposition="middle right",
            cliponaxis=False,  # a name may reach into the margin
            hovertemplate=f"{name}: %{{y:.1f}} in %{{x:.0f}} s<extra></extra>",
        )
    figure.update_xaxes(title_text="seconds of one training", rangemode="tozero")
    figure.update_yaxes(title_text="mean Dice (%)")
    figure.update_layout(showlegend=not beside, margin={"t": 60, "l": 70, "r": 110 if beside else 20, "b": 55})
    alt = f"Mean Dice against seconds of a training for {', '.join(names)}."
    return style.finish(figure, title=title, alt=alt, height=400 if beside else 150 + 24 * len(names), width=860)


def show(table: Table) -> None:
    """A table of a report and its note below it, in a notebook; a line where it has nothing."""
    from IPython.display import Markdown, display

    if len(table.rows) > 1:
        display(as_frame(table))
        display(Markdown(table.note))
    else:
        print(f"{table.title}: nothing to tell")


def as_frame(table: Table) -> pandas.DataFrame:
    """A table of a report for a notebook; its first column is the index."""
    import pandas

    head, *rows = table.rows
    return style.one_header(pandas.DataFrame(rows, columns=list(head)).set_index(head[0]))


def _known(cases: Cases) -> dict[str, float]:
    return {case: value for case, value in cases.items() if not math.isnan(value)}


def _both(a: Cases, b: Cases) -> dict[str, tuple[float, float]]:
    """The values of the cases that have two; UserError where fewer than two have."""
    both = {case: (a[case], b[case]) for case in a if case in b and not math.isnan(a[case] + b[case])}
    if len(both) < 2:
        raise UserError(f"{len(both)} test cases have a score from both, expected two or more")
    return both


def _column_means(values: np.ndarray) -> np.ndarray:
    """Of [seeds, cases]: means of the cases that any seed has a value for."""
    some = values[:, ~np.isnan(values).all(axis=0)]
    return np.nanmean(some, axis=0)


def _interval(figure: go.Figure, x: float, mean: float, ends: tuple[float, float], colour: str, told: str) -> None:
    """A diamond with a bar from one end to the other."""
    if math.isnan(mean):
        return
    over, under = (0.0 if math.isnan(end) else abs(end - mean) for end in reversed(ends))
    bar = {"type": "data", "symmetric": False, "array": [over], "arrayminus": [under]}
    bar |= {"thickness": 2, "width": 7, "color": colour}
    hover = f"{told}: {mean:+.2f} ({ends[0]:+.2f} to {ends[1]:+.2f})<extra></extra>"
    marker = {"symbol": "diamond", "size": 11, "color": colour}
    figure.add_scatter(x=[x], y=[mean], error_y=bar, mode="markers", marker=marker, hovertemplate=hover)


def _without_common_baseline(names: Sequence[str]) -> tuple[list[str], str]:
    """Comparisons "a minus b" without what all of them are held against, and the words for it: " from b", or none."""
    baselines = {name.partition(" minus ")[2] for name in names}
    if len(baselines) > 1:
        return list(names), ""
    return [name.partition(" minus ")[0] for name in names], f" from {baselines.pop()}"


def _p(value: float) -> str:
    return "–" if math.isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"
