"""What can be chosen in a method: options that methods have in common, as dataclasses to inherit from.

A method's own file adds what is its own. Every option is checked when it is set; a wrong value is a UserError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from ssmis_core.draws import Clock, Draws
from ssmis_core.errors import UserError, unknown
from ssmis_core.losses import probabilities
from ssmis_core.networks import FIXED
from ssmis_core.schedules import RAMPS, SCHEDULES, ramp
from ssmis_core.uncertainty import (
    THRESHOLD_POLICIES,
    certainty_mask,
    certainty_threshold,
    entropy,
    monte_carlo_probabilities,
)

OPTIMISERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": partial(torch.optim.SGD, momentum=0.9, fused=True),
    "adam": partial(torch.optim.Adam, fused=True),
    "adamw": partial(torch.optim.AdamW, fused=True),
}
DICES = ("auto", "plain", "squared")


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
        self._one_of(OPTIMISERS, "optimiser")
        self._one_of(SCHEDULES, "schedule")
        self._above_0("filters", "labeled_per_batch", "learning_rate")
        if not 0.0 <= self.dropout < 1.0:
            raise UserError(f"option dropout={self.dropout}: expected 0 to below 1")
        self._not_negative("weight_decay", "unlabeled_per_batch")
        for name, only in FIXED.get(self.network, {}).items():
            if getattr(self, name) != only:
                raise UserError(f"option {name}={getattr(self, name)!r}: network {self.network} has {only!r} alone")

    def _one_of(self, known: Iterable[str], *names: str) -> None:
        for name in names:
            if getattr(self, name) not in known:
                raise unknown(name, getattr(self, name), known)

    def _not_negative(self, *names: str) -> None:
        self._expect("0 or more", lambda value: value >= 0, names)

    def _above_0(self, *names: str) -> None:
        self._expect("a number above 0", lambda value: value > 0, names)

    def _1_or_more(self, *names: str) -> None:
        self._expect("1 or more", lambda value: value >= 1, names)

    def _0_to_1(self, *names: str) -> None:
        self._expect("0 to 1", lambda value: 0.0 <= value <= 1.0, names)

    def _between_0_and_1(self, *names: str) -> None:
        self._expect("above 0 to below 1", lambda value: 0.0 < value < 1.0, names)

    def _expect(self, what: str, holds: Callable[[float], bool], names: Iterable[str]) -> None:
        for name in names:
            if not holds(getattr(self, name)):
                raise UserError(f"option {name}={getattr(self, name)}: expected {what}")


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
        self._one_of(RAMPS, "ramp")
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
        self._one_of(("student", "teacher"), "answer")
        self._0_to_1("ema_decay")


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


@dataclass(frozen=True, kw_only=True)
class UncertaintyOptions(ConsistencyOptions):
    """Options of the methods whose teacher counts only where it is certain, by the entropy of Monte-Carlo passes.

    passes: their number T; threshold_policy: "rising", "constant" or "falling"; threshold_start: its lowest value, a
    share of the largest entropy.
    """

    passes: int = 8
    threshold_policy: str = "rising"
    threshold_start: float = 0.75

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.threshold_policy not in THRESHOLD_POLICIES:
            raise unknown("threshold policy", self.threshold_policy, THRESHOLD_POLICIES)
        self._1_or_more("passes")
        if not 0.0 < self.threshold_start <= 1.0:
            raise UserError(f"option threshold_start={self.threshold_start}: expected above 0 to 1")

    def certain_voxels(
        self, teacher: nn.Module, x: Tensor, num_classes: int, clock: Clock, draws: Draws
    ) -> tuple[Tensor, Tensor]:
        """(entropy u of the teacher's mean answer, 1 where it is below the threshold), both [batch, 1, *spatial]."""

        def answer(noisy: Tensor) -> Tensor:
            return probabilities(teacher(noisy).logits)

        u = entropy(
            monte_carlo_probabilities(answer, x, draws, passes=self.passes, noise=self.noise, clip=self.noise_clip)
        )
        threshold = certainty_threshold(
            clock.t, clock.T, num_classes, policy=self.threshold_policy, start=self.threshold_start
        )
        return u, certainty_mask(u, threshold)


@dataclass(frozen=True, kw_only=True)
class DiceOptions(RampedOptions):
    """Options of the methods that come with two Dice losses, one for each of their recipes.

    dice: "plain" (the code's 3D), "squared" (its 2D) or "auto" by dimensions; see `losses.recipe_dice`.
    """

    dice: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._one_of(DICES, "dice")

    def plain_dice(self, dims: int) -> bool:
        """Whether Dice is the plain form in so many dimensions."""
        return self.dice == "plain" or (self.dice == "auto" and dims == 3)
