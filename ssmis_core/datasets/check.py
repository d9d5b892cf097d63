"""Is this data set whole? Open every case once, list what is wrong and tabulate what is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ssmis_core.datasets.cases import Dataset
from ssmis_core.errors import UserError

Splits = Mapping[str, Sequence[str]] | Sequence[str]


@dataclass(frozen=True)
class CaseFacts:
    """What the table needs of one readable case; label_share: labelled voxels / all voxels, None without a label."""

    id: str
    split: str
    shape: tuple[int, ...]
    label_share: float | None


@dataclass
class Survey:
    """The outcome of `survey`: one line a problem, one row a readable case."""

    name: str
    counted: dict[str, int] = field(default_factory=dict)
    cases: list[CaseFacts] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def table(self) -> str:
        """A plain-text table, one line a split: cases (readable/listed), shape min/median/max, label share."""
        head = ("split", "cases", "shape min", "median", "max", "label % min", "median", "max")
        lines = [head]
        for split, count in self.counted.items():
            facts = [case for case in self.cases if case.split == split]
            lines.append((split, f"{len(facts)}/{count}", *_shape_cells(facts), *_share_cells(facts)))
        widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
        padded = ([cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines)
        return "\n".join("  ".join(cells).rstrip() for cells in padded)


def survey(
    dataset: Dataset, split_cases: Splits | None = None, *, progress: Callable[[int, int], None] | None = None
) -> Survey:
    """Open each case of the data set once and collect problems and facts; never raises for a bad case.

    Problems are missing and unreadable files, wrong shapes, NaN, constant images, label values outside the classes, and
    cases listed twice; without any, every case can be trained on.
    split_cases: {split: case ids}, or plain case ids; by default the data set's own train, validation and test lists.
    progress: called with (cases done, cases in all) after each case.
    """
    splits = _splits(dataset, split_cases)
    outcome = Survey(dataset.name, counted={split: len(ids) for split, ids in splits.items()})
    outcome.problems += _listed_twice(dataset.name, splits)
    total, done = sum(outcome.counted.values()), 0
    for split, ids in splits.items():
        for case_id in ids:
            try:
                case = dataset.load(case_id)
            except UserError as error:
                outcome.problems.append(str(error))
            except (OSError, RuntimeError, KeyError, ValueError) as error:
                reason = " ".join(str(error).split())
                outcome.problems.append(f"{dataset.source(case_id)}: cannot be read ({type(error).__name__}: {reason})")
            else:
                share = None if case.label is None else np.count_nonzero(case.label) / max(case.label.size, 1)
                outcome.cases.append(CaseFacts(case_id, split, case.shape, share))
            done += 1
            if progress is not None:
                progress(done, total)
    return outcome


def _splits(dataset: Dataset, split_cases: Splits | None) -> dict[str, Sequence[str]]:
    if split_cases is None:
        lists = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
        return {split: ids for split, ids in lists.items() if len(ids)}
    if isinstance(split_cases, Mapping):
        return dict(split_cases)
    return {"chosen": split_cases}


def _listed_twice(name: str, splits: Mapping[str, Sequence[str]]) -> list[str]:
    """A case in two lists leaks from training into the test; one twice in a list counts double."""
    places: dict[str, list[str]] = {}
    for split, ids in splits.items():
        for case_id in ids:
            places.setdefault(case_id, []).append(split)
    return [
        f"{name}: case {case_id!r} is listed {len(where)} times ({', '.join(where)}), expected once"
        for case_id, where in places.items()
        if len(where) > 1
    ]


def _shape_cells(facts: Sequence[CaseFacts]) -> tuple[str, str, str]:
    if not facts:
        return ("-",) * 3
    shapes = np.array([case.shape for case in facts])
    low, middle, high = (
        "x".join(f"{size:g}" for size in sizes) for sizes in (shapes.min(0), np.median(shapes, 0), shapes.max(0))
    )
    return low, middle, high


def _share_cells(facts: Sequence[CaseFacts]) -> tuple[str, str, str]:
    shares = [100 * case.label_share for case in facts if case.label_share is not None]
    if not shares:
        return ("-",) * 3
    return f"{min(shares):.1f}", f"{np.median(shares):.1f}", f"{max(shares):.1f}"
