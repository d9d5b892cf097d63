"""What an explorer looks at: a method, its data, and one case as a batch of the training would hold it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

import ssmis_core as ssmis
from ssmis_core.batches import Batches, VolumeBank, crop_range
from ssmis_core.configuration import Configuration
from ssmis_core.datasets import Case, Dataset
from ssmis_core.draws import Clock, Draws
from ssmis_core.errors import UserError
from ssmis_core.methods import create_method
from ssmis_core.methods.base import Method, Step
from ssmis_core.runs import Run
from ssmis_core.views import Views
from widgets.replay import Example, look

STREAM = "unlabeled_0"


@dataclass(frozen=True)
class Scene:
    """A method with its configuration and data set. `of` and `untrained` make one."""

    method: Method
    config: Configuration
    dataset: Dataset
    trained: str  # "trained 240 iterations", for titles

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
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(Draws(config.seed).key("initialisation"))
            made = create_method(config.method, variant=config.variant, **shape, **config.options)
        return cls(made.eval(), config, dataset, "untrained")

    @property
    def cases(self) -> list[str]:
        """Cases that can be looked at as unlabeled ones: those of the training, then the test cases."""
        return [*self.dataset.split(self.config.labeled)[1], *self.dataset.test]

    def example(self, case_id: str, *, t: int | None = None, seed: int | None = None) -> Example:
        """A batch as iteration t (default: the last) would see it, with the case as its first unlabeled sample.

        The patch lies on the middle of the case's label where there is one, unturned; all else is drawn as in
        training. seed: other draws than the run's.
        """
        stage = self.method.stages(self.config.iterations)[-1]
        clock = Clock(stage.name, stage.iterations - 1 if t is None else t, stage.iterations)
        sampling, labeled, unlabeled = self.method.sampling, *self.dataset.split(self.config.labeled)
        if not sampling.unlabeled:
            raise UserError(f"method {self.config.method} looks at no unlabeled case, expected one that does")
        others = [one for one in unlabeled if one != case_id][: sampling.unlabeled * sampling.unlabeled_streams - 1]
        wanted = (*labeled[: sampling.labeled], case_id, *others)
        bank = bank_of(self.dataset, wanted, self.config.factor)
        case = load(self.dataset, case_id)
        first = min(len(labeled), sampling.labeled)
        draws = Draws(self.config.seed if seed is None else seed).at(clock)
        numbers = list(range(len(wanted)))
        batches = Batches(
            bank, labeled=numbers[:first], unlabeled=numbers[first:], patch=self.config.patch, sampling=sampling
        )
        batch = batches.at(clock, draws.fixed(**self._placed(case, bank.shape(first), clock, len(wanted) - first)))
        spacing = case.spacing
        coarse = None if spacing is None else tuple(s * f for s, f in zip(spacing, self.config.factor, strict=True))
        return Example(batch, clock, draws, coarse)

    def reference(self, case_id: str, example: Example) -> np.ndarray | None:
        """The label [*patch] of the example's first unlabeled patch, 0 outside of the scan; None where there is none.

        No batch carries it: it is read from the case, to judge by and never to learn from.
        """
        case = load(self.dataset, case_id)
        if case.label is None:
            return None
        bank = bank_of(self.dataset, (case_id,), self.config.factor)
        corner = example.batch.corner[example.batch.num_labeled].tolist()
        label = bank.cut(0, corner, self.config.patch, label=True)[1]
        assert label is not None
        return label.numpy()

    def known(self, case_id: str | None) -> str:
        """The case, by default the first that can be looked at; UserError for one that cannot."""
        if case_id is not None and case_id not in self.cases:
            told = f"expected one that is not labeled in the run, such as {self.cases[0]}"
            raise UserError(f"case {case_id!r}: {told}")
        return case_id or self.cases[0]

    def look(self, example: Example, *, dropout: bool = True, **options: Any) -> tuple[Step, Views]:
        """(loss and terms, views) of the method's own loss on the batch, with some of its options changed.

        dropout: as in training; False: none, so that two answers differ by what is looked at alone.
        """
        with changed(self.method, options), dropout_as(self.method, dropout):
            return look(self.method, example)

    def _placed(self, case: Case, shape: tuple[int, ...], clock: Clock, count: int) -> Mapping[str, Any]:
        """Fixed draws that put the case first in its stream, unturned, its patch on the middle of the label."""
        middle = [n // 2 for n in shape]
        if case.label is not None and case.label.any():
            places = [int(np.median(axis)) for axis in np.nonzero(case.label)]
            middle = [place // f for place, f in zip(places, self.config.factor, strict=True)]
        low, room = crop_range(shape, self.config.patch)
        wanted = [m - p // 2 for m, p in zip(middle, self.config.patch, strict=True)]
        if (room > 0).any() and (low < 0).any():  # a patch that is larger than the scan: the scan in its middle
            wanted = [(n - p) // 2 for n, p in zip(shape, self.config.patch, strict=True)]
        corner = np.clip(np.array(wanted) - low, 0, room)
        size = self.method.sampling.unlabeled
        passes = {place // max(size, count - count % size) for place in range(clock.t * size, (clock.t + 1) * size)}
        fixed: dict[str, Any] = {f"{STREAM}/epoch_{one}": np.roll(np.arange(count), clock.t * size) for one in passes}
        fixed |= {f"{STREAM}/0/corner_{axis}": int(c) for axis, c in enumerate(corner)}
        return fixed | {f"{STREAM}/0/quarters": 0, f"{STREAM}/0/flip": 0}


def scene_of(run: Run | Scene | str | os.PathLike[str], *, data_root: str | os.PathLike[str] | None = None) -> Scene:
    """A scene as it is, or that of a run."""
    return run if isinstance(run, Scene) else Scene.of(run, data_root=data_root)


@lru_cache(maxsize=8)
def load(dataset: Dataset, case_id: str) -> Case:
    """A case of a data set, the last few kept in memory: an explorer that is moved asks again and again."""
    return dataset.load(case_id)


@lru_cache(maxsize=4)
def bank_of(dataset: Dataset, wanted: tuple[str, ...], factor: tuple[int, ...]) -> VolumeBank:
    """The cases on the grid that the training works on, the last few kept as in `load`."""
    return VolumeBank([load(dataset, one) for one in wanted], num_classes=dataset.num_classes, factor=factor)


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


@contextmanager
def changed(method: Method, options: Mapping[str, Any]) -> Iterator[None]:
    """The method with some options changed, and with its own ones again afterwards."""
    own = method.options
    try:
        method.options = replace(own, **options)
        yield
    finally:
        method.options = own
