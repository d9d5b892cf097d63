"""Pages show what was measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from ssmis_core.errors import UserError
from ssmis_core.files import write_csv
from tests.conftest import REPOSITORY


@pytest.mark.parametrize(("name", "tables"), [("baselines", 2), ("speed", 13)])
def test_the_tables_of_the_pages_are_those_of_the_results(
    name: str, tables: int, script: Callable[[str], ModuleType]
) -> None:
    page = (REPOSITORY / "docs" / f"{name}.md").read_text(encoding="utf-8")
    assert page.count("<!-- table ") + page.count("<!-- rows ") == tables
    assert script("page_tables").renewed(page) == page


def test_measurements_are_shown_as_they_stand_under_the_titles_of_the_page(
    script: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = script("page_tables")
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    write_csv(tmp_path / "steps.csv", [{"method": "ssnet", "ours_s": 1.5, "ratio": 1.31}, {"method": "ugmcl"}])
    page = module.renewed("<!-- rows steps method ours_s=Ours,_seconds -->\nold\n<!-- end -->\nafter")
    lines = page.splitlines()
    assert lines[2:6] == ["| method | Ours, seconds |", "| --- | --- |", "| ssnet | 1.5 |", "| ugmcl |  |"]
    assert "old" not in page and page.endswith("<!-- end -->\nafter")
    only = module.renewed("<!-- rows steps method:ssnet ratio=of:_seconds -->\n<!-- end -->").splitlines()
    assert only[2:5] == ["| of: seconds |", "| --- |", "| 1.31 |"]


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ("methode", r"steps\.csv: no column methode \(known: method, ratio\)"),
        ("how:float32 method", r"steps\.csv: no column how \(known: method, ratio\)"),
        ("method:ssnte ratio", r"steps\.csv: no row has method:ssnte"),
    ],
)
def test_a_column_or_rows_that_are_not_there_are_told(
    columns: str, told: str, script: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = script("page_tables")
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    write_csv(tmp_path / "steps.csv", [{"method": "ssnet", "ratio": 1.31}])
    with pytest.raises(UserError, match=told):
        module.renewed(f"<!-- rows steps {columns} -->\n<!-- end -->")


def test_a_table_has_the_best_first_and_the_difference_from_supervised(
    script: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = script("page_tables")
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    score = {"seeds": 3, "dice_half_width": 0.02, "hd95": 10, "hd95_half_width": 1, "asd": 3, "asd_half_width": 0.5}
    score |= {"missed": 0, "seconds": 80.4}
    write_csv(
        tmp_path / "t_means.csv", [{"name": n, "dice": d, **score} for n, d in (("supervised", 0.6), ("ssnet", 0.7))]
    )
    pair = {"comparison": "ssnet minus supervised", "mean": 0.1, "bootstrap_low": -0.01, "bootstrap_high": 0.2}
    others = [{**pair, "metric": "hd95", "over": "cases"}, {**pair, "metric": "dice", "over": "seeds"}]
    write_csv(tmp_path / "t_pairs.csv", [*others, {**pair, "metric": "dice", "over": "cases", "p_holm": 0.04}])
    page = module.renewed("before\n<!-- table t -->\nold\n<!-- end -->\nafter")
    assert page.splitlines()[4:7] == [
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        "| SS-Net | 3 | 70.0 ± 2.0 | 10.0 ± 1.0 | 3.0 ± 0.5 | +10.0 (-1.0 to +20.0) | 0.040 | 0 | 80 |",
        "| Supervised baseline | 3 | 60.0 ± 2.0 | 10.0 ± 1.0 | 3.0 ± 0.5 |  |  | 0 | 80 |",
    ]
    assert page.startswith("before\n") and page.endswith("<!-- end -->\nafter") and "old" not in page
