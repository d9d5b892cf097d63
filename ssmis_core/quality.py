"""How good pseudo-labels are while a training runs: an onlooker that knows the truth of unlabeled cases.

    train(config, run_dir=run_dir, watch_quality=True)

At every log interval it joins the views of the iteration's batch with the truth, by case and corner, and adds rows to
quality.csv in the run folder, one an answer:

    iteration, stage
    answer                what is judged: "network", "teacher", "pseudo-label", ... (see ANSWERS)
    dice                  mean over the classes that are there; voxels of the batch's unlabeled patches put together
    right                 share of voxels with the class of the truth
    certain               share of voxels that the method lets teach; empty where it has no such choice
    right_where_certain   share right among those, and `right_elsewhere` among the others; empty where there are none

One batch is a small sample, so single rows scatter. The method never sees any of it, and trains the same bit for bit.
Cases without a label are passed over: where no unlabeled case has one, there is no file.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ssmis_core.batches import Batch
from ssmis_core.configuration import Configuration
from ssmis_core.draws import Clock
from ssmis_core.errors import UserError
from ssmis_core.files import write_csv
from ssmis_core.methods.base import Method, Step
from ssmis_core.observers import Observer
from ssmis_core.runs import read_rows
from ssmis_core.views import View, Views
from ssmis_core.volume_bank import VolumeBank

FILE = "quality.csv"


@dataclass(frozen=True)
class Answer:
    """Views that belong together: an answer, where it is certain, and where it is this case's answer that teaches.

    view: probabilities, or a label map; certain, inside: masks, 1 where so; outside: a mask, 0 where so.
    """

    name: str
    view: str
    certain: str = ""
    inside: str = ""
    outside: str = ""


# Every one that a method has views of is judged. The network's own answer is what SS-Net takes its pseudo-labels from.
ANSWERS = (
    Answer("network", "probability"),
    Answer("network 2", "probability_2"),
    Answer("teacher", "teacher_probability", "certainty"),
    Answer("pseudo-label", "pseudo_label", "trusted", inside="taught"),
    Answer("teacher of network", "teacher_probability_1", "confident_1", outside="cutmix_box_1"),
    Answer("teacher of network 2", "teacher_probability_2", "confident_2", outside="cutmix_box_2"),
)


def watch_pseudo_labels(run_dir: str | os.PathLike[str], config: Configuration, method: Method) -> Observer:
    """The onlooker of a training; UserError for a method that looks at no unlabeled case.

    Rows of a training that goes on follow those up to the checkpoint.
    """
    if not method.sampling.unlabeled:
        raise UserError(
            f"watch_quality: method {config.method} has no pseudo-labels, expected one with unlabeled cases"
        )
    lengths = {stage.name: stage.iterations for stage in method.stages(config.iterations)}
    file = Path(run_dir) / FILE

    def see(clock: Clock, batch: Batch, step: Step, views: Views, bank: VolumeBank) -> None:
        names = list(lengths)
        iteration = sum(lengths[name] for name in names[: names.index(clock.stage)]) + clock.t + 1
        found = judge(batch, views, bank)
        if found:
            before = [row for row in read_rows(file) if row["iteration"] < iteration]
            write_csv(file, before + [{"iteration": iteration, "stage": clock.stage, **row} for row in found])

    return Observer(see, every=config.log_every)


@torch.no_grad()
def judge(batch: Batch, views: Views, bank: VolumeBank) -> list[dict[str, Any]]:
    """A row for each answer in the views of a batch, on its unlabeled patches whose truth the bank knows."""
    rows = []
    for answer in ANSWERS:
        view = views.get(answer.view)
        known = [] if view is None else _judged(view, batch, bank)
        if view is None or not known:
            continue
        parts = [_compare(answer, views, row, truth_of(view, row, bank)) for row in known]
        predicted, true, certain, taught = (torch.cat(one) for one in zip(*parts, strict=True))
        rows.append({"answer": answer.name, **scores(predicted, true, certain, taught, answer.certain in views)})
    return rows


def scores(predicted: Tensor, true: Tensor, certain: Tensor, counted: Tensor, chooses: bool) -> dict[str, float]:
    """The columns of a row, of the `counted` voxels of flat label maps and masks. chooses: `certain` has a say."""
    predicted, true, certain = predicted[counted], true[counted], certain[counted]
    right = predicted == true
    classes = [int(k) for k in torch.cat([predicted, true]).unique() if k > 0]
    dice = [
        float(2 * ((predicted == k) & (true == k)).sum() / ((predicted == k).sum() + (true == k).sum()))
        for k in classes
    ]
    found = {"dice": float(np.mean(dice)) if dice else np.nan, "right": _share(right)}
    if not chooses:
        return {**found, "certain": np.nan, "right_where_certain": np.nan, "right_elsewhere": np.nan}
    where = {"right_where_certain": _share(right[certain]), "right_elsewhere": _share(right[~certain])}
    return {**found, "certain": _share(certain), **where}


def _judged(view: View, batch: Batch, bank: VolumeBank) -> list[int]:
    """Rows of a view that lie on an unlabeled case whose label the bank has."""
    unlabeled = set(batch.unlabeled.case) if batch.unlabeled else set()
    return [i for i, case in enumerate(view.case) if case in unlabeled and bank.has_label(bank.ids.index(case))]


def truth_of(view: View, row: int, bank: VolumeBank) -> Tensor:
    """The label [*patch] where a row of a view lies, turned as it is; the bank must have it."""
    dims, turn = view.value.ndim - 2, view.turn[row]
    box = view.placed(row).shape[1:]
    truth = bank.cut(bank.ids.index(view.case[row]), view.corner[row].tolist(), box, label=True, angle=turn.angle)[1]
    assert truth is not None
    return turn.apply(truth, dims)


def _compare(answer: Answer, views: Views, row: int, truth: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Flat: the predicted classes, the true ones, where the answer is certain, and where it is this case's own."""
    view = views[answer.view]
    predicted = view.value[row, 0] if view.kind == "label" else view.value[row].argmax(dim=0)

    def mask(name: str, otherwise: bool) -> Tensor:
        """A mask on the patch of this row: views of a batch and of its unlabeled rows alone end together."""
        if name not in views:
            return torch.full_like(truth, otherwise, dtype=torch.bool)
        at = row - len(view.case)
        assert views[name].case[at] == view.case[row]
        return views[name].value[at, 0] > 0

    counted = mask(answer.inside, True) & ~mask(answer.outside, False)
    parts = (predicted, truth.to(predicted.dtype), mask(answer.certain, True), counted)
    return tuple(part.flatten() for part in parts)  # type: ignore[return-value]


def _share(mask: Tensor) -> float:
    return float(mask.float().mean()) if mask.numel() else float("nan")
