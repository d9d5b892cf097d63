"""Loss functions of the field: pure functions of probabilities or logits, 2D and 3D, any number of classes.

Shapes: logits and probabilities are [batch, K, *spatial]; labels are integer [batch, *spatial]; masks are
[batch, 1, *spatial]. All compute in float32, whatever the autocast type.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def probabilities(logits: Tensor) -> Tensor:
    """Softmax over the class axis, in float32."""
    return torch.softmax(logits.float(), dim=1)


def one_hot(label: Tensor, num_classes: int) -> Tensor:
    """[batch, *spatial] integers to [batch, K, *spatial] float32."""
    return F.one_hot(label.long(), num_classes).movedim(-1, 1).float()


def cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """Mean over voxels of -log softmax(logits)[label]."""
    return F.cross_entropy(logits.float(), label.long())


def dice_loss(
    prob: Tensor,
    target: Tensor,
    *,
    squared: bool = True,
    background: bool = False,
    eps: float = 1e-5,
) -> Tensor:
    """Soft Dice loss, mean over classes of 1 - (2 sum(p y) + e) / (sum(p^n) + sum(y^n) + e), summed over the batch.

    prob: [batch, K, *spatial]; target: integer labels [batch, *spatial] or a map of prob's shape.
    squared: n = 2 (UA-MT, DTC, UG-MCL, TraCoCo) or n = 1, the "plain" form (SS-Net, MC-Net on LA).
    background: count class 0 too (the ACDC recipes); otherwise only the foreground classes.
    Source: Milletari et al., V-Net (3DV 2016), eq. of section 3, in the released code's variants.
    """
    prob = prob.float()
    if target.ndim != prob.ndim:
        target = one_hot(target, prob.shape[1])
    target = target.float()
    first = 0 if background else 1
    prob, target = prob[:, first:], target[:, first:]
    axes = (0, *range(2, prob.ndim))
    overlap = (prob * target).sum(axes)
    size = (prob * prob).sum(axes) + (target * target).sum(axes) if squared else prob.sum(axes) + target.sum(axes)
    return (1.0 - (2.0 * overlap + eps) / (size + eps)).mean()


def soft_mask_dice(soft: Tensor, label: Tensor, *, num_classes: int, eps: float = 1e-5) -> Tensor:
    """Squared Dice loss of one soft mask a foreground class, [batch, K - 1, *spatial], against integer labels."""
    target = one_hot(label, num_classes)[:, 1:]
    return dice_loss(soft, target, squared=True, background=True, eps=eps)


def masked_mse(
    a: Tensor, b: Tensor, mask: Tensor | None = None, *, mean_classes: bool = True, eps: float = 1e-16
) -> Tensor:
    """sum(m (a - b)^2) / (C sum(m)): squared difference over the voxels of a mask, 0 where the mask is empty.

    a, b: [batch, C, *spatial]; mask: [batch, 1, *spatial] in {0, 1}, None for every voxel.
    mean_classes: divide by the number of channels C (False: sum over channels, mean over voxels).
    Source: Yu et al., UA-MT (MICCAI 2019), eq. 4; UG-MCL, eq. 3 and 4.
    """
    difference = (a.float() - b.float()) ** 2
    channels = a.shape[1] if mean_classes else 1
    if mask is None:
        return difference.sum() / (channels * (difference.numel() / a.shape[1]))
    mask = mask.float()
    return (mask * difference).sum() / (channels * mask.sum() + eps)


def region_dice_loss(prob: Tensor, target: Tensor, region: Tensor, *, eps: float = 1e-5) -> Tensor:
    """Plain Dice loss within a region, 1 - (2 sum(r p y) + e) / (sum(r (p + y)) + e), mean over samples and classes.

    prob: [batch, K, *spatial]; target: integers [batch, *spatial]; region: [batch, 1, *spatial] in {0, 1}. All K
    classes count, the background too; 0 where the region is empty. Source: the released code of BCP and CPAM.
    """
    prob, target = prob.float(), one_hot(target, prob.shape[1])
    axes = tuple(range(2, prob.ndim))
    overlap, size = (region * prob * target).sum(axes), (region * (prob + target)).sum(axes)
    return (1.0 - (2.0 * overlap + eps) / (size + eps)).mean()


def region_cross_entropy(logits: Tensor, target: Tensor, region: Tensor, *, eps: float = 1e-16) -> Tensor:
    """sum(r * -log softmax(logits)[target]) / sum(r) over the whole batch; 0 where the region is empty.

    Shapes as in `region_dice_loss`. Source: the released code of BCP and CPAM.
    """
    each = F.cross_entropy(logits.float(), target.long(), reduction="none")
    return (region[:, 0] * each).sum() / (region.sum() + eps)


def region_loss(logits: Tensor, target: Tensor, region: Tensor) -> Tensor:
    """(Dice + cross-entropy) / 2 within a region: one side of a mix. Shapes as in `region_dice_loss`.

    Source: Bai et al., BCP (CVPR 2023); Wu et al., CPAM (TNNLS 2026).
    """
    dice = region_dice_loss(probabilities(logits), target, region)
    return 0.5 * (dice + region_cross_entropy(logits, target, region))
