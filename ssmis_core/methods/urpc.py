"""URPC: uncertainty rectified pyramid consistency (Luo et al., MICCAI 2021).

Four levels of the decoder answer, from coarse to fine. Each must agree with the mean of all, the less so where it lies
far from it: one pass gives both the consistency and its uncertainty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ssmis_core.batches import Batch
from ssmis_core.draws import Clock, Draws
from ssmis_core.errors import UserError
from ssmis_core.losses import probabilities, rectified_consistency, supervised_terms
from ssmis_core.methods.base import Card, Method, Step
from ssmis_core.methods.options import RampedOptions
from ssmis_core.views import Views


@dataclass(frozen=True, kw_only=True)
class URPCOptions(RampedOptions):
    """scales: levels of the decoder that answer, 2 to 4, the finest among them.

    The ramp is the code's 2D one, 200 epochs of 150 iterations; its 3D one has 400.
    """

    schedule: str = "poly"
    ramp_iterations: int = 30_000
    scales: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 <= self.scales <= 4:
            raise UserError(f"option scales={self.scales}: expected 2 to 4")


class URPC(Method):
    """L = mean_s (CE_s + Dice_s)/2 + w(t) mean_s L_s, L_s the rectified consistency of a scale, on the unlabeled half.

    L_s = mean(e^-D (p_mean - p_s)^2) / mean(e^-D) + mean(D), D = KL(p_mean || p_s). The finest scale answers.
    """

    card = Card("urpc", "URPC", "Luo et al., Uncertainty rectified pyramid consistency, MICCAI", 2021)
    Options = URPCOptions
    needs_unlabeled = True
    VARIANTS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "released": {"ramp_step": 150}}

    def __init__(self, options: URPCOptions, **shape: int):
        super().__init__(options, **shape)
        self.network = self.make_network(scales=options.scales)

    def loss(self, batch: Batch, clock: Clock, draws: Draws, views: Views | None = None) -> Step:
        o, n = self.options, batch.num_labeled
        output = self.network(batch.image)
        logits = (output.logits, *output.others)
        p = [probabilities(one) for one in logits]
        labeled = [supervised_terms(z[:n], q[:n], batch.label) for z, q in zip(logits, p, strict=True)]
        terms = {name: torch.stack([one[name] for one in labeled]).mean() for name in labeled[0]}
        mean = torch.stack(p).mean(0)
        scales = [rectified_consistency(one[n:], mean[n:]) for one in p]
        terms["consistency"] = torch.stack([loss for loss, _ in scales]).mean()
        if views is not None:
            self.keep(batch, p, mean, [divergence for _, divergence in scales], views)
        weight = o.consistency_weight(clock)
        total = 0.5 * (terms["cross_entropy"] + terms["dice"]) + weight * terms["consistency"]
        return Step(total, {**terms, "consistency_weight": weight})

    def keep(self, batch: Batch, p: list[Tensor], mean: Tensor, divergences: list[Tensor], views: Views) -> None:
        """Every scale's answer, the mean of all, and how far each lies from it on the unlabeled half."""
        rows = range(batch.num_labeled, len(batch.image))
        views.keep("image", batch, image=batch.image)
        views.keep("probability", batch, mean_probability=mean)
        for i, (answer, divergence) in enumerate(zip(p, divergences, strict=True), start=1):
            views.keep("probability", batch, **{"probability" if i == 1 else f"scale_probability_{i}": answer})
            views.keep("uncertainty", batch, 0, rows, **{f"divergence_{i}": divergence})

    def answering_network(self) -> nn.Module:
        return self.network
