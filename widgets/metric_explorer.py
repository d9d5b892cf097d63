"""Explore the metrics on one case: make a prediction wrong in a known way, and watch what each metric says of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import ipywidgets
import numpy as np

from ssmis_core.datasets import Dataset, open_dataset
from ssmis_core.errors import UserError
from ssmis_core.metrics import ASD_RULES, EMPTY_POLICIES, HD95_RULES, Scores, evaluate
from widgets import style
from widgets.chart import Chart
from widgets.explorer import Explorer
from widgets.kept_cases import load
from widgets.metric_chart import draw_path, empty_path
from widgets.mistakes import Anatomy, Mistake, make
from widgets.pixels import best_slice
from widgets.viewer import Viewer

AXES = "xyz"
OPENING = "blob"  # the control whose path is drawn before any was moved


def explore_metrics(
    dataset: Dataset | str = "phantom",
    case: str | None = None,
    *,
    data_root: str | os.PathLike[str] | None = None,
    dataset_options: Mapping[str, Any] | None = None,
) -> Explorer:
    """A reference of a data set (default: of the first test case), a prediction made from it, and its four scores.

    Move mistakes (see `widgets.mistakes.Mistake`; places in % of an axis), the size of a voxel along each axis (it
    opens at the case's own, or at 1 mm where that is not known), the empty policy and the rules of 95HD and ASD. The
    numbers are those of `ssmis_core.metrics.evaluate`, in voxels and in mm; the chart has what has been seen along the
    control that was moved last. data_root, dataset_options: of `open_dataset`. Raises UserError for an unknown case or
    one without a label.
    """
    data = dataset if isinstance(dataset, Dataset) else open_dataset(dataset, data_root, **(dataset_options or {}))
    cases = list(dict.fromkeys([*data.test, *data.validation, *data.train]))
    if case is not None and case not in cases:
        raise UserError(f"case {case!r}: expected one of {data.name}, such as {cases[0]}")
    shown = _Pictures(data, case or cases[0])
    controls = _controls(shown, cases)
    shown.values = {name: control.value for name, control in controls.items()}
    for radius in range(0, controls[OPENING].max + 1, max(1, controls[OPENING].max // 6)):
        shown.score({**shown.values, OPENING: radius})
    return Explorer(
        f"Which mistake does which metric see? ({data.name})",
        "Dashed blue is the reference, orange the prediction made from it. In the error map, orange is too much and "
        "blue is lacking. The chart follows the control that was moved last; rings are where it stands.",
        controls,
        [shown.viewer],
        shown.compute,
        charts=[shown.chart],
    )


def _controls(shown: _Pictures, cases: list[str]) -> dict[str, ipywidgets.ValueWidget]:
    """Every control by the name that `_Pictures.compute` takes it by; a 2D case has no third axis."""
    dims, side = shown.viewer.dims, min(shown.viewer.shape[: shown.viewer.dims])
    most, place = max(4, side // 4), shown.opening_place()
    row = {"continuous_update": False}

    def whole(value: int, low: int, high: int, name: str, step: int = 1) -> ipywidgets.IntSlider:
        return ipywidgets.IntSlider(value, min=low, max=high, step=step, description=name, **row)

    controls: dict[str, ipywidgets.ValueWidget] = {
        "case": ipywidgets.Dropdown(options=cases, value=shown.case_id, description="case")
    }
    names = shown.data.class_names[1:]
    if len(names) > 1:
        controls["k"] = ipywidgets.Dropdown(options=[(n, k) for k, n in enumerate(names, 1)], description="object")
    for axis in range(dims):
        controls[f"shift_{AXES[axis]}"] = whole(0, -most, most, f"shift {AXES[axis]} (voxels)")
    controls["grow"] = whole(0, -most, most, "grow (voxels)")
    controls["blob"] = whole(max(2, side // 16), 0, most, "blob radius (voxels)")
    for axis in range(dims):
        controls[f"place_{AXES[axis]}"] = whole(place[axis], 0, 100, f"blob at {AXES[axis]} (%)", 5)
    controls["hole"] = whole(0, 0, most, "hole radius (voxels)")
    controls["branches"] = whole(0, 0, 5, "branches cut off")
    controls["cut"] = whole(0, 0, 100, "end cut off (%)", 5)
    for axis in range(dims):
        own = (shown.case.spacing or (1.0,) * dims)[axis]
        name = f"spacing {AXES[axis]} (mm)"
        controls[f"spacing_{AXES[axis]}"] = ipywidgets.FloatSlider(
            own, min=0.125, max=max(6.0, own), step=0.125, readout_format=".3f", description=name, **row
        )
    for rule, title, known in (
        ("empty", "empty scores", EMPTY_POLICIES),
        ("hd95", "95HD", HD95_RULES),
        ("asd", "ASD", ASD_RULES),
    ):
        controls[rule] = ipywidgets.Dropdown(options=known, description=title)
    return controls


class _Pictures:
    """The viewer and the chart, what is drawn into them, and every score so far by the controls' values."""

    def __init__(self, data: Dataset, case: str):
        self.data, self.case_id, self.case = data, case, load(data, case)
        self.values: dict[str, Any] = {}
        self.moved = OPENING
        self.seen: dict[tuple[Any, ...], dict[str, float]] = {}
        self._anatomy: dict[tuple[str, int], Anatomy] = {}
        self.viewer = Viewer(self.case.image[0], spacing=self.case.spacing, title=case)
        self.viewer.look_at(self.anatomy(case, 1).reference)
        self.chart = Chart(empty_path())

    def anatomy(self, case: str, k: int) -> Anatomy:
        """Of one object of a case; UserError for a case without a label. The last one is kept."""
        if (case, k) not in self._anatomy:
            label = load(self.data, case).label
            if label is None:
                raise UserError(f"case {case}: has no label, expected one to compare a prediction with")
            self._anatomy = {(case, k): Anatomy.of(label == k)}
        return self._anatomy[case, k]

    def opening_place(self) -> list[int]:
        """Where the blob begins, in % of each axis: far from the object in the plane, in its fullest slice."""
        reference = self.anatomy(self.case_id, 1).reference
        sides = list(zip(reference.nonzero(), reference.shape, strict=True))
        corner = [90 if p.size and p.mean() < n / 2 else 10 for p, n in sides]
        if reference.ndim == 3:
            corner[2] = 5 * round(20 * best_slice(reference) / max(1, reference.shape[2] - 1))
        return corner

    def compute(self, **values: Any) -> dict[str, Any]:
        """Draw reference, prediction and error; the scores of these values of the controls."""
        anatomy = self.anatomy(values["case"], values.get("k", 1))
        case, spacing = load(self.data, values["case"]), self._axes("spacing", values)
        if (values["case"], list(spacing)) != (self.case_id, self.viewer.spacing[: len(spacing)]):
            cursor = self.viewer.cursor
            self.viewer.show_volume(case.image[0], spacing=spacing)
            self.viewer.cursor = cursor
            if values["case"] != self.case_id:
                self.viewer.look_at(anatomy.reference)
            self.case_id, self.case = values["case"], case
        changed = [name for name, value in values.items() if value != self.values.get(name, value)]
        self.moved, self.values = (changed or [self.moved])[0], values
        made = self.prediction(values)
        numbers = self.score(values)
        self._draw(anatomy.reference, made)
        self.chart.show(draw_path(self.chart.figure, self.moved, self.path(), values[self.moved]))
        return {**numbers, **self._counts(anatomy.reference, made, spacing)}

    def prediction(self, values: Mapping[str, Any]) -> np.ndarray:
        """The reference with the mistakes that the controls say."""
        mistake = Mistake(
            branches=values["branches"],
            cut=values["cut"] / 100,
            hole=values["hole"],
            grow=values["grow"],
            shift=self._axes("shift", values),
            blob=values["blob"],
            place=[share / 100 for share in self._axes("place", values)],
        )
        return make(self.anatomy(values["case"], values.get("k", 1)), mistake)

    def score(self, values: Mapping[str, Any]) -> dict[str, float]:
        """The four metrics, distances in voxels and in mm; each control's values are scored once."""
        key = tuple(values.values())
        if key not in self.seen:
            reference = self.anatomy(values["case"], values.get("k", 1)).reference
            rules = {rule: values[rule] for rule in ("empty", "hd95", "asd")}
            made = self.prediction(values)
            voxels = evaluate(made, reference, **rules)
            mm = evaluate(made, reference, self._axes("spacing", values), **rules)
            self.seen[key] = _told(voxels, mm)
        return self.seen[key]

    def path(self) -> dict[Any, dict[str, float]]:
        """What has been seen with all controls as they stand but for the one that was moved last."""
        names, now = list(self.values), tuple(self.values.values())
        at = names.index(self.moved)
        same = {
            key[at]: told for key, told in self.seen.items() if key[:at] + key[at + 1 :] == now[:at] + now[at + 1 :]
        }
        return dict(sorted(same.items())) if not isinstance(now[at], str) else same

    def _draw(self, reference: np.ndarray, made: np.ndarray) -> None:
        viewer = self.viewer
        viewer.show_map("error", made.astype(np.float32) - reference, "error")
        viewer.show_labels("prediction", made, ("outside", "prediction"), colours=[style.PREDICTION])
        viewer.show_labels("reference", reference, ("outside", "reference"), dashed=True)
        viewer.title = self.case_id

    def _counts(self, reference: np.ndarray, made: np.ndarray, spacing: tuple[float, ...]) -> dict[str, Any]:
        """What the metrics are made of."""
        own = self.case.spacing
        told = "as in the file" if own == spacing else f"set here; the file has {_by(own) if own else 'none'}"
        counted = ("not there", "a false alarm", "missed", "found")[2 * reference.any() + made.any()]
        return {
            "voxels of the reference": int(reference.sum()),
            "too much": int((made & ~reference).sum()),
            "lacking": int((reference & ~made).sum()),
            "the object counts as": counted,
            "a voxel is (mm)": f"{_by(spacing)} ({told})",
        }

    @staticmethod
    def _axes(name: str, values: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(values[f"{name}_{axis}"] for axis in AXES if f"{name}_{axis}" in values)


def _told(voxels: Scores, mm: Scores) -> dict[str, float]:
    return {
        "Dice (%)": 100 * voxels.dice,
        "Jaccard (%)": 100 * voxels.jaccard,
        "95HD (voxels)": voxels.hd95,
        "95HD (mm)": mm.hd95,
        "ASD (voxels)": voxels.asd,
        "ASD (mm)": mm.asd,
    }


def _by(spacing: tuple[float, ...]) -> str:
    return " × ".join(f"{s:g}" for s in spacing)
