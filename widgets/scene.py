"""What an explorer looks at: a method, its data, and one case (or slice) as a batch of the training would hold it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

import ssmis_core as ssmis
from ssmis_core.batches import crop_range
from ssmis_core.configuration import Configuration
from ssmis_core.datasets import Dataset
from ssmis_core.draws import Clock, Draws
from ssmis_core.errors import UserError
from ssmis_core.methods.base import Method, Step
from ssmis_core.runs import Run
from ssmis_core.views import Views
from ssmis_core.volume_bank import VolumeBank
from widgets.kept_cases import bank_of, load
from widgets.pixels import fullest_slice
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
        shape = {"num_classes": dataset.num_classes, "dims": config.dims, "channels": dataset.channels}
        return cls(fresh(config, shape).eval(), config, dataset, "untrained")

    @property
    def cases(self) -> list[str]:
        """Cases that can be looked at as unlabeled ones: those of the training, then the test cases."""
        return [*self.dataset.split(self.config.labeled)[1], *self.dataset.test]

    @property
    def sliced(self) -> bool:
        """Whether the method sees volumes slice by slice, so that a sample is a slice."""
        return self.config.slice_axis is not None

    def case_of(self, name: str) -> str:
        """The case that a name stands for: its own, or that of one of its samples."""
        own = name in {*self.dataset.train, *self.dataset.validation, *self.dataset.test}
        return name if own else self.config.grid.case_of(name)

    def samples(self, case_id: str) -> list[str]:
        """What training draws patches from of a case, by name: the case itself, or its slices in their order."""
        axis, grid = self.config.slice_axis, self.config.grid
        count = 1 if axis is None else load(self.dataset, case_id).shape[axis]
        return [grid.sample_id(case_id, place) for place in range(count)]

    def sample(self, name: str) -> str:
        """A sample by its own name; of a case by its name, the slice with most of the label (else the middle one)."""
        axis = self.config.slice_axis
        if axis is None or self.case_of(name) != name:
            return name
        return self.config.grid.sample_id(name, fullest_slice(load(self.dataset, name), axis))

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

        case_id, labeled: cases, or slices of them by name; see `sample`. The patch lies on the middle of the label
        where there is one, without a quarter turn, and nothing is rotated by an angle; all else is drawn as in
        training. seed: other draws than the run's; labeled: these are the batch's labeled samples, in this order and
        over again where there are too few; corners: of the case's crops, in voxels, the first one's first.
        """
        sampling, own, unlabeled = self.method.sampling, *self.dataset.split(self.config.labeled)
        if not sampling.unlabeled:
            raise UserError(f"method {self.config.method} looks at no unlabeled case, expected one that does")
        own = list(islice(cycle(labeled), sampling.labeled)) if labeled else own[: sampling.labeled]
        this = self.case_of(case_id)
        others = [one for one in unlabeled if one != this][: sampling.unlabeled * sampling.unlabeled_streams - 1]
        names = [self.sample(one) for one in (*own, case_id, *others)]
        bank = bank_of(self.dataset, tuple(dict.fromkeys(self.case_of(one) for one in names)), self.config)
        rows, count = [bank.ids.index(name) for name in names], len(own)
        case, clock = load(self.dataset, this), clock_at(self.config, self.method, t)
        draws = Draws(self.config.seed if seed is None else seed).at(clock)
        fixed = self._placed(bank, rows[count], clock, 1 + len(others), corners) | self._straight()
        if labeled:
            fixed[f"labeled/epoch_{clock.t}"] = np.arange(count)  # as many as a batch takes, so a pass is a batch
        spacing = None if case.spacing is None else bank.spacing(rows[count], case.spacing)
        how: dict[str, Any] = {"spacing": spacing, "fixed": fixed}
        return assemble(bank, rows[:count], rows[count:], self.config, self.method, clock, draws, **how)

    def reference(self, case_id: str, example: Example) -> np.ndarray | None:
        """The label [*box] where the first crop of the example's case lies, 0 outside of the scan; None: has none.

        No batch carries it: it is read from the case, to judge by and never to learn from. It has the orientation of
        the volume, as what `array` makes of a view.
        """
        row = example.batch.case.index(self.sample(case_id), example.batch.num_labeled)
        label = self._label(example, row)
        return None if label is None else label.numpy()

    def truth(self, example: Example, row: int) -> np.ndarray | None:
        """The same [*patch] for any row of the batch, in the frame of the patch, as the network sees that row."""
        label = self._label(example, row)
        return None if label is None else example.batch.turn[row].apply(label, label.ndim).numpy()

    def room(self, case_id: str) -> tuple[np.ndarray, np.ndarray]:
        """(lowest, highest) corner that training may draw for a patch of the case, in voxels of its grid."""
        bank, number = self._bank(case_id)
        low, room = self._corners(bank.shape(number))
        return low, low + room

    def whole(self, case_id: str) -> tuple[np.ndarray, np.ndarray | None]:
        """(scan, label or None), [*axes], of all that patches may show: from the lowest corner to the farthest end.

        The values of the scan (its first channel) are those that patches are cut with. Of a case that is seen slice by
        slice it is a slice, see `sample`.
        """
        (bank, number), (low, high) = self._bank(case_id), self.room(case_id)
        size, scaled = high + self.config.patch - low, "min_max" in self.method.sampling.augmentations
        image, label = bank.cut(number, low.tolist(), size.tolist(), label=True, scaled=scaled)
        return image[0].numpy(), None if label is None else label.numpy()

    def grid(self, case_id: str) -> tuple[float, ...] | None:
        """The mm a voxel of the grid that the method works on, None where the data set does not say."""
        spacing = load(self.dataset, self.case_of(case_id)).spacing
        bank, number = self._bank(case_id)
        return None if spacing is None else bank.spacing(number, spacing)

    def known(self, name: str | None) -> str:
        """A case or a sample, by default the first case that can be looked at; UserError for one that cannot."""
        if name is None:
            return self.cases[0]
        if self.case_of(name) not in self.cases:
            told = f"expected one that is not labeled in the run, such as {self.cases[0]}"
            raise UserError(f"case {name!r}: {told}")
        if name != self.case_of(name) and name not in (there := self.samples(self.case_of(name))):
            raise UserError(f"slice {name!r}: expected {there[0]} to {there[-1]}")
        return name

    def look(
        self, example: Example, *, dropout: bool = True, large: bool = False, **options: Any
    ) -> tuple[Step, Views]:
        """(loss and terms, views) of the method's own loss on the batch, with some of its options changed.

        dropout: as in training; False: none, so that two answers differ by what is looked at alone. large: see `Views`.
        """
        with changed(self.method, options), dropout_as(self.method, dropout):
            return look(self.method, example, large=large)

    def _bank(self, name: str) -> tuple[VolumeBank, int]:
        """A bank with the case, or the case of the sample, and the sample's number in it."""
        sample = self.sample(name)
        bank = bank_of(self.dataset, (self.case_of(name),), self.config)
        return bank, bank.ids.index(sample)

    def _label(self, example: Example, row: int) -> Tensor | None:
        """The label where a row's first crop lies, in the orientation of its volume."""
        batch, (bank, number) = example.batch, self._bank(example.batch.case[row])
        if not bank.has_label(number):
            return None
        size = list(batch.image.shape[2:])
        if batch.turn[row].quarters % 2:
            size[:2] = [size[1], size[0]]
        return bank.cut(number, batch.corner[row].tolist(), size, label=True)[1]

    def _corners(self, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """(lowest corner, places above it) of patches that training may cut from a sample of that shape."""
        return crop_range(shape, self.config.patch, padded=not self.config.resize)

    def _straight(self) -> dict[str, Any]:
        """Fixed draws that rotate no sample by an angle: a patch then has a place of its own in its scan."""
        sampling = self.method.sampling
        streams = {"labeled": sampling.labeled}
        streams |= {f"unlabeled_{i}": sampling.unlabeled for i in range(sampling.unlabeled_streams)}
        return {f"{name}/{n}/angle": 0 for name, count in streams.items() for n in range(count)}

    def _placed(
        self, bank: VolumeBank, number: int, clock: Clock, count: int, corners: Sequence[Sequence[int]]
    ) -> dict[str, Any]:
        """Fixed draws that put a sample first in its stream, unturned, its patch on the middle of the label.

        corners: of its crops, in place of that; they are not checked, so that crops may lie as no training draws them.
        """
        low, room = self._corners(bank.shape(number))
        first = np.array(corners[0]) if len(corners) else low + np.clip(self._middle(bank, number) - low, 0, room)
        fixed: dict[str, Any] = {f"{STREAM}/0/quarters": 0, f"{STREAM}/0/flip": 0, f"{STREAM}/0/turned": 1.0}
        fixed |= {f"{STREAM}/0/corner_{axis}": int(c) for axis, c in enumerate(first - low)}
        for crop, corner in enumerate(corners[1:], start=1):
            fixed |= {f"{STREAM}/0/crop_{crop}_back_{axis}": int(c) for axis, c in enumerate(first - np.array(corner))}
        size = self.method.sampling.unlabeled
        whole = count - count % size if count >= size else count  # a pass over the stream, as in `batches.pick`
        start = clock.t * size
        order = np.concatenate([np.roll(np.arange(whole), start % whole), np.arange(whole, count)])
        return fixed | {f"{STREAM}/epoch_{one // whole}": order for one in range(start, start + size)}

    def _middle(self, bank: VolumeBank, number: int) -> np.ndarray:
        """The corner of a patch that lies on the middle of the label, or of the sample where there is none."""
        shape = bank.shape(number)
        label = bank.cut(number, [0] * len(shape), shape, label=True)[1]
        middle = [n // 2 for n in shape]
        if label is not None and label.any():
            middle = [int(np.median(axis)) for axis in np.nonzero(label.numpy())]
        return np.array(
            [  # where the patch is larger than the scan, the scan lies in its middle
                m - p // 2 if n > p else (n - p) // 2 for m, n, p in zip(middle, shape, self.config.patch, strict=True)
            ]
        )


def scene_of(run: Run | Scene | str | os.PathLike[str], *, data_root: str | os.PathLike[str] | None = None) -> Scene:
    """A scene as it is, or that of a run."""
    return run if isinstance(run, Scene) else Scene.of(run, data_root=data_root)


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
