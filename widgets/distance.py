"""Figures of signed distance maps and of the way back from them to a soft mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots

from ssmis_core.geometry import inverse_transform
from widgets import style
from widgets.pixels import best_slice, cut, line_of
from widgets.slices import DIVERGING, Outline, Panel, panels

STEEPNESS = (5.0, 30.0, 200.0, 1500.0)


def distance_map(
    image: np.ndarray, mask: np.ndarray, distance: np.ndarray, *, spacing: Sequence[float] | None = None
) -> go.Figure:
    """A scan with the border of a mask beside the mask's signed distance map, a slider moving through both.

    image, mask, distance: [*spatial]; distance in [-1, 1] as `ssmis_core.geometry.signed_distance` returns it.
    """
    border = [Outline(mask, "border of the reference", style.GREEN)]
    parts = [
        Panel(image, "the scan", outlines=border),
        Panel(distance, "its signed distance map", kind="distance", outlines=border),
    ]
    alt = "A scan and its signed distance map: negative inside the outline, zero on it, positive outside."
    title = "What does a signed distance map add to a mask?"
    return panels(parts, title=title, alt=alt, spacing=spacing, panel_height=300)


def level_sets(distance: np.ndarray, *, spacing: Sequence[float] | None = None, title: str) -> go.Figure:
    """Surfaces of equal signed distance, chosen by a slider: meshes in 3D; all at once, as contour lines, in 2D."""
    if distance.ndim == 2:
        return _level_lines(distance, spacing, title)
    from widgets.meshes import mesh, scene

    low, high = float(distance.min()), float(distance.max())
    wanted = (0.6 * low, 0.3 * low, 0.0, 0.15 * high, 0.3 * high)
    levels = list(dict.fromkeys(round(level, 2) for level in wanted))
    figure = go.Figure()
    for level in levels:
        colour = style.VERMILLION if level < 0 else style.SKY if level == 0 else style.PURPLE
        # a hair above the level: the border itself is exactly 0
        figure.add_trace(mesh(distance, level + 1e-3, colour=colour, spacing=spacing).update(visible=level == 0))
    steps = [
        {
            "method": "restyle",
            "label": f"{level:+.2f}" if level else "0",
            "args": [{"visible": [n == k for k in range(len(levels))]}],
        }
        for n, level in enumerate(levels)
    ]
    slider = {"active": levels.index(0.0), "steps": steps, "currentvalue": {"prefix": "surface at s = "}, "y": 0.04}
    figure.update_layout(sliders=[slider], scene=scene(spacing), margin={"l": 30, "r": 30, "t": 50, "b": 20})
    alt = "A surface of constant signed distance in 3D; the slider shrinks it to the core or swells it outwards."
    return style.finish(figure, title=title, alt=alt, height=560, width=640)


def steepness_slider(
    distance: np.ndarray, *, spacing: Sequence[float] | None = None, steepness: float = 1500.0
) -> go.Figure:
    """sigmoid(-k s) of a distance map [*spatial] on its fullest slice, beside its curve over s; a slider sets k.

    steepness: the k that the method uses; the slider starts there.
    """
    values = sorted({*STEEPNESS, steepness})
    flat = cut(distance, best_slice(distance < 0))
    heads = ["soft mask sigmoid(−k s)", "the curve that makes it"]
    figure = make_subplots(1, 2, subplot_titles=heads, horizontal_spacing=0.18)
    for k in values:
        for column, trace in enumerate(_soft_mask(flat, k, spacing), start=1):
            figure.add_trace(trace.update(visible=k == steepness, showlegend=False), row=1, col=column)
    x, y = line_of(flat <= 0, spacing)
    pen = {"color": style.ORANGE, "width": 2}
    figure.add_scatter(x=x, y=y, mode="lines", line=pen, hoverinfo="skip", showlegend=False, row=1, col=1)
    steps = []
    for n, k in enumerate(values):
        visible = [at == n for at in range(len(values)) for _ in (0, 1)] + [True]
        steps.append({"method": "restyle", "label": f"{k:g}", "args": [{"visible": visible}]})
    prefix = {"prefix": "steepness k = "}
    slider = {"active": values.index(steepness), "steps": steps, "currentvalue": prefix, "y": -0.2}
    square_axes(figure, spacing)
    figure.update_xaxes(title_text="signed distance s (no unit)", row=1, col=2)
    figure.update_yaxes(title_text="soft mask (probability)", range=[-0.03, 1.03], row=1, col=2)
    figure.update_layout(sliders=[slider], margin={"t": 85, "l": 60, "r": 30, "b": 130})
    alt = "The soft mask made from a signed distance map, blurred for a small k and as good as binary for a large one."
    return style.finish(figure, title="How steep must the way back be?", alt=alt, height=510, width=860)


def level_set(
    maps: Mapping[str, tuple[np.ndarray, str]], level: float, *, spacing: Sequence[float] | None = None
) -> go.Figure:
    """Where distance maps cross a level: surfaces in 3D, lines in 2D. maps: name to (map [*spatial], colour)."""
    figure = go.Figure()
    for name, (distance, colour) in maps.items():
        if distance.ndim == 3:
            from widgets.meshes import mesh

            # a hair above the level: the border of a label is exactly 0
            figure.add_trace(mesh(distance, level + 1e-3, colour=colour, spacing=spacing, name=name, opacity=0.55))
        else:
            x, y = line_of(distance <= level, spacing)
            pen = {"color": colour, "width": 2.5}
            figure.add_scatter(x=x, y=y, mode="lines", line=pen, name=name, hoverinfo="name")
    if any(distance.ndim == 3 for distance, _ in maps.values()):
        from widgets.meshes import scene

        few = {"nticks": 4, "tickfont_size": 11, "title_font_size": 12}
        figure.update_layout(scene=scene(spacing)).update_scenes(xaxis=few, yaxis=few, zaxis=few)
    else:
        square_axes(figure, spacing, row=None, col=None)
        (distance, _), *_ = maps.values()
        ends = [(n - 0.5) * step for n, step in zip(distance.shape, spacing or (1.0, 1.0), strict=False)]
        figure.update_xaxes(range=[0, ends[0]], title_font_size=12).update_yaxes(range=[0, ends[1]], title_font_size=12)
    legend = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
    figure.update_layout(legend=legend, margin={"l": 50, "r": 25, "t": 75, "b": 45}, font_size=11)
    alt = f"Where the signed distance is {level:g}: {' and '.join(maps)}."
    figure = style.finish(figure, title=f"Where is s = {level:g}?", alt=alt, height=430, width=420)
    return figure.update_layout(title_font_size=15)


def transform_curve(steepness: float) -> go.Figure:
    """sigmoid(-k s) over s for one k, and the distances that it leaves undecided, between 0.1 and 0.9."""
    axis = np.linspace(-0.3, 0.3, 601, dtype=np.float32)
    soft = inverse_transform(torch.from_numpy(axis), steepness).numpy()
    figure = go.Figure(go.Scatter(x=axis, y=soft, mode="lines", line={"color": style.BLUE, "width": 3}))
    figure.update_traces(hovertemplate="s = %{x:.3f}: %{y:.3f}<extra></extra>", showlegend=False)
    reach = min(float(np.log(9.0)) / steepness, 0.3)
    band = {"x0": -reach, "x1": reach, "y0": 0.1, "y1": 0.9, "fillcolor": style.GREEN, "opacity": 0.3, "line_width": 0}
    figure.add_shape(type="rect", xref="x", yref="y", **band)
    figure.update_xaxes(title_text="signed distance s (no unit)", range=[-0.3, 0.3])
    figure.update_yaxes(title_text="soft mask (probability)", range=[-0.03, 1.03])
    figure.update_xaxes(title_font_size=12).update_yaxes(title_font_size=12)
    figure.update_layout(margin={"l": 65, "r": 15, "t": 70, "b": 50})
    alt = f"The soft mask falls from 1 inside to 0 outside; undecided, between 0.1 and 0.9, up to |s| = {reach:.2g}."
    title = f"σ(−k s) with k = {steepness:g}; green: undecided"
    return style.finish(figure, title=title, alt=alt, height=430, width=420).update_layout(title_font_size=15)


def square_axes(figure: go.Figure, spacing: Sequence[float] | None, **place: int | None) -> None:
    """Units and square voxels for the first subplot (or the one at row=, col=) of a figure."""
    unit, place = "mm" if spacing else "voxels", place or {"row": 1, "col": 1}
    figure.update_xaxes(title_text=f"x ({unit})", constrain="domain", showgrid=False, zeroline=False, **place)
    figure.update_yaxes(title_text=f"y ({unit})", scaleanchor="x", constrain="domain", showgrid=False, **place)


def _soft_mask(flat: np.ndarray, k: float, spacing: Sequence[float] | None) -> tuple[Any, Any]:
    """The soft mask of a slice as a heat map, and its curve over s."""
    dx, dy = spacing[:2] if spacing else (1.0, 1.0)
    soft = inverse_transform(torch.from_numpy(np.ascontiguousarray(flat)), k).numpy().T.astype(np.float32)
    bar = {"x": 0.42, "thickness": 10, "title": {"text": "p"}}
    hover = "x %{x:.1f}, y %{y:.1f}<br>soft mask %{z:.3f}<extra></extra>"
    picture = go.Heatmap(z=soft, x0=0, dx=dx, y0=0, dy=dy, zmin=0, zmax=1, colorscale="Cividis", colorbar=bar)
    axis = np.linspace(-0.3, 0.3, 241, dtype=np.float32)
    curve = inverse_transform(torch.from_numpy(axis), k).numpy()
    pen = {"color": style.BLUE, "width": 3}
    line = go.Scatter(x=axis, y=curve, mode="lines", line=pen, hovertemplate="s = %{x:.3f}: %{y:.3f}<extra></extra>")
    return picture.update(hovertemplate=hover), line


def _level_lines(distance: np.ndarray, spacing: Sequence[float] | None, title: str) -> go.Figure:
    dx, dy = spacing[:2] if spacing else (1.0, 1.0)
    lines = go.Contour(z=distance.T.astype(np.float32), x0=0, dx=dx, y0=0, dy=dy, zmid=0, colorscale=DIVERGING)
    lines.contours = {"start": -1, "end": 1, "size": 0.1, "showlabels": True}
    lines.colorbar = {"title": {"text": "s (no unit)"}}
    figure = go.Figure(lines)
    unit = "mm" if spacing else "voxels"
    figure.update_xaxes(title_text=f"x ({unit})", constrain="domain")
    figure.update_yaxes(title_text=f"y ({unit})", scaleanchor="x", constrain="domain")
    alt = "Lines of equal signed distance round a mask."
    return style.finish(figure, title=title, alt=alt, height=520, width=640)
