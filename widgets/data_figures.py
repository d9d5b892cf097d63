"""Figures of a data set before and after it is prepared, and of scores by structure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ssmis_core.datasets.check import Survey
from ssmis_core.datasets.formats import read_image
from ssmis_core.datasets.nifti_folder import NiftiFolder
from ssmis_core.datasets.preparation.layout import Found
from ssmis_core.datasets.preparation.recipe import as_classes
from ssmis_core.errors import UserError
from ssmis_core.runs import Run
from ssmis_core.statistics import mean_interval
from widgets import style
from widgets.slices import Panel, class_outlines, panels


def structure_volumes(survey: Survey, *, title: str) -> go.Figure:
    """A dot a case at the volume of each structure; those that the check calls unusual are marked.

    survey: of scans or of a data set, with at least one label.
    """
    odd = {case_id for finding in survey.findings if finding.kind == "volume" for case_id in finding.cases}
    figure = go.Figure()
    in_ml = all(case.in_ml for case in survey.cases)
    names = survey.class_names[1:]
    for value, name in enumerate(names, start=1):
        having = [case for case in survey.cases if (case.voxels or {}).get(value)]
        shift = 0.5 * (np.arange(len(having)) / max(1, len(having) - 1) - 0.5)
        for marked in (False, True):
            shown = [(at, case) for at, case in zip(value + shift, having, strict=True) if (case.id in odd) == marked]
            sizes = [case.volume(value) if in_ml else (case.voxels or {})[value] for _, case in shown]
            marker: dict[str, object] = {
                "color": style.VERMILLION if marked else style.BLUE,
                "size": 11 if marked else 7,
            }
            marker |= {"symbol": "x" if marked else "circle", "opacity": 1 if marked else 0.5}
            figure.add_scatter(
                x=[at for at, _ in shown],
                y=sizes,
                mode="markers",
                marker=marker,
                text=[case.id for _, case in shown],
                hovertemplate=f"%{{text}}<br>{name}: %{{y:.4g}}<extra></extra>",
            )
    figure.update_traces(showlegend=False)
    figure.update_xaxes(tickvals=list(range(1, len(names) + 1)), ticktext=list(names), range=[0.5, len(names) + 0.5])
    figure.update_yaxes(title_text="volume (ml)" if in_ml else "volume (voxels)", rangemode="tozero")
    figure.update_layout(margin={"t": 60, "l": 70, "b": 45})
    alt = f"Volume of {', '.join(names)} in every labeled case; {len(odd)} unusual ones are marked."
    return style.finish(figure, title=title, alt=alt, height=380, width=760)


def grey_ranges(surveys: Mapping[str, Survey], *, title: str, most: int = 80) -> go.Figure:
    """For each case a bar from its 0.5th to its 99.5th percentile and a dot at its median, a panel a survey.

    surveys: by name, of the same cases; of many, `most` evenly spread ones. The first channel.
    """
    shared = set.intersection(*({case.id for case in survey.cases} for survey in surveys.values()))
    order = sorted(shared)[:: max(1, math.ceil(len(shared) / most))]
    figure = make_subplots(rows=1, cols=len(surveys), subplot_titles=list(surveys), horizontal_spacing=0.09)
    for column, survey in enumerate(surveys.values(), start=1):
        values = {case.id: case.intensities[0] for case in survey.cases}
        bars: list[float | None] = [end for c in order for end in (values[c].dark, values[c].bright, None)]
        brightest = [values[case_id].bright for case_id in order]
        if min(values[c].dark for c in order) >= 0 and max(brightest) > 50 * min(brightest):
            figure.update_yaxes(type="log", row=1, col=column)  # a logarithm has no 0
            bars = [None if end is None else max(end, min(brightest) / 100) for end in bars]
        places = [place for number in range(len(order)) for place in (number, number, None)]
        middles = [values[case_id].middle for case_id in order]
        pen, dot = {"color": style.GREY, "width": 2}, {"color": style.BLUE, "size": 5}
        figure.add_scatter(x=places, y=bars, mode="lines", line=pen, hoverinfo="skip", row=1, col=column)
        hover = "%{text}: median %{y:.4g}<extra></extra>"
        dots = {"mode": "markers", "marker": dot, "text": order, "hovertemplate": hover}
        figure.add_scatter(x=list(range(len(order))), y=middles, **dots, row=1, col=column)
        figure.update_xaxes(title_text="case", showticklabels=False, row=1, col=column)
    figure.update_traces(showlegend=False)
    figure.update_yaxes(title_text="grey value", row=1, col=1)
    figure.update_layout(margin={"t": 85, "l": 70, "b": 40})
    alt = f"Range and median of the grey values of {len(order)} cases: {' and '.join(surveys)}."
    return style.finish(figure, title=title, alt=alt, height=360, width=860)


def structure_scores(runs: Mapping[str, Run], *, title: str) -> go.Figure:
    """Dice of every test case by structure, a colour a run, with means and their 95 % intervals over cases.

    runs: evaluated ones by name, on the same data.
    """
    figure = go.Figure()
    names = list(dict.fromkeys(row["class"] for run in runs.values() for row in run.rows("cases")))
    for number, (name, run) in enumerate(runs.items()):
        colour, rows = style.CYCLE[number % len(style.CYCLE)], run.rows("cases")
        offset = 0.7 * ((number + 0.5) / len(runs) - 0.5)
        for place, structure in enumerate(names):
            scores = {str(row["case"]): 100 * row["dice"] for row in rows if row["class"] == structure}
            scores = {case: value for case, value in scores.items() if not math.isnan(value)}
            shift = 0.4 / len(runs) * (np.arange(len(scores)) / max(1, len(scores) - 1) - 0.5)
            look = {"color": colour, "size": 6, "opacity": 0.4}
            hover = f"%{{text}}<br>{structure}, {name}: %{{y:.1f}}<extra></extra>"
            dots = {"mode": "markers", "marker": look, "text": list(scores), "hovertemplate": hover}
            figure.add_scatter(x=place + offset + shift, y=list(scores.values()), showlegend=False, **dots)
            mean, half = mean_interval(np.array(list(scores.values())))
            bar = {"type": "data", "array": [half], "thickness": 2, "width": 8, "color": style.BLACK}
            pen = {"symbol": "diamond", "size": 12, "color": colour, "line": {"width": 1, "color": style.BLACK}}
            at = {"x": [place + offset], "y": [mean], "error_y": bar, "marker": pen, "mode": "markers"}
            told = f"mean {mean:.1f}<extra>{name}</extra>"
            figure.add_scatter(**at, name=name, legendgroup=name, showlegend=place == 0, hovertemplate=told)
    figure.update_xaxes(tickvals=list(range(len(names))), ticktext=names, range=[-0.5, len(names) - 0.5])
    figure.update_yaxes(title_text="Dice (%)")
    figure.update_layout(margin={"t": 60, "l": 70, "b": 45}, showlegend=True)
    alt = f"Dice of every test case for {', '.join(names)}, by {' and '.join(runs)}."
    return style.finish(figure, title=title, alt=alt, height=420, width=760, runs=runs.values())


def overlay(case: Found, prediction: Path, data: NiftiFolder, *, title: str) -> go.Figure:
    """A predicted label file over the scan's own file, voxel on voxel as both lie on disk; the label dotted, if any.

    Raises UserError where the prediction is not on the grid of the scan's file.
    """
    scan, answer = read_image(case.images[0]), read_image(prediction)
    shape = scan.array.shape[:3]
    if answer.array.shape != shape or not np.allclose(answer.affine, scan.affine, atol=1e-3):
        told = f"lies on another grid than {case.images[0].name}, expected the same shape and matrix"
        raise UserError(f"{prediction}: {told}")
    grey = scan.array.reshape(*shape, -1)[..., 0].astype(np.float32)
    focus = answer.array if answer.array.any() else None
    drawn = {"the scan": [], "predicted": class_outlines(answer.array, data.class_names, role="prediction")}
    if case.label is not None:
        truth = as_classes(read_image(case.label).array, data.recipe, str(case.label))
        drawn["the label"] = class_outlines(truth, data.class_names, role="reference", dash="dot")
        focus = truth if truth.any() else focus
    parts = [Panel(grey, name, outlines=outlines, focus=focus) for name, outlines in drawn.items()]
    alt = (
        f"The file {case.images[0].name}, the predicted outlines on it and those of its label, in the file's own axes."
    )
    return panels(parts, title=title, alt=alt, spacing=scan.spacing)
