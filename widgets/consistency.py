"""Figures of what a consistency method saw in a batch: uncertainty, the certain voxels, student and teacher, two tasks.

They draw the views that the method itself gave out (see `widgets.replay.look`). What they add for display is
small: squared differences, means, and the certainty mask at other thresholds, by the method's own functions.
"""

from __future__ import annotations

import math

import numpy as np
import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots

from ssmis_core.uncertainty import certainty_mask, certainty_threshold
from ssmis_core.views import Views
from widgets import style
from widgets.pixels import best_slice, cut, grey
from widgets.replay import Example, array, foreground
from widgets.slices import Outline, Panel, panels

RAMP_STEPS = 11


def uncertainty_contrast(before: Views, after: Views, example: Example, *, sample: int, num_classes: int) -> go.Figure:
    """The same patch: the scan, the teacher's entropy before training and after it, on one scale up to ln K."""
    image, predicted = array(after["image"], sample)[0], foreground(after["probability"], sample) > 0.5
    top = math.log(num_classes)
    entropies = [array(views["uncertainty"], sample)[0] for views in (before, after)]
    outline = [Outline(predicted, "trained student's prediction", style.PREDICTION)]
    parts = [
        Panel(image, "the patch", outlines=outline, focus=_focus(predicted)),
        Panel(entropies[0], f"before training<br>mean {entropies[0].mean():.2f} nats", kind="uncertainty", top=top),
        Panel(entropies[1], f"after training<br>mean {entropies[1].mean():.2f} nats", kind="uncertainty", top=top),
    ]
    alt = "Entropy of the teacher's mean prediction on one patch, before training and after it, on one scale."
    title = "Where is the teacher unsure?"
    return panels(parts, title=title, alt=alt, spacing=example.spacing, panel_height=240)


def certainty_ramp(
    views: Views, example: Example, *, sample: int, num_classes: int, policy: str = "rising", start: float = 0.75
) -> go.Figure:
    """Which voxels take part as the threshold moves over the training; a slider over t, and their share as a curve.

    The uncertainty is that of the views, held still, so that only the threshold moves.
    """
    length = example.clock.T
    u = torch.from_numpy(np.ascontiguousarray(array(views["uncertainty"], sample)[0]))
    times = np.unique(np.round(np.linspace(0, length - 1, RAMP_STEPS)).astype(int)).tolist()
    limits = [certainty_threshold(t, length, num_classes, policy=policy, start=start) for t in times]
    masks = [certainty_mask(u, limit).numpy() for limit in limits]
    image = array(views["image"], sample)[0]
    index = best_slice(u.numpy() > np.quantile(u.numpy(), 0.95))
    figure = make_subplots(
        1, 2, subplot_titles=["left out (orange) at iteration t", "threshold and share of certain voxels"],
        horizontal_spacing=0.14, specs=[[{}, {"secondary_y": True}]],
    )  # fmt: skip
    spacing = example.spacing
    dx, dy = spacing[:2] if spacing else (1.0, 1.0)
    grid = {"x0": 0, "dx": dx, "y0": 0, "dy": dy, "showscale": False, "hoverinfo": "skip"}
    figure.add_heatmap(z=grey(cut(image, index)).T, colorscale="Gray", zmin=0, zmax=255, row=1, col=1, **grid)
    clear = [[0, "rgba(0,0,0,0)"], [1, "rgba(230,159,0,0.65)"]]
    for n, mask in enumerate(masks):
        out = (1 - cut(mask, index)).T.astype(np.uint8)
        figure.add_heatmap(z=out, colorscale=clear, zmin=0, zmax=1, visible=n == 0, row=1, col=1, **grid)
    _ramp_curves(figure, times, limits, [float(mask.mean()) for mask in masks])
    return _finish_ramp(figure, times, limits, policy=policy, spacing=spacing)


def student_and_teacher(views: Views, example: Example, *, sample: int) -> go.Figure:
    """Student's and teacher's foreground probability, their squared difference, and the voxels where it counts."""
    image = array(views["image"], sample)[0]
    student, teacher = (foreground(views[name], sample) for name in ("probability", "teacher_probability"))
    gap = (student - teacher) ** 2
    focus = _focus(student > 0.5)
    tint = 1 - array(views["certainty"], sample)[0] if "certainty" in views else None
    title_last = "left out as uncertain (orange)" if tint is not None else "every voxel counts"
    parts = [
        Panel(student, "student (no noise)", kind="probability", focus=focus),
        Panel(teacher, "teacher (noise, dropout)", kind="probability"),
        Panel(gap, "squared difference", kind="difference"),
        Panel(image, title_last, tint=tint),
    ]
    alt = "Student and teacher probability maps of one patch, their squared difference, and the voxels left out."
    title = "Where do student and teacher disagree, and where does it count?"
    return panels(parts, title=title, alt=alt, spacing=example.spacing, columns=4, panel_height=215)


def two_tasks(views: Views, example: Example, *, sample: int, num_classes: int) -> go.Figure:
    """The two answers of one network: its distance map, that map as a soft mask, its segmentation, and the gap.

    With several foreground classes the first one is drawn.
    """
    first = -(num_classes - 1)
    distance = array(views["distance"], sample)[first]
    soft, direct = array(views["inverse_transform"], sample)[first], array(views["probability"], sample)[first]
    parts = [
        Panel(distance, "distance answer s", kind="distance", focus=_focus(direct > 0.5)),
        Panel(soft, "the same as a mask, sigmoid(−k s)", kind="probability"),
        Panel(direct, "segmentation answer p", kind="probability"),
        Panel((direct - soft) ** 2, "squared difference", kind="difference"),
    ]
    alt = "One network's distance map, the soft mask made from it, its segmentation, and their squared difference."
    title = "Do the two answers of one network agree?"
    return panels(parts, title=title, alt=alt, spacing=example.spacing, columns=4, panel_height=215)


def _focus(mask: np.ndarray) -> np.ndarray | None:
    """The mask, or nothing to focus on where it is empty."""
    return mask if mask.any() else None


def _ramp_curves(figure: go.Figure, times: list[int], limits: list[float], shares: list[float]) -> None:
    """Threshold (left axis) and share of voxels (right axis) over t, and a marker for each slider step."""
    right = {"row": 1, "col": 2}
    pen = {"color": style.BLUE, "width": 3}
    figure.add_scatter(x=times, y=limits, name="threshold (nats)", line=pen, mode="lines", **right)
    percent = [100 * share for share in shares]
    pen = {"color": style.VERMILLION, "width": 3, "dash": "dash"}
    figure.add_scatter(
        x=times, y=percent, name="voxels that count (%)", line=pen, mode="lines", secondary_y=True, **right
    )
    for n, (t, limit) in enumerate(zip(times, limits, strict=True)):
        dot = {"color": style.BLUE, "size": 12}
        figure.add_scatter(x=[t], y=[limit], mode="markers", marker=dot, showlegend=False, visible=n == 0, **right)


def _finish_ramp(
    figure: go.Figure, times: list[int], limits: list[float], *, policy: str, spacing: tuple[float, ...] | None
) -> go.Figure:
    count = len(times)
    steps = []
    for n, (t, limit) in enumerate(zip(times, limits, strict=True)):
        visible = [True, *(k == n for k in range(count)), True, True, *(k == n for k in range(count))]
        name = f"{t} (threshold {limit:.3f} nats)"
        steps.append({"method": "restyle", "label": str(t), "value": name, "args": [{"visible": visible}]})
    slider = {"active": 0, "steps": steps, "currentvalue": {"prefix": "iteration t = "}, "y": -0.2, "pad": {"t": 5}}
    unit = "mm" if spacing else "voxels"
    figure.update_xaxes(title_text=f"x ({unit})", constrain="domain", row=1, col=1)
    figure.update_yaxes(title_text=f"y ({unit})", scaleanchor="x", constrain="domain", row=1, col=1)
    figure.update_xaxes(title_text="iteration t", row=1, col=2)
    figure.update_yaxes(title_text="threshold (nats)", rangemode="tozero", row=1, col=2, secondary_y=False)
    figure.update_yaxes(
        title_text="voxels that count (%)",
        range=[0, 102],
        tickmode="auto",
        showgrid=False,
        row=1,
        col=2,
        secondary_y=True,
    )
    legend = {"orientation": "h", "x": 0.57, "y": 1.1, "yanchor": "bottom"}
    figure.update_layout(sliders=[slider], legend=legend, margin={"t": 110, "l": 60, "r": 60, "b": 130})
    alt = "Voxels left out as uncertain on a slice, for each of several iterations, and their share as a curve."
    title = f"How does the {policy} threshold let voxels in?"
    return style.finish(figure, title=title, alt=alt, height=530, width=920)
