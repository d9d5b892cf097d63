"""Figures of cases: what the labeled ones show, what the unlabeled ones keep to themselves, what was predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import torch

from ssmis_core.configuration import Configuration
from ssmis_core.datasets import Case, Dataset
from ssmis_core.errors import UserError
from ssmis_core.runs import Run
from widgets import style
from widgets.pixels import fullest_slice
from widgets.results import case_scores
from widgets.review.nifti import read_case_labels
from widgets.slices import Outline, Panel, class_outlines, panels


def case_grid(cases: Sequence[Case], class_names: Sequence[str], *, title: str, show_label: bool) -> go.Figure:
    """Cases side by side, with the outlines of their labels or without; axes in mm where all share one spacing.

    A case without outlines still opens at a middle slice: its label, if there is one, is not looked at.
    """
    parts = []
    for case in cases:
        outlines: list[Outline] = []
        if show_label and case.label is not None:
            outlines = class_outlines(case.label, class_names, role="reference")
        parts.append(Panel(case.image[0], case.id, outlines=outlines))
    marked = "with the reference outlined" if show_label else "without any outline"
    alt = f"Slices of {len(cases)} scans {marked}; a slider moves through them." if cases else ""
    return panels(parts, title=title, alt=alt, spacing=shared_spacing(cases), linked=False)


def as_seen(case: Case, config: Configuration) -> tuple[np.ndarray, np.ndarray, tuple[float, ...] | None]:
    """(image, label, spacing) [*axes] of a labeled case; its first channel.

    Where the run's network sees volumes slice by slice: of the slice with most of the label, on the run's grid.
    """
    assert case.label is not None
    axis, grid = config.slice_axis, config.grid
    if axis is None:
        return case.image[0], case.label, case.spacing
    image, label = (torch.from_numpy(np.ascontiguousarray(one)) for one in (case.image, case.label))
    samples = grid.samples(case.id, grid.image(image), grid.label(label, 1 + int(case.label.max())))
    seen = samples[fullest_slice(case, axis)]
    assert seen.label is not None
    steps = None if case.spacing is None else [step for n, step in enumerate(case.spacing) if n != axis]
    spacing = None if steps is None else tuple(s / n for s, n in zip(steps, grid.scale(case.shape), strict=True))
    return seen.image[0].numpy(), seen.label.numpy(), spacing


def shared_spacing(cases: Sequence[Case]) -> tuple[float, ...] | None:
    """The spacing in mm that all cases have, or None."""
    spacings = {case.spacing for case in cases}
    return spacings.pop() if len(spacings) == 1 else None


def read_prediction(run: Run, case: Case, *, ending: str = "") -> np.ndarray:
    """The label map that a run predicted for a case, uint8 [*spatial] on the case's grid.

    ending: as for `widgets.results.case_scores`. Raises UserError where it is not there or damaged.
    """
    path = Path(run.path) / f"predictions{ending}" / f"{case.id}.nii.gz"
    if not path.is_file():
        raise UserError(f"{path}: no such prediction, expected one from evaluate_run(run) with nibabel installed")
    return read_case_labels(path, case)


def best_median_worst(run: Run, dataset: Dataset, *, title: str, others: Mapping[str, Run] | None = None) -> go.Figure:
    """The run's test cases of highest, middle and lowest Dice, each with the reference and the prediction outlined.

    others: further runs by name, a row each, on the same cases. Dice is the mean over the foreground classes.
    """
    scores = case_scores(run, "dice")
    order = sorted(scores, key=lambda case: scores[case], reverse=True)
    chosen = {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]}
    cases = {rank: dataset.load(case_id) for rank, case_id in chosen.items()}
    parts = []
    for name, one in {run.config.method: run, **(others or {})}.items():
        dice = case_scores(one, "dice")
        for rank, case in cases.items():
            assert case.label is not None
            predicted = read_prediction(one, case)
            outlines = class_outlines(case.label, dataset.class_names, role="reference", dash="dot")
            outlines += class_outlines(predicted, dataset.class_names, role="prediction")
            head = f"{rank}: {case.id}" if one is run else f"{name}, {case.id}"
            heading = f"{head}<br>Dice {100 * dice[case.id]:.1f} %"
            parts.append(Panel(case.image[0], heading, outlines=outlines, focus=case.label))
    alt = f"Best, median and worst of {len(order)} test cases, reference dotted and prediction solid."
    spacing = shared_spacing(list(cases.values()))
    shown = (run, *(others or {}).values())
    title, alt = style.noted(title, *shown, by="<br>"), style.noted(alt, *shown)
    return panels(parts, title=title, alt=alt, spacing=spacing, columns=3, linked=False)
