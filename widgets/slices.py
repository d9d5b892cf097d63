"""Slices through volumes side by side, with outlines, one scale of units and one slider for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.colors import hex_to_rgb
from plotly.subplots import make_subplots

from ssmis_core.errors import UserError
from widgets import style
from widgets.cuts import choose_cuts, image_step
from widgets.pixels import cut, grey, line_of

DIVERGING = "PuOr"
# too little in the colour of the reference, too much in that of the prediction
ERROR = [[share, f"rgb{hex_to_rgb(colour)}"] for share, colour in ((0, style.SKY), (0.5, "#F7F7F7"), (1, style.ORANGE))]

# kind: (colours, lowest, highest, what the colour bar says); None: highest from the data, lowest its negative; no bar
KINDS: dict[str, tuple[Any, float | None, float | None, str | None]] = {
    "image": ("Gray", 0, 255, None),
    "probability": ("Cividis", 0.0, 1.0, "probability"),
    "distance": (DIVERGING, -1.0, 1.0, "signed distance"),
    "noise": (DIVERGING, None, None, "noise"),
    "change": ("RdBu", -1.0, 1.0, "change"),
    "gap": ("RdBu", None, None, "difference"),
    "uncertainty": ("Cividis", 0.0, None, "entropy (nats)"),
    "divergence": ("Cividis", 0.0, None, "KL (nats)"),
    "part of a divergence": (DIVERGING, None, None, "part of the KL (nats)"),
    "difference": ("Cividis", 0.0, None, "difference"),
    "score": ("Cividis", 0.0, 1.0, "score"),
    "cosine": ("Cividis", 0.0, None, "cosine distance"),
    "weight": ("Cividis", 0.0, 1.0, "weight in the loss"),
    "error": (ERROR, -1.0, 1.0, "prediction minus reference"),
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


@dataclass(frozen=True)
class _Frame:
    """Where things are in a figure of panels, in pixels.

    gap: under a row, for tick labels, axis title and colour bar; pixels: of all rows, without the margins top and
    below; over: from the panels up to the legend.
    """

    rows: int
    columns: int
    gap: int
    pixels: int
    top: int
    below: int
    over: int
    width: int

    @property
    def height(self) -> int:
        return self.top + self.pixels + self.below

    def place(self, number: int) -> dict[str, int]:
        """The subplot of a panel."""
        return {"row": number // self.columns + 1, "col": number % self.columns + 1}


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
    cuts, start = choose_cuts(parts, slices, linked=linked)
    count, thin = max(len(each) for each in cuts), image_step(parts, slices)
    frame = _frame(parts, columns or min(len(parts), 4), panel_height, slider=count > 1)
    figure = make_subplots(
        frame.rows,
        frame.columns,
        subplot_titles=[p.title for p in parts],
        horizontal_spacing=0.25 / frame.columns if frame.columns > 1 else 0.0,
        vertical_spacing=(frame.gap + 25) / frame.pixels if frame.rows > 1 else 0.0,
    )
    when: list[int | None] = []  # the slider step at which each trace shows; None: always
    for number, part in enumerate(parts):
        place = frame.place(number)
        bar = _bar(figure, place, part, frame.pixels)
        for step in range(count):
            for trace in _traces(part, cuts[number][min(step, len(cuts[number]) - 1)], spacing, bar, thin):
                figure.add_trace(trace.update(visible=step == start), **place)
                when.append(step)
    _add_legend(figure, parts, when)
    _axes(figure, parts, frame, spacing)
    legend = {"orientation": "h", "x": 0.0, "y": 1 + frame.over / frame.pixels, "yanchor": "bottom"}
    figure.update_layout(margin={"l": 60, "r": 20, "t": frame.top, "b": frame.below}, legend=legend)
    if count > 1:
        figure.update_layout(sliders=[_slider(cuts, when, start, y=-frame.gap / frame.pixels)])
    return style.finish(figure, title=title, alt=alt, height=frame.height, width=frame.width)


def class_outlines(label: np.ndarray, class_names: Sequence[str], *, role: str, dash: str = "solid") -> list[Outline]:
    """The outlines of a label map: one colour for its role with one foreground class, else one a class."""
    colours = style.class_colours(len(class_names), predicted=role.startswith("predict"))
    single = len(colours) == 1
    return [
        Outline(label == k, role if single else f"{name}, {role}", colour, dash)
        for k, (name, colour) in enumerate(zip(class_names[1:], colours, strict=True), start=1)
    ]


def _frame(parts: Sequence[Panel], columns: int, panel_height: int, *, slider: bool) -> _Frame:
    """The frame for panels of a height in a number of columns."""
    rows = -(-len(parts) // columns)
    gap = 50 + 55 * any(p.kind != "image" for p in parts)
    lines = max(p.title.count("<br>") for p in parts)  # more lines of a panel's title push the legend up
    return _Frame(
        rows=rows,
        columns=columns,
        gap=gap,
        pixels=rows * panel_height + (rows - 1) * (gap + 25),
        top=75 + 18 * lines + 28 * any(p.outlines for p in parts),
        below=gap + (65 if slider else 10),
        over=24 + 18 * lines,
        width=80 + columns * (panel_height + 35),
    )


def _traces(
    part: Panel, index: int, spacing: Sequence[float] | None, bar: dict[str, Any] | None, thin: int
) -> list[Any]:
    """The heat map of one cut, the tint over it, and its outlines; thin: of an image, so many pixels to the next."""
    dx, dy = spacing[:2] if spacing else (1.0, 1.0)
    unit = "mm" if spacing else "voxels"
    colours, low, high, name = KINDS[part.kind]
    values = grey(part.values) if part.kind == "image" else part.values
    if high is None:
        high = part.top if part.top is not None else max(float(np.nanmax(np.abs(values))), 1e-6)
    low = -high if low is None else low
    place = f"x %{{x:.1f}}, y %{{y:.1f}} {unit}"
    grid = {"x0": 0, "dx": dx, "y0": 0, "dy": dy}
    flat, own = cut(values, index).T, grid
    if part.kind == "image":
        flat, own = flat[::thin, ::thin], {"x0": 0, "dx": thin * dx, "y0": 0, "dy": thin * dy}
    drawn: list[Any] = [
        go.Heatmap(
            z=flat if part.kind == "image" else flat.astype(np.float32),
            **own,
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


def _axes(figure: go.Figure, parts: Sequence[Panel], frame: _Frame, spacing: Sequence[float] | None) -> None:
    """Square voxels, units on the outer axes, no zero lines."""
    unit = "mm" if spacing else "voxels"
    dx, dy = spacing[:2] if spacing else (1.0, 1.0)
    for number, part in enumerate(parts):
        place = frame.place(number)
        anchor = figure.get_subplot(**place).yaxis.anchor
        figure.update_yaxes(scaleanchor=anchor, constrain="domain", showgrid=False, zeroline=False, **place)
        figure.update_xaxes(constrain="domain", showgrid=False, zeroline=False, title_standoff=4, **place)
        wide, high = part.values.shape[:2]
        figure.update_xaxes(range=[-dx / 2, (wide - 0.5) * dx], **place)
        figure.update_yaxes(range=[-dy / 2, (high - 0.5) * dy], **place)
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
