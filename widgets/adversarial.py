"""Figures of SS-Net's smoothness: the noise that moves the answer most, and how far it moves.

They draw the views that the method itself gave out (see `widgets.replay.look`); `looks` asks it again with another
value of one option. What they add for display is the difference of two answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ssmis_core.methods.base import Method
from ssmis_core.views import Views
from widgets import style
from widgets.pixels import best_slice, cut, grey, line_of
from widgets.replay import Example, array, changed, foreground, look


def looks(method: Method, example: Example, name: str, values: Sequence[Any]) -> dict[Any, Views]:
    """What the method sees in the same batch when one option has other values; it keeps its own afterwards."""
    seen = {}
    for value in values:
        with changed(method, {name: value}):
            seen[value] = look(method, example)[1]
    return seen


def noise_slider(seen: Mapping[float, Views], example: Example, *, sample: int, start: float) -> go.Figure:
    """The perturbed patch, its noise, the answer to it and what moved; a slider over the length of the noise.

    seen: views by epsilon, from `looks`; start: the epsilon to open at. The cut is where the longest noise moves most.
    """
    lengths = list(seen)
    moved = {e: foreground(v["perturbed_probability"], sample) - foreground(v["clean_probability"], sample)
             for e, v in seen.items()}  # fmt: skip
    index = best_slice(np.abs(moved[lengths[-1]]) > 0.5 * np.abs(moved[lengths[-1]]).max())
    noises = {e: array(v["adversarial_noise"], sample)[0] for e, v in seen.items()}
    top = max(float(np.abs(noises[start]).max()), 1e-6)
    image = array(seen[lengths[0]]["image"], sample)[0]
    clean = foreground(seen[lengths[0]]["clean_probability"], sample) > 0.5
    titles = ["scan + noise", "the noise ε d", "p(foreground) of scan + noise", "change of p"]
    figure = make_subplots(1, 4, subplot_titles=titles, horizontal_spacing=0.06)
    spacing = example.spacing
    dx, dy = spacing[:2] if spacing else (1.0, 1.0)
    for e in lengths:
        answer = foreground(seen[e]["perturbed_probability"], sample)
        maps = (
            (grey(image + noises[e]), "Gray", 0, 255, None),
            (noises[e], "PuOr", -top, top, "noise"),
            (answer, "Cividis", 0, 1, "probability"),
            (moved[e], "RdBu", -1, 1, "change"),
        )
        for column, (values, colours, low, high, name) in enumerate(maps, 1):
            figure.add_heatmap(
                z=cut(values, index).T if name is None else cut(values, index).T.astype(np.float32),
                x0=0, dx=dx, y0=0, dy=dy, zmin=low, zmax=high, colorscale=colours, visible=e == start,
                showscale=name is not None, colorbar=_bar(figure, column, name),
                hovertemplate="%{z:.3f}<extra></extra>", row=1, col=column,
            )  # fmt: skip
    x, y = line_of(cut(clean, index), spacing)
    pen = {"color": style.PREDICTION, "width": 2.5}
    for column in (1, 4):
        figure.add_scatter(
            x=x, y=y, mode="lines", line=pen, name="border of the answer to the clean scan", hoverinfo="skip",
            showlegend=column == 1, row=1, col=column,
        )  # fmt: skip
    return _finish_slider(figure, seen, sample=sample, start=start, spacing=spacing)


def noise_curve(lengths: Sequence[float], distances: Mapping[str, Sequence[float]]) -> go.Figure:
    """How far the answer moves with the length of the noise, a curve a kind of noise."""
    figure = go.Figure()
    for number, (name, values) in enumerate(distances.items()):
        pen = {"color": style.CYCLE[number], "width": 3, "dash": ("solid", "dash", "dot")[number % 3]}
        figure.add_scatter(x=list(lengths), y=list(values), name=name, mode="lines+markers", line=pen)
    figure.update_xaxes(title_text="length ε of the noise (norm over the patch)")
    figure.update_yaxes(title_text="distance D of the answers", rangemode="tozero")
    figure.update_layout(margin={"t": 80, "l": 75, "b": 55}, legend={"x": 0.02, "y": 0.98})
    alt = f"Distance between the answers with and without noise, for {', '.join(distances)}, against its length."
    title = "How much worse is the worst noise than a random one?"
    return style.finish(figure, title=title, alt=alt, height=380, width=760)


def _bar(figure: go.Figure, column: int, name: str | None) -> dict[str, Any] | None:
    """A flat colour bar under a column."""
    if name is None:
        return None
    left, right = figure.get_subplot(1, column).xaxis.domain
    place = {"x": (left + right) / 2, "xanchor": "center", "y": -0.18, "yanchor": "top", "len": 0.9 * (right - left)}
    title = {"text": name, "side": "bottom", "font": {"size": 12}}
    return {"orientation": "h", **place, "thickness": 9, "nticks": 4, "title": title, "tickfont": {"size": 11}}


def _finish_slider(
    figure: go.Figure, seen: Mapping[float, Views], *, sample: int, start: float, spacing: tuple[float, ...] | None
) -> go.Figure:
    lengths, unit = list(seen), "mm" if spacing else "voxels"
    steps = []
    for e in lengths:
        shown = [one == e for one in lengths for _ in range(4)] + [True, True]
        steps.append({"method": "restyle", "label": f"{e:g}", "args": [{"visible": shown}]})
    current = {"prefix": "length of the noise ε = "}
    slider = {"active": lengths.index(start), "steps": steps, "currentvalue": current, "y": -0.5, "pad": {"t": 5}}
    for column in range(1, 5):
        anchor = figure.get_subplot(1, column).yaxis.anchor
        figure.update_xaxes(title_text=f"x ({unit})", constrain="domain", title_font_size=12, row=1, col=column)
        figure.update_yaxes(scaleanchor=anchor, constrain="domain", row=1, col=column)
    figure.update_yaxes(title_text=f"y ({unit})", title_font_size=12, row=1, col=1)
    figure.update_annotations(font_size=13)
    legend = {"orientation": "h", "x": 0.0, "y": 1.14, "yanchor": "bottom"}
    figure.update_layout(sliders=[slider], legend=legend, margin={"t": 100, "l": 60, "r": 20, "b": 190})
    alt = "A slice of a patch with adversarial noise, the noise, the answer to it and what changed; a slider over ε."
    return style.finish(figure, title="What does the worst small noise do?", alt=alt, height=530, width=980)
