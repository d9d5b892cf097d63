"""What the networks have in common: an encoder, a decoder, and further decoders that share the encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from ssmis_core.networks.layers import check_divisible
from ssmis_core.networks.output import Output


class Decoder(nn.Module):
    """The way up, from features of all levels to logits.

    build_decoder: makes the layers; not a part of __init__, because a whole network makes those of its encoder first.
    """

    build_decoder: Callable[..., None]

    def __init__(self, **settings: Any):
        super().__init__()
        self.build_decoder(**settings)

    def decode(self, levels: Sequence[Tensor]) -> Output:
        """levels: features of every level, the finest first."""
        raise NotImplementedError


class Backbone(Decoder):
    """An encoder with its decoder, and `others` that answer from the same features (none in most methods).

    divisor: what every side of an image must be a multiple of.
    """

    divisor: int
    down: nn.ModuleList
    others: nn.ModuleList

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.others = nn.ModuleList()

    def encode(self, x: Tensor) -> list[Tensor]:
        """Features of every level, the finest first, of images [batch, channels, *spatial]."""
        check_divisible(tuple(x.shape[2:]), self.divisor, type(self).__name__)
        levels = [self.down[0](x)]
        for level, stage in enumerate(self.down[1:]):
            levels.append(stage(self.coarser(levels[-1], level)))
        return levels

    def coarser(self, x: Tensor, level: int) -> Tensor:
        """Features of a level at half its resolution, for the stage of the next."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Output:
        levels = self.encode(x)
        first = self.decode(levels)
        further = tuple(other.decode(levels).logits for other in self.others)  # type: ignore[operator]
        return first._replace(others=further + first.others)
