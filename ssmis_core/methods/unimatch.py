"""UniMatch (Yang et al., CVPR 2023): FixMatch with two strong views, and one whose features are perturbed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ssmis_core.methods.base import Card
from ssmis_core.methods.fixmatch import FixMatch, FixMatchOptions, Taught
from ssmis_core.networks.layers import DROPOUT


@dataclass(frozen=True, kw_only=True)
class UniMatchOptions(FixMatchOptions):
    """feature_weight: of the view with perturbed features; feature_dropout: share of channels that it loses a level."""

    pseudo_loss: str = "dice"
    strong_weight: float = 0.25
    feature_weight: float = 0.5
    feature_dropout: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        self._between_0_and_1("feature_dropout")
        self._not_negative("feature_weight")


class UniMatch(FixMatch):
    """L = ((CE + Dice)/2 + 0.25 (L_strong1 + L_strong2) + 0.5 L_feature) / 2, L_* Dice on the sure voxels.

    The perturbed view has channels of every level of the encoder dropped, decoded along with the weak view.
    """

    card = Card("unimatch", "UniMatch", "Yang et al., Revisiting weak-to-strong consistency, CVPR", 2023)
    Options = UniMatchOptions
    strong_views: ClassVar[int] = 2

    def __init__(self, options: UniMatchOptions, **shape: int):
        super().__init__(options, **shape)
        self.drop = DROPOUT[self.dims](options.feature_dropout)

    def weak_pass(self, image: Tensor, labeled: int) -> tuple[Tensor, Tensor | None]:
        """Logits of all samples, and those of the unlabeled ones with perturbed features."""
        network: Any = self.network
        levels = [torch.cat([level, self.drop(level[labeled:])]) for level in network.encode(image)]
        logits = network.decode(levels).logits
        return logits[: len(image)], logits[len(image) :]

    def further_terms(self, further: Tensor | None, weak: Taught) -> dict[str, Tensor]:
        assert further is not None
        return {"feature": self.pseudo_label_loss(further, weak)}

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        o = self.options
        strong = o.strong_weight * (terms["strong_1"] + terms["strong_2"])
        return 0.5 * (0.5 * (terms["cross_entropy"] + terms["dice"]) + strong + o.feature_weight * terms["feature"])
