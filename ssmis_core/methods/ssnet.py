"""SS-Net: exploring smoothness and class separation (Wu et al., MICCAI 2022).

Smoothness: the answer must not move under the small noise that would move it most. Separation: the features of a
class gather round a few prototypes, taken from labeled voxels that are predicted right. One network, no teacher.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssmis_core.batches import Batch
from ssmis_core.errors import UserError
from ssmis_core.losses import most_probable, one_hot
from ssmis_core.methods.base import Card
from ssmis_core.methods.vat import VAT, VATOptions
from ssmis_core.networks import Output
from ssmis_core.perturbations import evaluated, frozen_statistics
from ssmis_core.prototypes import (
    WIDTH,
    PrototypeMemory,
    Selector,
    as_maps,
    as_rows,
    class_separation,
    embedding_head,
    prototype_centres,
    prototype_distance,
    selector_scores,
)
from ssmis_core.views import Views

PROTOTYPE_ORDERS = ("highest", "lowest")


@dataclass(frozen=True, kw_only=True)
class SSNetOptions(VATOptions):
    """smoothness, separation: the parts that the paper ablates, on or off.

    separation_weight: of class separation beside smoothness; prototypes: which voxels enter the memory, those of
    "highest" or "lowest" score; prototypes_per_class; prototype_selectors: whether prototypes too are weighted by
    selectors; background: whether class 0 has prototypes. Of the adversarial noise: see `VATOptions`.
    """

    separation: bool = True
    separation_weight: float = 0.1
    prototypes: str = "highest"
    prototypes_per_class: int = 32
    prototype_selectors: bool = True
    background: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._one_of(PROTOTYPE_ORDERS, "prototypes")
        if self.prototypes_per_class < 2:
            raise UserError(f"option prototypes_per_class={self.prototypes_per_class}: expected 2 or more")
        self._not_negative("separation_weight")


class SSNet(VAT):
    """L = Dice + w(t) (L_lds + 0.1 (L_cs labeled + L_cs unlabeled)), L_lds over the whole batch.

    K > 2: the released 3D code is binary, its 2D code is not. The plain Dice is then the mean over the foreground
    classes, as one class's Dice is in the code; the plain distance sums over all channels and needs no rule; class
    separation is a mean over K as released.
    """

    card = Card("ssnet", "SS-Net", "Wu et al., Exploring smoothness and class-separation, MICCAI", 2022)
    Options = SSNetOptions
    VARIANTS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "released": {"prototypes": "lowest", "prototype_selectors": False, "ramp_step": 150},
    }

    def __init__(self, options: SSNetOptions, **shape: int):
        super().__init__(options, **shape)
        if options.separation:
            classes = self.num_classes if options.background else self.num_classes - 1
            self.projection, self.prediction = embedding_head(options.filters), embedding_head(WIDTH)
            self.selectors = nn.ModuleList(Selector() for _ in range(classes))
            self.memory = PrototypeMemory(classes, options.prototypes_per_class)
            if options.prototype_selectors:
                self.prototype_selectors = nn.ModuleList(Selector() for _ in range(classes))

    def further_terms(
        self, output: Output, p: Tensor, batch: Batch, views: Views | None
    ) -> tuple[dict[str, Tensor], float]:
        """L_cs of both halves, and its weight beside smoothness."""
        if not self.options.separation:
            return {}, 0.0
        # labels where there are some, the network's own answer elsewhere
        label = torch.cat([batch.label, most_probable(p[batch.num_labeled :])])
        with torch.autocast(p.device.type, enabled=False):
            return self.separation(output.features, p, label, batch, views), self.options.separation_weight

    def separation(
        self, features: Tensor, p: Tensor, label: Tensor, batch: Batch, views: Views | None
    ) -> dict[str, Tensor]:
        """L_cs of the labeled half and of the unlabeled one; before, the memory takes in what is predicted right."""
        memory, n = self.memory, batch.num_labeled
        member = one_hot(label, self.num_classes)[:, 0 if self.options.background else 1 :]
        right = (most_probable(p[:n]) == label[:n])[:, None]
        entered, rank = self.remember(as_rows(features[:n]), as_rows(member[:n] * right))
        scores = None
        if self.options.prototype_selectors:
            scores = selector_scores(self.prototype_selectors, F.normalize(memory.prototypes, dim=2), memory.filled.T).T
        centres = prototype_centres(memory.prototypes, memory.filled, scores)
        if views is not None:
            views.keep("label", batch, separation_label=label[:, None])
            views.keep("mask", batch, entered_memory=as_maps(entered[:, None], features[:n]))
            views.keep("features", batch, prototype_score=as_maps(rank, features[:n]))
            views.keep("features", None, prototypes=memory.prototypes.clone(), prototype_centres=centres)

        terms, distances, weights, vectors = {}, [], [], []
        for name, half in (("separation_labeled", slice(n)), ("separation_unlabeled", slice(n, None))):
            own = as_rows(member[half])
            if len(own):
                embedded = self.prediction(self.projection(as_rows(features[half])))
                score = selector_scores(self.selectors, embedded, own)
                parts = class_separation(embedded, own, score, centres, memory.count)
                terms[name] = parts.sum() / self.num_classes  # a background without prototypes adds 0
                if views is not None:
                    distances.append(prototype_distance(embedded, centres))
                    weights.append(score)
                    vectors += [embedded] if views.large else []
        if views is not None:
            views.keep("distance", batch, prototype_distance=as_maps(torch.cat(distances), features))
            views.keep("features", batch, selector_score=as_maps(torch.cat(weights), features))
            if views.large:
                views.keep("features", batch, embedded=as_maps(torch.cat(vectors), features))
        return terms

    @torch.no_grad()
    def remember(self, features: Tensor, member: Tensor) -> tuple[Tensor, Tensor]:
        """The memory takes projections, made in eval mode, of voxels in `member` [N, K]; those that entered, scores.

        They are ranked by the selectors that weigh predicted features in the loss, as in the paper and its code.
        """
        projected = evaluated(self.projection, features)
        with frozen_statistics(self.selectors):
            scores = selector_scores(self.selectors, projected, member)
        entered = self.memory.update(projected, member, scores, highest=self.options.prototypes == "highest")
        return entered, scores
