"""What co-training methods have in common: two networks with different first weights, each the other's teacher."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ssmis_core.losses import probabilities
from ssmis_core.methods.base import Method
from ssmis_core.methods.options import RampedOptions

ANSWERS = ("1", "2", "mean")


@dataclass(frozen=True, kw_only=True)
class CoTrainingOptions(RampedOptions):
    """answer: whose answer counts in the end, that of network "1", of "2", or the "mean" of both."""

    answer: str = "1"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._one_of(ANSWERS, "answer")


class CoTraining(Method):
    """Two networks with the same optimiser."""

    needs_unlabeled = True

    def __init__(self, options: CoTrainingOptions, **shape: int):
        super().__init__(options, **shape)
        self.network_1 = self.make_network()
        self.network_2 = self.make_network()

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """Class probabilities of one network, or the mean of both."""
        if self.options.answer != "mean":
            return super().predict(x)
        return 0.5 * (probabilities(self.network_1(x).logits) + probabilities(self.network_2(x).logits))

    def answering_network(self) -> nn.Module:
        return self.network_2 if self.options.answer == "2" else self.network_1
