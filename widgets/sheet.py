"""Several figures on one page, each as it was: a still of pictures that stand beside each other while they are live."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from widgets import style

MARGIN = {"l": 80, "r": 80, "t": 100, "b": 80}  # plotly's own
GAP = 20  # pixels between figures


@dataclass(frozen=True)
class _Place:
    """Where a figure's plotting area lies on the page, as shares of it, and what its axes and legends are called.

    axes, scenes, legends: how many the figures before it have taken.
    """

    left: float
    bottom: float
    width: float
    height: float
    axes: int
    scenes: int
    legends: int

    def x(self, share: float) -> float:
        return self.left + share * self.width

    def y(self, share: float) -> float:
        return self.bottom + share * self.height

    def renamed(self, name: str) -> str:
        """A name such as "x", "y2", "x3 domain", "scene" or "legend" as it is called on the page."""
        found = re.fullmatch(r"(x|y|scene|legend)(axis)?(\d*)( domain)?", name)
        if found is None:
            return name  # "free", "paper", "container"
        kind, axis, number, domain = found.groups(default="")
        taken = {"scene": self.scenes, "legend": self.legends}.get(kind, self.axes)
        index = int(number or 1) + taken
        return f"{kind}{axis}{index if index > 1 else ''}{domain}"


def sheet(
    rows: Sequence[Sequence[go.Figure]], *, title: str, alt: str, head: int = 0, foot: Sequence[str] = ()
) -> go.Figure:
    """Rows of figures as one figure, in their own sizes. Their titles stay over them; `title` is that of the page.

    head: pixels for the title of the page; foot: lines of text at the end. Sliders and buttons are left out: what they
    switch is counted over one figure.
    """
    rows = [row for row in rows if row]
    width = max(sum(one.layout.width for one in row) + GAP * (len(row) - 1) for row in rows)
    heights = [max(one.layout.height for one in row) for row in rows]
    height = head + sum(heights) + GAP * (len(rows) - 1) + 24 * len(foot)
    page, top = go.Figure(), head
    for row, high in zip(rows, heights, strict=True):
        left = 0
        for one in row:
            _put(page, one, left, top, width, height)
            left += one.layout.width + GAP
        top += high + GAP
    page.update_layout(margin=dict.fromkeys("lrtb", 0))
    if foot:
        at = {"xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom", "align": "left"}
        page.add_annotation(text="<br>".join(foot), x=20 / width, y=8 / height, showarrow=False, **at)
    style.finish(page, title=title, alt=alt, width=width, height=height)
    lower = 11 * title.count("<br>")  # plotly moves a title up by half of its further lines
    return page.update_layout(title_y=1 - (10 + lower) / height)


def legend_width(figure: go.Figure) -> int:
    """About how many pixels wide the figure's legend is in one row; it grows beyond the figure on a wider page."""
    return sum(_entries(figure))


def with_room_for_its_legend(figure: go.Figure, *, fits: int = 2) -> go.Figure:
    """The figure, higher where its legend has more rows over the panels than fit; plotly makes no room for them."""
    entries, margin = _entries(figure), figure.layout.margin
    if legend_width(figure) <= figure.layout.width - margin.l - margin.r:
        return figure
    columns = max(1, int((figure.layout.width - margin.l - margin.r) // max(entries)))  # all as wide as the widest
    more = 20 * max(0, -(-len(entries) // columns) - fits)
    return figure.update_layout(margin_t=margin.t + more, height=figure.layout.height + more)


def _entries(figure: go.Figure) -> list[int]:
    """About how many pixels wide each entry of the figure's legend is."""
    named = {trace.name for trace in figure.data if trace.name and trace.showlegend is not False}
    return [45 + 7 * len(name) for name in named]


def _put(page: go.Figure, one: go.Figure, left: float, top: float, width: float, height: float) -> None:
    """Draw a figure on the page, its upper left corner at (left, top) in pixels."""
    layout, high, wide = one.layout.to_plotly_json(), one.layout.height, one.layout.width
    margin = {**MARGIN, **layout.get("margin", {})}
    names = page.layout.to_plotly_json()
    place = _Place(
        left=(left + margin["l"]) / width,
        bottom=1 - (top + high - margin["b"]) / height,
        width=(wide - margin["l"] - margin["r"]) / width,
        height=(high - margin["t"] - margin["b"]) / height,
        axes=sum(name.startswith("xaxis") for name in names),
        scenes=sum(name.startswith("scene") for name in names),
        legends=sum(name.startswith("legend") for name in names),
    )
    new: dict[str, Any] = {}
    traces = [_trace(trace.to_plotly_json(), place) for trace in one.data]
    flat = any("scene" not in trace for trace in traces)
    for name, value in {"legend": {}, **({"xaxis": {}, "yaxis": {}} if flat else {}), **layout}.items():
        if re.fullmatch(r"[xy]axis\d*", name):
            new[place.renamed(name)] = _axis(value, name[0], place)
        elif name.startswith("legend"):
            new[place.renamed(name)] = _moved_box(value, place, 1.02, 1.0)
        elif name.startswith("scene"):
            domain = value.get("domain", {})
            x, y = ([f(end) for end in domain.get(axis, (0, 1))] for axis, f in (("x", place.x), ("y", place.y)))
            new[place.renamed(name)] = {**value, "domain": {"x": x, "y": y}}
    for kind in ("annotations", "shapes"):
        before = list(names.get(kind, ()))
        new[kind] = [*before, *(_note(note, place) for note in layout.get(kind, ()))]
    heading = layout.get("title", {})
    if heading.get("text"):
        font = heading.get("font", {})
        at = {"x": (left + 0.02 * wide) / width, "y": 1 - (top + 6) / height, "xref": "paper", "yref": "paper"}
        fixed = {"xanchor": "left", "yanchor": "top", "align": "left", "showarrow": False}
        new["annotations"].append({"text": heading["text"], "font": font, **at, **fixed})
    page.add_traces(traces)
    page.update_layout(new, overwrite=True)


def _trace(trace: dict[str, Any], place: _Place) -> dict[str, Any]:
    """A trace on its axes of the page, its colour bar and its entry of the legend included."""
    solid = trace["type"] in ("mesh3d", "scatter3d", "surface", "isosurface", "volume", "cone")
    names = ("scene", "legend") if solid else ("xaxis", "yaxis", "legend")
    moved = {**trace, **{name: place.renamed(trace.get(name, name.removesuffix("axis"))) for name in names}}
    if trace["type"] == "heatmap" or "colorbar" in trace:
        moved["colorbar"] = _bar(trace.get("colorbar", {}), place)
    if "colorbar" in trace.get("marker", {}):
        moved["marker"] = {**trace["marker"], "colorbar": _bar(trace["marker"]["colorbar"], place)}
    return moved


def _axis(axis: dict[str, Any], direction: str, place: _Place) -> dict[str, Any]:
    map_ = place.x if direction == "x" else place.y
    moved = {**axis, "domain": [map_(end) for end in axis.get("domain", (0, 1))], "automargin": False}
    for name in ("anchor", "overlaying", "matches", "scaleanchor"):
        if name in axis:
            moved[name] = place.renamed(axis[name])
    moved.setdefault("anchor", place.renamed("y" if direction == "x" else "x"))
    return moved


def _bar(bar: dict[str, Any], place: _Place) -> dict[str, Any]:
    """A colour bar as long as it was."""
    flat = bar.get("orientation") == "h"
    moved = _moved_box(bar, place, 0.5 if flat else 1.02, 1.02 if flat else 0.5)
    return {**moved, "len": bar.get("len", 1) * (place.width if flat else place.height)}


def _moved_box(box: dict[str, Any], place: _Place, x: float, y: float) -> dict[str, Any]:
    return {**box, "x": place.x(box.get("x", x)), "y": place.y(box.get("y", y))}


def _note(note: dict[str, Any], place: _Place) -> dict[str, Any]:
    """An annotation or a shape, moved along with what it refers to."""
    moved = dict(note)
    for axis, map_ in (("x", place.x), ("y", place.y)):
        reference = note.get(f"{axis}ref", "paper")
        moved[f"{axis}ref"] = place.renamed(reference)
        if reference == "paper":
            ends = (name for name in (axis, f"{axis}0", f"{axis}1") if name in note)
            moved |= {name: map_(note[name]) for name in ends}
    return moved
