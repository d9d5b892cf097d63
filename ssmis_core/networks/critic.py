"""SASSNet's discriminator: does this shape, on this image, come from a labeled case?"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ssmis_core.networks.layers import CONV, DROPOUT

SLOPE = 0.2


class Critic(nn.Module):
    """Four strided convolutions and a linear layer: a distance map and its image to two logits, [batch, 2].

    maps: [batch, shapes, *spatial]; image: [batch, channels, *spatial]; sides of 16 or more. dropout: of channels, in
    train mode only. The released code averages over 7x7x5 positions, all that a patch of 112x112x80 has left; here
    over all there are. Class 1: labeled. Source: Li et al., SASSNet (MICCAI 2020), section 2.3, and its released code.
    """

    def __init__(self, *, shapes: int, channels: int = 1, dims: int = 3, filters: int = 64, dropout: float = 0.5):
        super().__init__()
        self.of_map = CONV[dims](shapes, filters, 4, stride=2, padding=1)
        self.of_image = CONV[dims](channels, filters, 4, stride=2, padding=1)
        self.deeper = nn.ModuleList(
            CONV[dims](filters * 2**i, filters * 2 ** (i + 1), 4, stride=2, padding=1) for i in range(3)
        )
        self.dropout = DROPOUT[dims](dropout)
        self.classifier = nn.Linear(filters * 8, 2)

    def forward(self, maps: Tensor, image: Tensor) -> Tensor:
        x = F.leaky_relu(self.of_map(maps) + self.of_image(image), SLOPE)
        for convolution in self.deeper:
            x = F.leaky_relu(convolution(self.dropout(x)), SLOPE)
        return self.classifier(x.flatten(2).mean(2))
