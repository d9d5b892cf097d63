"""Supervised learning on the labeled cases alone: what every semi-supervised method has to beat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from ssmis_core.batches import Batch
from ssmis_core.draws import Clock, Draws
from ssmis_core.errors import UserError
from ssmis_core.losses import probabilities, supervised_terms
from ssmis_core.methods.base import Card, Method, Step
from ssmis_core.methods.options import Options
from ssmis_core.views import Views


@dataclass(frozen=True, kw_only=True)
class SupervisedOptions(Options):
    """unlabeled_per_batch is 0: no other image is ever looked at."""

    unlabeled_per_batch: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.unlabeled_per_batch:
            raise UserError(f"option unlabeled_per_batch={self.unlabeled_per_batch}: supervised takes 0 alone")


class Supervised(Method):
    """L = (cross-entropy + Dice) / 2 on labeled patches."""

    card = Card("supervised", "Supervised baseline", "Milletari et al., V-Net, 3DV", 2016)
    Options = SupervisedOptions
    VARIANTS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {"unlabeled_per_batch": 0}
    }  # whatever a preset says

    def __init__(self, options: SupervisedOptions, **shape: int):
        super().__init__(options, **shape)
        self.network = self.make_network()

    def loss(self, batch: Batch, clock: Clock, draws: Draws, views: Views | None = None) -> Step:
        image, label = batch.labeled.image[:, 0], batch.label
        logits = self.network(image).logits
        p = probabilities(logits)
        terms = supervised_terms(logits, p, label)
        if views is not None:
            views.keep("image", batch, image=image)
            views.keep("probability", batch, probability=p)
        return Step(0.5 * (terms["cross_entropy"] + terms["dice"]), terms)

    def answering_network(self) -> nn.Module:
        return self.network
