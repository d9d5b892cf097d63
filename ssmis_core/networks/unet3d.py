"""3D U-Net as the BraTS recipes of this field use it: instance norm, max-pooling, trilinear up, concatenation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssmis_core.networks.backbone import Backbone
from ssmis_core.networks.layers import CONV, LINEAR, MAX_POOL, ScaleHeads, instance_norm, make_head
from ssmis_core.networks.output import Output

LEVELS = 5


class UNet3D(Backbone):
    """U-Net of five levels, filters 16-32-64-128-256 (5.9 M parameters in 3D); in 2D when dims is 2.

    dropout: elementwise, at the bottom and before the head, in train mode only. distance_channels: size of a
    separate head s = tanh(.); `shared_distance=True` instead gives s = tanh(logits), the one-head network of UG-MCL's
    released code. scales: 1 to 4 levels of the decoder that answer. Input [batch, channels, *spatial], every side a
    multiple of 16.
    Source: Ronneberger et al. (2015), Cicek et al. (2016), as in SSL4MIS and UG-MCL's BraTS code.
    """

    def __init__(
        self,
        *,
        channels: int = 1,
        num_classes: int = 2,
        dims: int = 3,
        filters: int = 16,
        dropout: float = 0.3,
        distance_channels: int = 0,
        shared_distance: bool = False,
        scales: int = 1,
    ):
        super().__init__()
        self.divisor = 2 ** (LEVELS - 1)
        self.mode = LINEAR[dims]
        width = [filters * 2**i for i in range(LEVELS)]
        self.down = nn.ModuleList(_double(dims, channels if i == 0 else width[i - 1], width[i]) for i in range(LEVELS))
        self.up = nn.ModuleList(_double(dims, width[i] + width[i + 1], width[i]) for i in reversed(range(LEVELS - 1)))
        self.pool = MAX_POOL[dims](2)
        self.dropout_bottom, self.dropout_head = nn.Dropout(dropout), nn.Dropout(dropout)
        self.head = make_head(dims, filters, num_classes)
        self.distance_head = (
            make_head(dims, filters, distance_channels) if distance_channels and not shared_distance else None
        )
        self.shared_distance = shared_distance
        self.scale_heads = ScaleHeads(dims, width[1:scales], num_classes, dropout) if scales > 1 else None

    def coarser(self, x: Tensor, level: int) -> Tensor:
        return self.pool(x)

    def decode(self, levels: Sequence[Tensor]) -> Output:
        skips, x = list(levels[:-1]), self.dropout_bottom(levels[-1])
        ups: list[Tensor] = []
        for stage in self.up:
            up = F.interpolate(x, scale_factor=2, mode=self.mode, align_corners=False)
            x = stage(torch.cat([skips.pop(), up], dim=1))
            ups.insert(0, x)
        features = self.dropout_head(x)
        logits = self.head(features)
        distance = None
        if self.shared_distance:
            distance = torch.tanh(logits.float())
        elif self.distance_head is not None:
            distance = torch.tanh(self.distance_head(features).float())
        coarser = () if self.scale_heads is None else self.scale_heads(ups)
        return Output(logits, features, distance, coarser)


def _double(dims: int, channels: int, width: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i in range(2):
        layers += [
            CONV[dims](channels if i == 0 else width, width, 3, padding=1),
            instance_norm(width, affine=False),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
