"""Mean Teacher (Tarvainen & Valpola, NeurIPS 2017): the student agrees with its own running average."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ssmis_core.batches import Batch
from ssmis_core.draws import Clock, Draws
from ssmis_core.losses import masked_mse, probabilities, supervised_terms
from ssmis_core.methods.base import Card, Method, Step
from ssmis_core.methods.options import ConsistencyOptions
from ssmis_core.perturbations import add_clipped_noise
from ssmis_core.teachers import make_teacher, teacher_decay, update_teacher
from ssmis_core.views import Views


class MeanTeacher(Method):
    """L = (CE + Dice)/2 + w(t) MSE(student(x), teacher(x + noise)) on the unlabeled half.

    The teacher takes no gradient and stays in train mode (dropout on, batch statistics), as in the released code of
    UA-MT, whose schedule of w is the variant "released".
    """

    card = Card(
        "mean_teacher", "Mean Teacher", "Tarvainen & Valpola, Mean teachers are better role models, NeurIPS", 2017
    )
    Options = ConsistencyOptions
    needs_unlabeled = True
    VARIANTS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "released": {"ramp_step": 150}}

    def __init__(self, options: ConsistencyOptions, **shape: int):
        super().__init__(options, **shape)
        self.student = self.make_network(**self.heads())
        self.teacher = make_teacher(self.student)

    def heads(self) -> dict[str, Any]:
        """Settings of both networks beside those that every network has."""
        return {}

    def loss(self, batch: Batch, clock: Clock, draws: Draws, views: Views | None = None) -> Step:
        o, x, n = self.options, batch.image, batch.num_labeled
        logits = self.student(x).logits
        p = probabilities(logits)
        certain = self.certain(batch, clock, draws, views)
        noisy = add_clipped_noise(x[n:], draws.normal_like("teacher_noise", x[n:]), scale=o.noise, clip=o.noise_clip)
        with torch.no_grad():
            p_teacher = probabilities(self.teacher(noisy).logits)

        terms = supervised_terms(logits[:n], p[:n], batch.label)
        terms["consistency"] = masked_mse(p[n:], p_teacher, certain)
        weight = o.consistency_weight(clock)
        total = 0.5 * (terms["cross_entropy"] + terms["dice"]) + weight * terms["consistency"]
        if views is not None:
            views.keep("image", batch, image=x)
            views.keep("probability", batch, probability=p)
            views.keep("probability", batch, 0, range(n, len(x)), teacher_probability=p_teacher)
        return Step(total, {**terms, "consistency_weight": weight})

    def certain(self, batch: Batch, clock: Clock, draws: Draws, views: Views | None) -> Tensor | None:
        """Where the teacher counts, [unlabeled, 1, *patch]; None: everywhere."""
        return None

    def after_step(self, clock: Clock) -> None:
        update_teacher(self.teacher, self.student, teacher_decay(clock.t, self.options.ema_decay))

    def answering_network(self) -> nn.Module:
        return self.student if self.options.answer == "student" else self.teacher
