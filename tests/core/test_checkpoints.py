"""How often a checkpoint is written: seldom enough that a training hardly notices."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ssmis_core import Run, training
from ssmis_core.checkpoints import CHECKPOINT_SECONDS, CHECKPOINT_SHARE, Cadence
from ssmis_core.configuration import Configuration


@pytest.mark.parametrize("costs", [(0.01,), (5.0,), (0.5, 8.0, 2.0), (30.0, 0.1)], ids=str)
def test_checkpoints_take_at_most_their_share_of_a_long_run(costs: tuple[float, ...], clockwork: Any) -> None:
    cadence, times, spent = Cadence(), [0.0], 0.0
    while clockwork.now < 100_000:
        clockwork.now += 1.0  # an iteration
        if cadence.due():
            times.append(clockwork.now)
            with cadence.writing():
                clockwork.now += costs[len(times) % len(costs)]
            spent += clockwork.now - times[-1]
    assert len(times) > 20 and spent <= CHECKPOINT_SHARE * clockwork.now
    assert all(after - before > CHECKPOINT_SECONDS for before, after in pairwise(times))


def test_the_look_for_numbers_that_are_not_finite_counts_as_part_of_a_checkpoint(
    tiny: Callable[..., Configuration],
    quietly: Callable[..., Run],
    clockwork: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    costs: list[float] = []

    def slow(*_: object) -> None:
        clockwork.now += 7.0

    class Watched(Cadence):
        def due(self) -> bool:
            costs.append(self._cost)
            return True

    monkeypatch.setattr(training, "check_finite", slow)
    monkeypatch.setattr(training, "Cadence", Watched)
    quietly(tiny("supervised", iterations=3), tmp_path / "run", observers=[clockwork.observer()])
    assert costs[0] == 0.0 and costs[1:] == [7.0] * (len(costs) - 1) and len(costs) > 1
