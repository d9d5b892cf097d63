"""CPS: cross pseudo supervision (Chen et al., CVPR 2021): two networks, each learns what the other would say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ssmis_core.batches import Batch
from ssmis_core.draws import Clock, Draws
from ssmis_core.losses import cross_entropy, most_probable, probabilities, supervised_terms
from ssmis_core.methods.base import Card, Step
from ssmis_core.methods.co_training import CoTraining, CoTrainingOptions
from ssmis_core.views import Views


@dataclass(frozen=True, kw_only=True)
class CPSOptions(CoTrainingOptions):
    """whole_batch: networks teach each other on labeled samples too, as the paper has it."""

    schedule: str = "poly"
    whole_batch: bool = True


class CPS(CoTraining):
    """L = sum over both networks of (CE + Dice)/2 + w(t) CE(p_i, argmax p_j), i != j; pseudo-labels take no gradient.

    "released" is this field's code (SSL4MIS), where networks teach each other on the unlabeled half alone.
    """

    card = Card("cps", "CPS", "Chen et al., Cross pseudo supervision, CVPR", 2021)
    Options = CPSOptions
    VARIANTS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "released": {"whole_batch": False, "ramp_step": 150},
    }

    def loss(self, batch: Batch, clock: Clock, draws: Draws, views: Views | None = None) -> Step:
        o, x, n = self.options, batch.image, batch.num_labeled
        first = 0 if o.whole_batch else n
        logits = [network(x).logits for network in (self.network_1, self.network_2)]
        p = [probabilities(one) for one in logits]
        pseudo = [most_probable(one) for one in p]
        labeled = [supervised_terms(z[:n], q[:n], batch.label) for z, q in zip(logits, p, strict=True)]
        terms = {name: labeled[0][name] + labeled[1][name] for name in labeled[0]}
        taught = (cross_entropy(logits[i][first:], pseudo[1 - i][first:]) for i in (0, 1))
        terms["co_training"] = next(taught) + next(taught)
        if views is not None:
            views.keep("image", batch, image=x)
            views.keep("probability", batch, probability=p[0], probability_2=p[1])
            views.keep("label", batch, pseudo_label_1=pseudo[1][:, None], pseudo_label_2=pseudo[0][:, None])
        weight = o.consistency_weight(clock)
        total = 0.5 * (terms["cross_entropy"] + terms["dice"]) + weight * terms["co_training"]
        return Step(total, {**terms, "consistency_weight": weight})
