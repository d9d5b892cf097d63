"""What an explorer looks at: a method, its data, and one case as a batch of the training would hold it."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

import ssmis_core as ssmis
from ssmis_core.batches import crop_range
from ssmis_core.configuration import Configuration
from ssmis_core.datasets import Case, Dataset
from ssmis_core.draws import Clock, Draws
from ssmis_core.errors import UserError
from ssmis_core.methods.base import Method, Step
from ssmis_core.runs import Run
from ssmis_core.views import Views
from ssmis_core.volume_bank import VolumeBank
from widgets.replay import Example, assemble, changed, clock_at, fresh, look

STREAM = "unlabeled_0"


@dataclass(frozen=True)
class Scene:
    """A method with its configuration and data set. `of` and `untrained` make one."""

    method: Method
    config: Configuration
    dataset: Dataset
    trained: str  # "after 240 iterations" or "untrained", for titles

    @classmethod
    def of(cls, run: Run | str | os.PathLike[str], *, data_root: str | os.PathLike[str] | None = None) -> Scene:
        """A run with its selected weights."""
        run = run if isinstance(run, Run) else Run(run)
        done = run.info.get("iterations_done", run.config.iterations)
        return cls(run.method(), run.config, run.dataset(data_root), f"after {done} iterations")

    @classmethod
    def untrained(cls, method: str, *, data_root: str | Path | None = None, **settings: Any) -> Scene:
        """A method as it is before its first step; settings are those of `configure`."""
        config = ssmis.configure(method, data_root=data_root, **settings)
        dataset = ssmis.open_dataset(config.dataset, data_root, **config.dataset_options)
        shape = {"num_classes": dataset.num_classes, "dims": dataset.dims, "channels": dataset.channels}
        return cls(fresh(config, shape).eval(), config, dataset, "untrained")

    @property
    def cases(self) -> list[str]:
        """Cases that can be looked at as unlabeled ones: those of the training, then the test cases."""
        return [*self.dataset.split(self.config.labeled)[1], *self.dataset.test]

    def example(
        self,
        case_id: str,
        *,
        t: int | None = None,
        seed: int | None = None,
        labeled: Sequence[str] = (),
        corners: Sequence[Sequence[int]] = (),
    ) -> Example:
        """A batch as iteration t (default: the last) would see it, with the case as its first unlabeled sample.

        The patch lies on the middle of the case's label where there is one, without a quarter turn; all else is drawn
        as in training. seed: other draws than the run's; labeled: these are the batch's labeled samples, in this order
        and over again where there are too few; corners: of the case's crops, in voxels, the first one's first.
        """
        sampling, own, unlabeled = self.method.sampling, *self.dataset.split(self.config.labeled)
        if not sampling.unlabeled:
            raise UserError(f"method {self.config.method} looks at no unlabeled case, expected one that does")
        own = list(islice(cycle(labeled), sampling.labeled)) if labeled else own[: sampling.labeled]
        others = [one for one in unlabeled if one != case_id][: sampling.unlabeled * sampling.unlabeled_streams - 1]
        bank = bank_of(self.dataset, (*own, case_id, *others), self.config.factor)
        case, clock = load(self.dataset, case_id), clock_at(self.config, self.method, t)
        draws = Draws(self.config.seed if seed is None else seed).at(clock)
        fixed = self._placed(case, bank.shape(len(own)), clock, 1 + len(others), corners)
        if labeled:
            fixed[f"labeled/epoch_{clock.t}"] = np.arange(len(own))  # as many as a batch takes, so a pass is a batch
        return assemble(bank, len(own), self.config, self.method, clock, draws, spacing=case.spacing, fixed=fixed)

    def reference(self, case_id: str, example: Example) -> np.ndarray | None:
        """The label [*box] where the first crop of the example's case lies, 0 outside of the scan; None: has none.

        No batch carries it: it is read from the case, to judge by and never to learn from. It has the orientation of
        the volume, as what `array` makes of a view.
        """
        label = self._label(example, example.batch.case.index(case_id, example.batch.num_labeled))
        return None if label is None else label.numpy()

    def truth(self, example: Example, row: int) -> np.ndarray | None:
        """The same [*patch] for any row of the batch, in the frame of the patch, as the network sees that row."""
        label = self._label(example, row)
        return None if label is None else example.batch.turn[row].apply(label, label.ndim).numpy()

    def room(self, case_id: str) -> tuple[np.ndarray, np.ndarray]:
        """(lowest, highest) corner that training may draw for a patch of the case, in voxels of its grid."""
        low, room = crop_range(bank_of(self.dataset, (case_id,), self.config.factor).shape(0), self.config.patch)
        return low, low + room

    def whole(self, case_id: str) -> tuple[np.ndarray, np.ndarray | None]:
        """(scan, label or None), [*spatial], of all that patches may show: from the lowest corner to the farthest end.

        The values of the scan (its first channel) are those that patches are cut with.
        """
        bank, (low, high) = bank_of(self.dataset, (case_id,), self.config.factor), self.room(case_id)
        size, scaled = high + self.config.patch - low, "min_max" in self.method.sampling.augmentations
        image, label = bank.cut(0, low.tolist(), size.tolist(), label=True, scaled=scaled)
        return image[0].numpy(), None if label is None else label.numpy()

    def grid(self, case_id: str) -> tuple[float, ...] | None:
        """The mm a voxel of the grid that the method works on, None where the data set does not say."""
        spacing = load(self.dataset, case_id).spacing
        return None if spacing is None else tuple(s * f for s, f in zip(spacing, self.config.factor, strict=True))

    def known(self, case_id: str | None) -> str:
        """The case, by default the first that can be looked at; UserError for one that cannot."""
        if case_id is not None and case_id not in self.cases:
            told = f"expected one that is not labeled in the run, such as {self.cases[0]}"
            raise UserError(f"case {case_id!r}: {told}")
        return case_id or self.cases[0]

    def look(
        self, example: Example, *, dropout: bool = True, large: bool = False, **options: Any
    ) -> tuple[Step, Views]:
        """(loss and terms, views) of the method's own loss on the batch, with some of its options changed.

        dropout: as in training; False: none, so that two answers differ by what is looked at alone. large: see `Views`.
        """
        with changed(self.method, options), dropout_as(self.method, dropout):
            return look(self.method, example, large=large)

    def _label(self, example: Example, row: int) -> Tensor | None:
        """The label where a row's first crop lies, in the orientation of its volume."""
        batch, case_id = example.batch, example.batch.case[row]
        if load(self.dataset, case_id).label is None:
            return None
        size = list(batch.image.shape[2:])
        if batch.turn[row].quarters % 2:
            size[:2] = [size[1], size[0]]
        bank = bank_of(self.dataset, (case_id,), self.config.factor)
        return bank.cut(0, batch.corner[row].tolist(), size, label=True)[1]

    def _placed(
        self, case: Case, shape: tuple[int, ...], clock: Clock, count: int, corners: Sequence[Sequence[int]]
    ) -> dict[str, Any]:
        """Fixed draws that put the case first in its stream, unturned, its patch on the middle of the label.

        corners: of its crops, in place of that; they are not checked, so that crops may lie as no training draws them.
        """
        low, room = crop_range(shape, self.config.patch)
        first = np.array(corners[0]) if len(corners) else low + np.clip(self._middle(case, shape) - low, 0, room)
        fixed: dict[str, Any] = {f"{STREAM}/0/quarters": 0, f"{STREAM}/0/flip": 0}
        fixed |= {f"{STREAM}/0/corner_{axis}": int(c) for axis, c in enumerate(first - low)}
        for crop, corner in enumerate(corners[1:], start=1):
            fixed |= {f"{STREAM}/0/crop_{crop}_back_{axis}": int(c) for axis, c in enumerate(first - np.array(corner))}
        size = self.method.sampling.unlabeled
        whole = count - count % size if count >= size else count  # a pass over the stream, as in `batches.pick`
        start = clock.t * size
        order = np.concatenate([np.roll(np.arange(whole), start % whole), np.arange(whole, count)])
        return fixed | {f"{STREAM}/epoch_{one // whole}": order for one in range(start, start + size)}

    def _middle(self, case: Case, shape: tuple[int, ...]) -> np.ndarray:
        """The corner of a patch that lies on the middle of the label, or of the scan where there is none."""
        middle = [n // 2 for n in shape]
        if case.label is not None and case.label.any():
            places = [int(np.median(axis)) for axis in np.nonzero(case.label)]
            middle = [place // f for place, f in zip(places, self.config.factor, strict=True)]
        return np.array(
            [  # where the patch is larger than the scan, the scan lies in its middle
                m - p // 2 if n > p else (n - p) // 2 for m, n, p in zip(middle, shape, self.config.patch, strict=True)
            ]
        )


def scene_of(run: Run | Scene | str | os.PathLike[str], *, data_root: str | os.PathLike[str] | None = None) -> Scene:
    """A scene as it is, or that of a run."""
    return run if isinstance(run, Scene) else Scene.of(run, data_root=data_root)


class _LastFew:
    """The last few things that were made of each data set, as long as somebody holds that data set."""

    def __init__(self, most: int):
        self.most = most
        self._of: WeakKeyDictionary[Dataset, OrderedDict[Hashable, Any]] = WeakKeyDictionary()

    def get(self, dataset: Dataset, key: Hashable, make: Callable[[], Any]) -> Any:
        """What is kept under the key, or else made. It must not hold the data set, which would never be freed."""
        kept = self._of.setdefault(dataset, OrderedDict())
        kept[key] = kept.pop(key) if key in kept else make()
        while len(kept) > self.most:
            kept.popitem(last=False)
        return kept[key]


_cases, _banks = _LastFew(8), _LastFew(12)


def load(dataset: Dataset, case_id: str) -> Case:
    """A case of a data set, the last few kept in memory: an explorer that is moved asks again and again."""
    case: Case = _cases.get(dataset, case_id, lambda: dataset.load(case_id))
    return case


def bank_of(dataset: Dataset, wanted: tuple[str, ...], factor: tuple[int, ...]) -> VolumeBank:
    """The cases on the grid that the training works on, the last few kept as in `load`."""

    def make() -> VolumeBank:
        return VolumeBank([load(dataset, one) for one in wanted], num_classes=dataset.num_classes, factor=factor)

    bank: VolumeBank = _banks.get(dataset, (wanted, factor), make)
    return bank


@contextmanager
def dropout_as(network: nn.Module, wanted: bool) -> Iterator[None]:
    """The network with its dropout, or for the time being without any."""
    layers = [one for one in network.modules() if isinstance(one, _DropoutNd)]
    own = [layer.p for layer in layers]
    try:
        for layer in layers:
            layer.p = layer.p if wanted else 0.0
        yield
    finally:
        for layer, p in zip(layers, own, strict=True):
            layer.p = p
