"""A training that runs elsewhere, watched in two tabs at once, stopped from the second, and looked at afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ssmis_core.runs import Run
from tests.browser.cells import TRAIN, explorer, notebook, numbers, run_cell
from tests.browser.jupyterlab import open_second_tab
from widgets.explorer import told

pytestmark = pytest.mark.browser

SECONDS = 120
WATCH = "from widgets.watcher import watch\nwatch(%r, every=0.5)"
POINTS = "plot => plot.calcdata.map(points => points.length)"


@pytest.fixture(scope="module")
def run(lab: Any) -> str:
    return str(lab.root / "elsewhere")


@pytest.fixture(scope="module")
def tabs(
    run: str, open_notebook: Callable[..., Any], lab: Any, tmp_path_factory: Any, artifacts: Path
) -> Iterator[list[Any]]:
    """The watcher of a folder that is not there yet, in the tab where its cell was run and in another one."""
    first = open_notebook(notebook(tmp_path_factory.mktemp("made"), WATCH % run), "elsewhere")
    run_cell(first, 0)
    first.wait_for(lambda: plot(first).count(), SECONDS, "the watcher")
    first.menu("File", "Save Notebook")
    first.wait_for(lambda: "widget-view+json" in first.path.read_text(), SECONDS, "the notebook to be saved")
    second = open_second_tab(lab, first)
    second.wait_for(lambda: plot(second).count(), SECONDS, "the watcher in the second tab")
    yield [first, second]
    for number, tab in enumerate([first, second], start=1):
        tab.page.screenshot(path=artifacts / f"watcher-tab-{number}.png")


@pytest.fixture(scope="module")
def training(run: str, tabs: list[Any]) -> Iterator[subprocess.Popen[bytes]]:
    """A training in a process of its own, which no notebook knows of; it begins when the tabs are open."""
    assert all(status(tab).startswith("waiting for a training") for tab in tabs)
    process = subprocess.Popen([sys.executable, "-c", TRAIN % run], env={**os.environ, "OMP_NUM_THREADS": "1"})
    yield process
    if process.poll() is None:
        process.kill()
    process.wait()


def plot(tab: Any) -> Any:
    return explorer(tab).locator(".js-plotly-plot")


def status(tab: Any) -> str:
    return str(explorer(tab).locator(".ssmis-status").inner_text())


def iteration(tab: Any) -> float:
    return float(numbers(tab).get("iteration", 0))


def test_both_tabs_wait_and_then_move(tabs: list[Any], training: Any, artifacts: Path) -> None:
    assert training.poll() is None
    for tab in tabs:
        tab.wait_for(lambda tab=tab: status(tab).startswith("running"), SECONDS, "the training to be seen")
    for tab in tabs:
        tab.wait_for(lambda tab=tab: iteration(tab) >= 8, SECONDS, "some rows")
    before = [(iteration(tab), max(plot(tab).evaluate(POINTS))) for tab in tabs]
    for tab, (rows, points) in zip(tabs, before, strict=True):
        tab.wait_for(lambda tab=tab, rows=rows: iteration(tab) > rows, SECONDS, "more rows")
        tab.wait_for(lambda tab=tab, points=points: max(plot(tab).evaluate(POINTS)) > points, SECONDS, "longer curves")
        assert explorer(tab).count() == 1 and plot(tab).locator(".scatterlayer .trace").count() >= 8


def test_a_control_that_is_moved_in_one_tab_moves_in_the_other(tabs: list[Any], training: Any) -> None:
    first, second = tabs
    drawn = [plot(tab).locator(".scatterlayer .trace") for tab in tabs]
    before = drawn[0].count()
    explorer(second).locator(".widget-checkbox", has_text="cross task").locator("input").click()
    for tab, lines in zip(tabs, drawn, strict=True):
        tab.wait_for(lambda lines=lines: lines.count() == before - 1, SECONDS, "a curve less")
    explorer(first).locator(".widget-checkbox", has_text="cross task").locator("input").click()
    for tab, lines in zip(tabs, drawn, strict=True):
        tab.wait_for(lambda lines=lines: lines.count() == before, SECONDS, "the curve again")


def test_the_button_of_the_second_tab_stops_the_training_and_both_see_it(
    run: str, tabs: list[Any], training: Any
) -> None:
    explorer(tabs[1]).locator("button", has_text="Stop the training").click()
    for tab in tabs:
        tab.wait_for(lambda tab=tab: status(tab).startswith("stopped: "), SECONDS, "the end to be seen")
        assert explorer(tab).locator("button", has_text="Stop").is_disabled()
    assert training.wait(SECONDS) == 0 and Run(run).status == "stopped"
    last = told(Run(run).rows("history")[-1]["loss"])
    for tab in tabs:
        tab.wait_for(lambda tab=tab: numbers(tab)["loss"] == last, SECONDS, "the last row")


def test_a_reload_finds_the_watcher_again(tabs: list[Any]) -> None:
    before = numbers(tabs[1])
    tabs[1].load()
    tabs[1].wait_for(lambda: plot(tabs[1]).count() == 1, SECONDS, "the watcher")
    tabs[1].wait_for(lambda: numbers(tabs[1]) == before, SECONDS, "its numbers")
    wanted = plot(tabs[0]).evaluate(POINTS)
    tabs[1].wait_for(lambda: plot(tabs[1]).evaluate(POINTS) == wanted, SECONDS, "its curves")


def test_after_the_fact_another_kernel_shows_the_whole_of_it(
    run: str, tabs: list[Any], open_notebook: Callable[..., Any], tmp_path_factory: Any, artifacts: Path
) -> None:
    later = open_notebook(notebook(tmp_path_factory.mktemp("made"), WATCH % run), "afterwards")
    run_cell(later, 0)
    later.wait_for(lambda: plot(later).locator(".scatterlayer .trace").count() >= 8, SECONDS, "the curves")
    later.wait_for(lambda: numbers(later) == numbers(tabs[0]), SECONDS, "the same numbers")
    assert status(later) == status(tabs[0]) and explorer(later).locator("button", has_text="Stop").is_disabled()
    assert plot(later).evaluate("plot => plot.data[0].x.length") == len(Run(run).rows("history"))
    later.page.screenshot(path=artifacts / "watcher-afterwards.png")
    assert later.traffic.outside() == [] and later.traffic.ours() == []


def test_the_consoles_are_quiet(tabs: list[Any]) -> None:
    assert [tab.traffic.outside() for tab in tabs] == [tab.traffic.ours() for tab in tabs] == [[], []]
