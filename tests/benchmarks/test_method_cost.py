"""The table of costs: every method and variant is timed beside supervised, and the package reads what was written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from ssmis_core.files import read_csv
from ssmis_core.methods import METHODS, method_class
from ssmis_core.methods.overview import cost

SMALL = ["--dims", "2", "--rounds", "2", "--filters", "2", "--size", "32", "--patch", "32"]


@pytest.mark.slow
def test_every_variant_is_timed_and_the_package_reads_the_table(
    script: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    costs = tmp_path / "costs.csv"
    assert script("method_cost").main([*SMALL, "--out", str(tmp_path / "out.csv"), "--costs", str(costs)]) == 0
    rows = read_csv(tmp_path / "out.csv")
    variants = {(name, variant) for name in METHODS for variant in method_class(name).VARIANTS}
    assert {(row["method"], row["variant"]) for row in rows} == variants
    assert all(row["seconds"] > 0 and row["lowest"] <= row["relative"] <= row["highest"] for row in rows)
    assert all(row["relative"] == 1.0 for row in rows if row["method"] == "supervised")
    by_network = {row["network"] for row in rows}
    assert by_network == {row["network"] for row in rows if row["method"] == "supervised"}
    for name, variant in variants:
        (told,) = {row["relative"] for row in rows if (row["method"], row["variant"]) == (name, variant)}
        assert cost(name, variant, costs=costs) == {2: pytest.approx(told)}


def test_a_part_of_the_methods_leaves_the_packages_table_alone(
    script: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    costs = tmp_path / "costs.csv"
    out = ["--out", str(tmp_path / "out.csv"), "--costs", str(costs), "--methods", "mean_teacher"]
    assert script("method_cost").main([*SMALL, *out]) == 0
    assert {row["method"] for row in read_csv(tmp_path / "out.csv")} == {"mean_teacher", "supervised"}
    assert not costs.exists()
