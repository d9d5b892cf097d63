"""Figures of what becomes of scores once they are averaged and compared: misses, sizes, chance, choices."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ssmis_core.errors import UserError
from ssmis_core.metrics import evaluate
from ssmis_core.statistics import expected_best, half_width, mean_interval, paired_difference, paired_power
from widgets import style
from widgets.mistakes import grown, shifted


def missed_cases(
    dice: Sequence[float], hd95: Sequence[float], *, title: str, most: int = 6, unit: str = "voxels"
) -> go.Figure:
    """The means over cases if the worst so many had come out empty, under both policies.

    dice in %, hd95: a number a case, in one order; the cases of highest 95HD are the first to be lost.
    """
    order = np.argsort(-np.asarray(hd95, float), kind="stable")
    overlap, far = np.asarray(dice, float)[order], np.asarray(hd95, float)[order]
    missed = list(range(min(most, len(far) - 1) + 1))
    heads = ["mean Dice (%), either policy", f"mean 95HD ({unit})"]
    figure = make_subplots(1, 2, subplot_titles=heads, horizontal_spacing=0.12)
    lines = {
        "either": ([overlap[k:].sum() / len(far) for k in missed], style.BLACK, "solid", 1),
        '"nan": left out, and counted as missed': ([far[k:].mean() for k in missed], style.BLUE, "solid", 2),
        '"zero": a distance of 0': ([far[k:].sum() / len(far) for k in missed], style.VERMILLION, "dash", 2),
    }
    for name, (y, colour, dash, column) in lines.items():
        pen = {"color": colour, "width": 3, "dash": dash}
        hover = f"%{{x}} missed: %{{y:.1f}}<extra>{name}</extra>"
        line = {"mode": "lines+markers", "line": pen, "marker": {"size": 8}, "hovertemplate": hover}
        figure.add_scatter(x=missed, y=y, name=name, showlegend=column == 2, **line, row=1, col=column)
    figure.update_xaxes(title_text=f"missed cases of {len(far)}", dtick=1)
    figure.update_yaxes(rangemode="tozero")
    legend = {"x": 1, "xanchor": "right", "y": -0.25, "yanchor": "top", "orientation": "h"}
    figure.update_layout(legend=legend, margin={"t": 85, "l": 60, "r": 30, "b": 110})
    alt = "Mean Dice falls with every missed case, while mean 95HD gets better under both policies."
    return style.finish(figure, title=title, alt=alt, height=410, width=860)


def same_mean(tables: Mapping[str, Sequence[float]], *, title: str, unit: str = "Dice (%)") -> go.Figure:
    """Every case of several methods as a point, with mean (diamond), median (line) and worst case in words."""
    figure = go.Figure()
    for number, (name, table) in enumerate(tables.items()):
        values = np.sort(np.asarray(table, float))
        spread = number + 0.3 * (np.arange(len(values)) / max(1, len(values) - 1) - 0.5)
        point = {"color": style.CYCLE[number % len(style.CYCLE)], "size": 9, "opacity": 0.7}
        hover = f"{name}: %{{y:.1f}}<extra></extra>"
        figure.add_scatter(x=spread, y=values, mode="markers", marker=point, hovertemplate=hover)
        diamond = {"symbol": "diamond", "size": 14, "color": style.BLACK}
        figure.add_scatter(x=[number + 0.25], y=[values.mean()], mode="markers", marker=diamond, hovertemplate=hover)
        middle = float(np.median(values))
        ends = {"x0": number - 0.2, "x1": number + 0.2, "y0": middle, "y1": middle}
        figure.add_shape(type="line", **ends, line={"color": style.BLACK, "width": 2})
        told = f"mean {values.mean():.1f}<br>median {middle:.1f}<br>worst {values[0]:.1f}"
        at = {"x": number + 0.29, "y": values.mean(), "xanchor": "left", "align": "left"}
        figure.add_annotation(text=told, showarrow=False, **at)
    figure.update_xaxes(tickvals=list(range(len(tables))), ticktext=list(tables), range=[-0.4, len(tables) - 0.3])
    top = max(float(np.max(table)) for table in tables.values())
    figure.update_yaxes(title_text=unit, range=[-0.05 * top, 1.05 * top])  # a miss is a point on the axis
    figure.update_layout(showlegend=False, margin={"t": 60, "l": 70, "r": 20, "b": 45})
    alt = f"Points of {', '.join(tables)}: the means are alike, the cases are not."
    return style.finish(figure, title=title, alt=alt, height=420, width=760)


def size_and_dice(objects: Mapping[str, np.ndarray], *, title: str) -> go.Figure:
    """Dice after the same mistake of one voxel, for balls of all sizes (lines) and for objects at hand (points).

    objects: masks [*spatial] by name, all with as many axes; the balls have that many.
    """
    if not objects:
        raise UserError("size_and_dice: no object to draw, expected at least one")
    dims = next(iter(objects.values())).ndim
    radii = (2, 3, 4, 6, 8, 12, 16, 24) if dims == 3 else (2, 3, 4, 6, 8, 12, 16, 24, 36, 60)
    balls = {f"ball of radius {radius}": _ball(radius, dims) for radius in radii}
    figure = go.Figure()
    wrong = {
        "one layer off all round": (lambda mask: grown(mask, -1), style.VERMILLION, "solid", "circle"),
        "shifted by one voxel": (lambda mask: shifted(mask, [1]), style.BLUE, "dash", "diamond"),
    }
    for name, (change, colour, dash, symbol) in wrong.items():
        for kind, group in (("balls", balls), ("objects here", objects)):
            masks = [np.pad(np.asarray(mask) != 0, 2) for mask in group.values()]
            y = [100 * evaluate(change(mask), mask).dice for mask in masks]
            pen = {"mode": "lines", "line": {"color": colour, "width": 3, "dash": dash}}
            if kind != "balls":
                pen = {"mode": "markers", "marker": {"color": colour, "size": 10, "symbol": symbol}}
            hover = "%{text}: %{x} voxels, Dice %{y:.1f} %<extra></extra>"
            x = [int(mask.sum()) for mask in masks]
            figure.add_scatter(x=x, y=y, name=f"{name}, {kind}", text=list(group), hovertemplate=hover, **pen)
    figure.update_xaxes(title_text="size of the object (voxels)", type="log", dtick=1, exponentformat="power")
    figure.update_yaxes(title_text="Dice (%)", range=[0, 102])
    legend = {"x": 0.98, "xanchor": "right", "y": 0.05, "yanchor": "bottom"}
    figure.update_layout(legend=legend, margin={"t": 60, "l": 70, "r": 20, "b": 55})
    alt = "Dice against size for a mistake of one voxel: near 100 % for large objects, near 0 for tiny ones."
    return style.finish(figure, title=title, alt=alt, height=430, width=760)


def cases_and_certainty(
    a: Sequence[float], b: Sequence[float], *, names: tuple[str, str], title: str, unit: str = "Dice points"
) -> go.Figure:
    """What more test cases would buy: the interval of the mean difference, and the chance to find a true one.

    a, b: scores of two methods on the same cases, in one order. Their spread is taken for that of further cases.
    """
    found = paired_difference(a, b)
    apart = float(np.std(np.asarray(a, float) - np.asarray(b, float), ddof=1))
    unpaired = math.hypot(float(np.std(a, ddof=1)), float(np.std(b, ddof=1)))
    counts = [3, 4, 5, 7, 10, 14, 20, 30, 40, 60, 80, 120, 160, 240, 320, 500]
    heads = ["half the 95 % interval of the mean difference", "chance of p < 0.05 for a true difference"]
    figure = make_subplots(1, 2, subplot_titles=heads, horizontal_spacing=0.13)
    pens = {"paired": (apart, style.BLUE, "solid"), "not paired": (unpaired, style.GREY, "dash")}
    for name, (std, colour, dash) in pens.items():
        y = [half_width(std, n) for n in counts]
        line = {"color": colour, "width": 3, "dash": dash}
        hover = f"{name}, %{{x}} cases: ±%{{y:.2f}}<extra></extra>"
        figure.add_scatter(x=counts, y=y, mode="lines", name=name, line=line, hovertemplate=hover, row=1, col=1)
    dot = {"size": 12, "color": style.BLACK, "symbol": "diamond"}
    at = {"x": [found.n], "y": [found.high - found.mean], "name": f"here: {found.mean:+.1f} over {found.n} cases"}
    figure.add_scatter(**at, mode="markers", marker=dot, hovertemplate="%{y:.2f}<extra></extra>", row=1, col=1)
    for difference, colour in ((0.5, style.PURPLE), (1.0, style.GREEN), (2.0, style.VERMILLION)):
        y = [100 * paired_power(difference, apart, n) for n in counts]
        name = f"true difference of {difference:g}"
        hover = f"{name}, %{{x}} cases: %{{y:.0f}} %<extra></extra>"
        line = {"color": colour, "width": 3}
        figure.add_scatter(x=counts, y=y, mode="lines", name=name, line=line, hovertemplate=hover, row=1, col=2)
    figure.add_hline(y=80, line={"color": style.GREY, "dash": "dot"}, row=1, col=2)
    ticks = {"tickvals": [3, 5, 10, 20, 50, 100, 200, 500], "type": "log"}
    figure.update_xaxes(title_text="test cases", **ticks)
    figure.update_yaxes(title_text=f"± {unit}", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title_text="chance (%)", range=[0, 102], row=1, col=2)
    legend = {"orientation": "h", "x": 0, "y": -0.22, "yanchor": "top"}
    figure.update_layout(legend=legend, margin={"t": 85, "l": 65, "r": 20, "b": 115})
    alt = (
        f"The interval of {names[0]} minus {names[1]} against the number of cases, and the power of the paired t-test."
    )
    return style.finish(figure, title=title, alt=alt, height=450, width=900)


def best_of_looks(std: float, *, title: str, cases: Sequence[int] = (5, 20, 80), most: int = 100) -> go.Figure:
    """What a mean score gains when the best of so many equally good checkpoints is picked on the cases it is made of.

    std: of one case's score between two checkpoints, in points. Looks are taken to be independent.
    """
    looks = np.unique(np.round(np.geomspace(1, most, 25)).astype(int))
    figure = go.Figure()
    for number, count in enumerate(cases):
        y = [expected_best(std / math.sqrt(count), int(k)) for k in looks]
        name, line = f"{count} test cases", {"color": style.CYCLE[number % len(style.CYCLE)], "width": 3}
        hover = f"{name}, best of %{{x}}: +%{{y:.2f}}<extra></extra>"
        figure.add_scatter(x=looks, y=y, mode="lines", name=name, line=line, hovertemplate=hover)
    figure.update_xaxes(title_text="checkpoints that were looked at", type="log", tickvals=[1, 2, 5, 10, 20, 50, 100])
    figure.update_yaxes(title_text="gain of the reported mean (points)", rangemode="tozero")
    figure.update_layout(legend={"x": 0.02, "y": 0.98}, margin={"t": 60, "l": 75, "r": 20, "b": 55})
    alt = "The reported mean rises with every look at the test set, although no checkpoint is better than another."
    return style.finish(figure, title=title, alt=alt, height=400, width=760)


def with_a_miss(values: Sequence[float]) -> list[float]:
    """Scores in % with the same mean whose worst case is 0: what it lost is spread over the others, up to 100."""
    made = np.sort(np.asarray(values, float))
    wanted = mean_interval(made)[0] * len(made)
    made[0] = 0.0
    for _ in range(100):
        room = np.flatnonzero((made < 100.0) & (np.arange(len(made)) > 0))
        missing = wanted - made.sum()
        if missing < 1e-9 or not room.size:
            break
        made[room] = np.minimum(100.0, made[room] + missing / room.size)
    return [float(value) for value in made]


def _ball(radius: float, dims: int) -> np.ndarray:
    reach = int(radius)
    places = np.ogrid[(slice(-reach, reach + 1),) * dims]
    return np.asarray(sum(place**2 for place in places) <= radius**2)
