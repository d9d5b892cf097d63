"""UG-MCL: uncertainty-guided mutual consistency learning (Zhang et al., Artificial Intelligence in Medicine 2022).

Two tasks, two networks. One network answers twice, with a segmentation p and with a signed distance map s; the two
answers must agree (cross-task). Its averaged teacher answers too, and where the teacher is certain the student must
agree with it (intra-task). Equations are those of arXiv 2112.02508.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ssmis_core.batches import Batch
from ssmis_core.draws import Clock, Draws
from ssmis_core.errors import UserError, unknown
from ssmis_core.geometry import inverse_transform, signed_distance_per_class
from ssmis_core.losses import masked_mse, probabilities, soft_mask_dice, supervised_terms
from ssmis_core.methods.base import Card, Step
from ssmis_core.methods.mean_teacher import MeanTeacher
from ssmis_core.methods.options import UncertaintyOptions
from ssmis_core.networks import Output
from ssmis_core.perturbations import add_clipped_noise
from ssmis_core.views import Views

DISTANCE_LOSSES = ("regression", "mask_dice")


@dataclass(frozen=True, kw_only=True)
class UGMCLOptions(UncertaintyOptions):
    """distance, intra_task, cross_task, uncertainty: the parts that the paper ablates, on or off.

    beta: share of the segmentation in the intra-task term, the rest goes to the distance maps; steepness: k of the
    inverse transform; distance_loss: "regression" (to the signed distance) or "mask_dice" (Dice of the inverse
    transform, released code); distance_consistency: whether distance maps take part in the intra-task term;
    supervised_weight: factor on the supervised terms.
    """

    ramp: str = "exponential"
    distance: bool = True
    intra_task: bool = True
    cross_task: bool = True
    uncertainty: bool = True
    beta: float = 0.75
    steepness: float = 1500.0
    distance_loss: str = "regression"
    distance_consistency: bool = True
    supervised_weight: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.distance_loss not in DISTANCE_LOSSES:
            raise unknown("distance loss", self.distance_loss, DISTANCE_LOSSES)
        if self.cross_task and not self.distance:
            raise UserError(
                "option cross_task=True needs distance=True: it compares the segmentation with the distance map"
            )
        self._0_to_1("beta")
        self._above_0("steepness")
        self._not_negative("supervised_weight")


class UGMCL(MeanTeacher):
    """L = Dice + CE + distance MSE + lambda(t) (L_itc + L_ctc), the last two over the whole batch (eq. 7).

    The paper's network has a distance head of one channel a foreground class. The released 3D U-Net has none: there
    s = tanh(logits), K channels, and the segmentation is compared with it channel by channel.
    """

    card = Card("ugmcl", "UG-MCL", "Zhang et al., Uncertainty-guided mutual consistency learning, AIIM", 2022)
    Options = UGMCLOptions
    needs_unlabeled = False  # its consistency asks labeled samples too
    VARIANTS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "released": {
            "network": "unet3d",
            "dropout": 0.3,
            "distance_loss": "mask_dice",
            "distance_consistency": False,
            "beta": 0.5,
            "supervised_weight": 0.5,
            "schedule": "constant",
            "ramp": "sigmoid",
            "ramp_iterations": 30_000,
            "ramp_step": 150,
        },
    }

    def heads(self) -> dict[str, Any]:
        if not self.options.distance:
            return {}
        return (
            {"shared_distance": True}
            if self.options.network == "unet3d"
            else {"distance_channels": self.num_classes - 1}
        )

    def loss(self, batch: Batch, clock: Clock, draws: Draws, views: Views | None = None) -> Step:
        o, x = self.options, batch.image
        student: Output = self.student(x)
        p, s = probabilities(student.logits), student.distance
        if views is not None:
            views.keep("image", batch, image=x)
            views.keep("probability", batch, probability=p)
            if s is not None:
                views.keep("distance", batch, distance=s)

        supervised = self.supervised_terms(student, p, batch, views)
        consistency: dict[str, Tensor] = {}
        if o.intra_task:
            consistency["intra_task"] = self.intra_task(p, s, batch, clock, draws, views)
        if o.cross_task:
            assert s is not None
            consistency["cross_task"] = self.cross_task(p, s, batch, views)

        weight = o.consistency_weight(clock)
        total = o.supervised_weight * torch.stack(list(supervised.values())).sum()
        for term in consistency.values():
            total = total + weight * term
        return Step(total, {**supervised, **consistency, "consistency_weight": weight})

    def supervised_terms(self, student: Output, p: Tensor, batch: Batch, views: Views | None) -> dict[str, Tensor]:
        """CE, Dice and the distance task on the labeled half (eq. 1 and 3)."""
        n, label = batch.num_labeled, batch.label
        terms = supervised_terms(student.logits[:n], p[:n], label)
        if student.distance is None:
            return terms
        s = student.distance[:n, -(self.num_classes - 1) :]
        if self.options.distance_loss == "regression":
            target = signed_distance_per_class(label, self.num_classes)
            terms["distance"] = masked_mse(s, target)
            if views is not None:
                views.keep("distance", batch, distance_target=target)
        else:
            soft = inverse_transform(s, self.options.steepness)
            terms["distance"] = soft_mask_dice(soft, label, num_classes=self.num_classes)
        return terms

    def intra_task(
        self, p: Tensor, s: Tensor | None, batch: Batch, clock: Clock, draws: Draws, views: Views | None
    ) -> Tensor:
        """L_itc: student and teacher agree where the teacher is certain (eq. 4).

        beta * sum m (p - p_t)^2 / (K sum m) + (1 - beta) * sum m (s - s_t)^2 / sum m
        """
        o, x = self.options, batch.image
        mask = None
        if o.uncertainty:
            u, mask = o.certain_voxels(self.teacher, x, self.num_classes, clock, draws)
        with torch.no_grad():
            noise = draws.normal_like("teacher_noise", x)
            teacher: Output = self.teacher(add_clipped_noise(x, noise, scale=o.noise, clip=o.noise_clip))
            p_teacher = probabilities(teacher.logits)
        term = o.beta * masked_mse(p, p_teacher, mask)
        if s is not None and teacher.distance is not None and o.distance_consistency:
            term = term + (1.0 - o.beta) * masked_mse(s, teacher.distance, mask, mean_classes=False)
        if views is not None:
            views.keep("probability", batch, teacher_probability=p_teacher)
            if teacher.distance is not None:
                views.keep("distance", batch, teacher_distance=teacher.distance)
            if mask is not None:
                views.keep("uncertainty", batch, uncertainty=u)
                views.keep("mask", batch, certainty=mask)
        return term

    def cross_task(self, p: Tensor, s: Tensor, batch: Batch, views: Views | None) -> Tensor:
        """L_ctc = mean (p - sigmoid(-k s))^2: the two tasks agree on every voxel (eq. 5, 6; the paper has no mask)."""
        soft = inverse_transform(s, self.options.steepness)
        if views is not None:
            views.keep("probability", batch, inverse_transform=soft)
        return masked_mse(p[:, -s.shape[1] :], soft)
