"""SASSNet: shape-aware semi-supervised segmentation (Li et al., MICCAI 2020).

The network draws a signed distance map of every scan. A critic learns to tell maps of labeled scans from those of
unlabeled ones; the network learns to draw maps of unlabeled scans that the critic takes for labeled ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ssmis_core.batches import Batch
from ssmis_core.draws import Clock, Draws
from ssmis_core.losses import cross_entropy
from ssmis_core.methods.base import Card, Optimiser, Step
from ssmis_core.methods.dtc import DTC, DTCOptions
from ssmis_core.networks.critic import Critic
from ssmis_core.perturbations import evaluated
from ssmis_core.views import Views

CRITIC = "critic"
UNLABELED, LABELED = 0, 1  # the critic's classes


@dataclass(frozen=True, kw_only=True)
class SASSNetOptions(DTCOptions):
    """critic_filters, critic_rate: width of the critic, and the constant learning rate of its optimiser, Adam
    with betas 0.9 and 0.99, as in the released code."""

    weight: float = 0.01
    critic_filters: int = 64
    critic_rate: float = 1e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        self._above_0("critic_filters", "critic_rate")


class SASSNet(DTC):
    """L = Dice + 0.3 MSE(s, signed distance) + w(t) CE(critic(s, x), labeled) on the unlabeled half.

    After each of its steps the critic takes one: CE on the new maps of all samples, labeled ones from unlabeled ones.
    As released, its dropout is off while it judges for the network, and the network's while it learns itself.
    """

    card = Card("sassnet", "SASSNet", "Li et al., Shape-aware semi-supervised 3D segmentation, MICCAI", 2020)
    Options = SASSNetOptions
    needs_unlabeled = True

    def __init__(self, options: SASSNetOptions, **shape: int):
        super().__init__(options, **shape)
        self.critic = Critic(
            shapes=self.num_classes - 1, channels=self.channels, dims=self.dims, filters=options.critic_filters
        )

    def optimisers(self) -> dict[str, Optimiser]:
        o = self.options
        main = Optimiser(list(self.network.parameters()), o.optimiser, o.learning_rate, o.weight_decay)
        settings = {"betas": (0.9, 0.99)}
        critic = Optimiser(list(self.critic.parameters()), "adam", o.critic_rate, 0.0, "constant", settings)
        return {"main": main, CRITIC: critic}

    def steps(self, batch: Batch, clock: Clock, draws: Draws, views: Views | None = None) -> Iterator[Step]:
        step = self.loss(batch, clock, draws, views)
        yield step
        yield self.critic_step(batch)

    def unlabeled_terms(self, p: Tensor, s: Tensor, batch: Batch, views: Views | None) -> dict[str, Tensor]:
        """L_adv: the critic is to take maps of unlabeled samples for labeled ones (eq. 4)."""
        n = batch.num_labeled
        verdict = evaluated(self.critic, s[n:], batch.image[n:]).float()
        wanted = torch.full((len(verdict),), LABELED, device=verdict.device)
        return {"adversarial": cross_entropy(verdict, wanted)}

    def critic_step(self, batch: Batch) -> Step:
        """The critic's own loss on maps that take no gradient; and how often it is right."""
        with torch.no_grad():
            s = evaluated(self.network, batch.image).distance
        verdict = self.critic(s, batch.image).float()
        truth = torch.full((len(verdict),), UNLABELED, device=verdict.device)
        truth[: batch.num_labeled] = LABELED
        loss = cross_entropy(verdict, truth)
        return Step(loss, {"critic": loss, "critic_right": (verdict.argmax(1) == truth).float().mean()}, CRITIC)
