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
    few = ["--explorers", "certainty", "--scrolls", "12", "--moves", "2", "--threads", "1"]
    assert script("viewer_latency").main(["--dataset", "phantom", *few, "--out", str(out)]) == 0
    scrolled, moved, memory = read_csv(out, text=("what", "volume"))
    assert scrolled["what"] == "scroll a slice" and scrolled["count"] == 12
    assert 0 < scrolled["median_ms"] <= scrolled["p90_ms"]
    assert moved["count"] == 2 and moved["median_ms"] > moved["bare_ms"] > 0
    assert 100 < memory["pss_mb"] <= memory["peak_rss_mb"] and "fit in 24 GiB" in memory["what"]


def test_a_data_set_without_samples_is_told_and_nothing_is_written(
    script: Callable[[str], ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.csv"
    assert script("viewer_latency").main(["--dataset", "moon", "--explorers", "noise", "--out", str(out)]) == 2
    assert "there is no sample moon/ssnet" in capsys.readouterr().err and not out.exists()
