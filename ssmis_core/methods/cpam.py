"""CPAM and CPAM+TRCM (Wu et al., Boosting semi-supervised medical image segmentation through inter-instance
information complementarity, IEEE TNNLS 2026).

The same organ looks alike in everybody, so a box of one scan may be pasted into another. The copy-paste augmentation
module (CPAM) mixes two labeled scans and two unlabeled ones in four ways; the student learns each side of a mix from
the label or, on unlabeled sides, from the teacher's pseudo-label. The trainable region calibration (TRCM) believes a
pseudo-label only where the labeled scan that shares its place is predicted right in every mix that shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ssmis_core.batches import Batch
from ssmis_core.errors import UserError
from ssmis_core.losses import probabilities
from ssmis_core.methods.base import Card
from ssmis_core.methods.bcp import BCP, BCPOptions
from ssmis_core.methods.mixes import MIXES, ByName
from ssmis_core.pseudo_labels import hard_label, reliable_region
from ssmis_core.views import Views


@dataclass(frozen=True, kw_only=True)
class CPAMOptions(BCPOptions):
    """labeled_labeled, unlabeled_unlabeled, labeled_unlabeled (both ways), trcm: the parts that the paper ablates."""

    labeled_labeled: bool = True
    unlabeled_unlabeled: bool = True
    labeled_unlabeled: bool = True
    trcm: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.labeled_labeled or self.unlabeled_unlabeled or self.labeled_unlabeled):
            raise UserError("options labeled_labeled, unlabeled_unlabeled, labeled_unlabeled: all off, nothing to mix")
        if self.trcm and not (self.labeled_labeled or self.labeled_unlabeled):
            raise UserError("option trcm=True needs labeled_labeled or labeled_unlabeled: it asks where labels are met")


@dataclass(frozen=True, kw_only=True)
class CPAMTRCMOptions(CPAMOptions):
    """The same, with the calibration on and the learning rate of its released code."""

    trcm: bool = True
    schedule: str = "poly"


class CPAM(BCP):
    """BCP with two more mixes: of the labeled images with one another, and of the unlabeled ones.

    With TRCM a voxel is reliable when its very class is predicted.
    "released": the box is placed as in a patch of 112x112x80 whatever the patch, so an edge may cut it (BraTS). On LA,
    whose patch that is, the variants are the same; paper and code name no other difference.
    """

    card = Card("cpam", "CPAM", "Wu et al., Inter-instance information complementarity, TNNLS", 2026)
    Options = CPAMOptions
    VARIANTS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "released": {"box_frame": (112, 112, 80)}}

    @property
    def mixes(self) -> Mapping[str, tuple[str, str]]:
        o = self.options
        on = {
            "l_u": o.labeled_unlabeled,
            "u_l": o.labeled_unlabeled,
            "l_l": o.labeled_labeled,
            "u_u": o.unlabeled_unlabeled,
        }
        return {name: pair for name, pair in MIXES.items() if on[name]}

    def trusted(
        self, logits: ByName, target: ByName, sides: list[Tensor], batch: Batch, views: Views | None
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """With TRCM the reliable regions, and their share of the patches; else whole sides."""
        if not self.options.trcm:
            return super().trusted(logits, target, sides, batch, views)
        trusted = self.reliable_regions(logits, target, sides, batch, views)
        if views is not None:
            views.keep("mask", batch, 0, range(batch.num_labeled, len(batch.image)), trusted=torch.cat(trusted))
        return trusted, {"trusted": (trusted[0] + trusted[1]).mean()}

    def reliable_regions(
        self, logits: ByName, target: ByName, sides: list[Tensor], batch: Batch, views: Views | None
    ) -> list[Tensor]:
        """Outside the box where labeled a, inside where labeled b is predicted right by every mix that shows it."""
        predicted = {name: hard_label(probabilities(answer.detach())) for name, answer in logits.items()}
        regions = []
        for place, part in enumerate(("l_a", "l_b")):
            showing = [predicted[name] for name, pair in self.mixes.items() if pair[place] == part]
            regions.append(reliable_region(showing, target[part], sides[place]))
        if views is not None:
            half = len(sides[0])
            views.keep("mask", batch, 0, range(half), reliable_a=regions[0])
            views.keep("mask", batch, 0, range(half, 2 * half), reliable_b=regions[1])
        return regions


class CPAMTRCM(CPAM):
    """CPAM whose pseudo-labels count only where TRCM finds the labeled voxel at the same place reliable."""

    card = Card("cpam_trcm", "CPAM+TRCM", "Wu et al., Inter-instance information complementarity, TNNLS", 2026)
    Options = CPAMTRCMOptions
