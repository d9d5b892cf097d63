"""What every network returns."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Output(NamedTuple):
    """logits [batch, K, *spatial]; features before the head, after its dropout; distance in [-1, 1] or None.

    others: the logits of further decoders (MC-Net), then those of coarser levels of the first one, from fine to coarse
    and brought to its size (URPC); each of the shape of `logits`.
    """

    logits: Tensor
    features: Tensor
    distance: Tensor | None = None
    others: tuple[Tensor, ...] = ()
