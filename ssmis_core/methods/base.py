"""What a method is: the networks it owns, its loss on a batch, and its prediction.

A method is one file: an options dataclass, the variants that change those options, and a class with `loss`. The
training loop, evaluation, command line and notebooks know no more of it than this interface.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ssmis_core.augmentations import as_trained
from ssmis_core.batches import Batch, Sampling
from ssmis_core.draws import Clock, Draws
from ssmis_core.errors import UserError, unknown
from ssmis_core.losses import probabilities
from ssmis_core.methods.options import OPTIMISERS, Options
from ssmis_core.networks import FIXED, create_network
from ssmis_core.schedules import learning_rate_factor
from ssmis_core.views import Views


@dataclass(frozen=True)
class Optimiser:
    """An optimiser to make: its algorithm, the parameters it steps and their settings.

    schedule: of its learning rate where that is not the stage's. settings: more of the algorithm's own, such as betas.
    """

    parameters: list[nn.Parameter]
    algorithm: str = "sgd"
    learning_rate: float = 0.01
    weight_decay: float = 1e-4
    schedule: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def build(self) -> torch.optim.Optimizer:
        rates = {"lr": self.learning_rate, "weight_decay": self.weight_decay}
        return OPTIMISERS[self.algorithm](self.parameters, **rates, **self.settings)


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
        if "main" not in self.optimisers:
            found = ", ".join(self.optimisers) or "none"
            raise UserError(f"stage {self.name!r}: optimisers {found}, expected one by the name of main")
        if self.select not in SELECTIONS:
            raise unknown("selection of a stage", self.select, SELECTIONS)

    def rates(self, t: int) -> dict[str, float]:
        """The learning rate of each optimiser at iteration t."""
        return {
            name: one.learning_rate * learning_rate_factor(one.schedule or self.schedule, t, self.iterations)
            for name, one in self.optimisers.items()
        }


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
    needs_unlabeled: ClassVar[bool] = False  # whether a batch without unlabeled samples is a mistake
    VARIANTS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}}

    def __init__(self, options: Any, *, num_classes: int, dims: int, channels: int = 1):
        super().__init__()
        if self.needs_unlabeled and options.unlabeled_per_batch < 1:
            raise UserError(f"option unlabeled_per_batch=0: {self.card.name} needs at least 1 unlabeled sample a batch")
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
        """The optimiser steps of one iteration; each is taken before the next is asked for.

        The first that updates "main" is the method's loss in the log and for observers.
        """
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
