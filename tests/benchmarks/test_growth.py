"""Growth is told relative to the smallest amount, and what is swept is what grows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest

from ssmis_core.files import read_csv


def test_growth_is_one_where_it_is_linear_and_the_exponent_is_that_of_the_power(
    script: Callable[[str], ModuleType],
) -> None:
    told = script("growth").told
    linear = told("cases", "s", {1: 0.5, 2: 1.0, 4: 2.0})
    assert [row["growth"] for row in linear] == [1.0, 1.0, 1.0] and linear[0]["exponent"] == 1.0
    square = told("cases", "s", {1: 0.5, 2: 2.0, 4: 8.0})
    assert [row["growth"] for row in square] == [1.0, 2.0, 4.0] and square[-1]["exponent"] == 2.0


def test_every_amount_has_its_turns_and_the_first_round_is_not_kept(script: Callable[[str], ModuleType]) -> None:
    order: list[int] = []

    def work(amount: int) -> float:
        order.append(amount)
        return float(len(order))

    spent = script("growth").in_turns({1: partial(work, 1), 2: partial(work, 2)}, rounds=2)
    assert order == [2, 1, 1, 2, 2, 1] and spent == {1: [3.0, 6.0], 2: [4.0, 5.0]}


@pytest.mark.slow
def test_volumes_are_held_once_and_a_row_an_amount_is_written(
    script: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    out = tmp_path / "growth.csv"
    small = ["--rounds", "1", "--filters", "2", "--side", "16", "--size", "32", "--threads", "1"]
    assert script("growth").main(["--out", str(out), *small]) == 0
    rows = read_csv(out)
    amounts = {t: [row["amount"] for row in rows if row["topic"] == t] for t in {row["topic"] for row in rows}}
    assert amounts["samples"] == amounts["cases"] == amounts["volumes"] == [1, 2, 4, 8]
    assert amounts["voxels"] == [16**3 * times for times in (1, 2, 4, 8)]
    held = [row["value"] for row in rows if row["topic"] == "volumes"]
    assert held == [5 * 32**3 * times for times in (1, 2, 4, 8)]
