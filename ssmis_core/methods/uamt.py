"""UA-MT: uncertainty-aware mean teacher (Yu et al., MICCAI 2019).

A teacher that guesses should not teach. Several passes with dropout and noise show where its answer wavers; the
student agrees with it on the other voxels alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from ssmis_core.batches import Batch
from ssmis_core.draws import Clock, Draws
from ssmis_core.methods.base import Card
from ssmis_core.methods.mean_teacher import MeanTeacher
from ssmis_core.methods.options import UncertaintyOptions
from ssmis_core.views import Views


@dataclass(frozen=True, kw_only=True)
class UAMTOptions(UncertaintyOptions):
    """The ramp of 6,000 iterations is the code's 40 epochs of 150; 0 would be the whole training."""

    ramp_iterations: int = 6000


class UAMT(MeanTeacher):
    """L = (CE + Dice)/2 + w(t) sum(m (p - p_t)^2) / (K sum m) on the unlabeled half, m = [u < threshold(t)] (eq. 4).

    u is the entropy of the mean of T passes (eq. 3); the threshold rises from 3/4 of ln K to ln K. For K > 2 the
    published 2D port keeps ln 2 and a division by 2; here K counts.
    """

    card = Card("uamt", "UA-MT", "Yu et al., Uncertainty-aware self-ensembling model, MICCAI", 2019)
    Options = UAMTOptions
    VARIANTS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "released": {"ramp_step": 150}}

    def certain(self, batch: Batch, clock: Clock, draws: Draws, views: Views | None) -> Tensor:
        o, n = self.options, batch.num_labeled
        u, mask = o.certain_voxels(self.teacher, batch.image[n:], self.num_classes, clock, draws)
        if views is not None:
            rows = range(n, len(batch.image))
            views.keep("uncertainty", batch, 0, rows, uncertainty=u)
            views.keep("mask", batch, 0, rows, certainty=mask)
        return mask
