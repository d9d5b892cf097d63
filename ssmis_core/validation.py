"""The checkpoint protocols: which cases are scored during training, and whether the best weights are kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch

from ssmis_core.configuration import Configuration
from ssmis_core.datasets import Case, Dataset
from ssmis_core.errors import UserError
from ssmis_core.evaluation import score_case
from ssmis_core.methods.base import Method, Stage


def held_out(config: Configuration, dataset: Dataset, labeled: Sequence[str]) -> tuple[list[str], list[str]]:
    """(training, held-out) labeled cases of a run.

    Only "best-on-validation" on a data set without a validation list holds any out: the last max(1, n/5) of
    n labeled subjects, all cases of each.
    """
    if config.protocol != "best-on-validation" or dataset.validation:
        return list(labeled), []
    groups = dataset.by_subject(labeled)
    count = max(1, len(groups) // 5)
    return list(chain(*groups[:-count])), list(chain(*groups[-count:]))


def rows_up_to(
    iteration: int, written: Sequence[dict[str, Any]], stored: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Rows of evaluations.csv that a training which goes on from `iteration` keeps; later ones are made again.

    written: the file's, which also has the evaluations of a stopped run; stored: the checkpoint's, for what the file
    lacks.
    """
    kept = [row for row in written if row["iteration"] <= iteration]
    there = {(row["iteration"], row["split"]) for row in kept}
    kept += [row for row in stored if (row["iteration"], row["split"]) not in there]
    return sorted(kept, key=lambda row: row["iteration"])


class Validator:
    """Scores the cases that the protocol names, every `validate_every` iterations and at the end.

    With "last", the data set's validation list is scored where it has one and validate_every is set, and nothing is
    selected by it. "best-on-test" looks at the test list, as the published tables do, and says so in the rows.
    The cases are read at once, so that a bad file stops a training before it starts.
    """

    def __init__(self, config: Configuration, dataset: Dataset, held: Sequence[str]):
        self.config, self.class_names = config, dataset.class_names
        self.selects = config.protocol != "last"
        self.split = "test" if config.protocol == "best-on-test" else "validation"
        wanted = dataset.test if self.split == "test" else dataset.validation or held
        self.cases: list[Case] = list(dataset.stream(wanted)) if config.validate_every else []
        for case in self.cases:
            if case.label is None:
                raise UserError(f"{dataset.source(case.id)}: has no label to validate against")
        self.truths = [dataset.truth(case) for case in self.cases]

    def selects_in(self, stage: Stage, *, final: bool) -> bool:
        """Whether a stage ends with its best weights: where the protocol selects, the final one and those that ask.

        So a stage never looks at cases that the protocol does not name: with "last" it hands over its last weights.
        """
        return self.selects and (final or stage.select == "best")

    def due(self, done: int, *, last: bool) -> bool:
        every = self.config.validate_every
        return bool(self.cases) and every > 0 and (done % every == 0 or last)

    def score(self, method: Method, device: torch.device, iteration: int) -> tuple[list[dict[str, Any]], float]:
        """Rows of evaluations.csv for this iteration, and the mean Dice that selection goes by."""
        rows: list[dict[str, Any]] = []
        how: dict[str, Any] = {"class_names": self.class_names, "device": device}
        for case, truth in zip(self.cases, self.truths, strict=True):
            _, scores = score_case(method, case, self.config, truth=truth, **how)
            rows += [{"iteration": iteration, "split": self.split, **row} for row in scores]
        dice = [row["dice"] for row in rows if not math.isnan(row["dice"])]
        return rows, sum(dice) / len(dice) if dice else 0.0
