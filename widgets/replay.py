"""One batch put through a method's own loss again, to look at what it saw: the path that trains, nothing redone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ssmis_core.batches import Batch, Batches
from ssmis_core.configuration import Configuration
from ssmis_core.datasets import Dataset
from ssmis_core.draws import Clock, Draws
from ssmis_core.methods import create_method
from ssmis_core.methods.base import Method, Step
from ssmis_core.runs import Run
from ssmis_core.views import View, Views
from ssmis_core.volume_bank import VolumeBank


@dataclass(frozen=True)
class Example:
    """A batch, the moment of the training that it stands for, its draws, and the mm a voxel of its grid (or None)."""

    batch: Batch
    clock: Clock
    draws: Draws
    spacing: tuple[float, ...] | None

    def fixed(self, **values: Any) -> Example:
        """The same batch, with draws of the method's loss replaced by name."""
        return replace(self, draws=self.draws.fixed(**values))


def example_batch(config: Configuration, method: Method, dataset: Dataset, *, t: int | None = None) -> Example:
    """A batch as iteration t would see it (default: the last), cut from the first labeled and unlabeled cases.

    Only as many cases are read as a batch holds, so this is quick on any data set; sampling, augmentation and draws
    are those of training.
    """
    labeled, unlabeled = dataset.split(config.labeled)
    labeled, unlabeled = labeled[: method.sampling.labeled], unlabeled[: method.sampling.unlabeled]
    cases = list(dataset.stream(labeled + unlabeled))
    bank = VolumeBank(cases, num_classes=dataset.num_classes, **vars(config.grid))
    clock, own = clock_at(config, method, t), bank.samples_of(labeled)
    others = bank.samples_of(unlabeled)
    spacing = shared_spacing(bank, {case.id: case.spacing for case in cases})
    return assemble(bank, own, others, config, method, clock, Draws(config.seed).at(clock), spacing=spacing)


def shared_spacing(bank: VolumeBank, spacings: Mapping[str, tuple[float, ...] | None]) -> tuple[float, ...] | None:
    """The mm a voxel that all samples of a bank have on its grid, from those of their cases; None where they differ."""
    known = [spacings[case] for case in bank.cases]
    found = {None if one is None else bank.spacing(number, one) for number, one in enumerate(known)}
    return found.pop() if len(found) == 1 else None


def clock_at(config: Configuration, method: Method, t: int | None) -> Clock:
    """Iteration t of the last stage of a training; None: its last one."""
    stage = method.stages(config.iterations)[-1]
    return Clock(stage.name, stage.iterations - 1 if t is None else t, stage.iterations)


def assemble(
    bank: VolumeBank,
    labeled: Sequence[int],
    unlabeled: Sequence[int],
    config: Configuration,
    method: Method,
    clock: Clock,
    draws: Draws,
    *,
    spacing: tuple[float, ...] | None,
    fixed: Mapping[str, Any] | None = None,
) -> Example:
    """The batch of a moment from samples of a bank.

    labeled, unlabeled: their numbers in the bank; spacing: mm a voxel of its grid; fixed: draws of the batch by name.
    """
    batches = Batches(bank, labeled=labeled, unlabeled=unlabeled, patch=config.patch, sampling=method.sampling)
    return Example(batches.at(clock, draws.fixed(**(fixed or {}))), clock, draws, spacing)


@contextmanager
def as_in_training(method: Method) -> Iterator[None]:
    """The method in train mode; afterwards its mode and its running statistics are what they were."""
    before, training = {name: value.clone() for name, value in method.named_buffers()}, method.training
    try:
        method.train()
        yield
    finally:
        method.train(training)
        for name, value in method.named_buffers():
            value.copy_(before[name])


@contextmanager
def changed(method: Method, options: Mapping[str, Any]) -> Iterator[None]:
    """The method with some options changed, and with its own ones again afterwards."""
    own = method.options
    try:
        method.options = replace(own, **options)
        yield
    finally:
        method.options = own


def look(method: Method, example: Example, *, large: bool = False) -> tuple[Step, Views]:
    """(loss and terms, views) of a method on the batch: `method.loss` in train mode as in training, without a gradient.

    The method's running statistics are put back afterwards, so looking leaves it as it was. large: see `Views`.
    """
    views = Views(large=large)
    with as_in_training(method), torch.no_grad():
        example.draws.seed_dropout()
        step = method.loss(example.batch, example.clock, example.draws, views=views)
    return step, views


def clearest(views: Views, first: int) -> int:
    """The sample, from number `first` on, in whose patch the method sees the most foreground."""
    count = views["probability"].value.shape[0]
    return max(
        range(min(first, count - 1), count), key=lambda sample: float(foreground(views["probability"], sample).mean())
    )


def untrained(run: Run) -> Method:
    """The run's method as it was before its first step: the same seed, so the same first weights."""
    return fresh(run.config, run.info["shape"])


def fresh(config: Configuration, shape: Mapping[str, int]) -> Method:
    """The method of a configuration as a training would begin it. shape: num_classes, dims and channels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(Draws(config.seed).key("initialisation"))
        return create_method(config.method, variant=config.variant, **shape, **config.options)


def array(view: View, sample: int) -> np.ndarray:
    """[C, *box] of one sample of a view, in its volume's orientation."""
    return view.placed(sample).float().cpu().numpy()


def first_unlabeled(example: Example) -> np.ndarray:
    """[*box] of the first unlabeled patch of a batch, its first channel, in its volume's orientation."""
    batch, sample = example.batch, example.batch.num_labeled
    return batch.turn[sample].undo(batch.image[sample], batch.image.ndim - 2)[0].float().cpu().numpy()


def foreground(view: View, sample: int) -> np.ndarray:
    """[*box] of a probability view with K channels: 1 - p(background); of one without background, the largest."""
    maps = array(view, sample)
    return 1.0 - maps[0] if view.value.shape[1] > 1 else maps[0]
