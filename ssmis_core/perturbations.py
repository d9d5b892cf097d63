"""Perturbed inputs: what consistency methods do to an image before they ask for the same answer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ssmis_core.draws import Draws


def add_clipped_noise(x: Tensor, normal: Tensor, *, scale: float = 0.1, clip: float = 0.2) -> Tensor:
    """x + clip(scale * normal, -clip, clip); `normal` is standard normal noise of x's shape.

    Source: Yu et al., UA-MT (MICCAI 2019), section 3; UG-MCL, section 3.2. Images are in units of their
    standard deviation.
    """
    return x + (scale * normal).clamp(-clip, clip).to(x.dtype)


def add_uniform_noise(x: Tensor, uniform: Tensor, *, scale: float = 0.2, clamp: bool = False) -> Tensor:
    """x + scale (2 u - 1), so noise within +-scale; `uniform` is noise in [0, 1) of x's shape.

    clamp: keep the sum in [0, 1], for images that are scaled to it. Source: TraCoCo, released code.
    """
    noisy = x + (scale * (2.0 * uniform - 1.0)).to(x.dtype)
    return noisy.clamp(0.0, 1.0) if clamp else noisy


def box_masks(centres: Tensor, sides: Sequence[int], shape: Sequence[int]) -> Tensor:
    """One box a sample, cut off at the edges: True in [c - side//2, c + side//2) on each axis, [B, 1, *shape] bool.

    centres: integers [B, len(sides)] in voxels; sides: of the boxes, along the first axes of `shape`; an axis without
    a side is filled from end to end. Source: Yun et al., CutMix (ICCV 2019), as TraCoCo's released code places it.
    """
    inside = torch.ones((len(centres), 1, *shape), dtype=torch.bool, device=centres.device)
    for axis, side in enumerate(sides):
        place = torch.arange(shape[axis], device=centres.device)
        centre = centres[:, axis, None]
        along = (place >= centre - side // 2) & (place < centre + side // 2)
        inside = inside & along.reshape(len(centres), 1, *(-1 if a == axis else 1 for a in range(len(shape))))
    return inside


def paste(x: Tensor, source: Tensor, where: Tensor) -> Tensor:
    """x with the voxels of a mask taken from other samples: x_source inside, x outside.

    x: [B, C, *spatial]; source: [B] the sample that each pastes from; where: [B, 1, *spatial] bool.
    Source: Yun et al., CutMix (ICCV 2019), eq. 1.
    """
    return torch.where(where, x[source], x)


def draw_cutmix(name: str, x: Tensor, draws: Draws, *, axes: int | None = None) -> tuple[Tensor, Tensor]:
    """(the sample that each sample pastes from [B], where it pastes [B, 1, *spatial] bool) for images [B, C, *spatial].

    One share a batch: a box has sqrt(1 - lambda) of each side, lambda ~ Beta(4, 4), rounded down. One centre a sample,
    anywhere from an eighth of the patch on. axes: how many of the first axes a box has sides on (None: all); the
    released code of TraCoCo has 2 in 3D too, so that its boxes go through the whole depth.
    Draws: "<name>" (lambda), "<name>/centre_<axis>", "<name>/source". Source: TraCoCo, released code.
    """
    shape, count = x.shape[2:], len(x)
    share = math.sqrt(1.0 - float(draws.beta(name, 4.0, 4.0)))
    centres = [
        draws.integers(f"{name}/centre_{axis}", side // 8, side, size=count) for axis, side in enumerate(shape[:axes])
    ]
    source = torch.as_tensor(draws.permutation(f"{name}/source", count)).to(x.device)
    placed = torch.as_tensor(np.stack(centres, axis=1)).to(x.device)
    return source, box_masks(placed, [int(side * share) for side in shape[:axes]], shape)
