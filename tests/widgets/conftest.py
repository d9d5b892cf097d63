"""Small run folders, as training and evaluation leave them, without a training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ssmis_core.configuration import configure
from ssmis_core.files import write_csv, write_json
from ssmis_core.runs import Run


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Run]:
    """make_run(name, dice): an evaluated run whose test cases have these Dice."""

    def make(name: str, dice: list[float], *, method: str = "supervised") -> Run:
        config = configure(method, labeled=4, iterations=20, dataset_options={"dims": 2, "size": 32})
        run = Run.create(tmp_path / name, config)
        rows = [
            {"case": f"phantom-{80 + n:03d}", "class": "left atrium", "dice": d, "jaccard": d / (2 - d)}
            | {"hd95": 10 * (1 - d), "asd": 3 * (1 - d) if d else float("nan")}
            for n, d in enumerate(dice)
        ]
        write_csv(run.path / "cases.csv", rows)
        history = [
            {"iteration": t, "stage": "main", "learning_rate": 0.1, "loss": 2 / t, "dice": 1 / t} for t in (10, 20)
        ]
        write_csv(run.path / "history.csv", [{**row, "consistency_weight": 0.1, "seconds": 1.0} for row in history])
        told = {"split": "test", "checkpoint_protocol": "last", "hd95": "pooled", "asd": "one-sided", "empty": "nan"}
        conventions = {**told, "largest_component": False}
        write_json(run.path / "summary.json", {"cases": len(rows), "missed": 0, "conventions": conventions})
        run.update(
            status="finished", iterations_done=20, seconds=1.0, shape={"num_classes": 2, "dims": 2, "channels": 1}
        )
        return run

    return make


@pytest.fixture
def ball() -> np.ndarray:
    """A ball of radius 6 in the middle of [24, 20, 16]."""
    x, y, z = np.ogrid[:24, :20, :16]
    return ((x - 12) ** 2 + (y - 10) ** 2 + (z - 8) ** 2 <= 36).astype(np.uint8)
