"""2D U-Net as the ACDC recipes of this field use it: batch norm, max-pooling, bilinear up, concatenation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ssmis_core.networks.backbone import Backbone, Decoder
from ssmis_core.networks.layers import (
    CONV,
    CONV_TRANSPOSE,
    MAX_POOL,
    ScaleHeads,
    make_norm,
    upsampling,
)
from ssmis_core.networks.output import Output

SHARE_OF_DROPOUT = (0.1, 0.2, 0.4, 0.6, 1.0)  # a level: 0.05, 0.1, 0.2, 0.3 and 0.5 where the lowest has 0.5
SLOPE = 0.01
DECODERS = ("linear", "transposed", "nearest")  # how each decoder of MC-Net goes up, the first one as the U-Net does


class UNet2DDecoder(Decoder):
    """The way up, from features of all levels to logits. up: how it doubles the resolution, one of DECODERS."""

    def build_decoder(
        self,
        *,
        num_classes: int,
        dims: int,
        filters: int,
        dropout: float,
        up: str = "linear",
        distance_channels: int = 0,
        scales: int = 1,
    ) -> None:
        width = [filters * 2**i for i in range(len(SHARE_OF_DROPOUT))]
        upwards = list(reversed(range(len(width) - 1)))
        self.narrow = nn.ModuleList(_narrow(dims, width[i + 1], width[i], up) for i in upwards)
        self.up = nn.ModuleList(_double(dims, 2 * width[i], width[i], 0.0) for i in upwards)
        self.enlarge = nn.Identity() if up == "transposed" else upsampling(up, dims)
        self.head = CONV[dims](filters, num_classes, 3, padding=1)
        self.distance_head = CONV[dims](filters, distance_channels, 3, padding=1) if distance_channels else None
        self.scale_heads = ScaleHeads(dims, width[1:scales], num_classes, dropout) if scales > 1 else None

    def decode(self, levels: Sequence[Tensor]) -> Output:
        skips, x = list(levels[:-1]), levels[-1]
        ups: list[Tensor] = []
        for narrow, stage in zip(self.narrow, self.up, strict=True):
            x = stage(torch.cat([skips.pop(), self.enlarge(narrow(x))], dim=1))
            ups.insert(0, x)
        distance = None if self.distance_head is None else torch.tanh(self.distance_head(x).float())
        coarser = () if self.scale_heads is None else self.scale_heads(ups)
        return Output(self.head(x), x, distance, coarser)


class UNet2D(Backbone, UNet2DDecoder):
    """U-Net of five levels, filters 16-32-64-128-256 (1.8 M parameters), leaky ReLU, a 3x3 head.

    dims: 2, no other. dropout: elementwise, of the lowest level; those above have a tenth, a fifth, two and three
    fifths of it, between the two convolutions of the encoder alone, in train mode only. distance_channels: size of a
    second 3x3 head s = tanh(.), a signed distance map a channel; 0 for none. decoders: 1 to 3 that share the encoder
    and go up in different ways (DECODERS); scales: 1 to 4 levels of the decoder that answer. Input
    [batch, channels, X, Y], every side a multiple of 16.
    Source: Ronneberger et al. (2015), as in SSL4MIS and the ACDC code of SS-Net, BCP and UniMatch; several decoders as
    in MC-Net and MC-Net+.
    """

    def __init__(
        self,
        *,
        channels: int = 1,
        num_classes: int = 2,
        dims: int = 2,
        filters: int = 16,
        dropout: float = 0.5,
        distance_channels: int = 0,
        decoders: int = 1,
        scales: int = 1,
    ):
        super().__init__()
        levels = len(SHARE_OF_DROPOUT)
        self.divisor = 2 ** (levels - 1)
        width = [filters * 2**i for i in range(levels)]
        self.down = nn.ModuleList(
            _double(dims, channels if i == 0 else width[i - 1], width[i], share * dropout)
            for i, share in enumerate(SHARE_OF_DROPOUT)
        )
        self.pool = MAX_POOL[dims](2)
        shape: dict[str, Any] = {"num_classes": num_classes, "dims": dims, "filters": filters}
        self.build_decoder(**shape, dropout=dropout, distance_channels=distance_channels, scales=scales)
        self.others = nn.ModuleList(UNet2DDecoder(**shape, dropout=dropout, up=up) for up in DECODERS[1:decoders])

    def coarser(self, x: Tensor, level: int) -> Tensor:
        return self.pool(x)


def _narrow(dims: int, channels: int, width: int, up: str) -> nn.Module:
    """Half of the channels; "transposed" doubles the resolution along with it."""
    return CONV_TRANSPOSE[dims](channels, width, 2, stride=2) if up == "transposed" else CONV[dims](channels, width, 1)


def _double(dims: int, channels: int, width: int, dropout: float) -> nn.Sequential:
    """Convolution, norm and leaky ReLU twice, with dropout between; the places are those of the published keys."""
    return nn.Sequential(
        CONV[dims](channels, width, 3, padding=1),
        make_norm("batch", dims, width),
        nn.LeakyReLU(SLOPE, inplace=True),
        nn.Dropout(dropout),
        CONV[dims](width, width, 3, padding=1),
        make_norm("batch", dims, width),
        nn.LeakyReLU(SLOPE, inplace=True),
    )
