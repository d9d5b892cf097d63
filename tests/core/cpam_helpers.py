"""A tiny CPAM, and one batch put through it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ssmis_core.batches import Batch
from ssmis_core.draws import Clock, Draws
from ssmis_core.methods import create_method
from ssmis_core.methods.mixes import PARTS
from ssmis_core.views import Views

CLOCK = Clock("main", 3, 10)


def cpam(name: str = "cpam_trcm", *, num_classes: int = 2, dims: int = 2, **options: Any) -> Any:
    """Tiny, always with the same first weights."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return create_method(name, num_classes=num_classes, dims=dims, **{"filters": 2, **options})


def look(method: Any, batch: Batch, clock: Clock = CLOCK, draws: Draws | None = None) -> tuple[Any, dict[str, Tensor]]:
    """(step, {view: value}) with the dropout of that iteration."""
    views, draws = Views(), (draws or Draws(0)).at(clock)
    with torch.random.fork_rng([]):
        draws.seed_dropout()
        step = method.loss(batch, clock, draws, views)
    return step, {name: view.value for name, view in views.items()}


def rows(batch: Batch, part: str) -> Tensor:
    return batch.image.chunk(4)[PARTS.index(part)]
