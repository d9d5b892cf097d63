"""What every network returns."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Output(NamedTuple):
    """logits [batch, K, *spatial]; features before the head, after its dropout; distance in [-1, 1] or None."""

    logits: Tensor
    features: Tensor
    distance: Tensor | None = None
