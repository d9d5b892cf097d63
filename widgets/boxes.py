"""Boxes in a volume, in 3D: the crops of a scan, what they share, and an object between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import plotly.graph_objects as go

from widgets import meshes, style

NOWHERE = [np.nan] * 3
SIDES = ((0, 1, 3, 2), (4, 5, 7, 6), (0, 1, 5, 4), (2, 3, 7, 6), (0, 2, 6, 4), (1, 3, 7, 5))  # numbers of `_corners`
TRIANGLES = np.array([half for a, b, c, d in SIDES for half in ((a, b, c), (a, c, d))])


@dataclass(frozen=True)
class Box:
    """A box [corner, corner + size), in voxels; filled: its sides are tinted, not its edges alone."""

    name: str
    corner: Sequence[int]
    size: Sequence[int]
    colour: str
    dash: str = "solid"
    filled: bool = False


def boxes(
    parts: Sequence[Box],
    *,
    title: str,
    alt: str,
    spacing: Sequence[float] | None = None,
    mask: np.ndarray | None = None,
    mask_name: str = "",
    size: int = 400,
) -> go.Figure:
    """Boxes in 3D, and the surface of a mask [X, Y, Z] that begins at the first voxel. Empty boxes are left out.

    spacing: mm a voxel, for axes in mm (default: voxels); size: pixels a side.
    """
    figure = go.Figure()
    step = np.asarray(spacing if spacing else (1.0, 1.0, 1.0))
    for box in parts:
        if min(box.size) < 1:
            continue
        ends = np.stack([np.asarray(box.corner), np.asarray(box.corner) + box.size]) - 0.5  # a voxel reaches round it
        pen = {"color": box.colour, "width": 5, "dash": box.dash}
        lines = dict(zip("xyz", (_edges(ends) * step).T, strict=True))
        figure.add_scatter3d(**lines, mode="lines", line=pen, name=box.name, hoverinfo="name")
        if box.filled:
            figure.add_mesh3d(
                **dict(zip("xyz", (_corners(ends) * step).T, strict=True)),
                **dict(zip("ijk", TRIANGLES.T, strict=True)),
                color=box.colour, opacity=0.25, hoverinfo="skip", showlegend=False,
            )  # fmt: skip
    if mask is not None and mask.any():
        figure.add_trace(meshes.mask_mesh(mask, colour=style.PREDICTION, spacing=spacing, name=mask_name, opacity=0.7))
    space = meshes.scene(spacing)
    for axis in ("xaxis", "yaxis", "zaxis"):
        space[axis] |= {"nticks": 4, "tickfont": {"size": 10}}
        space[axis]["title"] |= {"font": {"size": 11}}
    space["camera"] = {"eye": {"x": 1.8, "y": -2.1, "z": 1.15}}  # far enough for the names of the axes
    legend = {"x": 0.0, "y": 0.0, "yanchor": "top"}  # one entry a line: the figure is narrow
    room = 25 * (1 + len(figure.data))
    figure.update_layout(scene=space, legend=legend, margin={"l": 5, "r": 5, "t": 40, "b": room})
    style.finish(figure, title=title, alt=alt, height=size + room, width=size)
    return figure.update_layout(title_font_size=15)


def _corners(ends: np.ndarray) -> np.ndarray:
    """[8, 3] of a box with the corners ends [2, 3]."""
    return np.array(list(product(*ends.T)))


def _edges(ends: np.ndarray) -> np.ndarray:
    """The twelve edges of a box as one polyline, its pieces parted by NaN."""
    corners = _corners(ends)
    pairs = [(a, b) for a in range(8) for b in range(a + 1, 8) if bin(a ^ b).count("1") == 1]
    return np.array([point for a, b in pairs for point in (corners[a], corners[b], NOWHERE)])
