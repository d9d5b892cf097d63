"""Pseudo-labels: what a teacher's answer is taken for, and where it can be trusted."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ssmis_core.connected_components import batched_largest_component
from ssmis_core.inference import keep_largest_component


def hard_label(prob: Tensor, threshold: float = 0.5) -> Tensor:
    """The most probable foreground class k where p_k >= threshold (p_0 + p_k), else 0 (background).

    prob: [batch, K, *spatial] to integers [batch, *spatial]. With K = 2 this is p_1 >= threshold, the released rule of
    BCP and CPAM. With more classes each is weighed against the background alone, so that 0.5 is the argmax for any K;
    the rule p_k >= 0.5 would call a voxel background because two foreground classes share it.
    """
    best, label = prob[:, 1:].max(dim=1)
    return torch.where(best >= threshold * (prob[:, 0] + best), label + 1, 0)


def largest_components(label: Tensor, num_classes: int) -> Tensor:
    """Of every sample and foreground class the largest connected component; the rest becomes 0 (background).

    label: integers [batch, *spatial], 2D (8 neighbours) or 3D (26). Source: BCP and CPAM (K = 2); BCP on ACDC (a class
    at a time).
    """
    if label.device.type != "cpu":
        return batched_largest_components(label, num_classes)
    return torch.stack([torch.from_numpy(keep_largest_component(one, num_classes)) for one in label.numpy()])


def batched_largest_components(label: Tensor, num_classes: int) -> Tensor:
    """`largest_components` in plain tensor operations, on any device."""
    classes = torch.arange(1, num_classes, device=label.device, dtype=label.dtype)
    classes = classes.reshape(-1, *[1] * (label.ndim - 1))
    masks = label[:, None] == classes  # [batch, K - 1, *spatial]
    kept = batched_largest_component(masks.flatten(0, 1)).reshape(masks.shape)
    return (kept * classes).sum(1, dtype=label.dtype)


def reliable_region(predicted: Iterable[Tensor], label: Tensor, side: Tensor) -> Tensor:
    """1 where every prediction is right, within one side of a mix: side * prod_i [predicted_i = label].

    predicted: integers [batch, *spatial], one of each mix that shows the labeled image on that side; label: alike;
    side: 1 on that side of the box, else 0, [batch, 1, *spatial], as is the result.
    Source: Wu et al., CPAM + TRCM (TNNLS 2026), the trainable region calibration.
    """
    region = side
    for one in predicted:
        region = region * (one == label)[:, None]
    return region
