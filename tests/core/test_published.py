"""The table of published numbers, and folders for runs that nobody named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ssmis_core.configuration import configure
from ssmis_core.errors import UserError
from ssmis_core.published import published
from ssmis_core.runs import default_run_dir


def test_rows_are_found_by_data_set_labels_and_method_in_any_spelling() -> None:
    (row,) = published(dataset="la", labeled=16, method="ug-mcl")
    assert (row["dataset"], row["method"], row["dice"], row["checkpoint_protocol"]) == (
        "LA",
        "UG-MCL",
        90.16,
        "unknown",
    )
    assert len(published(dataset="pancreas_ct")) == len(published(dataset="Pancreas-CT")) > 10


def test_one_method_can_have_several_reports() -> None:
    dice = [row["dice"] for row in published(dataset="LA", labeled=8, method="UA-MT")]
    assert max(dice) - min(dice) > 3


def test_every_row_has_a_source_a_protocol_and_numbers_in_range() -> None:
    rows = published()
    assert len(rows) > 100
    for row in rows:
        assert row["reported_by"] and row["checkpoint_protocol"]
        assert not re.search(r"[0-9a-f]{8}", row["reported_by"])  # a paper's name, not a file's
        assert 0 < row["dice"] < 100


def test_a_combination_that_nobody_reported_is_an_empty_list() -> None:
    assert published(dataset="LA", labeled=3) == []


def test_an_unknown_data_set_or_method_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match="ACDC"):
        published(dataset="liver")
    with pytest.raises(UserError, match="UG-MCL"):
        published(method="UGMCLL")


def test_another_setting_is_another_folder_and_the_same_one_is_found_again() -> None:
    first = configure("supervised", labeled=4, iterations=10)
    again = configure("supervised", labeled=4, iterations=10)
    other = configure("supervised", labeled=4, iterations=10, learning_rate=0.5)
    folder = default_run_dir(first, root="results", name="00_start_here")
    assert folder.parent == Path("results")
    assert folder.name.startswith("00_start_here-phantom-4-quick-seed0-")
    assert folder == default_run_dir(again, root="results", name="00_start_here")
    assert folder != default_run_dir(other, root="results", name="00_start_here")
