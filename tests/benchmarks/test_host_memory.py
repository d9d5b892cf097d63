"""What kept memory is worth is told by pages that the system need not make, and both ways have their turns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np

from ssmis_core.files import read_csv
from tests.core.test_host_memory import glibc


@glibc
def test_what_is_freed_and_asked_for_again_is_new_pages_unless_it_is_kept(script: Callable[[str], ModuleType]) -> None:
    def work() -> None:
        np.ones(96 << 20, dtype=np.uint8)  # torch asks for aligned memory, which older glibc may not find again at once

    row = script("host_memory").compare(work, rounds=2)
    assert 2 * row["kept_faults"] < row["given_back_faults"]


def test_a_row_a_kind_of_work_is_written(script: Callable[[str], ModuleType], tmp_path: Path) -> None:
    out = tmp_path / "host_memory.csv"
    small = ["--rounds", "1", "--filters", "2", "--patch", "16", "16", "16", "--threads", "1"]
    assert script("host_memory").main(["--out", str(out), *small]) == 0
    rows = read_csv(out)
    assert [(row["work"], row["patch"]) for row in rows] == [("prediction", "16x16x16"), ("training", "16x16x16")]
    for row in rows:
        assert row["ratio"] > 0.0 and row["kept_lowest"] <= row["kept_s"] <= row["kept_highest"]
