"""Figures that explain the metrics: one reference, predictions that are wrong in a known way, and what they score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ssmis_core.datasets import Case
from ssmis_core.metrics import Scores, evaluate, surface_distances
from widgets import style
from widgets.cases import shared_spacing
from widgets.distance import square_axes
from widgets.mistakes import shifted
from widgets.pixels import best_slice, cut, grey, line_of
from widgets.slices import Panel, class_outlines, panels


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


def bars(columns: Mapping[str, Mapping[str, float]], *, title: str, alt: str) -> go.Figure:
    """A panel of bars a column, {heading: {row: number}}, with the number beside each bar and "none" for NaN."""
    figure = make_subplots(1, len(columns), shared_yaxes=True, horizontal_spacing=0.03, subplot_titles=list(columns))
    rows = list(next(iter(columns.values())))
    for number, (heading, column) in enumerate(columns.items(), start=1):
        values = list(column.values())
        text = ["none" if math.isnan(value) else f"{value:.1f}" for value in values]
        bar = {
            "marker_color": style.CYCLE[(number - 1) % len(style.CYCLE)],
            "textposition": "outside",
            "cliponaxis": False,
        }
        known = [0.0 if math.isnan(value) else value for value in values]
        hover = f"%{{y}}: {heading} %{{text}}<extra></extra>"
        figure.add_bar(y=rows, x=known, text=text, orientation="h", **bar, hovertemplate=hover, row=1, col=number)
        figure.update_xaxes(range=[0, 1.35 * max([*known, 1e-6])], nticks=4, row=1, col=number)
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.update_layout(showlegend=False, margin={"t": 85, "l": 150, "r": 20, "b": 40}, bargap=0.3)
    return style.finish(figure, title=title, alt=alt, height=150 + 26 * len(rows), width=940)


def all_four(scores: Mapping[str, Scores], *, title: str, unit: str = "voxels") -> go.Figure:
    """Dice, Jaccard, 95HD and ASD of several predictions, a row each. unit: of the distances."""
    columns = {
        "Dice (%)": {name: 100 * score.dice for name, score in scores.items()},
        "Jaccard (%)": {name: 100 * score.jaccard for name, score in scores.items()},
        f"95HD ({unit})": {name: score.hd95 for name, score in scores.items()},
        f"ASD ({unit})": {name: score.asd for name, score in scores.items()},
    }
    return bars(columns, title=title, alt=f"Four metrics of {len(scores)} predictions: {', '.join(scores)}.")


def surface_histogram(
    prediction: np.ndarray, reference: np.ndarray, *, title: str, spacing: Sequence[float] | None = None
) -> go.Figure:
    """How far each surface voxel is from the other surface, both ways, with what 95HD and ASD take from that."""
    there, back = surface_distances(prediction, reference, spacing)
    unit = "mm" if spacing else "voxels"
    pooled = evaluate(prediction, reference, spacing).hd95
    ends = np.linspace(0, max(1.0, *there, *back), 41)
    ways = {
        "from the prediction's surface to the reference": (there, style.PREDICTION),
        "from the reference's surface to the prediction": (back, style.REFERENCE),
    }
    heads = [
        f"{way}: mean {one.mean():.1f} (dotted), 95th percentile {np.percentile(one, 95):.1f} (solid), "
        f"of both ways {pooled:.1f} (dashed)"
        for way, (one, _) in ways.items()
    ]
    figure = make_subplots(2, 1, shared_xaxes=True, vertical_spacing=0.15, subplot_titles=heads)
    for row, (distances, colour) in enumerate(ways.values(), start=1):
        counts = np.histogram(distances, ends)[0]
        hover = f"%{{x:.1f}} {unit}: %{{y}} voxels<extra></extra>"
        middle = (ends[:-1] + ends[1:]) / 2
        figure.add_bar(x=middle, y=counts, marker_color=colour, hovertemplate=hover, row=row, col=1)
        for at, dash in ((distances.mean(), "dot"), (np.percentile(distances, 95), "solid"), (pooled, "dash")):
            figure.add_vline(x=at, line={"color": style.BLACK, "width": 2, "dash": dash}, row=row, col=1)
        figure.update_yaxes(title_text="surface voxels", type="log", dtick=1, row=row, col=1)
    figure.update_annotations(font_size=13)
    figure.update_xaxes(range=[-0.02 * ends[-1], 1.01 * ends[-1]])
    figure.update_xaxes(title_text=f"distance to the other surface ({unit})", row=2, col=1)
    figure.update_layout(showlegend=False, margin={"t": 85, "l": 75, "r": 30, "b": 50}, bargap=0.05)
    alt = f"Two histograms of surface distances, {len(there)} and {len(back)} voxels; pooled 95HD {pooled:.1f} {unit}."
    return style.finish(figure, title=title, alt=alt, height=470, width=860)


def scored_cases(
    predictions: Mapping[str, np.ndarray], cases: Mapping[str, Case], class_names: Sequence[str], *, title: str
) -> go.Figure:
    """Predicted label maps with their reference, by a name for each, and the scores of the first class over them."""
    parts = []
    for name, labels in predictions.items():
        case = cases[name]
        assert case.label is not None
        scores = evaluate(labels == 1, case.label == 1)
        outlines = class_outlines(case.label, class_names, role="reference", dash="dot")
        outlines += class_outlines(labels, class_names, role="prediction")
        told = f"{name}<br>Dice {100 * scores.dice:.1f} %, 95HD {scores.hd95:.1f}, ASD {scores.asd:.1f} voxels"
        parts.append(Panel(case.image[0], told, outlines=outlines, focus=case.label))
    alt = f"{len(parts)} cases, reference dotted and prediction solid, with their scores."
    spacing = shared_spacing(list(cases.values()))
    return panels(parts, title=title, alt=alt, spacing=spacing, linked=False, panel_height=300)
