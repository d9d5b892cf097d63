"""Slices through volumes side by side, with outlines, one scale of units and one slider for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ssmis_core.errors import UserError
from widgets import style

BYTES_A_FIGURE = 400_000  # of pixel data: with many slices the executed notebook grows too large to share
MOST_SLICES = 9
DIVERGING = "PuOr"

# kind: (colours, lowest, highest, what the colour bar says); None: from the data, or no bar
KINDS: dict[str, tuple[Any, float | None, float | None, str | None]] = {
    "image": ("Gray", 0, 255, None),
    "probability": ("Cividis", 0.0, 1.0, "probability"),
    "distance": (DIVERGING, -1.0, 1.0, "signed distance"),
    "uncertainty": ("Cividis", 0.0, None, "entropy (nats)"),
    "difference": ("Cividis", 0.0, None, "difference"),
}


@dataclass(frozen=True)
class Outline:
    """The border of a mask [*spatial] (non-zero is inside), drawn on a panel."""

    mask: np.ndarray
    name: str
    colour: str = style.REFERENCE
    dash: str = "solid"


@dataclass(frozen=True)
class Panel:
    """One picture of a figure: a map [X, Y] or [X, Y, Z] of a kind (see KINDS), outlines and a tint on it.

    tint: a mask that is coloured see-through; top: the upper end of the colour scale where the kind leaves it open;
    focus: a mask whose slices are of interest (default: the outlines together).
    """

    values: np.ndarray
    title: str
    kind: str = "image"
    outlines: Sequence[Outline] = field(default_factory=tuple)
    tint: np.ndarray | None = None
    top: float | None = None
    focus: np.ndarray | None = None


def panels(
    parts: Sequence[Panel],
    *,
    title: str,
    alt: str,
    spacing: Sequence[float] | None = None,
    columns: int | None = None,
    slices: Sequence[int] | None = None,
    linked: bool = True,
    panel_height: int = 250,
) -> go.Figure:
    """Panels in a grid. 3D maps are cut across the last axis; where there are several cuts, a slider moves them all.

    spacing: mm a voxel, for axes in mm (default: voxels); slices: cuts to show (default: spread over the focus).
    linked: the panels show one volume and are cut at the same places; False: each moves through its own focus.
    Raises UserError without panels.
    """
    if not parts:
        raise UserError("panels: no panel to draw, expected at least one")
    cuts = _cuts(parts, slices, linked)
    count = max(len(each) for each in cuts)
    columns = columns or min(len(parts), 4)
    rows, bars = -(-len(parts) // columns), any(p.kind != "image" for p in parts)
    gap = 50 + 55 * bars  # pixels under a row: tick labels, axis title, colour bar
    pixels = rows * panel_height + (rows - 1) * (gap + 25)
    top, below = 100 if any(p.outlines for p in parts) else 75, gap + (65 if count > 1 else 10)
    figure = make_subplots(
        rows,
        columns,
        subplot_titles=[p.title for p in parts],
        horizontal_spacing=0.25 / columns if columns > 1 else 0.0,
        vertical_spacing=(gap + 25) / pixels if rows > 1 else 0.0,
    )
    when: list[int | None] = []  # the slider step at which each trace shows; None: always
    for number, part in enumerate(parts):
        place = {"row": number // columns + 1, "col": number % columns + 1}
        bar = _bar(figure, place, part, pixels)
        for step in range(count):
            for trace in _traces(part, cuts[number][min(step, len(cuts[number]) - 1)], spacing, bar):
                figure.add_trace(trace.update(visible=step == count // 2), **place)
                when.append(step)
    _add_legend(figure, parts, when)
    _axes(figure, columns, len(parts), spacing)
    figure.update_layout(
        margin={"l": 60, "r": 20, "t": top, "b": below},
        legend={"orientation": "h", "x": 0.0, "y": 1 + 24 / pixels, "yanchor": "bottom", "font": {"size": 12}},
    )
    if count > 1:
        figure.update_layout(sliders=[_slider(cuts, when, count // 2, y=-gap / pixels)])
    height = top + pixels + below
    return style.finish(figure, title=title, alt=alt, height=height, width=80 + columns * (panel_height + 35))


def best_slice(mask: np.ndarray) -> int:
    """The cut across the last axis with the most non-zero voxels; the middle one of an empty mask; 0 in 2D."""
    if mask.ndim < 3:
        return 0
    filled = (np.asarray(mask) != 0).sum((0, 1))
    return int(filled.argmax()) if filled.any() else mask.shape[2] // 2


def spread(part: Panel, count: int) -> list[int]:
    """At most `count` cuts through what a panel is about, evenly spread, the fullest one in the middle."""
    if part.values.ndim < 3:
        return [0]
    focus = part.focus
    if focus is None:
        masks = [outline.mask != 0 for outline in part.outlines]
        focus = np.any(masks, axis=0) if masks else None
    depth = part.values.shape[2]
    if focus is None or not np.any(focus):
        low, middle, high = depth // 6, depth // 2, depth - 1 - depth // 6
    else:
        filled = np.flatnonzero(np.any(focus, axis=(0, 1)))
        low, middle, high = int(filled[0]), best_slice(focus), int(filled[-1])
    half = max(0, count - 1) // 2
    left = np.linspace(low, middle, half + 1)[:-1] if half else []
    right = np.linspace(middle, high, half + 1)[1:] if half else []
    return [int(z) for z in np.round([*left, middle, *right])]


def grey(image: np.ndarray) -> np.ndarray:
    """An image as uint8, its 0.5th to 99.5th percentile spread over black to white."""
    low, high = np.percentile(image, (0.5, 99.5))
    return np.round(255 * np.clip((image - low) / max(high - low, 1e-12), 0, 1)).astype(np.uint8)


def class_outlines(label: np.ndarray, class_names: Sequence[str], *, role: str, dash: str = "solid") -> list[Outline]:
    """The outlines of a label map: one colour for its role with one foreground class, else one a class."""
    single = len(class_names) == 2
    colour = style.PREDICTION if role.startswith("predict") else style.REFERENCE
    return [
        Outline(
            label == k, role if single else f"{name}, {role}", colour if single else style.CLASS_COLOURS[k - 1], dash
        )
        for k, name in enumerate(class_names)
        if k > 0
    ]


def cut(volume: np.ndarray, index: int) -> np.ndarray:
    """[X, Y] of a volume across its last axis; a 2D map as it is."""
    return volume if volume.ndim == 2 else volume[:, :, index]


def line_of(mask: np.ndarray, spacing: Sequence[float] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The border of a 2D mask as x and y of one polyline (float32), its pieces parted by NaN."""
    from skimage.measure import find_contours

    padded = np.pad(np.asarray(mask, np.float32), 1)
    pieces = [np.vstack([piece - 1, [[np.nan, np.nan]]]) for piece in find_contours(padded, 0.5)]
    points = np.vstack(pieces) if pieces else np.full((1, 2), np.nan)
    points = points * np.asarray(spacing[:2] if spacing else (1.0, 1.0))
    return points[:, 0].astype(np.float32), points[:, 1].astype(np.float32)


def _cuts(parts: Sequence[Panel], slices: Sequence[int] | None, linked: bool) -> list[list[int]]:
    """The cuts of each panel."""
    if slices is not None:
        return [list(slices) if part.values.ndim == 3 else [0] for part in parts]
    count = _fitting(parts)
    if linked:
        leader = next((p for p in parts if p.focus is not None or p.outlines), parts[0])
        return [spread(leader, count)] * len(parts)
    return [spread(part, count) for part in parts]


def _fitting(parts: Sequence[Panel]) -> int:
    sizes = [p.values.shape[0] * p.values.shape[1] * (1 if p.kind == "image" else 4) for p in parts]
    count = int(np.clip(BYTES_A_FIGURE // max(1, sum(sizes)), 1, MOST_SLICES))
    return count if count % 2 else count - 1


def _traces(part: Panel, index: int, spacing: Sequence[float] | None, bar: dict[str, Any] | None) -> list[Any]:
    """The heat map of one cut, the tint over it, and its outlines."""
    dx, dy = spacing[:2] if spacing else (1.0, 1.0)
    unit = "mm" if spacing else "voxels"
    colours, low, high, name = KINDS[part.kind]
    values = grey(part.values) if part.kind == "image" else part.values
    if high is None:
        high = part.top if part.top is not None else max(float(np.nanmax(values)), 1e-6)
    place = f"x %{{x:.1f}}, y %{{y:.1f}} {unit}"
    grid = {"x0": 0, "dx": dx, "y0": 0, "dy": dy}
    flat = cut(values, index).T
    drawn: list[Any] = [
        go.Heatmap(
            z=flat if part.kind == "image" else flat.astype(np.float32),
            **grid,
            zmin=low,
            zmax=high,
            colorscale=colours,
            showscale=bar is not None,
            colorbar=bar,
            hovertemplate=place + ("" if name is None else f"<br>{name} %{{z:.3f}}") + "<extra></extra>",
        )
    ]
    if part.tint is not None:
        clear = [[0, "rgba(0,0,0,0)"], [1, "rgba(230,159,0,0.55)"]]
        shade = (cut(part.tint, index) != 0).T.astype(np.uint8)
        drawn.append(go.Heatmap(z=shade, **grid, zmin=0, zmax=1, colorscale=clear, showscale=False, hoverinfo="skip"))
    for outline in part.outlines:
        x, y = line_of(cut(outline.mask, index), spacing)
        pen = {"color": outline.colour, "width": 2.5, "dash": outline.dash}
        drawn.append(go.Scatter(x=x, y=y, mode="lines", line=pen, hoverinfo="skip", showlegend=False))
    return drawn


def _bar(figure: go.Figure, place: dict[str, int], part: Panel, pixels: int) -> dict[str, Any] | None:
    """A flat colour bar under a panel; None for a plain image."""
    name = KINDS[part.kind][3]
    if name is None:
        return None
    subplot = figure.get_subplot(**place)
    (left, right), (bottom, _) = subplot.xaxis.domain, subplot.yaxis.domain
    return {
        "orientation": "h",
        "x": (left + right) / 2,
        "xanchor": "center",
        "y": bottom - 48 / pixels,
        "yanchor": "top",
        "len": 0.9 * (right - left),
        "thickness": 9,
        "nticks": 5,
        "title": {"text": name, "side": "bottom", "font": {"size": 12}},
        "tickfont": {"size": 11},
    }


def _add_legend(figure: go.Figure, parts: Sequence[Panel], when: list[int | None]) -> None:
    """One entry for each name of an outline, and for a tint; always shown."""
    pens = {o.name: {"color": o.colour, "width": 3, "dash": o.dash} for p in parts for o in p.outlines}
    for name, pen in pens.items():
        figure.add_trace(go.Scatter(x=[None], y=[None], mode="lines", line=pen, name=name), row=1, col=1)
        when.append(None)


def _axes(figure: go.Figure, columns: int, count: int, spacing: Sequence[float] | None) -> None:
    """Square voxels, units on the outer axes, no zero lines."""
    unit = "mm" if spacing else "voxels"
    for number in range(count):
        place = {"row": number // columns + 1, "col": number % columns + 1}
        anchor = figure.get_subplot(**place).yaxis.anchor
        figure.update_yaxes(scaleanchor=anchor, constrain="domain", showgrid=False, zeroline=False, **place)
        figure.update_xaxes(constrain="domain", showgrid=False, zeroline=False, title_standoff=4, **place)
        figure.update_xaxes(title_text=f"x ({unit})", title_font_size=12, tickfont_size=11, **place)
        figure.update_yaxes(title_font_size=12, tickfont_size=11, title_standoff=4, **place)
        if place["col"] == 1:
            figure.update_yaxes(title_text=f"y ({unit})", **place)
    figure.update_annotations(font_size=13)


def _slider(cuts: Sequence[Sequence[int]], when: Sequence[int | None], start: int, y: float) -> dict[str, Any]:
    """A slider that shows the traces of one step at a time; it names the cut, or its rank where panels differ."""
    same = len({tuple(each) for each in cuts}) == 1
    count = max(len(each) for each in cuts)
    names = [str(z) for z in cuts[0]] if same else [f"{n + 1} of {count}" for n in range(count)]
    steps = [
        {"method": "restyle", "label": name, "args": [{"visible": [at is None or at == n for at in when]}]}
        for n, name in enumerate(names)
    ]
    prefix = "slice z = " if same else "slice "
    current = {"prefix": prefix, "font": {"size": 13}, "xanchor": "left"}
    return {
        "active": start,
        "steps": steps,
        "currentvalue": current,
        "y": y,
        "yanchor": "top",
        "pad": {"t": 0},
        "len": 1.0,
    }
