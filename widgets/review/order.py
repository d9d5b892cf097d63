"""In which order to look at cases: what went wrong first."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ssmis_core.errors import UserError
from ssmis_core.evaluated_data import EvaluatedData, check_of_these
from ssmis_core.runs import Run


@dataclass(frozen=True)
class Ranked:
    """A case and how it scored: mean Dice over its classes, NaN where none has one; rows: a row of scores a class."""

    case: str
    dice: float
    missed: bool
    rows: tuple[Mapping[str, Any], ...]


def worst_first(rows: Sequence[Mapping[str, Any]]) -> list[Ranked]:
    """Cases by mean Dice over classes, lowest first; those with a missed object before all others, unscored ones last.

    rows: one a case and class, as in cases.csv.
    """
    by_case: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_case.setdefault(str(row["case"]), []).append(row)
    ranked = []
    for case, own in by_case.items():
        known = [float(row["dice"]) for row in own if not math.isnan(row["dice"])]
        dice = float(np.mean(known)) if known else math.nan
        ranked.append(Ranked(case, dice, any(row.get("missed") is True for row in own), tuple(own)))
    return sorted(ranked, key=lambda one: (not one.missed, math.isnan(one.dice), one.dice, one.case))


def ranked_cases(run: Run, data: EvaluatedData, data_root: str | os.PathLike[str] | None = None) -> list[Ranked]:
    """The cases of an evaluated run, worst first; UserError for a run that was not evaluated on that data.

    data_root: where the data are, for the command that the error tells.
    """
    rows = run.rows(f"cases{data.ending}")
    if not rows:
        options = "" if data.split == "test" else f" --split {data.split}"
        options += f" --data-root {data_root}" if data.external else ""
        told = f"not evaluated yet (no cases{data.ending}.csv); run `ssmis evaluate {run.path}{options}`"
        raise UserError(f"{run.path}: {told}")
    check_of_these(run, data)
    return worst_first(rows)
