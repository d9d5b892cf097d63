"""How far apart classes lie in feature space, by the cosine distance of their voxels' feature vectors.

1 - cos(f, g) is linear in f and in g once both have length 1, so means over all pairs of voxels come from the sums of
each class's vectors: no matrix of pairs is made, and every number is that of all pairs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ssmis_core.errors import UserError


def class_distances(features: Tensor, label: Tensor, num_classes: int) -> Tensor:
    """Mean cosine distance of two voxels, one of class a, one of class b: [K, K], in [0, 2].

    On the diagonal it is that of two different voxels of one class. NaN where there is no such pair.
    features: [N, width]; label: [N], whole values 0 to K - 1. Raises UserError for other shapes.
    """
    one = _Sums(features, label, num_classes)
    own = torch.stack([one.itself[inside].sum() for inside in one.inside])
    product, pairs = one.total @ one.total.T - own.diag(), one.count[:, None] * one.count - one.count.diag()
    return torch.where(pairs > 0, 1.0 - product / pairs.clamp(min=1), torch.nan).float()


def separation_ratio(distances: Tensor) -> float:
    """Mean distance between classes over mean distance within them, of `class_distances`; above 1 they are apart.

    Classes that are not there do not count; NaN where fewer than two are, or where all vectors of a class are one.
    """
    within, across = distances.diagonal(), ~torch.eye(len(distances), dtype=torch.bool)
    ratio = distances[across].nanmean() / within.nanmean()
    return float(ratio) if bool(ratio.isfinite()) else float("nan")


def silhouette(features: Tensor, label: Tensor, num_classes: int) -> Tensor:
    """How much nearer each voxel is to its own class than to the next one, [N] in [-1, 1], by cosine distance.

    (b - a) / max(a, b) with a the mean distance to the other voxels of its class and b the least mean distance to those
    of another class; 0 for the only voxel of a class, NaN where there is no other class.
    Source: Rousseeuw, Silhouettes, J. Comput. Appl. Math. 20 (1987). features, label: as for `class_distances`.
    """
    one = _Sums(features, label, num_classes)
    member = torch.stack(one.inside, dim=1)
    others = torch.where(member, one.count - 1, one.count)
    product = one.unit @ one.total.T
    mean = 1.0 - (product - one.itself[:, None] * member) / others.clamp(min=1)
    own = (mean * member).sum(1)
    away = mean.masked_fill(member | (one.count == 0), torch.inf).amin(1)
    score = (away - own) / torch.maximum(away, own).clamp(min=1e-12)
    score = torch.where((member * one.count).sum(1) > 1, score, 0.0)
    return torch.where(away < torch.inf, score, torch.nan).float()


def feature_axes(features: Tensor, towards: Tensor | None = None) -> Tensor:
    """Two axes at right angles and of length 1 to look at vectors along, [2, width].

    The first points towards a vector [width], the second is along the largest spread across it; without a vector (or
    with one of length 0) they are the two directions of largest spread. features: [N, width].
    """
    rows = features.double()
    rows = rows - rows.mean(0)
    first = torch.zeros(rows.shape[1], dtype=rows.dtype) if towards is None else towards.double()
    given = bool(first.norm() > 0)
    first = F.normalize(first, dim=0)
    rows = rows - (rows @ first)[:, None] * first
    principal = torch.linalg.eigh(rows.T @ rows)[1].flip(1).T  # largest spread first
    if given:  # where nothing spreads across it, any direction at right angles will do
        across = principal - (principal @ first)[:, None] * first
        principal = F.normalize(across[across.norm(dim=1) > 0.5], dim=1)
    principal = principal[:2] * principal[:2].gather(1, principal[:2].abs().argmax(1, keepdim=True)).sign()
    return (torch.stack([first, principal[0]]) if given else principal).float()


def spread_shown(features: Tensor, axes: Tensor) -> float:
    """The share of the variance of vectors [N, width] that lies along axes [2, width]; NaN where they are all one."""
    rows = features.double()
    rows = rows - rows.mean(0)
    whole = (rows**2).sum()
    return float(((rows @ axes.double().T) ** 2).sum() / whole) if whole > 0 else float("nan")


class _Sums:
    """Vectors of length 1 [N, width], their own products [N]; each class's voxels, how many, and their sum [K, width].

    In float64: sums over a million voxels stay exact, and so do the small distances of features that nearly agree.
    """

    def __init__(self, features: Tensor, label: Tensor, num_classes: int):
        if features.ndim != 2 or label.shape != features.shape[:1]:
            found = f"{tuple(features.shape)} and {tuple(label.shape)}"
            raise UserError(f"separation: features and label have shapes {found}, expected [N, width] and [N]")
        if len(label) and not 0 <= int(label.min()) <= int(label.max()) < num_classes:
            raise UserError(f"separation: label goes to {int(label.max())}, expected 0 to {num_classes - 1}")
        self.unit = F.normalize(features.contiguous().double(), dim=1)  # row after row: several times as fast to sum
        self.itself = (self.unit**2).sum(1)
        self.inside = [label == k for k in range(num_classes)]
        self.count = torch.stack([inside.sum() for inside in self.inside]).double()
        self.total = torch.stack([self.unit[inside].sum(0) for inside in self.inside])
