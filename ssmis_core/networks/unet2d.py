"""2D U-Net as the ACDC recipes of this field use it: batch norm, max-pooling, bilinear up, concatenation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssmis_core.networks.layers import CONV, MAX_POOL, check_divisible, make_norm
from ssmis_core.networks.output import Output

SHARE_OF_DROPOUT = (0.1, 0.2, 0.4, 0.6, 1.0)  # a level: 0.05, 0.1, 0.2, 0.3 and 0.5 where the lowest has 0.5
SLOPE = 0.01


class UNet2D(nn.Module):
    """U-Net of five levels, filters 16-32-64-128-256 (1.8 M parameters), leaky ReLU, a 3x3 head.

    dims: 2, no other. dropout: elementwise, of the lowest level; those above have a tenth, a fifth, two and three
    fifths of it, between the two convolutions of the encoder alone, in train mode only. distance_channels: size of a
    second 3x3 head s = tanh(.), a signed distance map a channel; 0 for none. Input [batch, channels, X, Y], every side
    a multiple of 16.
    Source: Ronneberger et al. (2015), as in SSL4MIS and the ACDC code of SS-Net, BCP and UniMatch.
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
    ):
        super().__init__()
        levels = len(SHARE_OF_DROPOUT)
        self.divisor = 2 ** (levels - 1)
        width = [filters * 2**i for i in range(levels)]
        self.down = nn.ModuleList(
            _double(dims, channels if i == 0 else width[i - 1], width[i], share * dropout)
            for i, share in enumerate(SHARE_OF_DROPOUT)
        )
        upwards = list(reversed(range(levels - 1)))
        self.narrow = nn.ModuleList(CONV[dims](width[i + 1], width[i], 1) for i in upwards)
        self.up = nn.ModuleList(_double(dims, 2 * width[i], width[i], 0.0) for i in upwards)
        self.pool = MAX_POOL[dims](2)
        self.head = CONV[dims](filters, num_classes, 3, padding=1)
        self.distance_head = CONV[dims](filters, distance_channels, 3, padding=1) if distance_channels else None

    def forward(self, x: Tensor) -> Output:
        check_divisible(tuple(x.shape[2:]), self.divisor, "U-Net")
        skips = []
        for i, stage in enumerate(self.down):
            x = stage(x if i == 0 else self.pool(x))
            skips.append(x)
        x = skips.pop()
        for narrow, stage in zip(self.narrow, self.up, strict=True):
            up = F.interpolate(narrow(x), scale_factor=2, mode="bilinear", align_corners=True)
            x = stage(torch.cat([skips.pop(), up], dim=1))
        distance = None if self.distance_head is None else torch.tanh(self.distance_head(x).float())
        return Output(self.head(x), x, distance)


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
