"""TraCoCo: translation consistent co-training (Liu et al., IEEE Transactions on Medical Imaging).

A network that knows where in a scan a patch lies can guess from the surroundings. So each scan is cropped twice, and
on the voxels that both crops share the two answers must agree (translation consistency). Two networks learn side by
side, and each is the other's teacher on the voxels that the teacher is sure about (confident regional cross-entropy).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ssmis_core.batches import Batch, Sampling
from ssmis_core.draws import Clock, Draws
from ssmis_core.losses import (
    PSEUDO_LOSSES,
    confident_regions,
    dice_loss,
    most_probable,
    negative_entropy,
    negative_entropy_map,
    probabilities,
    pseudo_label_loss,
    supervised_terms,
    translation_kl,
    translation_kl_map,
)
from ssmis_core.methods.base import Card, Step
from ssmis_core.methods.co_training import CoTraining, CoTrainingOptions
from ssmis_core.perturbations import add_uniform_noise, draw_cutmix, held_still, paste
from ssmis_core.views import Views

CHOICES = {
    "pseudo_loss": PSEUDO_LOSSES,
    "cutmix": ("network_2", "both", "none"),
    "boxes": ("all_axes", "full_depth"),
    "kl_over": ("classes", "space"),
}


@dataclass(frozen=True, kw_only=True)
class TraCoCoOptions(CoTrainingOptions):
    """translation, pseudo_loss, cutmix: the parts that the paper ablates.

    pseudo_loss: how a network learns from the other's answer: "crc", plain "ce" to its class, or "mse"; cutmix: who
    sees pasted boxes: "network_2", "both" or "none"; kl_weight, entropy_weight: in the translation term; positive,
    negative: gamma and beta of the confident regions; kl_over: "classes", or "space" as the released code has it;
    clamp_logits: to [1e-6, 1] in the translation term (released); boxes: "all_axes", or "full_depth" (released);
    bitwise: see `confident_regional_cross_entropy`, for K > 2 alone (released); pseudo_dice: mean of the pseudo-label
    loss and Dice (the ACDC recipe); min_overlap: of the two crops, in voxels an axis; noise: half width of the uniform
    noise that students see; noise_clamp: keep noisy inputs in [0, 1] (the BraTS recipe).
    The ramp of 320 iterations is 40 epochs of LA with 16 labels. The paper's weight is 0.3 with the fewest labels.
    """

    learning_rate: float = 0.05
    schedule: str = "poly"
    augmentations: tuple[str, ...] = ("rot_flip", "min_max", "brightness")
    weight: float = 1.0
    ramp_iterations: int = 320
    translation: bool = True
    pseudo_loss: str = "crc"
    cutmix: str = "network_2"
    kl_weight: float = 0.3
    entropy_weight: float = 0.1
    positive: float = 0.65
    negative: float = 0.1
    kl_over: str = "classes"
    clamp_logits: bool = False
    boxes: str = "all_axes"
    bitwise: bool = False
    pseudo_dice: bool = False
    min_overlap: int = 16
    noise: float = 0.2
    noise_clamp: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in CHOICES.items():
            self._one_of(known, name)
        self._0_to_1("positive", "negative")
        self._1_or_more("min_overlap")
        self._not_negative("kl_weight", "entropy_weight", "noise")


class TraCoCo(CoTraining):
    """L = sum over both networks of (CE + Dice)/2 + w(t) (L_crc + L_tra).

    L_tra = kl_weight * KL(second || first) on the overlap, summed over the whole batch, + entropy_weight * mean
    negative entropy; L_crc on the unlabeled half. Terms are logged as sums over the two networks. A teaching pass sees
    the clean first crops in train mode and takes no gradient, so each network learns from its own terms alone.
    """

    card = Card("tracoco", "TraCoCo", "Liu et al., Translation consistent semi-supervised segmentation, TMI", 2024)
    Options = TraCoCoOptions
    VARIANTS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "released": {"kl_over": "space", "clamp_logits": True, "boxes": "full_depth", "bitwise": True},
    }

    @property
    def sampling(self) -> Sampling:
        """Two crops of each volume, that share at least `min_overlap` voxels an axis."""
        return replace(super().sampling, crops=2, min_overlap=self.options.min_overlap)

    def loss(self, batch: Batch, clock: Clock, draws: Draws, views: Views | None = None) -> Step:
        o = self.options
        if views is not None:
            views.keep("image", batch, image=batch.image)
            views.keep("image", batch, 1, second_image=batch.images(1))
        one = self.network_terms("1", self.network_1, self.network_2, batch, draws, views)
        two = self.network_terms("2", self.network_2, self.network_1, batch, draws, views)
        terms = {name: one[name] + two[name] for name in one}
        unlabeled = terms["co_training"]
        if o.translation:
            unlabeled = unlabeled + o.kl_weight * terms["translation_kl"] + o.entropy_weight * terms["negative_entropy"]
        weight = o.consistency_weight(clock)
        total = 0.5 * (terms["cross_entropy"] + terms["dice"]) + weight * unlabeled
        return Step(total, {**terms, "consistency_weight": weight})

    def network_terms(
        self, name: str, student: nn.Module, teacher: nn.Module, batch: Batch, draws: Draws, views: Views | None
    ) -> dict[str, Tensor]:
        """The terms of one network: supervised, translation consistency, and what the other network teaches it."""
        n, label = batch.num_labeled, batch.label
        logits = student(self.noisy(batch.image, f"first_noise_{name}", draws)).logits
        p = probabilities(logits)
        if views is not None:
            views.keep("probability", batch, **{"probability" if name == "1" else "probability_2": p})
        terms = supervised_terms(logits[:n], p[:n], label)
        if self.options.translation:
            second = student(self.noisy(batch.images(1), f"second_noise_{name}", draws)).logits
            if views is not None:
                views.keep("probability", batch, 1, **{f"second_probability_{name}": probabilities(second)})
            terms |= self.translation(name, logits, second, batch, views)
        terms["co_training"] = self.co_training(name, student, teacher, batch, draws, views)
        return terms

    def translation(
        self, name: str, first: Tensor, second: Tensor, batch: Batch, views: Views | None
    ) -> dict[str, Tensor]:
        """L_tra's two parts on the voxels that both crops share: KL summed over samples, mean negative entropy."""
        o = self.options
        divergences, entropies, shared = [], [], []
        for row, (here, there) in enumerate(batch.overlaps()):
            a, b = first[row : row + 1, :, *here], second[row : row + 1, :, *there]
            if o.clamp_logits:
                a, b = a.clamp(1e-6, 1.0), b.clamp(1e-6, 1.0)
            divergences.append(translation_kl(a, b, over=o.kl_over))
            entropies.append(0.5 * (negative_entropy(a) + negative_entropy(b)))
            shared.append((here, there, a.detach(), b.detach()))
        if views is not None:
            self.keep_overlap(name, shared, batch, views)
        return {"translation_kl": torch.stack(divergences).sum(), "negative_entropy": torch.stack(entropies).mean()}

    def keep_overlap(
        self, name: str, shared: list[tuple[Any, Any, Tensor, Tensor]], batch: Batch, views: Views
    ) -> None:
        """The shared voxels of both crops as views, and on the first crops what each of them adds to L_tra's parts."""
        maps = torch.zeros((4, len(shared), 1, *batch.image.shape[2:]), device=batch.image.device)
        for row, (here, there, a, b) in enumerate(shared):
            maps[0, row, 0][here] = maps[1, row, 0][there] = 1.0
            maps[2, row, 0][here] = translation_kl_map(a, b, over=self.options.kl_over)[0, 0]
            maps[3, row, 0][here] = -0.5 * (negative_entropy_map(a) + negative_entropy_map(b))[0, 0]
        views.keep("mask", batch, overlap=maps[0])
        views.keep("mask", batch, 1, second_overlap=maps[1])
        views.keep("uncertainty", batch, **{f"divergence_{name}": maps[2], f"overlap_entropy_{name}": maps[3]})

    def co_training(
        self, name: str, student: nn.Module, teacher: nn.Module, batch: Batch, draws: Draws, views: Views | None
    ) -> Tensor:
        """L_crc: the student learns from the teacher's answer to the clean patches, where the teacher is sure."""
        o, n, image = self.options, batch.num_labeled, batch.image
        with held_still():
            q = probabilities(teacher(image).logits)
        if o.cutmix in ("both", f"network_{name}"):
            source, box = draw_cutmix(f"cutmix_{name}", image, draws, axes=2 if o.boxes == "full_depth" else None)
            image, q = paste(image, source, box), paste(q, source, box)
            if views is not None:
                views.keep("image", batch, **{f"mixed_image_{name}": image})
                views.keep("mask", batch, **{f"cutmix_box_{name}": box.float()})
        if views is not None:
            sure, ruled_out = confident_regions(q, positive=o.positive, negative=o.negative)
            views.keep("probability", batch, **{f"teacher_probability_{name}": q})
            views.keep("mask", batch, **{f"confident_{name}": sure, f"ruled_out_{name}": ruled_out})
        logits = student(self.noisy(image, f"mixed_noise_{name}", draws)).logits[n:]
        regions = {"positive": o.positive, "negative": o.negative, "bitwise": o.bitwise and self.num_classes > 2}
        term = pseudo_label_loss(o.pseudo_loss, logits, q[n:], **regions)
        if not o.pseudo_dice:
            return term
        return 0.5 * (term + dice_loss(probabilities(logits), most_probable(q[n:]), background=True))

    def noisy(self, x: Tensor, name: str, draws: Draws) -> Tensor:
        """What a student sees: the image with uniform noise."""
        uniform = draws.uniform_like(name, x)
        return add_uniform_noise(x, uniform, scale=self.options.noise, clamp=self.options.noise_clamp)
