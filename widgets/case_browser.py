"""Browse the test cases of evaluated runs: a table and a scatter, and the scan behind every number."""

from __future__ import annotations

import math
import os
from typing import Any

import ipywidgets
import numpy as np
import plotly.graph_objects as go

from ssmis_core.datasets import Case
from ssmis_core.errors import UserError
from ssmis_core.evaluated_data import evaluated_data
from ssmis_core.runs import Run
from widgets import style
from widgets.case_answers import MEAN, MISTAKE_COLOURS, MISTAKES, Answers, Volumes, mistakes
from widgets.case_table import CaseTable
from widgets.explorer import Explorer
from widgets.kept_cases import load
from widgets.results import METRICS
from widgets.slices import Panel, class_outlines, panels
from widgets.viewer import Viewer, at_once, link

READING = (
    "Choose a row or a point to open its case. Filled: what the prediction lacks or has too much; bright: where the "
    "network is unsure. A case that was missed has no distance, and lies at the right rim."
)
AGAINST = ("hd95", "asd", "volume")
SHOWN = ("dice", "hd95", "asd")


def browse_cases(
    run: Run | str | os.PathLike[str],
    *others: Run | str | os.PathLike[str],
    data_root: str | os.PathLike[str] | None = None,
) -> CaseBrowser:
    """The test cases of an evaluated run, worst first; further runs on the same data stand beside it, linked.

    Predictions are those in the run's predictions/, else they are computed; the uncertainty always is. Without a
    reader it is a still of the worst, the median and the best case. data_root: of the data set's files, where they
    are not found by default; of runs on one's own scans it may be another prepared folder that they were evaluated on.
    Raises UserError for a run that has not been evaluated, and for runs on different data.
    """
    runs = [one if isinstance(one, Run) else Run(one) for one in (run, *others)]
    for one in runs[1:]:
        if (a := _data(runs[0])) != (b := _data(one)):
            raise UserError(f"{one.path}: is on {b}, expected the data of {runs[0].path}, {a}")
    answers = [Answers(one, evaluated_data(one, "test", data_root)) for one in runs]
    return CaseBrowser(dict(zip(names_of(runs), answers, strict=True)))


def names_of(runs: list[Run]) -> list[str]:
    """A name a run, as short as tells them apart: method and labels, then also the folder."""
    names = [f"{run.config.method}, {run.config.labeled} labels" for run in runs]
    alike = {name for name in names if names.count(name) > 1}
    names = [f"{n}, {run.path.name}" if n in alike else n for n, run in zip(names, runs, strict=True)]
    return [f"{n} ({names[:i].count(n) + 1})" if names.count(n) > 1 else n for i, n in enumerate(names)]


def _data(run: Run) -> str:
    """What a run's cases are, for comparison and for messages."""
    options = ", ".join(f"{key}={value}" for key, value in run.config.dataset_options.items())
    return f"{run.config.dataset} ({options})" if options else run.config.dataset


class CaseBrowser(Explorer):
    """See `browse_cases`. `table` holds rows and the case that is open; `show_case(id)` opens another one."""

    children: Any
    in_steps = True  # the network may take a minute

    def __init__(self, answers: dict[str, Answers]):
        self.answers = answers
        self.first = next(iter(answers.values()))
        self.dataset = self.first.dataset
        self.cases = list(self.first.scores["dice"])
        self.volumes = Volumes(self.dataset, self.cases)
        self.table = CaseTable(sort={"column": 0, "descending": False})
        self._listed: tuple[str, str] | None = None
        self._opened: Case | None = None
        classes = list(self.dataset.class_names[1:])
        names = [(METRICS[m][0].split(" (")[0], m) for m in AGAINST[:2]] + [("size of the reference", "volume")]
        controls: dict[str, ipywidgets.ValueWidget] = {
            "against": ipywidgets.Dropdown(options=names, description="Dice against"),
            "of": ipywidgets.Dropdown(options=[MEAN, *classes] if len(classes) > 1 else classes, description="class"),
            "uncertainty": ipywidgets.Checkbox(True, description="ask the network how sure it is", indent=False),
        }
        self._side = ipywidgets.Box(layout=ipywidgets.Layout(flex_flow="row wrap", grid_gap="6px 18px"))
        self._list("hd95", str(controls["of"].value))
        self.table.selected = self.table.order()[0]
        count = len(self.cases)
        external = f" of {self.first.data.name}" if self.first.data.external else ""
        super().__init__(
            f"Which of {count} test cases{external} fail, and where?", READING, controls, [], self._compute
        )
        frame = self.frame
        self.children = (frame.head, frame.controls, self.table, frame.line, frame.numbers, self._side)
        self.table.observe(self._moved, names="selected")

    def show_case(self, case: str) -> None:
        """Open a case, as a click does; UserError for one that is no test case of the run."""
        if case not in self.cases:
            raise UserError(
                f"case {case!r}: expected one of the {len(self.cases)} that were evaluated, such as {self.cases[0]}"
            )
        self.table.selected = case

    def close(self) -> None:
        """Free the networks too."""
        super().close()
        self._opened = None
        for one in self.answers.values():
            one.forget()

    def ranked(self) -> dict[str, str]:
        """{"worst": case, "median": case, "best": case} by Dice; cases with nothing to score are left out."""
        dice = {case: value for case, value in self.first.scores["dice"].items() if not math.isnan(value)}
        order = sorted(dice, key=lambda case: dice[case]) or self.cases
        return {"worst": order[0], "median": order[(len(order) - 1) // 2], "best": order[-1]}

    def still(self) -> go.Figure:
        """Worst, median and best case: every run's mistakes, then how sure the first run is."""
        parts, ranked = [], self.ranked()
        for name, one in self.answers.items():
            parts += [
                self._wrong(f"{rank}: {case}" if one is self.first else case, name, case)
                for rank, case in ranked.items()
            ]
        unsure = [self._unsure(case) for case in ranked.values()] if self.controls["uncertainty"].value else []
        missed = sum(bool(row.get("missed")) for row in self.first.run.rows(f"cases{self.first.data.ending}"))
        words = f"{len(self.cases)} test cases; {missed} objects missed."
        alt = (
            f"{words} Worst, median and best case: reference dotted, prediction solid, mistakes orange; below, entropy."
        )
        runs = [one.run for one in self.answers.values()]
        title, alt = style.noted(self.title, *runs, by="<br>"), style.noted(alt, *runs)
        spacings = {load(self.dataset, case).spacing for case in ranked.values()}
        spacing = spacings.pop() if len(spacings) == 1 else None
        return panels(
            [*parts, *(p for p in unsure if p)], title=title, alt=alt, spacing=spacing, columns=3, linked=False
        )

    def _wrong(self, head: str, name: str, case_id: str) -> Panel:
        """The scan with both outlines and the mistakes tinted; head and scores above it."""
        one, case = self.answers[name], load(self.dataset, case_id)
        predicted = one.prediction(case)
        dice, hd95 = (one.column(metric, MEAN).cell(case_id)[0] for metric in ("dice", "hd95"))
        told = [f"Dice {dice} %", hd95 if hd95 == "missed" else f"95HD {hd95} voxels"]
        heading = f"{head}<br>{name}<br>{', '.join(told)}" if len(self.answers) > 1 else f"{head}<br>{', '.join(told)}"
        names = self.dataset.class_names
        outlines = class_outlines(predicted, names, role="prediction")
        if case.label is None:
            return Panel(case.image[0], heading, outlines=outlines)
        outlines = class_outlines(case.label, names, role="reference", dash="dot") + outlines
        return Panel(case.image[0], heading, outlines=outlines, tint=predicted != case.label, focus=case.label)

    def _unsure(self, case_id: str) -> Panel | None:
        """The entropy of the first run's answer; None where its network cannot be asked."""
        case = load(self.dataset, case_id)
        try:
            maps = self.first.uncertainty(case)
        except UserError:
            return None
        return Panel(
            maps, f"how unsure: {case_id}", "uncertainty", top=math.log(self.dataset.num_classes), focus=case.label
        )

    def _compute(self, against: str, of: str, uncertainty: bool) -> dict[str, Any]:
        self._list(against, of)
        case = load(self.dataset, self.table.selected)
        predicted = {name: one.prediction(case) for name, one in self.answers.items()}  # before anything is taken away
        self._room_for(case)
        told: dict[str, Any] = {"case": case.id}
        for (name, one), viewer in zip(self.answers.items(), self.viewers, strict=True):
            with at_once(viewer):
                self._show(viewer, name, case, predicted[name], uncertainty)
            told |= {self._named(name, METRICS[m][0]): one.column(m, of).cell(case.id)[0] for m in SHOWN}
        if uncertainty:
            self.frame.line.value = "<p role='status'>asking the network how sure it is …</p>"
        for (name, one), viewer in zip(self.answers.items(), self.viewers, strict=True):
            if not uncertainty:
                viewer.remove("entropy")
                continue
            try:
                told |= self._show_uncertainty(viewer, name, one.uncertainty(case), predicted[name], case)
            except UserError as error:
                told[self._named(name, "entropy")] = str(error)
        return told

    def _list(self, against: str, of: str) -> None:
        """Fill table and scatter anew where the choice changed."""
        if self._listed == (against, of):
            return
        several = len(self.answers) > 1
        columns = [
            one.column(metric, of, title=f"{name}\n" if several else "")
            for metric in SHOWN
            for name, one in self.answers.items()
        ]
        series = []
        for name, one in self.answers.items():
            x = self.volumes.column(of) if against == "volume" else one.column(against, of)
            series.append((name, x, one.column("dice", of)))
        if against == "volume":
            columns.append(series[0][1])
        self.table.show(self.cases, columns, series, "missed")
        self._listed = (against, of)

    def _room_for(self, case: Case) -> None:
        """Viewers of the case's shape: those that are there, or new ones that look the same."""
        before = self._opened
        self._opened = case
        if before is not None and (before.shape, before.spacing) == (case.shape, case.spacing):
            return
        looks = [viewer.looks for viewer in self.viewers] or [{}] * len(self.answers)
        if before is not None:
            for tie in self._links:
                tie.unlink()
            for viewer in self.viewers:
                viewer.close()
        self.viewers = [Viewer(case.image[0], spacing=case.spacing) for _ in self.answers]
        for viewer, look in zip(self.viewers, looks, strict=True):
            viewer.looks = {**look, **viewer.looks}
            viewer.layout.flex = "1 1 560px"
        self._links = link(*self.viewers)
        self._side.children = tuple(self.viewers)

    def _show(self, viewer: Viewer, name: str, case: Case, predicted: np.ndarray, uncertainty: bool) -> None:
        """Scan, prediction, and against the reference where there is one; an empty map where the entropy will be."""
        names = self.dataset.class_names
        viewer.title = f"{case.id}: {name}"
        viewer.show_image(case.image[0])
        if uncertainty:  # below all else, and not that of the case before
            viewer.show_map("entropy", np.zeros(case.shape), "uncertainty", top=1.0, opacity=0.4)
        colours = style.class_colours(len(names), predicted=True)
        if case.label is not None:
            wrong = mistakes(predicted, case.label)
            kinds = len(MISTAKES) if len(names) > 2 else 3
            of_error = MISTAKE_COLOURS[: kinds - 1]
            viewer.show_labels("error", wrong, MISTAKES[:kinds], colours=of_error, outline=False, opacity=0.6)
            viewer.show_labels("reference", case.label, names, dashed=True)
            viewer.look_at(wrong if wrong.any() else case.label)
        viewer.show_labels("prediction", predicted, names, colours=colours)

    def _show_uncertainty(
        self, viewer: Viewer, name: str, maps: np.ndarray, predicted: np.ndarray, case: Case
    ) -> dict[str, Any]:
        """Draw the entropy; its mean where the prediction is right and where it is wrong."""
        viewer.show_map("entropy", maps, "uncertainty", top=math.log(self.dataset.num_classes), opacity=0.4)
        if case.label is None:
            return {self._named(name, "mean entropy (nats)"): float(maps.mean())}
        wrong = predicted != case.label
        where = {"where right": ~wrong, "where wrong": wrong}
        means = {key: float(maps[mask].mean()) if mask.any() else math.nan for key, mask in where.items()}
        return {self._named(name, f"entropy {key} (nats)"): value for key, value in means.items()}

    def _named(self, name: str, what: str) -> str:
        """What a number is called: with the run where there are several."""
        return f"{name}: {what}" if len(self.answers) > 1 else what
