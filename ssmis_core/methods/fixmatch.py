"""FixMatch (Sohn et al., NeurIPS 2020), for segmentation: what a weak view says surely, a strong view has to say too.

The strong view changes contrast, brightness and sharpness, and shows a box of another unlabeled image. UniMatch does
the same with more streams, so it inherits from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from ssmis_core.batches import Batch, Sampling
from ssmis_core.draws import Clock, Draws
from ssmis_core.errors import UserError
from ssmis_core.losses import confident_cross_entropy, confident_dice, probabilities, supervised_terms
from ssmis_core.methods.base import Card, Method, Step
from ssmis_core.methods.options import Options
from ssmis_core.perturbations import evaluated, held_still
from ssmis_core.strong_views import draw_box, draw_strong_view
from ssmis_core.views import Views

PSEUDO_LOSSES = ("ce", "dice")


@dataclass(frozen=True, kw_only=True)
class FixMatchOptions(Options):
    """threshold: of the highest probability, from which a voxel teaches; pseudo_loss: "ce" or "dice"; strong_weight:
    of each strong view; cutmix: whether it shows a box of another unlabeled image.
    """

    schedule: str = "poly"
    threshold: float = 0.95
    pseudo_loss: str = "ce"
    strong_weight: float = 1.0
    cutmix: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._one_of(PSEUDO_LOSSES, "pseudo_loss")
        if not 0.0 <= self.threshold < 1.0:
            raise UserError(f"option threshold={self.threshold}: expected 0 to below 1")
        self._not_negative("strong_weight")


class Taught(NamedTuple):
    """An unlabeled image [B, C, *patch] with its pseudo-label [B, *patch] and where that is sure [B, 1, *patch]."""

    image: Tensor
    label: Tensor
    sure: Tensor


class FixMatch(Method):
    """L = (CE + Dice)/2 + mean(m CE(p_strong, argmax p_weak)), m = [max p_weak >= 0.95] (eq. 4), on unlabeled samples.

    A second unlabeled stream lends the boxes. Its pseudo-labels come from a pass in eval mode, those of the first
    from the weak view's own training pass; neither takes a gradient. Source: also the FixMatch of UniMatch's code.
    """

    card = Card("fixmatch", "FixMatch", "Sohn et al., FixMatch, NeurIPS", 2020)
    Options = FixMatchOptions
    needs_unlabeled = True
    VARIANTS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}}
    strong_views: ClassVar[int] = 1

    def __init__(self, options: FixMatchOptions, **shape: int):
        super().__init__(options, **shape)
        self.network = self.make_network()

    @property
    def sampling(self) -> Sampling:
        """A second unlabeled stream, to lend boxes."""
        return replace(super().sampling, unlabeled_streams=2 if self.options.cutmix else 1)

    def loss(self, batch: Batch, clock: Clock, draws: Draws, views: Views | None = None) -> Step:
        n = batch.num_labeled
        lender = self.lender(batch)  # before the training pass, whose dropout it does not have
        logits, further = self.weak_pass(batch.image, n)
        p = probabilities(logits)
        weak = self.taught(batch.image[n:], p[n:].detach())
        terms = supervised_terms(logits[:n], p[:n], batch.label)
        strong = [
            self.strong_view(f"strong_{i}", weak, lender, batch, draws, views) for i in range(1, self.strong_views + 1)
        ]
        answers = self.network(torch.cat([one.image for one in strong])).logits.chunk(len(strong))
        for i, (seen, answer) in enumerate(zip(strong, answers, strict=True), start=1):
            terms[f"strong_{i}"] = self.pseudo_label_loss(answer, seen)
        if views is not None:
            rows = range(n, len(batch.image))
            views.keep("image", batch, image=batch.image)
            views.keep("probability", batch, probability=p)
            views.keep("label", batch, 0, rows, pseudo_label=weak.label[:, None])
            views.keep("mask", batch, 0, rows, trusted=weak.sure)
        terms |= self.further_terms(further, weak)
        return Step(self.total(terms), {**terms, "sure": weak.sure.mean()})

    def weak_pass(self, image: Tensor, labeled: int) -> tuple[Tensor, Tensor | None]:
        """Logits of all samples; and whatever else a descendant's total asks of this pass."""
        return self.network(image).logits, None

    def further_terms(self, further: Tensor | None, weak: Taught) -> dict[str, Tensor]:
        """Terms of what `weak_pass` gave beside the logits; none here."""
        return {}

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """The weighted sum of the terms."""
        supervised = 0.5 * (terms["cross_entropy"] + terms["dice"])
        return supervised + self.options.strong_weight * terms["strong_1"]

    def taught(self, image: Tensor, p: Tensor) -> Taught:
        """An image with what its probabilities are taken for."""
        confidence, label = p.max(1)
        return Taught(image, label, (confidence >= self.options.threshold).float()[:, None])

    def lender(self, batch: Batch) -> Taught | None:
        """The second unlabeled stream with its pseudo-labels; None where no boxes are pasted."""
        if not self.options.cutmix:
            return None
        image = batch.streams[1].image[:, 0]
        with held_still():
            return self.taught(image, probabilities(evaluated(self.network, image).logits))

    def strong_view(
        self, name: str, weak: Taught, lender: Taught | None, batch: Batch, draws: Draws, views: Views | None
    ) -> Taught:
        """A strong view of the unlabeled images; in a box it shows, and is taught, a strong view of the lender's."""
        seen = weak._replace(image=draw_strong_view(name, weak.image, draws))
        if lender is not None:
            box = draw_box(f"{name}/box", weak.image, draws)
            lent = lender._replace(image=draw_strong_view(f"{name}/lender", lender.image, draws))
            seen = Taught(
                torch.where(box, lent.image, seen.image),
                torch.where(box[:, 0], lent.label, seen.label),
                torch.where(box, lent.sure, seen.sure),
            )
        if views is not None:
            rows = range(batch.num_labeled, len(batch.image))
            views.keep("image", batch, 0, rows, **{f"{name}_image": seen.image})
            views.keep("label", batch, 0, rows, **{f"{name}_label": seen.label[:, None]})
            views.keep("mask", batch, 0, rows, **{f"{name}_sure": seen.sure})
        return seen

    def pseudo_label_loss(self, logits: Tensor, seen: Taught) -> Tensor:
        """What an answer to a view costs, on its sure voxels."""
        if self.options.pseudo_loss == "ce":
            return confident_cross_entropy(logits, seen.label, seen.sure)
        return confident_dice(probabilities(logits), seen.label, seen.sure)

    def answering_network(self) -> nn.Module:
        return self.network
