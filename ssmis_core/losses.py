"""Loss functions of the field: pure functions of probabilities or logits, 2D and 3D, any number of classes.

Shapes: logits and probabilities are [batch, K, *spatial]; labels are integer [batch, *spatial]; masks are
[batch, 1, *spatial]. All compute in float32, whatever the autocast type.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def probabilities(logits: Tensor) -> Tensor:
    """Softmax over the class axis, in float32."""
    return torch.softmax(logits.float(), dim=1)


def one_hot(label: Tensor, num_classes: int) -> Tensor:
    """[batch, *spatial] integers to [batch, K, *spatial] float32."""
    return F.one_hot(label.long(), num_classes).movedim(-1, 1).float()


def most_probable(prob: Tensor) -> Tensor:
    """The class of highest probability, the first of equal ones: [batch, K, *spatial] to int64 [batch, *spatial].

    As argmax over the class axis, which takes a CPU up to ten times as long.
    """
    return prob.max(dim=1).indices


def cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """Mean over voxels of -log softmax(logits)[label]."""
    # torch's own mean of maps on a GPU depends on the order in which its threads end
    return F.cross_entropy(logits.float(), label.long(), reduction="none").mean()


def supervised_terms(logits: Tensor, prob: Tensor, label: Tensor) -> dict[str, Tensor]:
    """{"cross_entropy": ..., "dice": ...} of labeled samples, squared Dice over the foreground: half their sum is the
    usual supervised loss. logits and their softmax prob: [batch, K, *spatial]; label: [batch, *spatial].
    The ACDC recipes average their Dice over all K classes; here it is the foreground's in 2D too, so that methods which
    share this loss differ in what they add to it alone.
    """
    return {"cross_entropy": cross_entropy(logits, label), "dice": dice_loss(prob, label)}


def dice_loss(
    prob: Tensor,
    target: Tensor,
    *,
    squared: bool = True,
    background: bool = False,
    per_class: bool = True,
    eps: float = 1e-5,
) -> Tensor:
    """Soft Dice loss, mean over classes of 1 - (2 sum(p y) + e) / (sum(p^n) + sum(y^n) + e), summed over the batch.

    prob: [batch, K, *spatial]; target: integer labels [batch, *spatial] or a map of prob's shape. Between two soft
    maps the squared form is 0 where they are equal; the plain one only where they are also binary.
    squared: n = 2 (UA-MT, DTC, UG-MCL, TraCoCo) or n = 1, the "plain" form (SS-Net, MC-Net on LA).
    background: count class 0 too (the ACDC recipes); otherwise only the foreground classes.
    per_class: False sums over the classes as well, one Dice of all channels at once (SS-Net's distance in 3D).
    Source: Milletari et al., V-Net (3DV 2016), eq. of section 3, in the released code's variants.
    """
    prob = prob.float()
    if target.ndim != prob.ndim:
        target = one_hot(target, prob.shape[1])
    target = target.float()
    first = 0 if background else 1
    prob, target = prob[:, first:], target[:, first:]
    axes = (0, *range(2, prob.ndim)) if per_class else tuple(range(prob.ndim))
    overlap = (prob * target).sum(axes)
    size = (prob * prob).sum(axes) + (target * target).sum(axes) if squared else prob.sum(axes) + target.sum(axes)
    return (1.0 - (2.0 * overlap + eps) / (size + eps)).mean()


def recipe_dice(prob: Tensor, target: Tensor, *, plain: bool) -> Tensor:
    """The Dice loss of the LA recipes (plain, foreground, e = 1e-8) or of the ACDC ones (squared, all K, e = 1e-10).

    Shapes as in `dice_loss`. Source: the released code of SS-Net and MC-Net, in 3D and in 2D.
    """
    if plain:
        return dice_loss(prob, target, squared=False, eps=1e-8)
    return dice_loss(prob, target, background=True, eps=1e-10)


def confident_dice(prob: Tensor, target: Tensor, sure: Tensor, *, eps: float = 1e-5) -> Tensor:
    """Squared Dice loss over the voxels of a mask, mean over all K classes; 0 where the mask is empty.

    1 - (2 sum(m p y) + e) / (sum(m p^2) + sum(m y^2) + e); prob: [batch, K, *spatial]; target: integers
    [batch, *spatial]; sure: [batch, 1, *spatial] in {0, 1}. Source: UniMatch's medical code.
    """
    return dice_loss(prob.float() * sure, one_hot(target, prob.shape[1]) * sure, background=True, eps=eps)


def confident_cross_entropy(logits: Tensor, target: Tensor, sure: Tensor) -> Tensor:
    """Cross-entropy of the sure voxels, averaged over all of them, so that few sure ones weigh little.

    Shapes as in `confident_dice`. Source: Sohn et al., FixMatch (NeurIPS 2020), eq. 4.
    """
    return (sure[:, 0] * F.cross_entropy(logits.float(), target.long(), reduction="none")).mean()


def sharpen(prob: Tensor, temperature: float = 0.1) -> Tensor:
    """p^(1/T) / (p^(1/T) + (1 - p)^(1/T)) of every channel by itself: towards 0 or 1, 1/2 stays.

    prob: of any shape; with more than two classes the channels no longer sum to 1. Source: Wu et al., MC-Net (MICCAI
    2021), eq. 2, and its released code.
    """
    own, rest = prob.float() ** (1.0 / temperature), (1.0 - prob.float()) ** (1.0 / temperature)
    return own / (own + rest)


def rectified_consistency(prob: Tensor, mean: Tensor, eps: float = 1e-8) -> tuple[Tensor, Tensor]:
    """One scale's distance from the mean of all scales, trusted less where it is far; (the loss, the divergence map).

    mean(e (p_mean - p)^2) / (mean(e) + eps) + mean(D), with D = KL(p_mean || p) of each voxel, [batch, 1, *spatial],
    and e = exp(-D). prob, mean: [batch, K, *spatial], gradients to both.
    Source: Luo et al., URPC (MICCAI 2021), eq. 4 and 5.
    """
    prob, mean = prob.float().clamp_min(1e-12), mean.float().clamp_min(1e-12)  # the logarithm of 0 has no gradient
    divergence = (mean * (mean.log() - prob.log())).sum(1, keepdim=True)
    trust = torch.exp(-divergence)
    loss = ((mean - prob) ** 2 * trust).mean() / (trust.mean() + eps) + divergence.mean()
    return loss, divergence


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


def translation_kl(first: Tensor, second: Tensor, *, over: str = "classes") -> Tensor:
    """KL(second || first) = sum p_2 (log p_2 - log p_1), gradients to both: two views of the same voxels agree.

    first, second: logits [batch, K, *spatial] of one region seen in two crops. over: what the softmax runs over.
    "classes" (the paper): the sum over classes, mean over voxels. "space" (the released code): the softmax runs over
    the first spatial axis and the mean over ALL entries, so it compares, class by class, how the score is spread
    along that axis. A region without voxels gives 0.
    Source: Liu et al., TraCoCo (TMI), translation consistency loss, and its released code.
    """
    divergence = _divergence(first, second, over)
    voxels = divergence.numel() // divergence.shape[1]
    return divergence.sum() / max(1, voxels if over == "classes" else divergence.numel())


def translation_kl_map(first: Tensor, second: Tensor, *, over: str = "classes") -> Tensor:
    """What every voxel adds to `translation_kl`, whose value is the mean of this map: [batch, 1, *spatial].

    Over "classes" it is the divergence of the two answers at the voxel, 0 or more. Over "space" a voxel may add less
    than 0: only the sum along the axis is a divergence.
    """
    divergence = _divergence(first, second, over)
    return divergence.sum(1, keepdim=True) if over == "classes" else divergence.mean(1, keepdim=True)


def negative_entropy(logits: Tensor) -> Tensor:
    """Mean over voxels of sum_k p_k log p_k, from -ln K (knows nothing) to 0 (sure); 0 for a region without voxels.

    logits: [batch, K, *spatial]. As a loss term it keeps answers from collapsing to one class.
    Source: TraCoCo, regularisation in the translation consistency loss.
    """
    log_p = torch.log_softmax(logits.float(), dim=1)
    return (log_p.exp() * log_p).sum() / max(1, log_p.numel() // log_p.shape[1])


def negative_entropy_map(logits: Tensor) -> Tensor:
    """sum_k p_k log p_k of every voxel, whose mean is `negative_entropy`: [batch, 1, *spatial]."""
    log_p = torch.log_softmax(logits.float(), dim=1)
    return (log_p.exp() * log_p).sum(1, keepdim=True)


def confident_regions(prob: Tensor, *, positive: float = 0.65, negative: float = 0.1) -> tuple[Tensor, Tensor]:
    """Where a teacher is sure of its class [batch, 1, *spatial], and which classes it rules out [batch, K, *spatial].

    The class with the highest probability counts where that is >= positive. Every other class k counts as ruled out
    where p_k < negative. With two classes that is the released rule, the other class where the smallest probability
    is < negative; with more, one voxel often rules out several classes, and each of them is a fact as sure as the one
    of two classes, while "the least likely class" alone would leave most of them unused. Both are float32, 0 or 1.
    Source: TraCoCo, confident regional cross-entropy.
    """
    prob = prob.float()
    confidence, chosen = prob.max(dim=1, keepdim=True)
    others = torch.ones_like(prob).scatter(1, chosen, 0.0)
    return (confidence >= positive).float(), (prob < negative).float() * others


def confident_regional_cross_entropy(
    logits: Tensor, teacher: Tensor, *, positive: float = 0.65, negative: float = 0.1, bitwise: bool = False
) -> Tensor:
    """Learn the class that a teacher is sure of, and not the classes that it rules out; see `confident_regions`.

    mean over the sure voxels of -q_c log p_c, with c the teacher's class, plus the mean over the ruled-out pairs of
    voxel and class of -q_k log(1 - p_k). An empty region adds 0.
    logits: the student's, teacher: probabilities q that take no gradient, both [batch, K, *spatial].
    bitwise: the released ACDC code, for K > 2, where ~1 and ~0 of integers stand for "not": in every voxel whose
    smallest q is < negative all classes count with that q as weight, and the teacher's own class twice.
    Source: TraCoCo, confident regional cross-entropy, and its released code.
    """
    teacher = teacher.detach().float()
    sure, ruled_out = confident_regions(teacher, positive=positive, negative=negative)
    weight = teacher
    if bitwise:
        weight = teacher.amin(dim=1, keepdim=True) * (1.0 + one_hot(most_probable(teacher), teacher.shape[1]))
        ruled_out = (teacher.amin(dim=1, keepdim=True) < negative).float().expand_as(teacher)
    log_p = torch.log_softmax(logits.float(), dim=1)
    confidence, chosen = teacher.max(dim=1, keepdim=True)
    follow = -log_p.gather(1, chosen) * confidence
    # of softmax, as in the released code: where p is near 1, exp(log p) rounds 1 - p and its gradient elsewhere
    avoid = -torch.log((1.0 - probabilities(logits)).clamp(1e-6, 1.0)) * weight
    means = [(loss * where).sum() / where.sum().clamp_min(1.0) for loss, where in ((follow, sure), (avoid, ruled_out))]
    return means[0] + means[1]


PSEUDO_LOSSES = ("crc", "ce", "mse")


def pseudo_label_loss(kind: str, logits: Tensor, teacher: Tensor, **regions: Any) -> Tensor:
    """How one network learns from another's probabilities: "crc", or what TraCoCo's paper compares that with.

    "crc": `confident_regional_cross_entropy` with `regions`; "ce": cross-entropy to the teacher's class, "mse": squared
    difference of the probabilities, both on every voxel. Shapes as in `confident_regional_cross_entropy`.
    """
    if kind == "ce":
        return cross_entropy(logits, most_probable(teacher))
    if kind == "mse":
        return masked_mse(probabilities(logits), teacher)
    return confident_regional_cross_entropy(logits, teacher, **regions)


def region_dice_loss(prob: Tensor, target: Tensor, region: Tensor, *, eps: float = 1e-5) -> Tensor:
    """Plain Dice loss within a region, 1 - (2 sum(r p y) + e) / (sum(r (p + y)) + e), mean over samples and classes.

    prob: [batch, K, *spatial]; target: integers [batch, *spatial]; region: [batch, 1, *spatial] in {0, 1}. All K
    classes count, the background too; 0 where the region is empty. Source: the released code of BCP and CPAM for
    volumes (BCP's script for ACDC has the squared Dice, summed over the batch).
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


def _divergence(first: Tensor, second: Tensor, over: str) -> Tensor:
    """p_2 (log p_2 - log p_1) of every entry, with the softmax over the classes or over the first spatial axis."""
    log_p, log_q = (torch.log_softmax(one.float(), dim=1 if over == "classes" else 2) for one in (first, second))
    return log_q.exp() * (log_q - log_p)
