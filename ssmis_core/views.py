"""What a method saw: named tensors from the very code path that trains, kept only when somebody asks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ssmis_core.batches import Batch, Turn
from ssmis_core.errors import unknown

KINDS = ("image", "noise", "probability", "distance", "uncertainty", "mask", "label", "features")


@dataclass(frozen=True)
class View:
    """One named tensor [B, C, *patch], detached, with the cases, corners and turns that place it in its volumes.

    What belongs to no patch (prototypes, say) has a shape of its own, no case and no corner.
    """

    name: str
    kind: str
    value: Tensor
    case: tuple[str, ...]
    corner: Tensor
    turn: tuple[Turn, ...]

    def placed(self, sample: int) -> Tensor:
        """[C, *box] of one sample, turned back to its volume's orientation; it starts at corner[sample]."""
        return self.turn[sample].undo(self.value[sample], self.value.ndim - 2)


class Views(dict[str, View]):
    """A collector to pass to `Method.loss`; afterwards a dict from name to View."""

    def keep(self, kind: str, batch: Batch | None, crop: int = 0, /, **tensors: Tensor) -> None:
        """Keep tensors of one kind whose rows are those of batch.images(crop), or its labeled ones; None: no patch."""
        if kind not in KINDS:
            raise unknown("kind of view", kind, KINDS)
        for name, value in tensors.items():
            if batch is None:
                self[name] = View(name, kind, value.detach(), (), value.new_zeros((0, 1, 0), dtype=torch.int64), ())
                continue
            rows = value.shape[0]
            corner = batch.corners(crop)[:rows]
            self[name] = View(name, kind, value.detach(), batch.case[:rows], corner, batch.turn[:rows])
