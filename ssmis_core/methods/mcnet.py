"""MC-Net and MC-Net+: mutual consistency (Wu et al., MICCAI 2021; Medical Image Analysis 2022).

One encoder and two or three decoders that go up in different ways. Where they disagree the scan is hard, so each
learns from the sharpened answers of the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ssmis_core.batches import Batch
from ssmis_core.draws import Clock, Draws
from ssmis_core.errors import UserError
from ssmis_core.losses import masked_mse, probabilities, recipe_dice, sharpen
from ssmis_core.methods.base import Card, Method, Step
from ssmis_core.methods.options import DiceOptions
from ssmis_core.views import Views


@dataclass(frozen=True, kw_only=True)
class MCNetOptions(DiceOptions):
    """decoders: 2 or 3; temperature: of the sharpening; supervised_weight: factor on the decoders' Dice losses."""

    schedule: str = "constant"
    weight: float = 1.0
    ramp_iterations: int = 6000
    decoders: int = 2
    temperature: float = 0.1
    supervised_weight: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.decoders not in (2, 3):
            raise UserError(f"option decoders={self.decoders}: expected 2 or 3")
        if not 0.02 <= self.temperature <= 1.0:  # powers of 1/T: below they vanish, above their slope at 0 has no end
            raise UserError(f"option temperature={self.temperature}: expected 0.02 to 1")
        if self.network == "unet3d":
            raise UserError("option network='unet3d': has one decoder alone, expected vnet or unet2d")
        self._not_negative("supervised_weight")


@dataclass(frozen=True, kw_only=True)
class MCNetPlusOptions(MCNetOptions):
    """The same with a third decoder."""

    decoders: int = 3


class MCNet(Method):
    """L = 1/2 sum_i Dice_i + w(t) sum over i != j of MSE(p_i, sharpen(p_j)), the last over the whole batch.

    Gradients go to both sides of a pair. Decoder 1 answers. Sharpening takes each class by itself, for any K. The
    released ACDC code has a Dice loss without the factor 2 in its numerator and no 1/2 before it: the same gradient.
    """

    card = Card("mcnet", "MC-Net", "Wu et al., Mutual consistency network, MICCAI", 2021)
    Options = MCNetOptions
    VARIANTS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "released": {"ramp_step": 150}}

    def __init__(self, options: MCNetOptions, **shape: int):
        super().__init__(options, **shape)
        self.network = self.make_network(decoders=options.decoders)

    def loss(self, batch: Batch, clock: Clock, draws: Draws, views: Views | None = None) -> Step:
        o, n = self.options, batch.num_labeled
        output = self.network(batch.image)
        p = [probabilities(logits) for logits in (output.logits, *output.others)]
        sharp = [sharpen(one, o.temperature) for one in p]
        plain = o.plain_dice(self.dims)
        terms = {"dice": torch.stack([recipe_dice(one[:n], batch.label, plain=plain) for one in p]).sum()}
        pairs = permutations(range(len(p)), 2)
        terms["consistency"] = torch.stack([masked_mse(p[i], sharp[j]) for i, j in pairs]).sum()
        if views is not None:
            self.keep(batch, p, sharp, views)
        weight = o.consistency_weight(clock)
        total = o.supervised_weight * terms["dice"] + weight * terms["consistency"]
        return Step(total, {**terms, "consistency_weight": weight})

    def keep(self, batch: Batch, p: list[Tensor], sharp: list[Tensor], views: Views) -> None:
        """Every decoder's answer, what it teaches, and how far the answers lie apart (standard deviation)."""
        views.keep("image", batch, image=batch.image)
        for i, (answer, taught) in enumerate(zip(p, sharp, strict=True), start=1):
            views.keep("probability", batch, **{"probability" if i == 1 else f"decoder_probability_{i}": answer})
            views.keep("probability", batch, **{f"sharpened_{i}": taught})
        views.keep("uncertainty", batch, disagreement=torch.stack(p).std(0).mean(1, keepdim=True))

    def answering_network(self) -> nn.Module:
        return self.network


class MCNetPlus(MCNet):
    """MC-Net with three decoders: transposed convolution, linear and nearest-neighbour interpolation."""

    card = Card("mcnet_plus", "MC-Net+", "Wu et al., Mutual consistency learning, Medical Image Analysis", 2022)
    Options = MCNetPlusOptions
