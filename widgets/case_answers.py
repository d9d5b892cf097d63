"""What an evaluated run says of its test cases: scores, predictions, mistakes and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch

from ssmis_core.datasets import Case, Dataset
from ssmis_core.devices import choose_device
from ssmis_core.evaluated_data import EvaluatedData, check_of_these
from ssmis_core.inference import decide, predict_probabilities
from ssmis_core.methods.base import Method
from ssmis_core.runs import Run
from ssmis_core.uncertainty import entropy
from widgets import style
from widgets.case_table import Column
from widgets.cases import read_prediction
from widgets.results import METRICS, case_scores

MISTAKES = ("right", "missing", "too much", "other class")
MISTAKE_COLOURS = (style.VERMILLION, style.PURPLE, style.YELLOW)
MEAN = "mean of the classes"


class Answers:
    """One evaluated run and the cases that it was evaluated on. The last few predictions of the network are kept.

    Raises UserError for a run that has not been evaluated on them.
    """

    def __init__(self, run: Run, data: EvaluatedData):
        check_of_these(run, data)
        self.run, self.data, self.dataset = run, data, data.dataset
        self.scores = {metric: case_scores(run, metric, ending=data.ending) for metric in METRICS}
        self.keeps_largest = bool(run.summary_of(data.ending)["conventions"].get("largest_component"))
        self.probabilities = lru_cache(maxsize=4)(self._probabilities)
        self._method: Method | None = None

    def column(self, metric: str, of: str, *, title: str = "") -> Column:
        """A metric of every case, in the units of `METRICS`; of: a class, or MEAN."""
        label, factor, more = METRICS[metric]
        known = self.scores[metric] if of == MEAN else case_scores(self.run, metric, of=of, ending=self.data.ending)
        values = {case: factor * value for case, value in known.items()}
        rows = self.run.rows(f"cases{self.data.ending}")
        missed = {str(row["case"]) for row in rows if row.get("missed") and of in (MEAN, row["class"])}
        return Column(title + label, values, 1, "missed", frozenset(missed), more)

    def prediction(self, case: Case) -> np.ndarray:
        """The label map uint8 [*spatial] that was scored: from the run's predictions/, else computed anew."""
        if (self.run.path / f"predictions{self.data.ending}" / f"{case.id}.nii.gz").is_file():
            return read_prediction(self.run, case, ending=self.data.ending)
        return decide(self.probabilities(case.id), largest_component=self.keeps_largest)

    def uncertainty(self, case: Case) -> np.ndarray:
        """Entropy [*spatial] in nats of the answer, the mean over all windows that a voxel lies in."""
        return entropy(self.probabilities(case.id)[None])[0, 0].cpu().numpy()

    def forget(self) -> None:
        """Free the network and its answers; they come again when they are asked for."""
        self._method = None
        self.probabilities.cache_clear()

    def _probabilities(self, case_id: str) -> torch.Tensor:
        device = choose_device("auto")
        self._method = self._method or self.run.method(device)
        image = self.dataset.load(case_id).image
        return predict_probabilities(self._method, image, self.run.config, device=device).cpu()


class Volumes:
    """Sizes of the references, each read when it is asked for and then kept."""

    def __init__(self, dataset: Dataset, cases: Sequence[str]):
        self.dataset, self.cases = dataset, list(cases)
        self._counts: dict[str, np.ndarray] = {}
        self._spacing: dict[str, tuple[float, ...] | None] = {}

    def column(self, of: str) -> Column:
        """The size of a class, or of all of them for MEAN: in ml where every spacing is known, else in voxels."""
        names = list(self.dataset.class_names)
        chosen = slice(1, None) if of == MEAN else slice(names.index(of), names.index(of) + 1)
        voxels = {case: float(self.counts(case)[chosen].sum()) for case in self.cases}
        if self.dataset.dims < 3 or None in self._spacing.values():
            return Column("size of the reference (voxels)", voxels, 0)
        millilitres = {case: n * math.prod(self._spacing[case] or ()) / 1000.0 for case, n in voxels.items()}
        return Column("volume of the reference (ml)", millilitres, 1)

    def counts(self, case: str) -> np.ndarray:
        """Voxels of each class in the reference of a case; zeros where it has none."""
        if case not in self._counts:
            found = self.dataset.load(case)
            label = np.zeros(0, np.uint8) if found.label is None else found.label.ravel()
            self._counts[case] = np.bincount(label, minlength=self.dataset.num_classes)
            self._spacing[case] = found.spacing
        return self._counts[case]


def mistakes(predicted: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """What is wrong at each voxel, by its number in MISTAKES."""
    found = np.zeros(reference.shape, np.uint8)
    wrong = predicted != reference
    found[wrong & (predicted == 0)] = 1
    found[wrong & (reference == 0)] = 2
    found[wrong & (predicted != 0) & (reference != 0)] = 3
    return found
