"""VAT: virtual adversarial training (Miyato et al., TPAMI 2019), as this field uses it.

The answer must not move under the small noise that would move it most. No label is needed for that, and no second
network. SS-Net's smoothness term is this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from ssmis_core.batches import Batch
from ssmis_core.draws import Clock, Draws
from ssmis_core.losses import dice_loss, probabilities, recipe_dice
from ssmis_core.methods.base import Card, Method, Step
from ssmis_core.methods.options import DiceOptions
from ssmis_core.networks import Output
from ssmis_core.perturbations import virtual_adversarial
from ssmis_core.views import Views


@dataclass(frozen=True, kw_only=True)
class VATOptions(DiceOptions):
    """smoothness: on or off, an ablation's switch.

    xi, epsilon: length of the trial and of the adversarial noise (LA 10, ACDC 6), over a whole sample; power_iterations
    to find its direction; dice: for the segmentation and for the distance of two answers.
    """

    weight: float = 1.0
    ramp_iterations: int = 6000
    smoothness: bool = True
    xi: float = 10.0
    epsilon: float = 10.0
    power_iterations: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self._above_0("xi")
        self._1_or_more("power_iterations")
        self._not_negative("epsilon")


class VAT(Method):
    """L = Dice + w(t) L_lds, L_lds = D(p(x + eps d), p(x)) over the whole batch, d the adversarial direction.

    D is a Dice distance, as in SS-Net's code, whose schedule of w is the variant "released"; Miyato et al. have the
    divergence KL. K > 2: see SS-Net.
    """

    card = Card("vat", "VAT", "Miyato et al., Virtual adversarial training, TPAMI", 2019)
    Options = VATOptions
    VARIANTS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "released": {"ramp_step": 150}}

    def __init__(self, options: VATOptions, **shape: int):
        super().__init__(options, **shape)
        self.network = self.make_network()

    def loss(self, batch: Batch, clock: Clock, draws: Draws, views: Views | None = None) -> Step:
        o, x, n = self.options, batch.image, batch.num_labeled
        output = self.network(x)
        p = probabilities(output.logits)
        if views is not None:
            views.keep("image", batch, image=x)
            views.keep("probability", batch, probability=p)

        terms = {"dice": recipe_dice(p[:n], batch.label, plain=self.plain)}
        total, weight = terms["dice"], o.consistency_weight(clock)
        if o.smoothness:
            terms["smoothness"] = self.smoothness(batch, draws, views)
            total = total + weight * terms["smoothness"]
        further, factor = self.further_terms(output, p, batch, views)
        if further:
            terms.update(further)
            total = total + weight * factor * sum(further.values())
        return Step(total, {**terms, "consistency_weight": weight})

    def further_terms(
        self, output: Output, p: Tensor, batch: Batch, views: Views | None
    ) -> tuple[dict[str, Tensor], float]:
        """Ramped terms beside smoothness, and the weight that they have in common."""
        return {}, 0.0

    @property
    def plain(self) -> bool:
        """Whether Dice is the plain form (the released 3D code) or the squared one (its 2D code)."""
        return self.options.plain_dice(self.dims)

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """D of two answers: plain Dice of all channels at once, or squared Dice a class."""
        if self.plain:
            return dice_loss(a, b, squared=False, background=True, per_class=False, eps=1e-8)
        return recipe_dice(a, b, plain=False)

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

    def answering_network(self) -> nn.Module:
        return self.network
