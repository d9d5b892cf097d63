"""What a method is: the networks it owns, its loss on a batch, and its prediction.

A method is one file: an options dataclass, the variants that change those options, and a class with `loss`. The
training loop, evaluation, command line and notebooks know no more of it than this interface.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ssmis_core.augmentations import as_trained
from ssmis_core.batches import Batch, Sampling
from ssmis_core.draws import Clock, Draws
from ssmis_core.errors import UserError, unknown
from ssmis_core.losses import probabilities
from ssmis_core.networks import FIXED, create_network
from ssmis_core.schedules import RAMPS, SCHEDULES, ramp
from ssmis_core.views import Views


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options that every method has: the network, the optimiser, and what a batch holds."""

    network: str = "vnet"
    filters: int = 16
    norm: str = "batch"
    dropout: float = 0.5
    optimiser: str = "sgd"
    learning_rate: float = 0.01
    weight_decay: float = 1e-4
    schedule: str = "step"
    labeled_per_batch: int = 2
    unlabeled_per_batch: int = 2
    augmentations: tuple[str, ...] = ("rot_flip",)

    def __post_init__(self) -> None:
        for name, known in (("optimiser", OPTIMISERS), ("schedule", SCHEDULES)):
            if getattr(self, name) not in known:
                raise unknown(name, getattr(self, name), known)
        for name in ("filters", "labeled_per_batch", "learning_rate"):
            if getattr(self, name) <= 0:
                raise UserError(f"option {name}={getattr(self, name)}: expected a number above 0")
        if not 0.0 <= self.dropout < 1.0:
            raise UserError(f"option dropout={self.dropout}: expected 0 to below 1")
        self._not_negative("weight_decay", "unlabeled_per_batch")
        for name, only in FIXED.get(self.network, {}).items():
            if getattr(self, name) != only:
                raise UserError(f"option {name}={getattr(self, name)!r}: network {self.network} has {only!r} alone")

    def _not_negative(self, *names: str) -> None:
        for name in names:
            if getattr(self, name) < 0:
                raise UserError(f"option {name}={getattr(self, name)}: expected 0 or more")


@dataclass(frozen=True, kw_only=True)
class RampedOptions(Options):
    """Options of the methods whose unlabeled terms are weighted by a ramp.

    weight: of those terms once ramped up; ramp_iterations: 0 for the whole training; ramp_step: the ramp is held for
    so many iterations at a time (released code: 150).
    """

    weight: float = 0.1
    ramp: str = "sigmoid"
    ramp_iterations: int = 0
    ramp_step: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ramp not in RAMPS:
            raise unknown("ramp", self.ramp, RAMPS)
        if self.ramp_step < 1 or self.ramp_iterations < 0:
            raise UserError(
                f"options ramp_step={self.ramp_step}, ramp_iterations={self.ramp_iterations}: "
                "expected 1 or more and 0 or more"
            )
        self._not_negative("weight")

    def consistency_weight(self, clock: Clock) -> float:
        """weight * ramp at this iteration."""
        length = self.ramp_iterations or clock.T
        return self.weight * ramp(self.ramp, clock.t // self.ramp_step * self.ramp_step, length)


@dataclass(frozen=True, kw_only=True)
class TeacherOptions(Options):
    """Options of the methods with an averaged teacher: how slowly it follows, and which network predicts."""

    ema_decay: float = 0.99
    answer: str = "student"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.answer not in ("student", "teacher"):
            raise unknown("answer", self.answer, ("student", "teacher"))
        if not 0.0 <= self.ema_decay <= 1.0:
            raise UserError(f"option ema_decay={self.ema_decay}: expected 0 to 1")


@dataclass(frozen=True, kw_only=True)
class ConsistencyOptions(RampedOptions, TeacherOptions):
    """Options of the methods whose student has to agree with an averaged teacher.

    noise, noise_clip: added to the teacher's input.
    """

    noise: float = 0.1
    noise_clip: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        self._not_negative("noise", "noise_clip")


@dataclass(frozen=True)
class Optimiser:
    """An optimiser to make: its algorithm, the parameters it steps and their settings."""

    parameters: list[nn.Parameter]
    algorithm: str = "sgd"
    learning_rate: float = 0.01
    weight_decay: float = 1e-4

    def build(self) -> torch.optim.Optimizer:
        return OPTIMISERS[self.algorithm](self.parameters, lr=self.learning_rate, weight_decay=self.weight_decay)


OPTIMISERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": partial(torch.optim.SGD, momentum=0.9, fused=True),
    "adam": partial(torch.optim.Adam, fused=True),
    "adamw": partial(torch.optim.AdamW, fused=True),
}


SELECTIONS = ("last", "best")


@dataclass(frozen=True)
class Stage:
    """A part of training with its own length, optimisers and learning-rate schedule.

    select: the weights that a stage hands over to the next one: "last", or "best", those that score best on the cases
    of the run's checkpoint protocol. A protocol that selects nothing ("last") leaves "best" nothing to look at: the
    last weights are handed over then too. What the final stage leaves is for the protocol alone to say.
    """

    name: str
    iterations: int
    optimisers: Mapping[str, Optimiser]
    schedule: str = "constant"
    select: str = "last"

    def __post_init__(self) -> None:
        if self.select not in SELECTIONS:
            raise unknown("selection of a stage", self.select, SELECTIONS)


@dataclass(frozen=True)
class Step:
    """One optimiser step to take: the total to go down, named terms to log, and which optimiser it is for."""

    total: Tensor
    terms: Mapping[str, Tensor | float]
    updates: str = "main"


@dataclass(frozen=True)
class Card:
    """Where a method comes from, for lists and reports."""

    name: str
    title: str
    paper: str
    year: int


class Method(nn.Module):
    """Base class. Every network, teacher and memory is a submodule or buffer, so state_dict() is the whole state."""

    card: ClassVar[Card]
    Options: ClassVar[type[Options]] = Options
    VARIANTS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}}

    def __init__(self, options: Any, *, num_classes: int, dims: int, channels: int = 1):
        super().__init__()
        self.options: Any = options
        self.num_classes, self.dims, self.channels = num_classes, dims, channels

    @property
    def sampling(self) -> Sampling:
        """What a batch of this method holds."""
        o = self.options
        return Sampling(labeled=o.labeled_per_batch, unlabeled=o.unlabeled_per_batch, augmentations=o.augmentations)

    @property
    def fewest_at_once(self) -> int:
        """The fewest patches that one of its networks is given in a pass: labeled or unlabeled ones by themselves."""
        sampling = self.sampling
        return min(sampling.labeled, sampling.unlabeled or sampling.labeled)

    def stages(self, iterations: int) -> list[Stage]:
        """The parts of a training of `iterations` in all; by default one, with one optimiser for all that learns."""
        return [Stage("main", iterations, self.optimisers(), self.options.schedule)]

    def optimisers(self) -> dict[str, Optimiser]:
        """One optimiser, called "main", for every parameter that learns."""
        o = self.options
        learning = [p for p in self.parameters() if p.requires_grad]
        return {"main": Optimiser(learning, o.optimiser, o.learning_rate, o.weight_decay)}

    def begin(self, stage: Stage) -> None:
        """Called when a stage starts (not when it is resumed)."""

    def steps(self, batch: Batch, clock: Clock, draws: Draws, views: Views | None = None) -> Iterator[Step]:
        """The optimiser steps of one iteration; each is taken before the next is asked for."""
        yield self.loss(batch, clock, draws, views)

    def loss(self, batch: Batch, clock: Clock, draws: Draws, views: Views | None = None) -> Step:
        """The loss of one batch, its named terms and, for a collector, its views."""
        raise NotImplementedError

    def after_step(self, clock: Clock) -> None:
        """Called after the last optimiser step of an iteration."""

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """Class probabilities [batch, K, *spatial] of images [batch, C, *spatial]; call in eval mode."""
        return probabilities(self.answering_network()(x).logits)

    def prepare(self, image: Tensor) -> Tensor:
        """A whole scan [C, *spatial] as the patches of training have it, before windows are cut for `predict`."""
        return as_trained(image, self.sampling.augmentations)

    def answering_network(self) -> nn.Module:
        """The network whose answer counts."""
        raise NotImplementedError

    def make_network(self, **settings: Any) -> nn.Module:
        """The backbone that the options ask for."""
        o = self.options
        settings = {
            "channels": self.channels,
            "num_classes": self.num_classes,
            "dims": self.dims,
            "filters": o.filters,
            "dropout": o.dropout,
            **settings,
        }
        if "norm" not in FIXED.get(o.network, {}):
            settings["norm"] = o.norm
        return create_network(o.network, **settings)
