"""Perturbed inputs: what consistency methods do to an image before they ask for the same answer."""

from __future__ import annotations

from torch import Tensor


def add_clipped_noise(x: Tensor, normal: Tensor, *, scale: float = 0.1, clip: float = 0.2) -> Tensor:
    """x + clip(scale * normal, -clip, clip); `normal` is standard normal noise of x's shape.

    Source: Yu et al., UA-MT (MICCAI 2019), section 3; UG-MCL, section 3.2. Images are in units of their
    standard deviation.
    """
    return x + (scale * normal).clamp(-clip, clip).to(x.dtype)
