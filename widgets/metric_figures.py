"""Figures that explain the metrics: one reference, predictions that are wrong in a known way, and what they score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ssmis_core.metrics import Scores, evaluate
from widgets import style
from widgets.distance import square_axes
from widgets.mistakes import shifted
from widgets.pixels import best_slice, cut, grey, line_of


def mistakes(label: np.ndarray) -> dict[str, np.ndarray]:
    """Predictions made from a reference [*spatial] by one known mistake each, by name."""
    from scipy import ndimage

    reference = np.asarray(label) != 0
    made = {"perfect": reference}
    for voxels in (1, 2, 4):
        made[f"shifted by {voxels}"] = shifted(reference, [voxels])
    made["shrunk by 1"] = ndimage.binary_erosion(reference)
    made["swollen by 1"] = ndimage.binary_dilation(reference)
    for name, share in (("small far blob", 12), ("large far blob", 5)):
        made[name] = reference.copy()
        made[name][tuple(slice(1, 1 + max(2, size // share)) for size in reference.shape)] = True
    made["half missing"] = reference.copy()
    middle = int(np.argwhere(reference)[:, 0].mean()) if reference.any() else 0
    made["half missing"][:middle] = False
    return made


def score_of_mistakes(
    image: np.ndarray, label: np.ndarray, *, spacing: Sequence[float] | None = None, title: str
) -> go.Figure:
    """A reference with each mistake of `mistakes` outlined in turn (slider), beside what they score.

    Dice counts voxels; 95HD (voxels) measures how far the border is off. A far blob hardly moves Dice, and a small
    one not even 95HD.
    """
    made = mistakes(label)
    scores = {name: evaluate(mask, np.asarray(label) != 0) for name, mask in made.items()}
    heads = ["reference dotted, prediction solid", "Dice (blue) and 95HD (orange)"]
    figure = make_subplots(1, 2, subplot_titles=heads, horizontal_spacing=0.2, specs=[[{}, {"secondary_y": True}]])
    index = best_slice(label)
    dx, dy = spacing[:2] if spacing else (1.0, 1.0)
    place: dict[str, Any] = {"x0": 0, "dx": dx, "y0": 0, "dy": dy, "showscale": False, "hoverinfo": "skip"}
    figure.add_heatmap(z=grey(cut(image, index)).T, colorscale="Gray", row=1, col=1, **place)
    line = {"showlegend": False, "hoverinfo": "skip", "mode": "lines", "row": 1, "col": 1}
    x, y = line_of(cut(label, index) != 0, spacing)
    figure.add_scatter(x=x, y=y, line={"color": style.REFERENCE, "width": 3, "dash": "dot"}, **line)
    _bars(figure, scores)
    fixed = len(figure.data)
    for n, mask in enumerate(made.values()):
        # a far blob lies in a corner: draw the projection of what is outside of the slice too
        flat = cut(mask, index) | (mask.any(axis=2) & ~np.asarray(label).any(axis=2) if mask.ndim == 3 else False)
        x, y = line_of(flat, spacing)
        figure.add_scatter(x=x, y=y, line={"color": style.PREDICTION, "width": 2.5}, visible=n == 0, **line)
    steps = []
    for n, name in enumerate(made):
        visible = [True] * fixed + [n == k for k in range(len(made))]
        steps.append({"method": "restyle", "label": name, "args": [{"visible": visible}]})
    figure.update_layout(
        sliders=[{"steps": steps, "active": 0, "currentvalue": {"prefix": "prediction: "}, "y": -0.32}]
    )
    square_axes(figure, spacing)
    figure.update_layout(margin={"t": 85, "l": 60, "r": 60, "b": 190}, bargap=0.35)
    alt = "Nine predictions with one known mistake each, and their Dice and 95 % Hausdorff distance as bars."
    return style.finish(figure, title=title, alt=alt, height=560, width=940)


def _bars(figure: go.Figure, scores: dict[str, Scores]) -> None:
    """Dice and 95HD of each prediction, side by side on two axes."""
    names = list(scores)
    percent = [100 * score.dice for score in scores.values()]
    place = {"row": 1, "col": 2}
    hover = "%{x}: %{y:.1f}<extra></extra>"
    bar = {"x": names, "showlegend": False, "hovertemplate": hover}
    figure.add_bar(y=percent, marker_color=style.BLUE, offsetgroup=1, **bar, **place)
    far = [score.hd95 for score in scores.values()]
    figure.add_bar(y=far, marker_color=style.ORANGE, offsetgroup=2, secondary_y=True, **bar, **place)
    figure.update_yaxes(title_text="Dice (%)", range=[0, 100], secondary_y=False, **place)
    figure.update_yaxes(
        title_text="95HD (voxels)", tickmode="auto", showgrid=False, rangemode="tozero", secondary_y=True, **place
    )
    figure.update_xaxes(tickangle=-40, **place)
