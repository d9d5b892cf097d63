"""The log of a training: terms summed on the device, read once an interval, and the guard against NaN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ssmis_core.errors import NonFiniteLoss


def check_finite(method: nn.Module, iteration: int) -> None:
    """Raise NonFiniteLoss for weights that are NaN or infinite: a gradient can overflow while its loss is finite."""
    for name, value in method.state_dict().items():
        if not bool(value.isfinite().all()):
            raise NonFiniteLoss(f"weights {name!r} became NaN or infinite by iteration {iteration}")


class TermLog:
    """Sums of named terms since the last row.

    Values stay on the device, and so does the iteration at which each term first was not finite; both are read by
    `row` alone, so that logging costs one synchronisation an interval.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._first_bad: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, iteration: int, terms: Mapping[str, Tensor | float], like: Tensor) -> None:
        """Add one step's terms; `like` is a tensor on the device to sum on."""
        for name, value in terms.items():
            value = torch.as_tensor(value, dtype=torch.float32, device=like.device).detach().float()
            if name not in self._sums:
                self._sums[name] = torch.zeros((), device=like.device)
                self._first_bad[name] = torch.full((), -1, dtype=torch.int64, device=like.device)
                self._counts[name] = 0
            self._sums[name] += value
            first = self._first_bad[name]
            self._first_bad[name] = torch.where((first < 0) & ~torch.isfinite(value), iteration, first)
            self._counts[name] += 1

    def check(self) -> None:
        """Raise NonFiniteLoss, naming the first iteration and term that was not finite."""
        bad = {name: int(first) for name, first in self._first_bad.items() if int(first) >= 0}
        if bad:
            name = min(bad, key=lambda n: (bad[n], n == "loss"))
            raise NonFiniteLoss(f"loss term {name!r} became NaN or infinite at iteration {bad[name]}")

    def row(self) -> dict[str, float]:
        """Means since the last row; starts the next one."""
        self.check()
        means = {name: float(self._sums[name]) / self._counts[name] for name in self._sums if self._counts[name]}
        self.__init__()  # type: ignore[misc]
        return means

    def state(self) -> dict[str, Any]:
        return {"sums": self._sums, "first_bad": self._first_bad, "counts": self._counts}

    def restore(self, state: Mapping[str, Any], device: torch.device) -> None:
        self._sums = {name: value.to(device) for name, value in state["sums"].items()}
        self._first_bad = {name: value.to(device) for name, value in state["first_bad"].items()}
        self._counts = dict(state["counts"])
