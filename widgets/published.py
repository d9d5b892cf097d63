"""Figures and tables of numbers that papers report, always with who reported them and how the weights were chosen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from ssmis_core.comparison_report import Report, printed_names
from ssmis_core.errors import UserError
from ssmis_core.published import published
from ssmis_core.scored_runs import Setting
from ssmis_core.statistics import mean_interval
from widgets import style

if TYPE_CHECKING:
    import pandas

SYMBOLS = ("circle-open", "diamond-open", "square-open", "triangle-up-open", "x-thin-open")  # overlaps stay visible


def reports(dataset: str, *, la: int, acdc: int) -> tuple[list[dict[str, Any]], str]:
    """(published rows, what they are of) to put beside a training on a data set.

    Of ACDC with so many labeled patients for "acdc"; else of the left atrium set with so many labels, without the
    sweeps of UG-MCL's notes.
    """
    name, labeled, counted = ("ACDC", acdc, "patients") if dataset == "acdc" else ("LA", la, "labels")
    rows = [row for row in published(dataset=name, labeled=labeled) if "UG-MCL " not in row["method"]]
    return rows, f"{name}, {labeled} {counted}"


def dice_by_method(
    rows: Sequence[Mapping[str, Any]],
    *,
    title: str,
    marked: str | None = None,
    own: Mapping[str, tuple[float, float]] | None = None,
) -> go.Figure:
    """Dice of each method, a point a report, so that reports that differ show as a spread; hover names the source.

    rows: as `ssmis_core.published.published` returns them; marked: a method whose name is printed bold; own:
    {method: (mean, half of its interval)} of one's own trainings in %, to be drawn beside as black squares.
    Raises UserError without rows.
    """
    if not rows:
        raise UserError("dice_by_method: no published rows to draw, expected at least one")
    own = own or {}
    best = {name: max(r["dice"] for r in rows if r["method"] == name) for name in {r["method"] for r in rows}}
    best = {name: mean for name, (mean, _) in own.items()} | best
    order = sorted(best, key=lambda name: best[name])
    figure = go.Figure()
    for number, protocol in enumerate(sorted({r["checkpoint_protocol"] for r in rows})):
        chosen = [r for r in rows if r["checkpoint_protocol"] == protocol]
        figure.add_scatter(
            x=[r["dice"] for r in chosen],
            y=[order.index(r["method"]) for r in chosen],
            mode="markers",
            name=f"weights: {protocol}",
            marker={
                "size": 12 + 3 * (number % 3),
                "color": style.CYCLE[number],
                "symbol": SYMBOLS[number % len(SYMBOLS)],
            },
            marker_line_width=2.5,
            text=[f"{r['method']}, reported by {r['reported_by']}" for r in chosen],
            hovertemplate="%{text}<br>Dice %{x:.2f} %<extra></extra>",
        )
    _add_own(figure, own, order)
    names = [f"<b>{name}</b>" if name == marked else name for name in order]
    figure.update_yaxes(tickvals=list(range(len(order))), ticktext=names)
    figure.update_xaxes(title_text="Dice (%), as reported")
    legend = {"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom"}
    room = 45 + 22 * len(figure.data)  # a long legend has a line for each entry
    figure.update_layout(legend=legend, margin={"t": max(90, room), "l": 150, "b": 50})
    alt = f"Reported Dice of {len(order)} methods; points of one row are different reports of the same method."
    return style.finish(figure, title=title, alt=alt, height=150 + 26 * len(order), width=760)


def _add_own(figure: go.Figure, own: Mapping[str, tuple[float, float]], order: Sequence[str]) -> None:
    """Black squares, with their intervals, in the rows of `order`."""
    if not own:
        return
    halves = [0.0 if math.isnan(half) else half for _, half in own.values()]
    figure.add_scatter(
        x=[mean for mean, _ in own.values()],
        y=[order.index(name) for name in own],
        text=list(own),
        error_x={"type": "data", "array": halves, "thickness": 2, "color": style.BLACK},
        mode="markers",
        name="trained here",
        marker={"size": 10, "color": style.BLACK, "symbol": "square"},
        hovertemplate="%{text}, trained here<br>Dice %{x:.2f} %<extra></extra>",
    )


def reported_beside(report: Report, setting: Setting, *, title: str) -> go.Figure:
    """What papers report with as many labels of the same data, and the means of these runs beside it.

    For data or labels that nobody reported: the left atrium with 8 labels, without the runs.
    """
    own: dict[str, tuple[float, float]] = {}
    for runs in report.contestants(setting).values():
        method = runs[0].row["method"]
        titles = printed_names(method)  # none of a method that is not registered any more
        if titles and runs[0].contestant == (method, "paper"):  # as its paper has it, and with nothing changed
            name = titles[-1 if setting[1] == 2 else 0]
            own[name] = mean_interval([100 * one.row["dice"] for one in runs])
    dataset, labeled, known = setting[0], setting[3], {str(row["dataset"]).lower() for row in published()}
    rows = published(dataset=dataset, labeled=labeled) if dataset in known else []
    if not rows:
        rows, own, dataset, labeled = published(dataset="la", labeled=8), {}, "la", 8
    return dice_by_method(rows, title=f"{title} {dataset.upper()}, {labeled} labels", own=own)


def published_table(rows: Sequence[Mapping[str, Any]]) -> pandas.DataFrame:
    """The rows as a table, highest Dice first; a dash where a number was not reported; the methods are its index."""
    import pandas

    names = {
        "method": "method",
        "dice": "Dice (%)",
        "jaccard": "Jaccard (%)",
        "hd95_voxel": "95HD (voxels)",
        "asd_voxel": "ASD (voxels)",
        "checkpoint_protocol": "weights chosen",
        "reported_by": "reported by",
    }
    ordered = sorted(rows, key=lambda row: -row["dice"])
    shown = [{title: "–" if row[key] != row[key] else row[key] for key, title in names.items()} for row in ordered]
    return style.one_header(pandas.DataFrame(shown, columns=list(names.values())).set_index("method"))
