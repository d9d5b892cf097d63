"""The benchmark of waiting: an explorer is driven in a browser, and its table has a row for each question."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from ssmis_core.files import read_csv


@pytest.mark.browser
def test_waiting_and_memory_are_measured_on_a_sample(
    script: Callable[[str], ModuleType], tmp_path: Path, require: Callable[[str, str], None]
) -> None:
    require("playwright", "pip install playwright")
    require("chromium", "apt-get install chromium fonts-dejavu-core")
    out = tmp_path / "out.csv"
    few = ["--explorers", "certainty", "--scrolls", "12", "--moves", "2", "--cases", "1", "--threads", "1"]
    assert script("viewer_latency").main(["--dataset", "phantom", *few, "--out", str(out)]) == 0
    scrolled, moved, memory, later = read_csv(out, text=("what", "volume"))
    assert scrolled["what"] == "scroll a slice" and scrolled["count"] == 12
    assert 0 < scrolled["median_ms"] <= scrolled["p90_ms"]
    assert 0 <= scrolled["taken_by_others_percent"] <= 100
    assert moved["count"] == 2 and moved["median_ms"] > moved["bare_ms"] > 0
    assert 100 < memory["pss_mb"] <= memory["peak_rss_mb"] and memory["kernels_in_24_gib"] > 1
    assert later["what"] == "memory after 1 more cases" and later["pss_mb"] > 100


@pytest.mark.parametrize(("dataset", "told"), [("moon", "unknown data set 'moon'"), ("la", "2018LA_Seg_Training Set")])
def test_data_that_cannot_be_opened_is_told_and_nothing_is_written(
    script: Callable[[str], ModuleType], dataset: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.csv"
    given = ["--dataset", dataset, "--data-root", str(tmp_path), "--explorers", "noise", "--out", str(out)]
    assert script("viewer_latency").main(given) == 2
    message = capsys.readouterr().err
    assert message.startswith("viewer_latency: ") and told in message and message.count("\n") == 1
    assert not out.exists()


def test_a_data_set_without_a_scored_sample_is_told_by_the_explorer_of_scores(
    script: Callable[[str], ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module, out = script("viewer_latency"), tmp_path / "out.csv"
    module.samples = list
    assert module.main(["--dataset", "phantom", "--explorers", "cases", "--out", str(out)]) == 2
    assert "there is no sample phantom/" in capsys.readouterr().err and not out.exists()
