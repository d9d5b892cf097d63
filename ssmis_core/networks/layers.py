"""Layers by number of dimensions, and the normalisations that a preset can name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ssmis_core.errors import UserError, unknown

CONV: dict[int, type[nn.Module]] = {2: nn.Conv2d, 3: nn.Conv3d}
CONV_TRANSPOSE: dict[int, type[nn.Module]] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
MAX_POOL: dict[int, type[nn.Module]] = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
DROPOUT: dict[int, type[nn.Module]] = {2: nn.Dropout2d, 3: nn.Dropout3d}
LINEAR: dict[int, str] = {2: "bilinear", 3: "trilinear"}
BATCH_NORM: dict[int, type[nn.Module]] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}

NORMS: dict[str, Callable[[int, int], nn.Module]] = {
    "batch": lambda dims, channels: BATCH_NORM[dims](channels),
    "instance": lambda dims, channels: instance_norm(channels),
    "group": lambda dims, channels: GroupNorm(math.gcd(8, channels), channels),
    "none": lambda dims, channels: nn.Identity(),
}


class GroupNorm(nn.GroupNorm):
    """Group normalisation: each group of channels of a sample to mean 0 and variance 1.

    On a CPU torch takes several times as long for channels-last planes as for contiguous ones, far more than a copy
    there and back. Volumes gain nothing from that, and a GPU normalises both as they lie.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4 or x.device.type != "cpu" or x.is_contiguous():
            return super().forward(x)
        return super().forward(x.contiguous()).contiguous(memory_format=torch.channels_last)


def instance_norm(channels: int, *, affine: bool = True) -> GroupNorm:
    """Instance normalisation as one group a channel.

    Source: Ulyanov et al. (2016); Wu & He, Group Normalization (ECCV 2018), section 3.
    """
    return GroupNorm(channels, channels, affine=affine)


class PointwiseConv3d(nn.Conv3d):
    """A 1x1x1 convolution as a linear map of each voxel's channels: y[:, j] = sum_i w[j, i] x[:, i] + b[j].

    The same parameters as nn.Conv3d, but on a CPU torch would first copy channels-last features to another layout,
    which costs more than the map itself.
    """

    def __init__(self, channels: int, outputs: int):
        super().__init__(channels, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.movedim(1, -1), self.weight.flatten(1), self.bias).movedim(-1, 1)


def make_head(dims: int, channels: int, outputs: int) -> nn.Module:
    """The convolution of one voxel that turns features into logits or distances."""
    return PointwiseConv3d(channels, outputs) if dims == 3 else nn.Conv2d(channels, outputs, 1)


def upsampling(kind: str, dims: int) -> nn.Upsample:
    """Twice the resolution without a weight: "linear" (corner voxels stay in the corners) or "nearest"."""
    if kind == "nearest":
        return nn.Upsample(scale_factor=2, mode="nearest")
    return nn.Upsample(scale_factor=2, mode=LINEAR[dims], align_corners=True)


class ScaleHeads(nn.Module):
    """Logits from coarser levels of a decoder, each brought to the size of the finest by linear interpolation.

    widths: channels of those levels, from fine to coarse. Channel dropout before each head, in train mode only, makes
    the scales differ. Source: Luo et al., URPC (MICCAI 2021), the pyramid prediction network.
    """

    def __init__(self, dims: int, widths: Sequence[int], num_classes: int, dropout: float):
        super().__init__()
        self.heads = nn.ModuleList(make_head(dims, width, num_classes) for width in widths)
        self.dropout = DROPOUT[dims](dropout)
        self.mode = LINEAR[dims]

    def forward(self, levels: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """levels: features of the decoder's levels, the finest first; it has a head of its own elsewhere."""
        size = levels[0].shape[2:]
        return tuple(
            F.interpolate(head(self.dropout(level)).float(), size=size, mode=self.mode, align_corners=False)
            for head, level in zip(self.heads, levels[1:], strict=False)
        )


def make_norm(kind: str, dims: int, channels: int) -> nn.Module:
    """A normalisation layer by name ("batch", "instance", "group", "none")."""
    if kind not in NORMS:
        raise unknown("normalisation", kind, NORMS)
    return NORMS[kind](dims, channels)


def check_patch(patch: tuple[int, ...], network: nn.Module, *, samples: int) -> None:
    """UserError for a patch that a network cannot be trained on, before anything is written.

    samples: the fewest patches that it sees at once.
    """
    divisor = getattr(network, "divisor", 1)
    check_divisible(patch, divisor, type(network).__name__)
    if any(size != divisor for size in patch):
        return
    told = f"patch {'x'.join(map(str, patch))}: leaves one voxel at the lowest level of {type(network).__name__}"
    if any(_is_instance_norm(layer) for layer in network.modules()):
        raise UserError(
            f"{told}; instance normalisation cannot normalise that, expected a side of at least {2 * divisor}"
        )
    if samples < 2 and any(isinstance(layer, _BatchNorm) for layer in network.modules()):
        raise UserError(
            f"{told}; batch normalisation cannot normalise that of one sample, expected a side of at least "
            f"{2 * divisor}, or more samples of each kind in a batch"
        )


def check_divisible(shape: tuple[int, ...], divisor: int, network: str) -> None:
    """UserError when a patch cannot be halved as often as the network does."""
    if any(size % divisor for size in shape):
        raise UserError(
            f"patch {'x'.join(map(str, shape))}: every side must be a multiple of {divisor} for this {network}"
        )


def _is_instance_norm(layer: nn.Module) -> bool:
    return isinstance(layer, GroupNorm) and layer.num_groups == layer.num_channels
