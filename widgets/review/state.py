"""A review of a run without any window: which case is next, what is seen of it, what was said and corrected."""

from __future__ import annotations

import getpass
import os
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ssmis_core.datasets import Case
from ssmis_core.errors import UserError, unknown
from ssmis_core.evaluated_data import evaluated_data
from ssmis_core.runs import Run
from widgets.review.corrections import Corrections
from widgets.review.nifti import read_case_labels
from widgets.review.order import Ranked, ranked_cases
from widgets.review.remarks import Remark, Remarks

if TYPE_CHECKING:
    import torch

KEPT = 2  # probability maps that stay in memory


@dataclass(frozen=True)
class Reviewed:
    """One case as it is looked at: the scan, what the run made of it and what readers did since.

    prediction, correction: uint8 [*spatial]; correction None: nobody corrected it.
    """

    case: Case
    ranked: Ranked
    prediction: np.ndarray
    correction: np.ndarray | None
    remark: Remark

    @property
    def errors(self) -> np.ndarray | None:
        """See `errors_of`; None without a reference."""
        return None if self.case.label is None else errors_of(self.prediction, self.case.label)


def errors_of(prediction: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """uint8: 0 right, 1 missed (background where an object is), 2 too much (the reverse), 3 one object for another."""
    wrong = prediction != reference
    kind = np.where(prediction == 0, 1, np.where(reference == 0, 2, 3))
    return np.where(wrong, kind, 0).astype(np.uint8)


class Review:
    """The cases of an evaluated run, worst first, one of them open.

        review = Review("runs/mine")
        seen = review.open()
        review.remark(flag=True, note="vein missed")
        review.save(labels)
        review.step(+1)

    split: the list that was evaluated. data_root: of the data set's files; of a run on one's own scans it may be
    another prepared folder that the run was evaluated on. folder: where remarks and corrections go (default: the run
    folder, beside its files and never over them; for other scans than the run's, a folder of theirs in it). who: the
    reader's name (default: of the account). device: for predictions that the run folder lacks and for the uncertainty.
    Raises UserError for a run that was not evaluated, or whose data are not here.
    """

    def __init__(
        self,
        run: Run | str | os.PathLike[str],
        *,
        split: str = "test",
        data_root: str | os.PathLike[str] | None = None,
        folder: str | os.PathLike[str] | None = None,
        who: str | None = None,
        device: str | torch.device = "cpu",
    ):
        self.run = run if isinstance(run, Run) else Run(run)
        self.data_root, self.device = data_root, device
        self.data = evaluated_data(self.run, split, data_root)
        self.dataset = self.data.dataset
        self.ranked = {one.case: one for one in ranked_cases(self.run, self.data, data_root)}
        self.order = list(self.ranked)
        own = self.run.path / f"review{self.data.ending}" if self.data.external else self.run.path
        self.folder = Path(folder) if folder is not None else own
        self.remarks, self.corrections = Remarks(self.folder), Corrections(self.folder)
        self.who = who or account()
        self.place = 0
        self._probabilities: OrderedDict[str, np.ndarray] = OrderedDict()

    @property
    def case(self) -> str:
        """The case that is open."""
        return self.order[self.place]

    def step(self, count: int) -> bool:
        """Go so many cases on (or back); False when that is past an end, and nothing is done."""
        there = 0 <= self.place + count < len(self.order)
        self.place += count if there else 0
        return there

    def go(self, case: str) -> None:
        """Go to a case by name."""
        if case not in self.ranked:
            raise unknown("case of the review", case, self.order)
        self.place = self.order.index(case)

    def open(self) -> Reviewed:
        """Everything about the case that is open."""
        case = self.dataset.load(self.case)
        correction = self.corrections.read(case)
        return Reviewed(case, self.ranked[case.id], self.prediction(case), correction, self.remarks.of(case.id))

    def remark(self, *, flag: bool | None = None, note: str | None = None) -> Remark:
        """Flag the case that is open, or note something, or both; written at once."""
        return self.remarks.write(self.case, who=self.who, flag=flag, note=note)

    def save(self, labels: np.ndarray) -> list[dict[str, Any]]:
        """Keep corrected labels of the case that is open; the rows that tell what changed. See `Corrections.save`."""
        case = self.dataset.load(self.case)
        empty = self.conventions.get("empty", "nan")
        truth = None if case.label is None else self.dataset.truth(case)
        how: dict[str, Any] = {"class_names": self.dataset.class_names, "who": self.who, "truth": truth, "empty": empty}
        return self.corrections.save(case, self.prediction(case), labels, **how)

    def prediction(self, case: Case) -> np.ndarray:
        """The labels that the run predicted: those in its folder, else made anew from its weights."""
        path = self.run.path / f"predictions{self.data.ending}" / f"{case.id}.nii.gz"
        if path.is_file():
            return read_case_labels(path, case)
        import torch

        from ssmis_core.inference import decide

        kept = self.conventions.get("largest_component", False)
        return decide(torch.from_numpy(self.probabilities(case)), largest_component=kept)

    def probabilities(self, case: Case) -> np.ndarray:
        """What the run's network answers to a case, float32 [K, *spatial]; the last few are kept."""
        if case.id not in self._probabilities:
            from ssmis_core.inference import predict_probabilities

            maps = predict_probabilities(self._method(), case.image, self.run.config, device=self.device)
            self._probabilities[case.id] = maps.float().cpu().numpy()
            while len(self._probabilities) > KEPT:
                self._probabilities.popitem(last=False)
        return self._probabilities[case.id]

    def uncertainty(self, case: Case) -> np.ndarray:
        """Predictive entropy of each voxel in nats, float32 [*spatial]: 0 for a sure voxel, ln K for a coin's toss."""
        import torch

        from ssmis_core.uncertainty import entropy

        return entropy(torch.from_numpy(self.probabilities(case))[None])[0, 0].numpy()

    @property
    def has_weights(self) -> bool:
        """Whether there is a network to ask."""
        return (self.run.path / "weights.safetensors").is_file()

    @property
    def conventions(self) -> dict[str, Any]:
        """What the scores were made with; none where the run folder does not tell."""
        there = (self.run.path / f"summary{self.data.ending}.json").is_file()
        return self.run.summary_of(self.data.ending)["conventions"] if there else {}

    def _method(self) -> Any:
        if not hasattr(self, "_loaded"):
            if not self.has_weights:
                told = "no prediction of this case and no weights to make one with"
                raise UserError(f"{self.run.path}: {told}; run `ssmis evaluate` where the weights are")
            self._loaded = self.run.method(self.device)
        return self._loaded


def account() -> str:
    """The name of the account that runs this."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # an account without a name, as in some containers
        return "unknown"
