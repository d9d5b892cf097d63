"""How sure a network is: predictive entropy over Monte-Carlo passes, and the voxels certain enough to teach."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ssmis_core.draws import Draws
from ssmis_core.errors import unknown
from ssmis_core.perturbations import add_clipped_noise
from ssmis_core.schedules import sigmoid_rampup


def entropy(prob: Tensor, eps: float = 1e-6) -> Tensor:
    """Predictive entropy u = -sum_k p_k log(p_k + eps), in nats: [batch, K, *spatial] to [batch, 1, *spatial].

    0 for a sure voxel, ln K for one that knows nothing. Source: UA-MT, eq. 3; Kendall & Gal (2017).
    """
    prob = prob.float()
    return -(prob * torch.log(prob + eps)).sum(dim=1, keepdim=True)


def monte_carlo_probabilities(
    forward: Callable[[Tensor], Tensor],
    x: Tensor,
    draws: Draws,
    *,
    passes: int = 8,
    noise: float = 0.1,
    clip: float = 0.2,
) -> Tensor:
    """Mean probabilities of several noisy passes, p_mean = 1/T sum_t p(x + n_t), with dropout drawn anew in each.

    forward: maps [batch, C, *spatial] to probabilities [batch, K, *spatial], in train mode so that dropout is on.
    noise, clip: n_t = clip(noise * normal, -clip, clip), drawn by name ("monte_carlo_0" ...). No gradient.
    Source: UA-MT, eq. 3; UG-MCL, section 2.3.
    """
    with torch.no_grad():
        total = None
        for i in range(passes):
            p = forward(add_clipped_noise(x, draws.normal_like(f"monte_carlo_{i}", x), scale=noise, clip=clip))
            total = p if total is None else total + p
    assert total is not None
    return total / passes


def certainty_threshold(
    t: float, length: float, num_classes: int, *, policy: str = "rising", start: float = 0.75
) -> float:
    """The entropy below which a voxel takes part, in nats, at iteration t of `length`.

    "rising": (start + (1 - start) w(t)) ln K with the Gaussian ramp w, from three quarters of the largest entropy
    to all of it (UA-MT; UG-MCL, section 2.3); "constant": start ln K; "falling": the rising one run backwards.
    Raises UserError for another policy.
    """
    if policy not in THRESHOLD_POLICIES:
        raise unknown("threshold policy", policy, THRESHOLD_POLICIES)
    share = {
        "rising": lambda: start + (1.0 - start) * sigmoid_rampup(t, length),
        "constant": lambda: start,
        "falling": lambda: start + (1.0 - start) * sigmoid_rampup(length - t, length),
    }[policy]()
    return share * math.log(num_classes)


THRESHOLD_POLICIES = ("rising", "constant", "falling")


def certainty_mask(uncertainty: Tensor, threshold: float) -> Tensor:
    """1 where the uncertainty is below the threshold, else 0 (float32, same shape)."""
    return (uncertainty < threshold).float()
