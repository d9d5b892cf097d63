"""Figures of TraCoCo: two crops and what they share, the answers there, two networks, sure voxels and pasted boxes.

They draw the views that the method itself gave out (see `widgets.replay.look`). What they add for display is small:
differences, boxes from corners and sizes, and the confident region at other thresholds, by the method's own function.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots

from ssmis_core.configuration import Configuration
from ssmis_core.datasets import Dataset
from ssmis_core.losses import confident_regions
from ssmis_core.methods.base import Method
from ssmis_core.views import View, Views
from ssmis_core.volume_bank import VolumeBank
from widgets import style
from widgets.pixels import best_slice, cut, grey
from widgets.replay import Example, array, foreground
from widgets.slices import Outline, Panel, panels

FIRST, SECOND = style.SKY, style.PURPLE
LIMITS = tuple(round(0.5 + 0.05 * n, 2) for n in range(10))


def whole_scan(dataset: Dataset, config: Configuration, method: Method, example: Example, *, sample: int) -> np.ndarray:
    """What a sample of a batch was cut from (first channel): a scan [*axes], or a slice of one, on the run's grid.

    It has the values that crops are cut with, and is rotated as it was for this batch.
    """
    name, angle = example.batch.case[sample], example.batch.turn[sample].angle
    case = dataset.load(config.grid.case_of(name))
    bank = VolumeBank([case], num_classes=dataset.num_classes, **vars(config.grid))
    number, scaled = bank.ids.index(name), "min_max" in method.sampling.augmentations
    shape = bank.shape(number)
    return bank.cut(number, [0] * len(shape), shape, label=False, scaled=scaled, angle=angle)[0][0].numpy()


def two_crops(scan: np.ndarray, views: Views, example: Example, *, sample: int) -> go.Figure:
    """The scan with both crops outlined and what they share tinted, and each crop by itself, at the same slices."""
    both = [views["image"], views["second_image"]]
    corners = [view.corner[sample].numpy() for view in both]
    crops = [array(view, sample)[0] for view in both]
    low = np.min([*corners, np.zeros_like(corners[0])], axis=0)
    ends = [corner + crop.shape for corner, crop in zip(corners, crops, strict=True)]
    shape = tuple(int(n) for n in np.max([*ends, scan.shape], axis=0) - low)
    boxes, drawn = [], []
    for corner, crop in zip(corners, crops, strict=True):
        boxes.append(placed(np.ones(crop.shape, bool), corner - low, shape))
        drawn.append(placed(crop, corner - low, shape))
    shared = boxes[0] & boxes[1]
    lines = [Outline(boxes[0], "first crop", FIRST), Outline(boxes[1], "second crop", SECOND, "dash")]
    canvas = placed(scan, -low, shape)
    bright = shared & (canvas > np.quantile(scan, 0.9))  # to open where there is something to see
    parts = [
        Panel(canvas, "the scan; shared voxels tinted", outlines=lines, tint=shared, focus=bright),
        Panel(drawn[0], "first crop", outlines=lines[:1]),
        Panel(drawn[1], "second crop", outlines=lines[1:]),
    ]
    alt = f"Two crops of one scan, outlined; they share {int(shared.sum())} of {int(boxes[0].sum())} voxels."
    title = "Which voxels do both crops show?"
    return panels(parts, title=title, alt=alt, spacing=example.spacing, panel_height=240)


def answers_on_the_overlap(before: Views, after: Views, example: Example, *, sample: int) -> go.Figure:
    """Network 1 on the shared voxels only, as it saw them in either crop: untrained, and trained."""
    here, there = (_box(after[name], sample) for name in ("overlap", "second_overlap"))
    image = array(after["image"], sample)[0][here]
    answers = [
        (foreground(views["probability"], sample)[here], foreground(views["second_probability_1"], sample)[there])
        for views in (before, after)
    ]
    top = max(float(np.abs(first - second).max()) for first, second in answers)
    focus, rows = _focus(answers[1][1]), []
    for when, (first, second) in zip(("untrained", "trained"), answers, strict=True):
        gap = np.abs(first - second)
        rows += [
            Panel(image, f"shared voxels, {when}", focus=focus),
            Panel(first, "answer in the first crop", kind="probability"),
            Panel(second, "answer in the second crop", kind="probability"),
            Panel(gap, f"difference, mean {gap.mean():.3f}", kind="difference", top=top),
        ]
    alt = "Answers of one network to the same voxels in two crops, and their difference, before and after training."
    title = "Does the answer depend on what lies around a voxel?"
    return panels(rows, title=title, alt=alt, spacing=example.spacing, columns=4, panel_height=205)


def two_networks(views: Views, example: Example, *, sample: int) -> go.Figure:
    """What both networks say of one patch, how far they are apart, and where network 2 is too unsure to teach."""
    one, two = (foreground(views[name], sample) for name in ("probability", "probability_2"))
    rejected = 1 - array(views["confident_1"], sample)[0]
    title_last = f"left out as unsure<br>(orange): {100 * rejected.mean():.1f} %"
    parts = [
        Panel(one, "network 1", kind="probability", focus=_focus(two)),
        Panel(two, "network 2", kind="probability"),
        Panel(np.abs(one - two), "difference", kind="difference"),
        Panel(array(views["image"], sample)[0], title_last, tint=rejected),
    ]
    alt = "Foreground probability of both networks on one patch, their difference, and the voxels left out as unsure."
    title = "Where do the two networks disagree, and where may one teach the other?"
    return panels(parts, title=title, alt=alt, spacing=example.spacing, columns=4, panel_height=215)


def pasted_boxes(views: Views, example: Example, *, sample: int, name: str = "2") -> go.Figure:
    """A patch before and after a box was pasted into it, and the teacher's answer with the same box pasted.

    Without CutMix for that network: the patch twice, and the plain answer.
    """
    outline: list[Outline] = []
    image = mixed = array(views["image"], sample)[0]
    if f"cutmix_box_{name}" in views:
        outline = [Outline(array(views[f"cutmix_box_{name}"], sample)[0], "pasted box", style.ORANGE)]
        mixed = array(views[f"mixed_image_{name}"], sample)[0]
    taught = foreground(views[f"teacher_probability_{name}"], sample)
    focus = outline[0].mask * (image > np.quantile(image, 0.8)) if outline else _focus(taught)
    parts = [
        Panel(image, "the patch", outlines=outline, focus=focus),
        Panel(mixed, f"what network {name} sees (before noise)", outlines=outline),
        Panel(taught, "what it is taught: pasted alike", kind="probability", outlines=outline),
    ]
    alt = "A patch, the same with a box pasted from another scan, and the teacher's answer with that box pasted."
    title = "What does a pasted box change?" if outline else "Nothing is pasted without CutMix"
    return panels(parts, title=title, alt=alt, spacing=example.spacing, panel_height=240)


def confident_voxels(
    views: Views, example: Example, *, sample: int, positive: float, negative: float, name: str = "1"
) -> go.Figure:
    """Which voxels a teacher may teach as gamma moves: a slider over gamma, and the share of sure voxels as a curve."""
    q = torch.from_numpy(np.ascontiguousarray(array(views[f"teacher_probability_{name}"], sample)))[None]
    limits = sorted({*LIMITS, round(positive, 3)})
    sure = [confident_regions(q, positive=g, negative=negative)[0][0, 0].numpy() for g in limits]
    image = array(views["image"], sample)[0]
    unsure = sure[0] - sure[-1]
    index = best_slice(unsure)
    heads = ["left out (orange) below gamma", "share of voxels that are taught"]
    figure = make_subplots(1, 2, subplot_titles=heads, horizontal_spacing=0.14)
    dx, dy = example.spacing[:2] if example.spacing else (1.0, 1.0)
    grid: dict[str, Any] = {"x0": 0, "dx": dx, "y0": 0, "dy": dy, "showscale": False, "hoverinfo": "skip"}
    figure.add_heatmap(z=grey(cut(image, index)).T, colorscale="Gray", zmin=0, zmax=255, row=1, col=1, **grid)
    start = limits.index(round(positive, 3))
    clear = [[0, "rgba(0,0,0,0)"], [1, "rgba(230,159,0,0.65)"]]
    for n, mask in enumerate(sure):
        out = (1 - cut(mask, index)).T.astype(np.uint8)
        figure.add_heatmap(z=out, colorscale=clear, zmin=0, zmax=1, visible=n == start, row=1, col=1, **grid)
    _share_curve(figure, limits, [100 * float(mask.mean()) for mask in sure], start)
    return _finish_confident(figure, limits, start, positive, example.spacing)


def _share_curve(figure: go.Figure, limits: Sequence[float], shares: Sequence[float], start: int) -> None:
    """The share of sure voxels over gamma, and a marker for each slider step."""
    place = {"row": 1, "col": 2, "showlegend": False}
    hover = "gamma %{x:.2f}: %{y:.1f} %<extra></extra>"
    pen = {"color": style.BLUE, "width": 3}
    figure.add_scatter(x=limits, y=shares, mode="lines", line=pen, hovertemplate=hover, **place)
    for n, (limit, share) in enumerate(zip(limits, shares, strict=True)):
        dot = {"color": style.VERMILLION, "size": 12}
        figure.add_scatter(x=[limit], y=[share], mode="markers", marker=dot, visible=n == start, **place)


def _finish_confident(
    figure: go.Figure, limits: Sequence[float], start: int, positive: float, spacing: tuple[float, ...] | None
) -> go.Figure:
    count, steps = len(limits), []
    for n, limit in enumerate(limits):
        visible = [True, *(k == n for k in range(count)), True, *(k == n for k in range(count))]
        steps.append({"method": "restyle", "label": f"{limit:g}", "args": [{"visible": visible}]})
    slider = {"active": start, "steps": steps, "currentvalue": {"prefix": "gamma = "}, "y": -0.2, "pad": {"t": 5}}
    unit = "mm" if spacing else "voxels"
    figure.update_xaxes(title_text=f"x ({unit})", constrain="domain", row=1, col=1)
    figure.update_yaxes(title_text=f"y ({unit})", scaleanchor="x", constrain="domain", row=1, col=1)
    figure.update_xaxes(title_text="gamma", row=1, col=2)
    figure.update_yaxes(title_text="sure voxels (%)", row=1, col=2)
    figure.add_vline(x=positive, line={"color": style.GREY, "dash": "dot"}, row=1, col=2)
    figure.update_layout(sliders=[slider], margin={"t": 85, "l": 60, "r": 40, "b": 130})
    alt = "Voxels of a slice that a teacher is too unsure of to teach, for several thresholds, and their share."
    title = "Which voxels may a teacher teach?"
    return style.finish(figure, title=title, alt=alt, height=510, width=920)


def _focus(probability: np.ndarray) -> np.ndarray | None:
    """Where an answer is foreground, to choose slices by; nothing where it is nowhere."""
    return probability > 0.5 if (probability > 0.5).any() else None


def placed(values: np.ndarray, at: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """An array in a larger one of zeros, with its first voxel at `at`."""
    canvas = np.zeros(shape, values.dtype)
    canvas[tuple(slice(int(a), int(a) + n) for a, n in zip(at, values.shape, strict=True))] = values
    return canvas


def _box(view: View, sample: int) -> tuple[slice, ...]:
    """The box that a mask view fills, in its volume's orientation."""
    places = np.argwhere(array(view, sample)[0] > 0)
    return tuple(slice(int(a), int(b) + 1) for a, b in zip(places.min(0), places.max(0), strict=True))
