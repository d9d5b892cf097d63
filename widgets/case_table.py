"""A table of cases that sorts, and a scatter of the same cases beside it; a click or Enter opens one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from widgets import style
from widgets.scripts import module

HERE = Path(__file__).parent
SHAPES = ("circle", "square", "diamond", "triangle")


@dataclass(frozen=True)
class Column:
    """A column of numbers by case; NaN is told as `missing` and stands where the worst stand.

    lost: cases whose NaN means that the object was missed, which is worse than any number.
    """

    title: str
    values: Mapping[str, float]
    digits: int = 1
    missing: str = "–"
    lost: frozenset[str] = frozenset()
    more_is_better: bool = True

    def cell(self, case: str) -> list[Any]:
        """[what is written, the number to sort by (None: always last)]."""
        value = self.values.get(case, math.nan)
        if not math.isnan(value):
            return [f"{value:.{self.digits}f}", value]
        if case in self.lost:
            return [self.missing, -1e30 if self.more_is_better else 1e30]
        return ["–", None]


class CaseTable(anywidget.AnyWidget):
    """Rows of cases, sorted in the browser by any column; `selected` is the case that was opened last.

    Keys: Tab to a column's button and Enter to sort; in the table the arrow keys move, Enter or Space opens; in the
    scatter left and right move from point to point, Enter opens. A case without a number on the horizontal axis lies
    in a band of its own, at the right rim.
    """

    _esm = module("elements.js", "case_table.js")
    _css = HERE / "case_table.css"
    columns: Any = traitlets.List().tag(sync=True)
    rows: Any = traitlets.List().tag(sync=True)
    points: Any = traitlets.List().tag(sync=True)
    series: Any = traitlets.List().tag(sync=True)
    axes: Any = traitlets.Dict().tag(sync=True)
    sort: Any = traitlets.Dict().tag(sync=True)
    selected = traitlets.Unicode().tag(sync=True)

    def show(
        self, cases: Sequence[str], columns: Sequence[Column], series: Sequence[tuple[str, Column, Column]], band: str
    ) -> None:
        """Replace what is shown. series: (name, column of x, column of y) each; band: what the rim stands for."""
        with self.hold_sync():
            self.columns = [column.title for column in columns]
            self.rows = [{"case": case, "cells": [column.cell(case) for column in columns]} for case in cases]
            self.series = [
                {"name": name, "colour": style.CYCLE[n % len(style.CYCLE)], "shape": SHAPES[n % len(SHAPES)]}
                for n, (name, _, _) in enumerate(series)
            ]
            self.points = [
                {"case": case, "series": n, "x": _number(x.values.get(case)), "y": _number(y.values.get(case))}
                for n, (_, x, y) in enumerate(series)
                for case in cases
            ]
            if series:
                self.axes = {"x": series[0][1].title, "y": series[0][2].title, "band": band}

    def order(self) -> list[str]:
        """The cases as the table shows them."""
        at, down = self.sort.get("column", -1), self.sort.get("descending", False)
        if at < 0:
            return sorted((row["case"] for row in self.rows), reverse=down)
        known = [row for row in self.rows if row["cells"][at][1] is not None]
        known.sort(key=lambda row: row["cells"][at][1], reverse=down)
        return [row["case"] for row in [*known, *(row for row in self.rows if row["cells"][at][1] is None)]]


def _number(value: float | None) -> float | None:
    """A number that JSON can carry."""
    return None if value is None or math.isnan(value) else float(value)
