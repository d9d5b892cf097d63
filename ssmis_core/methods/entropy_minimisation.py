"""Entropy minimisation (Grandvalet & Bengio, NeurIPS 2004): be sure of something, also where no label says of what."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from ssmis_core.batches import Batch
from ssmis_core.draws import Clock, Draws
from ssmis_core.losses import probabilities, supervised_terms
from ssmis_core.methods.base import Card, Method, Step
from ssmis_core.methods.options import RampedOptions
from ssmis_core.uncertainty import entropy
from ssmis_core.views import Views


@dataclass(frozen=True, kw_only=True)
class EntropyMinimisationOptions(RampedOptions):
    """whole_batch: ask labeled samples too, as the released code does."""

    whole_batch: bool = False


class EntropyMinimisation(Method):
    """L = (CE + Dice)/2 + w(t) mean(u) / ln K, u the entropy of each unlabeled voxel's answer.

    The segmentation form is that of Vu et al., ADVENT (CVPR 2019), eq. 3.
    """

    card = Card(
        "entropy_minimisation",
        "Entropy minimisation",
        "Grandvalet & Bengio, Semi-supervised learning by entropy minimization, NeurIPS",
        2004,
    )
    Options = EntropyMinimisationOptions
    needs_unlabeled = True
    VARIANTS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "released": {"whole_batch": True, "ramp_step": 150},
    }

    def __init__(self, options: EntropyMinimisationOptions, **shape: int):
        super().__init__(options, **shape)
        self.network = self.make_network()

    def loss(self, batch: Batch, clock: Clock, draws: Draws, views: Views | None = None) -> Step:
        o, n = self.options, batch.num_labeled
        logits = self.network(batch.image).logits
        p = probabilities(logits)
        u = entropy(p)
        terms = supervised_terms(logits[:n], p[:n], batch.label)
        terms["entropy"] = (u if o.whole_batch else u[n:]).mean() / math.log(self.num_classes)
        if views is not None:
            views.keep("image", batch, image=batch.image)
            views.keep("probability", batch, probability=p)
            views.keep("uncertainty", batch, uncertainty=u)
        weight = o.consistency_weight(clock)
        total = 0.5 * (terms["cross_entropy"] + terms["dice"]) + weight * terms["entropy"]
        return Step(total, {**terms, "consistency_weight": weight})

    def answering_network(self) -> nn.Module:
        return self.network
