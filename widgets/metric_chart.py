"""How the metrics move along one control: shares above, distances below, and where the control stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from widgets import style

TITLES = {
    "case": "case",
    "k": "object",
    "grow": "layers grown (voxels)",
    "blob": "radius of the blob (voxels)",
    "hole": "radius of the hole (voxels)",
    "branches": "branches cut off",
    "cut": "end cut off (% of the object)",
    "empty": "what an empty prediction scores",
    "hd95": "rule of 95HD",
    "asd": "rule of ASD",
    **{f"shift_{axis}": f"shift along {axis} (voxels)" for axis in "xyz"},
    **{f"place_{axis}": f"place of the blob along {axis} (%)" for axis in "xyz"},
    **{f"spacing_{axis}": f"size of a voxel along {axis} (mm)" for axis in "xyz"},
}
PENS: dict[str, dict[str, Any]] = {
    "Dice (%)": {"color": style.BLUE},
    "Jaccard (%)": {"color": style.SKY},
    "95HD (voxels)": {"color": style.VERMILLION},
    "95HD (mm)": {"color": style.VERMILLION, "dash": "dot"},
    "ASD (voxels)": {"color": style.GREEN},
    "ASD (mm)": {"color": style.GREEN, "dash": "dot"},
}


def empty_path() -> go.Figure:
    """The chart without a point: a line and a ring for each metric, overlap above and distances below."""
    figure = make_subplots(2, 1, shared_xaxes=True, vertical_spacing=0.12, row_heights=[0.45, 0.55])
    traces: list[dict[str, Any]] = []
    for name, pen in PENS.items():
        axes = {"xaxis": "x", "yaxis": "y"} if "%" in name else {"xaxis": "x2", "yaxis": "y2"}
        told = f"%{{x}}: {name} %{{y:.1f}}<extra></extra>"
        ring = {"symbol": "circle-open", "size": 13, "color": pen["color"], "line": {"width": 2}}
        line = {"mode": "lines+markers", "line": {"width": 2, **pen}, "marker": {"size": 5}, "hovertemplate": told}
        either = {"type": "scatter", "name": name, "showlegend": False, **axes}
        traces += [{**either, **line}, {**either, "mode": "markers", "marker": ring, "hoverinfo": "skip"}]
    figure.add_traces(traces)
    figure.update_yaxes(title_text="overlap (%)", range=[-4, 104], row=1, col=1)
    figure.update_yaxes(title_text="distance", rangemode="tozero", row=2, col=1)
    figure.update_xaxes(tickfont_size=11, title_font_size=12, title_standoff=6)
    figure.update_yaxes(tickfont_size=11, title_font_size=12, title_standoff=6)
    _name_the_lines(figure)
    figure.update_layout(margin={"t": 66, "l": 62, "r": 12, "b": 48})
    figure = style.finish(figure, title="What moved, and how far?", alt="", height=430, width=380)
    return figure.update_layout(title_font_size=15)


def draw_path(figure: go.Figure, control: str, path: Mapping[Any, Mapping[str, float]], now: Any) -> go.Figure:
    """Draw into such a chart the metrics against the values of a control, with rings at its value `now`.

    path: {value: {name in PENS: score}}, drawn in this order; a score that is not a number leaves a gap. Returns the
    figure; it is drawn into rather than made anew since that takes a tenth of the time.
    """
    words = any(isinstance(value, str) for value in path)
    told = {value: str(value) if words else value for value in path}
    for number, name in enumerate(PENS):
        line, ring = figure.data[2 * number : 2 * number + 2]
        line.x, line.y = list(told.values()), [scores[name] for scores in path.values()]
        ring.x, ring.y = [told[now]], [path[now][name]]
    title = TITLES.get(control, control)
    layout = figure.layout
    layout.xaxis2.title.text, layout.uirevision = title, control
    layout.xaxis.type = layout.xaxis2.type = "category" if words else "linear"
    layout.meta = {"alt": f"The four metrics against {title}, at {len(path)} values seen; now {now}."}
    return figure


def _name_the_lines(figure: go.Figure) -> None:
    """The names of the lines in their colours, over each half: a legend would not stay beside its chart in a still."""
    for row, end in ((1, ""), (2, ": solid in voxels, dotted in mm")):
        half = [(name.split(" (")[0], pen["color"]) for name, pen in PENS.items() if ("%" in name) == (row == 1)]
        text = ", ".join(f"<span style='color:{colour}'><b>{name}</b></span>" for name, colour in dict(half).items())
        top = figure.get_subplot(row, 1).yaxis.domain[1]
        at = {"x": 0, "y": top, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom"}
        figure.add_annotation(text=text + end, showarrow=False, font_size=12, **at)
