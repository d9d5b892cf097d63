"""BCP: bidirectional copy-paste (Bai et al., CVPR 2023).

A box of an unlabeled scan in a labeled one, and a box of a labeled scan in an unlabeled one: the student sees both at
once, and learns each side from the label or from the teacher's pseudo-label. CPAM adds further mixes to these two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ssmis_core.batches import Batch
from ssmis_core.draws import Clock, Draws
from ssmis_core.errors import UserError
from ssmis_core.losses import probabilities, region_loss
from ssmis_core.methods.base import Card, Method, Stage, Step
from ssmis_core.methods.mixes import MIXES, PARTS, ByName, check_halves, keep_mix
from ssmis_core.methods.options import TeacherOptions
from ssmis_core.perturbations import box_mask, box_places, copy_paste
from ssmis_core.pseudo_labels import hard_label, largest_components
from ssmis_core.schedules import SCHEDULES
from ssmis_core.teachers import make_teacher, update_teacher
from ssmis_core.views import Views

PRETRAINING = "pretraining"


@dataclass(frozen=True, kw_only=True)
class BCPOptions(TeacherOptions):
    """gamma: weight of unlabeled sides; threshold: of a pseudo-label, see `hard_label`; largest_component: keep that
    alone of every class of a pseudo-label; box: the box's share of each side of the patch; box_frame: the patch size
    that the box is placed for (its first axes in 2D), empty for the batch's own; pretraining: the share of all
    iterations that goes to the labeled copy-paste stage (LA: 2,000 of 17,000, BraTS: 4,000 of 34,000), with the
    learning-rate schedule pretraining_schedule; one_pass: put all mixes through the student at once, and both halves
    through the teacher, which is faster; off as in the released code, where batch statistics are those of one mix.
    Half of the labeled and of the unlabeled batch is image a, half b.
    """

    labeled_per_batch: int = 4
    unlabeled_per_batch: int = 4
    gamma: float = 0.5
    threshold: float = 0.5
    largest_component: bool = True
    box: float = 2 / 3
    box_frame: tuple[int, ...] = ()
    pretraining: float = 2 / 17
    pretraining_schedule: str = "constant"
    one_pass: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_halves(self.labeled_per_batch, self.unlabeled_per_batch)
        self._between_0_and_1("threshold", "box")
        if not 0.0 <= self.pretraining < 1.0:
            raise UserError(f"option pretraining={self.pretraining}: expected 0 to below 1, a share of the iterations")
        self._one_of(SCHEDULES, "pretraining_schedule")
        if any(size < 1 for size in self.box_frame):
            raise UserError(f"option box_frame={self.box_frame}: expected whole numbers above 0, or none")
        self._not_negative("gamma")


class BCP(Method):
    """L = sum over mixes of L_side(outside the box) + L_side(inside), each side (CE + Dice)/2 on its own region.

    Stage 1 trains the student alone on labeled images pasted into one another; stage 2 starts student and teacher from
    the weights that it selected. The teacher takes no gradient, stays in train mode (dropout on, batch statistics) and
    averages parameters with a constant decay. With more than two classes a pseudo-label is the argmax (`hard_label`),
    and its largest component is kept class by class (one organ must not wipe out another). 2D has the recipe for
    volumes too, not that of BCP's ACDC script (batch statistics averaged, squared Dice over the batch).
    """

    card = Card("bcp", "BCP", "Bai et al., Bidirectional copy-paste, CVPR", 2023)
    Options = BCPOptions
    VARIANTS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}}

    self_training: Tensor

    def __init__(self, options: BCPOptions, **shape: int):
        super().__init__(options, **shape)
        if options.box_frame and len(options.box_frame) < self.dims:
            raise UserError(f"option box_frame={options.box_frame}: expected {self.dims} sizes or more, or none")
        self.student = self.make_network()
        self.teacher = make_teacher(self.student)
        self.register_buffer("self_training", torch.tensor(False))  # whether the teacher has begun to follow

    @property
    def mixes(self) -> Mapping[str, tuple[str, str]]:
        """The mixes of self-training by name: which of PARTS each shows outside and inside the box."""
        return {name: MIXES[name] for name in ("l_u", "u_l")}

    @property
    def fewest_at_once(self) -> int:
        """Those of one mix: half of the labeled samples."""
        return self.options.labeled_per_batch // 2

    def stages(self, iterations: int) -> list[Stage]:
        """Labeled copy-paste, then self-training; each of at least one iteration where there are two."""
        o = self.options
        first = min(max(1, round(iterations * o.pretraining)), iterations - 1) if o.pretraining else 0
        main = Stage("main", iterations - first, self.optimisers(), o.schedule)
        if not first:
            return [main]
        return [Stage(PRETRAINING, first, self.optimisers(), o.pretraining_schedule, select="best"), main]

    def begin(self, stage: Stage) -> None:
        """Self-training starts with both networks at the selected pre-trained weights, which the student has."""
        if stage.name != PRETRAINING:
            self.teacher.load_state_dict(self.student.state_dict())
            self.self_training.fill_(True)

    def loss(self, batch: Batch, clock: Clock, draws: Draws, views: Views | None = None) -> Step:
        check_halves(batch.num_labeled, len(batch.image) - batch.num_labeled)
        mask = self.box(batch, draws)
        if views is not None:
            views.keep("image", batch, image=batch.image)
            views.keep("label", batch, label=batch.label[:, None])
            views.keep("mask", batch, box=mask.expand(len(batch.image), 1, *mask.shape))
        return (self.pretrain if clock.stage == PRETRAINING else self.self_train)(batch, mask, views)

    def pretrain(self, batch: Batch, mask: Tensor, views: Views | None) -> Step:
        """L = (CE + Dice)/2, everywhere, of labeled images a with a box of labeled images b."""
        (image_a, image_b), (label_a, label_b) = batch.labeled.image[:, 0].chunk(2), batch.label.chunk(2)
        x, target = copy_paste(image_a, image_b, mask), copy_paste(label_a, label_b, mask)
        logits, everywhere = self.student(x).logits, torch.ones_like(mask).expand(target.shape)[:, None]
        if views is not None:
            keep_mix(views, batch, "l_l", x, target, logits, everywhere)
        loss = region_loss(logits, target, everywhere)
        return Step(loss, {"l_l": loss})

    def self_train(self, batch: Batch, mask: Tensor, views: Views | None) -> Step:
        """The mixes, each side learned on its own region: labeled sides whole, unlabeled ones with weight gamma."""
        image = dict(zip(PARTS, batch.image.chunk(4), strict=True))
        target = dict(zip(PARTS, (*batch.label.chunk(2), *self.pseudo_labels(batch, views)), strict=True))
        mixed = {name: copy_paste(image[a], image[b], mask) for name, (a, b) in self.mixes.items()}
        logits = dict(zip(mixed, self.logits(self.student, list(mixed.values())), strict=True))
        sides = [side.expand(target["l_a"].shape)[:, None] for side in (mask, 1.0 - mask)]
        if views is not None:  # the side of the box that each pseudo-label is shown on
            views.keep("mask", batch, 0, range(batch.num_labeled, len(batch.image)), taught=torch.cat(sides))
        trusted, logged = self.trusted(logits, target, sides, batch, views)

        region, weight = {"l": sides, "u": trusted}, {"l": 1.0, "u": self.options.gamma}  # by a part's first letter
        terms: ByName = {}
        for name, pair in self.mixes.items():
            terms[name] = torch.zeros((), device=mask.device)
            for place, part in enumerate(pair):
                side = region_loss(logits[name], target[part], region[part[0]][place])
                terms[name] = terms[name] + weight[part[0]] * side
            if views is not None:
                counts = torch.stack([weight[part[0]] * region[part[0]][i] for i, part in enumerate(pair)]).sum(0)
                asked = copy_paste(target[pair[0]], target[pair[1]], mask)
                keep_mix(views, batch, name, mixed[name], asked, logits[name], counts)
        return Step(torch.stack(list(terms.values())).sum(), {**terms, **logged})

    def trusted(
        self, logits: ByName, target: ByName, sides: list[Tensor], batch: Batch, views: Views | None
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Where pseudo-labels count, outside and inside the box; and terms to log. Here: on their whole side."""
        return sides, {}

    def logits(self, network: nn.Module, images: list[Tensor]) -> list[Tensor]:
        """A network's answers to several batches, in one pass or in one each."""
        if self.options.one_pass:
            return list(network(torch.cat(images)).logits.chunk(len(images)))
        return [network(x).logits for x in images]

    def box(self, batch: Batch, draws: Draws) -> Tensor:
        """M of this iteration, one for the batch and all mixes; its corner is the draw "box"."""
        shape = batch.image.shape[2:]
        corner = draws.integers("box", 0, self.box_places(shape))
        return box_mask(shape, corner, self.options.box, batch.image.device)

    def box_places(self, shape: Sequence[int]) -> list[int]:
        """Along each axis of a patch the number of corners at which the box may start, 0 being the first."""
        return box_places(shape, self.options.box_frame[: self.dims] or shape, self.options.box)

    def pseudo_labels(self, batch: Batch, views: Views | None) -> list[Tensor]:
        """What the teacher takes unlabeled images a and b for, without a gradient."""
        o, n = self.options, batch.num_labeled
        with torch.no_grad():
            p = [probabilities(logits) for logits in self.logits(self.teacher, list(batch.image[n:].chunk(2)))]
            answers = [hard_label(one, o.threshold) for one in p]
            pseudo = [largest_components(one, self.num_classes) if o.largest_component else one for one in answers]
        if views is not None:
            rows = range(n, 2 * n)
            views.keep("probability", batch, 0, rows, teacher_probability=torch.cat(p))
            labels = {"teacher_label": torch.cat(answers)[:, None], "pseudo_label": torch.cat(pseudo)[:, None]}
            views.keep("label", batch, 0, rows, **labels)
        return pseudo

    def after_step(self, clock: Clock) -> None:
        if clock.stage != PRETRAINING:
            update_teacher(self.teacher, self.student, self.options.ema_decay)

    def answering_network(self) -> nn.Module:
        """The student, also for the teacher as long as that has not begun to follow (a training cut short)."""
        return self.teacher if self.options.answer == "teacher" and self.self_training else self.student
