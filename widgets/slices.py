"""Slices through volumes side by side, with outlines, one scale of units and one slider for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ssmis_core.errors import UserError, unknown
from widgets import style

BYTES_A_FIGURE = 400_000  # of pixel data: with many slices the executed notebook grows too large to share
MOST_SLICES = 9
DIVERGING = "PuOr"

# kind: (colours, lowest, highest, what the colour bar says); None: from the data, or no bar
KINDS: dict[str, tuple[object, float | None, float | None, str | None]] = {
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
    panel_height: int = 250,
) -> go.Figure:
    """Panels in a grid. 3D maps are cut across the last axis; where there are several cuts, a slider moves them all.

    spacing: mm a voxel, for axes in mm (default: voxels); slices: cuts to show (default: spread over the focus).
    Panels may differ in shape: the slider then moves through each one's own focus. Raises UserError without panels.
    """
    if not parts:
        raise UserError("panels: no panel to draw, expected at least one")
    cuts = [list(slices) if slices is not None and p.values.ndim == 3 else spread(p, _fitting(parts)) for p in parts]
    steps = max(len(cut) for cut in cuts)
    middle = steps // 2
    columns = columns or min(len(parts), 4)
    rows = -(-len(parts) // columns)
    figure = make_subplots(
        rows, columns, subplot_titles=[p.title for p in parts], horizontal_spacing=0.05, vertical_spacing=0.26 / rows
    )
    when: list[int | None] = []  # at which slider step each trace shows; None: always
    for number, part in enumerate(parts):
        place = {"row": number // columns + 1, "col": number % columns + 1}
        for step in range(steps):
            traces = _traces(part, cuts[number][min(step, len(cuts[number]) - 1)], spacing)
            if step == middle and part.kind != "image":
                traces[0].update(showscale=True, colorbar=_bar(figure, number, part, rows))
            for trace in traces:
                figure.add_trace(trace.update(visible=step == middle), **place)
                when.append(step)
    _add_legend(figure, parts, when)
    _axes(figure, parts, columns, spacing)
    bars, legend = any(p.kind != "image" for p in parts), any(p.outlines for p in parts)
    below = 45 + 55 * bars + (70 if steps > 1 else 0)
    height = 95 + 25 * legend + rows * (panel_height + 30) + below
    figure.update_layout(
        margin={"l": 55, "r": 20, "t": 95 + 25 * legend, "b": below},
        legend={"orientation": "h", "x": 0.0, "y": 1 + 62 / (rows * (panel_height + 30)), "yanchor": "bottom"},
    )
    if steps > 1:
        same = len({tuple(cut) for cut in cuts}) == 1
        figure.update_layout(sliders=[_slider(cuts[0], when, middle, same=same, bars=bars, area=height - below - 95)])
    return style.finish(figure, title=title, alt=alt, height=height, width=260 * columns + 80 if columns > 1 else 480)


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
        Outline(label == k, role if single else f"{name}, {role}", colour if single else style.CLASS_COLOURS[k - 1], dash)
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


def _fitting(parts: Sequence[Panel]) -> int:
    sizes = [p.values.shape[0] * p.values.shape[1] * (1 if p.kind == "image" else 4) for p in parts]
    count = int(np.clip(BYTES_A_FIGURE // max(1, sum(sizes)), 1, MOST_SLICES))
    return count if count % 2 else count - 1


def _traces(part: Panel, index: int, spacing: Sequence[float] | None) -> list[go.BaseTraceType if False else object]:
    return []
