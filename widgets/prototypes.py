"""Figures of class separation: which voxels become prototypes, and how far every voxel is from them.

They draw the views that the method itself gave out (see `widgets.replay.look`). What they add for display is small:
means and histograms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ssmis_core.views import Views
from widgets import style
from widgets.replay import Example, array, foreground
from widgets.slices import Outline, Panel, panels


def who_enters(seen: Mapping[str, Views], example: Example, *, sample: int = 0) -> go.Figure:
    """The labeled voxels that become prototypes, a panel an order of the selector's score, and the score itself.

    seen: views by the option `prototypes`, from `looks`. Of several foreground classes the first one's score is drawn.
    """
    first = next(iter(seen.values()))
    image, right = array(first["image"], sample)[0], _right(first, sample)
    entered = {name: array(views["entered_memory"], sample)[0] for name, views in seen.items()}
    focus = np.any([mask > 0 for mask in entered.values()], axis=0)
    inside = Outline(right, "labeled and predicted right", style.REFERENCE)
    parts = []
    for name, mask in entered.items():
        heading = f"{name} scores enter<br>{int(mask.sum())} voxels of this patch"
        outlines = [inside, Outline(mask, "entered the memory", style.VERMILLION)]
        parts.append(Panel(image, heading, outlines=outlines, focus=focus if focus.any() else None))
    score = np.where(right, array(first["prototype_score"], sample)[0], np.nan)
    parts.append(Panel(score, "the selector's score<br>of those that may", kind="score"))
    alt = (
        "A labeled patch; a line round the voxels that entered the memory of prototypes, by each rule, and their score."
    )
    return panels(parts, title="Which voxels become prototypes?", alt=alt, spacing=example.spacing, panel_height=240)


def prototype_distances(before: Views, after: Views, example: Example, *, sample: int) -> go.Figure:
    """Each voxel's cosine distance to the prototypes of the first foreground class, before training and after it."""
    image, predicted = array(after["image"], sample)[0], foreground(after["probability"], sample) > 0.5
    maps = [array(views["prototype_distance"], sample)[0] for views in (before, after)]
    top = max(float(one.max()) for one in maps)
    outline = [Outline(predicted, "trained network's answer", style.PREDICTION)]
    parts = [Panel(image, "the patch", outlines=outline, focus=predicted if predicted.any() else None)]
    for one, name in zip(maps, ("before training", "after training"), strict=True):
        inside = f"{one[predicted].mean():.2f}" if predicted.any() else "–"
        outside = f"{one[~predicted].mean():.2f}" if not predicted.all() else "–"
        heading = f"{name}<br>mean inside {inside}, outside {outside}"
        parts.append(Panel(one, heading, kind="cosine", top=top, outlines=outline))
    alt = "Cosine distance of each voxel's feature to the prototypes, before and after training, on one scale."
    return panels(
        parts, title="How far is each voxel from the prototypes?", alt=alt, spacing=example.spacing, panel_height=240
    )


def distance_histogram(before: Views, after: Views, class_names: Sequence[str]) -> go.Figure:
    """Distances to the first foreground class's prototypes, by the class of the voxel, before training and after it."""
    figure = make_subplots(1, 2, subplot_titles=["before training", "after training"], shared_yaxes=True)
    for column, views in enumerate((before, after), 1):
        distance = views["prototype_distance"].value[:, 0].cpu().numpy().ravel()
        label = after["separation_label"].value[:, 0].cpu().numpy().ravel()
        for k, name in enumerate(class_names):
            share, edges = np.histogram(distance[label == k], bins=50, range=(0.0, 2.0))
            percent = 100 * share / max(1, share.sum())
            pen = {"color": style.CYCLE[k % len(style.CYCLE)], "width": 2.5, "shape": "hvh"}
            figure.add_scatter(
                x=(edges[:-1] + edges[1:]) / 2, y=percent, name=name, mode="lines", line=pen, legendgroup=name,
                showlegend=column == 1, row=1, col=column,
            )  # fmt: skip
    figure.update_xaxes(title_text="cosine distance (no unit)")
    figure.update_yaxes(title_text="share of the class's voxels (%)", row=1, col=1)
    figure.update_layout(margin={"t": 90, "l": 70, "b": 55})
    alt = f"Histograms of the distance to the prototypes of {class_names[1]}, a curve a class, before and after."
    title = f"Do the classes separate by their distance to the prototypes of {class_names[1]}?"
    return style.finish(figure, title=title, alt=alt, height=400, width=900)


def _right(views: Views, sample: int) -> np.ndarray:
    """The foreground voxels of a labeled sample that the network gets right."""
    label = array(views["separation_label"], sample)[0]
    return (array(views["probability"], sample).argmax(0) == label) & (label > 0)
