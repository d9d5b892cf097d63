"""The tables of a check, the same for the terminal and for the page: facts of all cases, a line a list."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ssmis_core.datasets.check import Survey
from ssmis_core.datasets.check.facts import CaseFacts
from ssmis_core.datasets.check.rules import mm, number
from ssmis_core.pages import Table

NOTHING = "-"


def tables(survey: Survey) -> list[Table]:
    """Shapes, spacings and orientations; grey values; labels."""
    return [table for table in (cases_table(survey), grey_table(survey), label_table(survey)) if len(table.rows) > 1]


def cases_table(survey: Survey) -> Table:
    """A line a list: usable cases of those listed, voxels, mm of a voxel, where the axes of the files point."""
    rows: list[tuple[str, ...]] = [
        ("list", "cases", "shape min", "median", "max", "label % min", "median", "max", "voxel mm", "axes")
    ]
    for split, cases in _by_list(survey):
        count = f"{len(cases)}/{survey.counted[split]}"
        rows.append((split, count, *_shapes(cases), *_shares(cases), _spacing(cases), _axes(cases)))
    note = "cases: usable of listed; label %: voxels of any structure; axes: where they point in the files."
    return Table("Cases", note, rows, left=1)


def grey_table(survey: Survey) -> Table:
    """A line a list and channel."""
    rows: list[tuple[str, ...]] = [("list", "channel", "lowest", "0.5 %", "median", "99.5 %", "highest")]
    for split, cases in _by_list(survey):
        for channel in range(max((len(case.intensities) for case in cases), default=0)):
            found = [case.intensities[channel] for case in cases if channel < len(case.intensities)]
            middles = [np.median([getattr(one, name) for one in found]) for name in ("dark", "middle", "bright")]
            ends = min(one.low for one in found), max(one.high for one in found)
            rows.append((split, str(channel), *map(number, (ends[0], *middles, ends[1]))))
    note = "Lowest and highest of any case; between them the percentiles within a case, the median over cases."
    return Table("Grey values", note, rows, left=1)


def label_table(survey: Survey) -> Table:
    """A line a list and structure."""
    rows: list[tuple[str, ...]] = [("list", "value", "structure", "labels", "volume min", "median", "max", "unit")]
    for split, cases in _by_list(survey):
        labeled = [case for case in cases if case.voxels is not None]
        for value, name in enumerate(survey.class_names):
            if value and labeled:
                having = [case for case in labeled if (case.voxels or {}).get(value)]
                cells = _volumes(having, value)
                rows.append((split, str(value), name, f"{len(having)}/{len(labeled)}", *cells))
    return Table("Labels", "labels: those with the structure, of all; volumes: of those.", rows, left=3)


def _by_list(survey: Survey) -> Iterator[tuple[str, list[CaseFacts]]]:
    for split in survey.counted:
        yield split, [case for case in survey.cases if case.split == split]


def _shapes(cases: Sequence[CaseFacts]) -> tuple[str, ...]:
    if not cases or len({len(case.shape) for case in cases}) > 1:
        return (NOTHING,) * 3
    shapes = np.array([case.shape for case in cases])
    return tuple(
        "x".join(f"{size:g}" for size in sizes) for sizes in (shapes.min(0), np.median(shapes, 0), shapes.max(0))
    )


def _shares(cases: Sequence[CaseFacts]) -> tuple[str, ...]:
    shares = [100 * case.label_share for case in cases if case.label_share is not None]
    return _ends(shares, "{:.1f}".format)


def _spacing(cases: Sequence[CaseFacts]) -> str:
    steps = [case.spacing for case in cases if case.spacing is not None]
    if not steps or len({len(one) for one in steps}) > 1:
        return "unknown"
    low, high = np.min(steps, axis=0), np.max(steps, axis=0)
    return mm(low) if np.allclose(low, high, rtol=1e-3) else f"{mm(low)} to {mm(high)}"


def _axes(cases: Sequence[CaseFacts]) -> str:
    ways = sorted({case.orientation for case in cases if case.orientation})
    return ", ".join(ways) or "unknown"


def _volumes(cases: Sequence[CaseFacts], value: int) -> tuple[str, ...]:
    """Smallest, median and largest volume of a structure, and their unit: ml only where all cases know their size."""
    in_ml = bool(cases) and all(case.in_ml for case in cases)
    sizes = [(case.volume(value) or 0.0) if in_ml else float((case.voxels or {}).get(value, 0)) for case in cases]
    return (*_ends(sizes), "ml" if in_ml else "voxels")


def _ends(values: Sequence[float], how: Callable[[float], str] = number) -> tuple[str, ...]:
    if not values:
        return (NOTHING,) * 3
    return tuple(how(float(value)) for value in (min(values), np.median(values), max(values)))
