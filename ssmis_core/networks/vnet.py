"""V-Net as this field uses it: skips by addition, stride-2 convolutions, dropout at the bottom and before the head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ssmis_core.networks.layers import CONV, CONV_TRANSPOSE, DROPOUT, check_divisible, make_head, make_norm
from ssmis_core.networks.output import Output

DOWN_CONVOLUTIONS = (1, 2, 3, 3, 3)
UP_CONVOLUTIONS = (3, 3, 2, 1)


class VNet(nn.Module):
    """Encoder-decoder with `levels` resolutions; filters double a level (16-32-64-128-256: 9.4 M parameters in 3D).

    dims: 2 or 3. norm: "batch" (the field's), "instance", "group" or "none". dropout: channel dropout after the last
    level and before the heads, in train mode only. distance_channels: size of a second 1x1 head s = tanh(.), a signed
    distance map a channel; 0 for none. Input [batch, channels, *spatial], every side a multiple of 2^(levels - 1).
    Source: Milletari et al. (3DV 2016), as reimplemented for UA-MT and its descendants; two heads as in DTC.
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
    ):
        super().__init__()
        self.divisor = 2 ** (levels - 1)
        width = [filters * 2**i for i in range(levels)]
        up_convolutions = UP_CONVOLUTIONS[len(UP_CONVOLUTIONS) - (levels - 1) :]
        self.down = nn.ModuleList(
            _stage(dims, channels if i == 0 else width[i], width[i], DOWN_CONVOLUTIONS[i], norm) for i in range(levels)
        )
        self.downsample = nn.ModuleList(
            _resample(CONV[dims], width[i], width[i + 1], dims, norm) for i in range(levels - 1)
        )
        self.upsample = nn.ModuleList(
            _resample(CONV_TRANSPOSE[dims], width[i + 1], width[i], dims, norm) for i in reversed(range(levels - 1))
        )
        self.up = nn.ModuleList(
            _stage(dims, width[i], width[i], n, norm)
            for i, n in zip(reversed(range(levels - 1)), up_convolutions, strict=True)
        )
        self.dropout_bottom = DROPOUT[dims](dropout)
        self.dropout_head = DROPOUT[dims](dropout)
        self.head = make_head(dims, filters, num_classes)
        self.distance_head = make_head(dims, filters, distance_channels) if distance_channels else None

    def forward(self, x: Tensor) -> Output:
        check_divisible(tuple(x.shape[2:]), self.divisor, "V-Net")
        skips = []
        for i, stage in enumerate(self.down):
            x = stage(x)
            if i < len(self.downsample):
                skips.append(x)
                x = self.downsample[i](x)
        x = self.dropout_bottom(x)
        for upsample, stage in zip(self.upsample, self.up, strict=True):
            x = stage(upsample(x) + skips.pop())
        features = self.dropout_head(x)
        distance = None if self.distance_head is None else torch.tanh(self.distance_head(features).float())
        return Output(self.head(features), features, distance)


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
