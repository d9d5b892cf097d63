"""DTC: dual-task consistency (Luo et al., AAAI 2021).

One network answers twice, with a segmentation and with a signed distance map. Brought back to a mask, the map must be
the segmentation: a consistency between two tasks, which needs neither a label nor a second network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ssmis_core.batches import Batch
from ssmis_core.draws import Clock, Draws
from ssmis_core.geometry import inverse_transform, signed_distance_per_class
from ssmis_core.losses import dice_loss, masked_mse, probabilities
from ssmis_core.methods.base import Card, Method, Step
from ssmis_core.methods.options import RampedOptions
from ssmis_core.views import Views


@dataclass(frozen=True, kw_only=True)
class DTCOptions(RampedOptions):
    """distance_weight: of the distance maps in the supervised loss; steepness: k of the inverse transform."""

    weight: float = 1.0
    ramp_iterations: int = 6000
    distance_weight: float = 0.3
    steepness: float = 1500.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._above_0("steepness")
        self._not_negative("distance_weight")


class DTC(Method):
    """L = Dice + 0.3 MSE(s, signed distance) + w(t) MSE(p, sigmoid(-1500 s)), the last over the whole batch.

    The released head has one channel, p = sigmoid(z). That is the softmax of (0, z), which also has a meaning for more
    classes: K - 1 channels, the background's logit held at 0. There is a distance map for every foreground class.
    """

    card = Card("dtc", "DTC", "Luo et al., Dual-task consistency, AAAI", 2021)
    Options = DTCOptions
    VARIANTS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "released": {"ramp_step": 150}}

    def __init__(self, options: DTCOptions, **shape: int):
        super().__init__(options, **shape)
        foreground = self.num_classes - 1
        self.network = self.make_network(num_classes=foreground, distance_channels=foreground)

    def loss(self, batch: Batch, clock: Clock, draws: Draws, views: Views | None = None) -> Step:
        o, x, n = self.options, batch.image, batch.num_labeled
        p, s = self.answers(x)
        target = signed_distance_per_class(batch.label, self.num_classes)
        terms = {"dice": dice_loss(p[:n], batch.label), "distance": masked_mse(s[:n], target)}
        if views is not None:
            views.keep("image", batch, image=x)
            views.keep("probability", batch, probability=p)
            views.keep("distance", batch, distance=s, distance_target=target)
        consistency = self.unlabeled_terms(p, s, batch, views)
        weight = o.consistency_weight(clock)
        total = terms["dice"] + o.distance_weight * terms["distance"] + weight * sum(consistency.values())
        return Step(total, {**terms, **consistency, "consistency_weight": weight})

    def unlabeled_terms(self, p: Tensor, s: Tensor, batch: Batch, views: Views | None) -> dict[str, Tensor]:
        """L_dtc = mean (p - sigmoid(-k s))^2 of every voxel (eq. 3)."""
        soft = inverse_transform(s, self.options.steepness)
        if views is not None:
            views.keep("probability", batch, inverse_transform=soft)
        return {"cross_task": masked_mse(p[:, 1:], soft)}

    def answers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities of all K classes and distance maps of the foreground: [batch, K or K - 1, *spatial]."""
        output = self.network(x)
        return probabilities(with_background(output.logits)), output.distance

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        return self.answers(x)[0]

    def answering_network(self) -> nn.Module:
        return self.network


def with_background(logits: Tensor) -> Tensor:
    """Logits of the foreground classes [batch, K - 1, *spatial] with the background's, 0, before them."""
    return torch.cat([torch.zeros_like(logits[:, :1]), logits], dim=1)
