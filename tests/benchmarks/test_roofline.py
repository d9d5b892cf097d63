"""What an iteration must compute and move is counted, and scaled to the published patch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from ssmis_core.files import read_csv


def test_bytes_are_those_that_operations_read_and_write(script: Callable[[str], ModuleType]) -> None:
    x = torch.zeros(10, dtype=torch.float32)
    with script("roofline").ByteCounter() as traffic:
        y = x + 1.0  # 10 read, 10 written
        y.view(2, 5).mul_(2.0)  # a view moves nothing; in place: 10 read, 10 written
    assert traffic.bytes == 4 * (20 + 20)


@pytest.mark.slow
def test_a_row_a_method_with_what_a_machine_needs_at_least(script: Callable[[str], ModuleType], tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    command = ["--out", str(out), "--methods", "mean_teacher", "--patch", "32", "--step", "1", "--threads", "1"]
    assert script("roofline").main(command) == 0
    rows = {row["method"]: row for row in read_csv(out)}
    assert set(rows) == {"mean_teacher", "supervised"}
    for row in rows.values():
        assert 0 < row["compute_s"] < row["step_s"]
        assert row["gflop_la"] == pytest.approx(row["gflop"] * 112 * 112 * 80 / 32**3, rel=1e-2)
    assert rows["mean_teacher"]["gflop"] > 2 * rows["supervised"]["gflop"]  # twice the samples, and the teacher's pass
