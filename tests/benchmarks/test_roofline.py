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


def test_bytes_grow_by_the_voxels_but_for_those_that_do_not(script: Callable[[str], ModuleType]) -> None:
    constant, each = 0.3, 1e-5
    counts = [constant + each * side**3 for side in (32, 48)]
    assert script("roofline").on_la(*counts, 48) == pytest.approx(constant + each * 112 * 112 * 80)


def test_a_patch_is_larger_than_the_one_it_is_compared_with(
    script: Callable[[str], ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script("roofline").main(["--out", str(tmp_path / "out.csv"), "--patch", "32"]) == 2
    assert capsys.readouterr().err.startswith("roofline: --patch 32: expected more than 32") and not [
        *tmp_path.iterdir()
    ]


@pytest.mark.slow
def test_a_row_a_method_with_what_a_machine_needs_at_least(script: Callable[[str], ModuleType], tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    command = ["--out", str(out), "--methods", "mean_teacher", "--patch", "48", "--step", "1", "--threads", "1"]
    assert script("roofline").main(command) == 0
    rows = {row["method"]: row for row in read_csv(out)}
    assert set(rows) == {"mean_teacher", "supervised"}
    for row in rows.values():
        assert 0 < row["compute_s"] < row["step_s"]
        assert row["gflop_la"] == pytest.approx(row["gflop"] * 112 * 112 * 80 / 48**3, rel=1e-2)
        # half as wide where networks compute, and weights do not grow with the patch
        assert 0.3 < row["gbyte_la"] / (row["gbyte"] * 112 * 112 * 80 / 48**3) < 0.7
    assert rows["mean_teacher"]["gflop"] > 2 * rows["supervised"]["gflop"]  # twice the samples, and the teacher's pass
