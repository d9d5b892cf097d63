"""What a method saw: named tensors from the very code path that trains, kept only when somebody asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ssmis_core.batches import Batch
from ssmis_core.errors import unknown
from ssmis_core.geometry import Turn

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
    rows: tuple[int, ...] = ()  # of the batch, that the rows of value lie on

    def placed(self, sample: int) -> Tensor:
        """[C, *box] of one sample, turned back to its volume's orientation; it starts at corner[sample]."""
        return self.turn[sample].undo(self.value[sample], self.value.ndim - 2)


class Views(dict[str, View]):
    """A collector to pass to `Method.loss`; afterwards a dict from name to View.

    large: whether to keep those too that take many times the memory of the batch, such as a feature vector a voxel.
    """

    def __init__(self, *, large: bool = False):
        super().__init__()
        self.large = large

    def keep(
        self,
        kind: str,
        batch: Batch | None,
        crop: int = 0,
        rows: Sequence[int] | None = None,
        /,
        **tensors: Tensor,
    ) -> None:
        """Keep tensors of one kind, each row placed like a row of batch.images(crop); batch None: on no patch.

        rows: the row of the batch that each row of the tensors lies on (a mix: on the image that it is pasted into);
        None: on the row of the same number, so that a tensor may have the batch's rows or only its labeled ones.
        """
        if kind not in KINDS:
            raise unknown("kind of view", kind, KINDS)
        for name, value in tensors.items():
            if batch is None:
                self[name] = View(name, kind, value.detach(), (), value.new_zeros((0, 1, 0), dtype=torch.int64), ())
                continue
            places = list(range(value.shape[0]) if rows is None else rows)
            case, turn = tuple(batch.case[i] for i in places), tuple(batch.turn[i] for i in places)
            self[name] = View(name, kind, value.detach(), case, batch.corners(crop)[places], turn, tuple(places))
