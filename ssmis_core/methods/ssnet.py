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
from ssmis_core.draws import Clock, Draws
from ssmis_core.errors import UserError, unknown
from ssmis_core.losses import dice_loss, one_hot, probabilities
from ssmis_core.methods.base import Card, Method, RampedOptions, Step
from ssmis_core.perturbations import frozen_statistics, virtual_adversarial
from ssmis_core.prototypes import (
    WIDTH,
    PrototypeMemory,
    Selector,
    as_maps,
    as_rows,
    class_separation,
    embedding_head,
    evaluated,
    prototype_centres,
    prototype_distance,
    selector_scores,
)
from ssmis_core.views import Views

DICES = ("auto", "plain", "squared")
PROTOTYPE_ORDERS = ("highest", "lowest")


@dataclass(frozen=True, kw_only=True)
class SSNetOptions(RampedOptions):
    """smoothness, separation: the parts that the paper ablates, on or off.

    xi, epsilon: length of the trial and of the adversarial noise (LA 10, ACDC 6), over a whole sample; power_iterations
    to find its direction; dice: "plain" (the code's 3D), "squared" (its 2D) or "auto" by dimensions, for the
    segmentation and for the distance of two answers; separation_weight: of class separation beside smoothness;
    prototypes: which voxels enter the memory, those of "highest" or "lowest" score; prototypes_per_class;
    prototype_selectors: whether prototypes too are weighted by selectors; background: whether class 0 has prototypes.
    """

    weight: float = 1.0
    ramp_iterations: int = 6000
    smoothness: bool = True
    separation: bool = True
    xi: float = 10.0
    epsilon: float = 10.0
    power_iterations: int = 1
    dice: str = "auto"
    separation_weight: float = 0.1
    prototypes: str = "highest"
    prototypes_per_class: int = 32
    prototype_selectors: bool = True
    background: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (("dice", DICES), ("prototypes", PROTOTYPE_ORDERS)):
            if getattr(self, name) not in known:
                raise unknown(name, getattr(self, name), known)
        if self.xi <= 0:
            raise UserError(f"option xi={self.xi}: expected a number above 0")
        if self.power_iterations < 1:
            raise UserError(f"option power_iterations={self.power_iterations}: expected 1 or more")
        if self.prototypes_per_class < 2:
            raise UserError(f"option prototypes_per_class={self.prototypes_per_class}: expected 2 or more")
        self._not_negative("epsilon", "separation_weight")


class SSNet(Method):
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
        self.network = self.make_network()
        if options.separation:
            classes = self.num_classes if options.background else self.num_classes - 1
            self.projection, self.prediction = embedding_head(options.filters), embedding_head(WIDTH)
            self.selectors = nn.ModuleList(Selector() for _ in range(classes))
            self.memory = PrototypeMemory(classes, options.prototypes_per_class)
            if options.prototype_selectors:
                self.prototype_selectors = nn.ModuleList(Selector() for _ in range(classes))

    def loss(self, batch: Batch, clock: Clock, draws: Draws, views: Views | None = None) -> Step:
        o, x, n = self.options, batch.image, batch.num_labeled
        output = self.network(x)
        p = probabilities(output.logits)
        if views is not None:
            views.keep("image", batch, image=x)
            views.keep("probability", batch, probability=p)

        terms = {"dice": self.segmentation(p[:n], batch.label)}
        total, weight = terms["dice"], o.consistency_weight(clock)
        if o.smoothness:
            terms["smoothness"] = self.smoothness(batch, draws, views)
            total = total + weight * terms["smoothness"]
        if o.separation:
            # labels where there are some, the network's own answer elsewhere
            label = torch.cat([batch.label, p[n:].argmax(1)])
            with torch.autocast(x.device.type, enabled=False):
                separation = self.separation(output.features, p, label, batch, views)
            terms.update(separation)
            total = total + weight * o.separation_weight * sum(separation.values())
        return Step(total, {**terms, "consistency_weight": weight})

    @property
    def plain(self) -> bool:
        """Whether Dice is the plain form (the released 3D code) or the squared one (its 2D code)."""
        return self.options.dice == "plain" or (self.options.dice == "auto" and self.dims == 3)

    def segmentation(self, p: Tensor, label: Tensor) -> Tensor:
        """L_seg: Dice alone; plain over the foreground, or squared over all classes."""
        if self.plain:
            return dice_loss(p, label, squared=False, eps=1e-8)
        return dice_loss(p, label, background=True, eps=1e-10)

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """D of two answers: plain Dice of all channels at once, or squared Dice a class."""
        if self.plain:
            return dice_loss(a, b, squared=False, background=True, per_class=False, eps=1e-8)
        return dice_loss(a, b, background=True, eps=1e-10)

    def smoothness(self, batch: Batch, draws: Draws, views: Views | None) -> Tensor:
        """L_lds = D(p(x + eps d), p(x)) with the adversarial direction d."""
        o, x = self.options, batch.image
        start = draws.uniform_like("adversarial_start", x)
        found = virtual_adversarial(
            self.network, x, start, distance=self.distance, xi=o.xi, epsilon=o.epsilon, iterations=o.power_iterations
        )
        if views is not None:
            views.keep("noise", batch, adversarial_noise=found.noise)
            views.keep("probability", batch, clean_probability=found.clean, perturbed_probability=found.perturbed)
        return found.distance

    def separation(
        self, features: Tensor, p: Tensor, label: Tensor, batch: Batch, views: Views | None
    ) -> dict[str, Tensor]:
        """L_cs of the labeled half and of the unlabeled one; before, the memory takes in what is predicted right."""
        memory, n = self.memory, batch.num_labeled
        member = one_hot(label, self.num_classes)[:, 0 if self.options.background else 1 :]
        right = (p[:n].argmax(1) == label[:n])[:, None]
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

    def answering_network(self) -> nn.Module:
        return self.network
