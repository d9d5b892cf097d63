"""What a checkpoint holds of the loop, and how often one is written."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import nn

CHECKPOINT_SHARE = 0.02  # checkpoints take at most this share of the time since training started or went on
CHECKPOINT_SECONDS = 10.0  # and there is at least this long between two


@dataclass
class State:
    """Where a training is: stage, iteration t of the stage, iterations done, the log so far, the best weights."""

    stage: int = 0
    t: int = 0
    done: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Any] | None = None

    @property
    def selected(self) -> dict[str, Any] | None:
        """What run.json says of the best weights: iteration, Dice and protocol; None where none were selected."""
        return None if self.best is None else {key: value for key, value in self.best.items() if key != "weights"}

    def keep_best(self, method: nn.Module, *, dice: float, protocol: str) -> None:
        """Remember the method's weights when they score better than those of this stage before."""
        if self.best is None or dice > self.best["dice"]:
            weights = {key: value.detach().cpu().clone() for key, value in method.state_dict().items()}
            self.best = {"iteration": self.done, "dice": dice, "protocol": protocol, "weights": weights}


class Cadence:
    """Says when the next checkpoint is due, from what those before it cost."""

    def __init__(self) -> None:
        self._begun = self._last = time.monotonic()
        self._cost = self._spent = 0.0

    def due(self) -> bool:
        """Whether one more, as dear as the last, keeps to the share."""
        now = time.monotonic()
        affordable = self._spent + self._cost <= CHECKPOINT_SHARE * (now - self._begun)
        return affordable and now - self._last > CHECKPOINT_SECONDS

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Wrap all that one checkpoint takes, to learn its cost."""
        before = time.monotonic()
        yield
        self._last = time.monotonic()
        self._cost = self._last - before
        self._spent += self._cost
