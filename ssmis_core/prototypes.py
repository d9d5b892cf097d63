"""Class separation: voxel features drawn to the prototypes of their class.

A memory holds a few feature vectors a class, its prototypes, taken from labeled voxels that the network gets right.
Selectors, small networks that are learned along, say how much each voxel counts and which voxels make good prototypes.
Source: Wu et al., SS-Net (MICCAI 2022), the class-separation term; Alonso et al. (ICCV 2021), sections 3.3 and 3.4.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 32  # of projected features


def embedding_head(channels: int, width: int = WIDTH) -> nn.Sequential:
    """Linear, BatchNorm, ReLU, Linear: [N, channels] to [N, width]. SS-Net's projection and its prediction."""
    return nn.Sequential(
        nn.Linear(channels, width), nn.BatchNorm1d(width), nn.ReLU(inplace=True), nn.Linear(width, width)
    )


def as_rows(maps: Tensor) -> Tensor:
    """[batch, C, *spatial] to one row a voxel, [batch * voxels, C], float32."""
    return maps.float().movedim(1, -1).reshape(-1, maps.shape[1])


def as_maps(rows: Tensor, like: Tensor) -> Tensor:
    """Rows [batch * voxels, C] back to maps [batch, C, *spatial]; like: [batch, any, *spatial]."""
    return rows.reshape(like.shape[0], *like.shape[2:], -1).movedim(-1, 1)


class MaskedBatchNorm(nn.BatchNorm1d):
    """BatchNorm of a linear map's result over the rows of a mask: all rows, by the numbers of those in the mask.

    Shapes do not depend on how many rows the mask has. Mean and variance of W x + b follow from mean and covariance
    of x, so map and normalisation are one linear map, and the result is never made before it is normalised.
    Without any row in the mask, running statistics stay.
    """

    def after(self, linear: nn.Linear, x: Tensor, mask: Tensor) -> Tensor:
        """The normalised linear(x). x: [N, C]; mask: [N] of 0 and 1. Returns [N, outputs of the linear map]."""
        if not self.training:
            return self(linear(x))
        rows = mask.to(x.dtype)
        n = rows.sum()
        centre = rows @ x / n.clamp(min=1)
        centred = x - centre
        covariance = (rows[:, None] * centred).T @ centred / n.clamp(min=1)
        mean = linear(centre)
        variance = (linear.weight @ covariance * linear.weight).sum(1).clamp(min=0)  # rounding may leave it below
        if self.track_running_stats:
            assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
            with torch.no_grad():
                share = self.momentum * (n > 1).to(n.dtype)
                self.running_mean.lerp_(mean, share)
                self.running_var.lerp_(variance * n / (n - 1).clamp(min=1), share)
                self.num_batches_tracked.add_(n > 1)  # type: ignore[union-attr]
        scale = self.weight * torch.rsqrt(variance + self.eps)
        # b cancels; its gradient of 0 is for the weight decay, which reaches only what has one
        return F.linear(centred, scale[:, None] * linear.weight, self.bias + 0.0 * linear.bias)


class Selector(nn.Sequential):
    """How much a voxel of one class counts, in (0, 1): sigmoid(Linear, BatchNorm, LeakyReLU 0.2, Linear)."""

    def __init__(self, width: int = WIDTH):
        layers = (nn.Linear(width, width), MaskedBatchNorm(width), nn.LeakyReLU(0.2, inplace=True), nn.Linear(width, 1))
        super().__init__(*layers)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]
        """features: [N, width]; mask: [N], the rows of this class, over which it normalises. Returns [N]."""
        first, norm, activation, last = self
        assert isinstance(first, nn.Linear) and isinstance(norm, MaskedBatchNorm)
        return torch.sigmoid(last(activation(norm.after(first, features, mask)))[:, 0])


def selector_scores(selectors: Iterable[nn.Module], features: Tensor, member: Tensor) -> Tensor:
    """The score of the rows of each class by its selector, 0 for all other rows, [N, K]; features take no gradient.

    features: [N, width], or [K, N, width] with rows of its own for each class; member: [N, K], the rows of each class.
    """
    features = features.detach()
    each = features if features.ndim == 3 else features.expand(member.shape[1], -1, -1)
    scores = [scores_of_class(selector, each[k], member[:, k]) for k, selector in enumerate(selectors)]
    return torch.stack(scores, dim=1)


def scores_of_class(selector: nn.Module, features: Tensor, inside: Tensor) -> Tensor:
    """One selector's score of the rows of its class, 0 for all others: [N, width] and [N] of 0 and 1 to [N].

    Most voxels are background, so a CPU computes the rows of the class alone. A GPU computes all: how many there are
    would have to be waited for.
    """
    if features.device.type != "cpu":
        return selector(features, inside) * inside
    rows = inside.nonzero()[:, 0]
    return features.new_zeros(len(features)).index_copy(0, rows, selector(features[rows], inside[rows]))


class PrototypeMemory(nn.Module):
    """Up to `size` feature vectors a class: prototypes [K, size, width], of which the first count [K] are filled."""

    prototypes: Tensor
    count: Tensor

    def __init__(self, num_classes: int, size: int, width: int = WIDTH):
        super().__init__()
        self.register_buffer("prototypes", torch.zeros(num_classes, size, width))
        self.register_buffer("count", torch.zeros(num_classes, dtype=torch.int64))

    @property
    def filled(self) -> Tensor:
        """[K, size]: 1.0 where there is a prototype."""
        size = self.prototypes.shape[1]
        return (torch.arange(size, device=self.count.device) < self.count[:, None]).float()

    @torch.no_grad()
    def update(self, features: Tensor, member: Tensor, scores: Tensor, *, highest: bool = True) -> Tensor:
        """Overwrite each class that has voxels with those of highest (or lowest) score; keep the others as they are.

        A class with no more voxels than places keeps them all, in their own order, as the released code does.
        features: [N, width]; member: [N, K], 1 where a voxel may stand for a class; scores: [N, K].
        Returns [N], 1.0 for the voxels that entered.
        """
        size = self.prototypes.shape[1]
        first = -torch.arange(len(features), device=features.device, dtype=scores.dtype)[:, None]
        rank = torch.where(member.sum(0) <= size, first, scores if highest else -scores)
        best = rank.masked_fill(member == 0, -torch.inf).T.topk(min(size, len(features)), dim=1)
        found = best.values > -torch.inf
        fresh = torch.zeros_like(self.prototypes)
        fresh[:, : found.shape[1]] = features[best.indices] * found[..., None]
        seen = found.any(1)
        self.prototypes.copy_(torch.where(seen[:, None, None], fresh, self.prototypes))
        self.count.copy_(torch.where(seen, found.sum(1), self.count))
        entered = torch.zeros(len(features), device=features.device)
        return entered.scatter_reduce_(0, best.indices.flatten(), found.flatten().float(), "amax")


def class_weights(scores: Tensor, member: Tensor) -> Tensor:
    """Scores of a class's rows, divided by their sum: s m / sum(s m), [N, K]; a column without a row is 0."""
    inside = scores * member
    return inside / inside.sum(0).clamp(min=1e-12)


def prototype_centres(prototypes: Tensor, filled: Tensor, scores: Tensor | None = None) -> Tensor:
    """The weighted mean of each class's prototypes, each of length 1: [K, size, width] to [K, width].

    filled: [K, size], 1 for a prototype that is there; scores: [K, size] of selectors, None for equal ones.
    The mean over prototypes of v (1 - cos(f, m)) is 1 - f.c with this centre c and f of length 1.
    """
    weights = class_weights((filled if scores is None else scores).T, filled.T).T
    return torch.einsum("ks,ksd->kd", weights, F.normalize(prototypes, dim=2))


def prototype_distance(features: Tensor, centres: Tensor) -> Tensor:
    """Each voxel's mean cosine distance to each class's prototypes, 1 - f.c / |f|: [N, width] to [N, K], in [0, 2]."""
    return 1.0 - F.normalize(features, dim=1) @ centres.T


def class_separation(features: Tensor, member: Tensor, scores: Tensor, centres: Tensor, count: Tensor) -> Tensor:
    """A class's mean over its voxels i and prototypes j of w_i v_j (1 - cos(f_i, m_j)): [K]; L_cs is their mean.

    w, v: selector scores rescaled to mean 1 in a class. As the distance is linear in m_j, and in f_i of length 1, the
    mean over all pairs is 1 - (weighted mean of f).(weighted mean of m): no matrix of pairs is made.
    features: [N, width]; member: [N, K], the class of each voxel; scores: [N, K]; centres: [K, width], by
    `prototype_centres`; count: prototypes a class. A class with fewer than 2 voxels or prototypes has 0.
    Source: SS-Net, the class-separation term; the released code's rule for small classes.
    """
    length = torch.linalg.vector_norm(features, dim=1, keepdim=True).clamp(min=1e-12)
    own = (class_weights(scores, member) / length).T @ features
    distance = 1.0 - (own * centres).sum(1)
    counts = (member.sum(0) >= 2) & (count >= 2)
    return torch.where(counts, distance, 0.0)
