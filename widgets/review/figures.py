"""Stills of a review for a notebook: the order of cases, and one case with its errors, uncertainty and correction."""

from __future__ import annotations

import math

import numpy as np
import plotly.graph_objects as go

from widgets import style
from widgets.pixels import best_slice
from widgets.review.colours import CORRECTION
from widgets.review.layers import voxel_size, worst_slice
from widgets.review.state import Review, Reviewed
from widgets.slices import Outline, Panel, class_outlines, panels


def ranking(review: Review, *, title: str) -> go.Figure:
    """Dice of every case, worst first as in the review; those flagged or with a missed object are marked."""
    remarks, figure = review.remarks.read(), go.Figure()
    looks = {
        "missed": (style.VERMILLION, "x"),
        "flagged": (style.ORANGE, "diamond"),
        "not flagged": (style.BLUE, "circle"),
    }
    groups: dict[str, list[int]] = {name: [] for name in looks}
    for place, case in enumerate(review.order):
        flagged = case in remarks and remarks[case].flag
        name = "missed" if review.ranked[case].missed else "flagged" if flagged else "not flagged"
        groups[name].append(place)
    for name, places in groups.items():
        colour, symbol = looks[name]
        cases = [review.order[place] for place in places]
        dice = [100 * review.ranked[case].dice for case in cases]
        marker = {"color": colour, "symbol": symbol, "size": 11}
        hover = "%{text}: %{y:.1f} %<extra></extra>"
        x = [place + 1 for place in places]
        figure.add_scatter(x=x, y=dice, mode="markers", marker=marker, text=cases, hovertemplate=hover, name=name)
    figure.update_xaxes(title_text="place in the review")
    figure.update_yaxes(title_text="Dice (%)")
    figure.update_layout(margin={"t": 60, "l": 70, "b": 50}, showlegend=True)
    alt = f"Dice of {len(review.order)} cases from the worst, {review.order[0]}, to the best, {review.order[-1]}."
    return style.finish(figure, title=title, alt=alt, height=360, width=760, runs=[review.run])


def case_still(review: Review, seen: Reviewed, *, title: str) -> go.Figure:
    """A case: reference and prediction outlined, the wrong voxels coloured, and the entropy of the answer."""
    names, image = review.dataset.class_names, seen.case.image[0]
    outlines = class_outlines(seen.prediction, names, role="prediction")
    if seen.case.label is not None:
        outlines = class_outlines(seen.case.label, names, role="reference", dash="dot") + outlines
    parts = [Panel(image, f"{seen.case.id}<br>{dice_of(seen)}", outlines=outlines)]
    if seen.errors is not None:
        parts.append(Panel(image, "voxels that are wrong<br>(orange)", tint=seen.errors))
    if review.has_weights:
        entropy = review.uncertainty(seen.case)
        parts.append(Panel(entropy, "uncertainty of the answer", "uncertainty", top=math.log(len(names))))
    alt = f"Slice of {seen.case.id} with reference dotted and prediction solid, its errors, and the network's entropy."
    return _figure(review, seen, parts, title=title, alt=alt)


def correction_still(review: Review, seen: Reviewed, *, title: str) -> go.Figure:
    """A corrected case: the prediction, and the correction, each with the reference."""
    names, image = review.dataset.class_names, seen.case.image[0]
    reference = [] if seen.case.label is None else class_outlines(seen.case.label, names, role="reference", dash="dot")
    changed = seen.prediction if seen.correction is None else seen.correction
    if len(names) == 2:
        drawn = [Outline(changed == 1, "correction", CORRECTION)]
    else:
        drawn = class_outlines(changed, names, role="correction")
    parts = [
        Panel(image, "predicted", outlines=[*reference, *class_outlines(seen.prediction, names, role="prediction")]),
        Panel(image, "corrected", outlines=[*reference, *drawn]),
        Panel(image, "voxels that were changed<br>(orange)", tint=seen.prediction != changed),
    ]
    alt = f"Slice of {seen.case.id} as predicted and as corrected, the reference dotted, and what was changed."
    focus = np.asarray(seen.prediction != changed)
    return _figure(review, seen, parts, title=title, alt=alt, focus=focus)


def dice_of(seen: Reviewed) -> str:
    """The case's mean Dice in words."""
    return "no Dice" if math.isnan(seen.ranked.dice) else f"Dice {100 * seen.ranked.dice:.1f} %"


def _figure(
    review: Review, seen: Reviewed, parts: list[Panel], *, title: str, alt: str, focus: np.ndarray | None = None
) -> go.Figure:
    """Panels at the slice that a window would open, or where most of a mask lies."""
    place = worst_slice(seen)
    slices = None if place is None else [round(place / voxel_size(seen.case)[2])]
    if slices and focus is not None and focus.any():
        slices = [best_slice(focus)]
    told, words = style.noted(title, review.run, by="<br>"), style.noted(alt, review.run)
    return panels(parts, title=told, alt=words, spacing=seen.case.spacing, slices=slices)
