"""Feature vectors of voxels and prototypes as points of a plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import plotly.graph_objects as go

from widgets import style

MARKS: dict[str, dict[str, Any]] = {
    "voxel": {"symbol": "circle", "size": 5, "opacity": 0.55},
    "wrong": {"symbol": "x", "size": 6, "opacity": 0.8, "line": {"color": style.BLACK, "width": 0.5}},
    "prototype": {"symbol": "diamond", "size": 11, "line": {"color": style.BLACK, "width": 1.5}},
}


@dataclass(frozen=True)
class Cloud:
    """Points [n, 2] of one name and colour. mark: one of MARKS, and what it is called, where the legend is to tell.

    told: what each point says when it is pointed at.
    """

    name: str
    colour: str
    points: np.ndarray
    mark: str = "voxel"
    called: str = ""
    told: Sequence[str] = field(default_factory=tuple)


def feature_plane(clouds: Sequence[Cloud], axes: tuple[str, str], *, title: str, alt: str) -> go.Figure:
    """A scatter with a trace a cloud, also for empty ones, so that their numbers stay. axes: titles, with units.

    The legend names each colour once and switches all its clouds; a second one names the marks that are there.
    """
    figure = go.Figure()
    named: set[str] = set()
    for cloud in clouds:
        x, y = np.asarray(cloud.points, np.float32).reshape(-1, 2).T.round(4)
        marker = {"color": cloud.colour, **MARKS[cloud.mark]}
        shown = len(x) > 0 and cloud.name not in named
        named |= {cloud.name} if shown else set()
        hover = "%{text}<extra></extra>" if cloud.told else f"{cloud.name}<extra></extra>"
        group = {"legendgroup": cloud.name, "showlegend": shown, "text": list(cloud.told) or None}
        figure.add_scatter(x=x, y=y, mode="markers", marker=marker, name=cloud.name, hovertemplate=hover, **group)
    for name, mark in {cloud.called: cloud.mark for cloud in clouds if cloud.called and len(cloud.points)}.items():
        marker = {**MARKS[mark], "color": "white" if mark == "prototype" else style.BLACK}
        figure.add_scatter(x=[None], y=[None], mode="markers", marker=marker, name=name, legend="legend2")
    figure.update_xaxes(title_text=axes[0], title_font_size=12, zeroline=False)
    figure.update_yaxes(title_text=axes[1], title_font_size=12, zeroline=False, scaleanchor="x")
    at = {"orientation": "h", "x": 0, "yanchor": "bottom", "font": {"size": 11}, "itemsizing": "constant"}
    marks = {**at, "y": 1.01, "itemclick": False, "itemdoubleclick": False}
    figure.update_layout(legend={**at, "y": 1.08}, legend2=marks, margin={"l": 60, "r": 10, "t": 110, "b": 65})
    return style.finish(figure, title=title, alt=alt, height=475, width=420).update_layout(title_font_size=15)
