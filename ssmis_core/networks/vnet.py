"""V-Net as this field uses it: skips by addition, stride-2 convolutions, dropout at the bottom and before the head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ssmis_core.networks.backbone import Backbone, Decoder
from ssmis_core.networks.layers import (
    CONV,
    CONV_TRANSPOSE,
    DROPOUT,
    ScaleHeads,
    make_head,
    make_norm,
    upsampling,
)
from ssmis_core.networks.output import Output

DOWN_CONVOLUTIONS = (1, 2, 3, 3, 3)
UP_CONVOLUTIONS = (3, 3, 2, 1)
DECODERS = ("transposed", "linear", "nearest")  # how each decoder of MC-Net goes up, the first one as V-Net does


class VNetDecoder(Decoder):
    """The way up, from features of all levels to logits. up: how it doubles the resolution, one of DECODERS."""

    def build_decoder(
        self,
        *,
        num_classes: int,
        dims: int,
        filters: int,
        levels: int,
        norm: str,
        dropout: float,
        up: str = "transposed",
        distance_channels: int = 0,
        scales: int = 1,
    ) -> None:
        width = [filters * 2**i for i in range(levels)]
        upwards = list(reversed(range(levels - 1)))
        self.upsample = nn.ModuleList(_enlarge(width[i + 1], width[i], dims, norm, up) for i in upwards)
        convolutions = UP_CONVOLUTIONS[len(UP_CONVOLUTIONS) - (levels - 1) :]
        self.up = nn.ModuleList(
            _stage(dims, width[i], width[i], n, norm) for i, n in zip(upwards, convolutions, strict=True)
        )
        self.dropout_bottom = DROPOUT[dims](dropout)
        self.dropout_head = DROPOUT[dims](dropout)
        self.head = make_head(dims, filters, num_classes)
        self.distance_head = make_head(dims, filters, distance_channels) if distance_channels else None
        self.scale_heads = ScaleHeads(dims, width[1:scales], num_classes, dropout) if scales > 1 else None

    def decode(self, levels: Sequence[Tensor]) -> Output:
        skips, x = list(levels[:-1]), self.dropout_bottom(levels[-1])
        ups: list[Tensor] = []
        for upsample, stage in zip(self.upsample, self.up, strict=True):
            x = stage(upsample(x) + skips.pop())
            ups.insert(0, x)
        features = self.dropout_head(x)
        distance = None if self.distance_head is None else torch.tanh(self.distance_head(features).float())
        coarser = () if self.scale_heads is None else self.scale_heads(ups)
        return Output(self.head(features), features, distance, coarser)


class VNet(Backbone, VNetDecoder):
    """Encoder-decoder with `levels` resolutions; filters double a level (16-32-64-128-256: 9.4 M parameters in 3D).

    dims: 2 or 3. norm: "batch" (the field's), "instance", "group" or "none". dropout: channel dropout after the last
    level and before the heads, in train mode only. distance_channels: size of a second 1x1 head s = tanh(.), a signed
    distance map a channel; 0 for none. decoders: 1 to 3 that share the encoder and go up in different ways (DECODERS);
    scales: 1 to 4 levels of the decoder that answer. Input [batch, channels, *spatial], every side a multiple of
    2^(levels - 1).
    Source: Milletari et al. (3DV 2016), as reimplemented for UA-MT and its descendants; two heads as in DTC; several
    decoders as in MC-Net and MC-Net+.
    """

    def __init__(
        self,
        *,
        channels: int = 1,
        num_classes: int = 2,
        dims: int = 3,
        filters: int = 16,
        levels: int = 5,
        norm: str = "batch",
        dropout: float = 0.5,
        distance_channels: int = 0,
        decoders: int = 1,
        scales: int = 1,
    ):
        super().__init__()
        self.divisor = 2 ** (levels - 1)
        width = [filters * 2**i for i in range(levels)]
        self.down = nn.ModuleList(
            _stage(dims, channels if i == 0 else width[i], width[i], DOWN_CONVOLUTIONS[i], norm) for i in range(levels)
        )
        self.downsample = nn.ModuleList(
            _resample(CONV[dims], width[i], width[i + 1], dims, norm) for i in range(levels - 1)
        )
        shape: dict[str, Any] = {"num_classes": num_classes, "dims": dims, "filters": filters, "levels": levels}
        self.build_decoder(**shape, norm=norm, dropout=dropout, distance_channels=distance_channels, scales=scales)
        self.others = nn.ModuleList(
            VNetDecoder(**shape, norm=norm, dropout=dropout, up=up) for up in DECODERS[1:decoders]
        )

    def coarser(self, x: Tensor, level: int) -> Tensor:
        return self.downsample[level](x)


def _stage(dims: int, channels: int, width: int, convolutions: int, norm: str) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i in range(convolutions):
        layers += [
            CONV[dims](channels if i == 0 else width, width, 3, padding=1),
            make_norm(norm, dims, width),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


def _resample(convolution: type[nn.Module], channels: int, width: int, dims: int, norm: str) -> nn.Sequential:
    return nn.Sequential(convolution(channels, width, 2, stride=2), make_norm(norm, dims, width), nn.ReLU(inplace=True))


def _enlarge(channels: int, width: int, dims: int, norm: str, up: str) -> nn.Sequential:
    if up == "transposed":
        return _resample(CONV_TRANSPOSE[dims], channels, width, dims, norm)
    convolution = CONV[dims](channels, width, 3, padding=1)
    return nn.Sequential(upsampling(up, dims), convolution, make_norm(norm, dims, width), nn.ReLU(inplace=True))
