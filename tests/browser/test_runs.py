"""Runs looked at in JupyterLab: a training is watched and stopped, test cases are sorted and opened."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ssmis_core.runs import Run
from tests.browser.cells import TRAIN, explorer, notebook, numbers, place, run_cell
from tests.widgets.evaluated_runs import evaluated
from widgets.case_browser import CaseBrowser, browse_cases
from widgets.explorer import told

pytestmark = pytest.mark.browser

SECONDS = 60
CANVASES = "canvases => canvases.map(canvas => canvas.toDataURL())"


@pytest.fixture(scope="module")
def watched(open_notebook: Callable[..., Any], lab: Any, tmp_path_factory: Any, artifacts: Path) -> Iterator[Any]:
    """A watcher of a folder that is not there yet, above a cell that trains into it."""
    run = str(lab.root / "watched")
    path = notebook(
        tmp_path_factory.mktemp("made"),
        f"from widgets.watcher import watch\nshown = watch({run!r}, every=0.5)\nshown",
        TRAIN % run,
        "shown.close(), shown._thread.is_alive()",
    )
    opened = open_notebook(path, "watcher")
    run_cell(opened, 0)
    try:
        opened.wait_for(lambda: explorer(opened).locator(".js-plotly-plot").count(), SECONDS, "the watcher")
    finally:
        opened.page.screenshot(path=artifacts / "watcher-begin.png")
    yield opened
    opened.page.screenshot(path=artifacts / "watcher-end.png")


def test_a_training_in_the_same_notebook_is_watched_while_it_runs_and_stopped_by_the_button(
    watched: Any, lab: Any, artifacts: Path
) -> None:
    status, page = explorer(watched).locator(".ssmis-status"), watched.page
    assert "waiting for a training" in status.inner_text() and "does not exist yet" in status.inner_text()
    button = explorer(watched).locator("button", has_text="Stop the training")
    assert button.is_disabled()
    run_cell(watched, 1)
    watched.wait_for(lambda: "running" in status.inner_text(), SECONDS, "the watcher to see the training")
    watched.wait_for(lambda: float(numbers(watched).get("iteration", 0)) >= 8, SECONDS, "some rows")
    lines = explorer(watched).locator(".js-plotly-plot .scatterlayer .trace")
    assert watched.prompt(place(1)) == "[*]" and lines.count() >= 8
    assert {"loss", "intra task", "teacher: Dice", "teacher: share certain"} <= set(numbers(watched))
    page.screenshot(path=artifacts / "watcher-running.png")
    checks(watched)
    button.click()
    watched.wait_for(lambda: watched.prompt(place(1)) == "[2]", SECONDS, "the training to end")
    watched.wait_for(lambda: status.inner_text().startswith("stopped: "), SECONDS, "the watcher to see the end")
    run = Run(lab.root / "watched")
    assert run.status == "stopped" and button.is_disabled() and not (run.path / "stop").exists()
    before, last = (row["loss"] for row in run.rows("history")[-2:])  # `checks` left a mean of two
    watched.wait_for(lambda: numbers(watched)["loss"] == told((before + last) / 2), SECONDS, "the last row")
    assert status.inner_text().startswith(f"stopped: {run.info['iterations_done']} of 20000 iterations in ")


def checks(opened: Any) -> None:
    """Each control, while the kernel is busy training."""
    part = explorer(opened)
    shown = part.locator(".js-plotly-plot")
    drawn = shown.locator(".scatterlayer .trace")
    before = drawn.count()
    part.locator(".widget-checkbox", has_text="cross task").locator("input").click()
    opened.wait_for(lambda: drawn.count() == before - 1, SECONDS, "a curve less after a click")
    part.locator(".widget-checkbox", has_text="cross task").locator("input").focus()
    opened.page.keyboard.press("Space")
    opened.wait_for(lambda: drawn.count() == before, SECONDS, "the curve again after a key")
    kind = "figure => figure.layout.yaxis.type"
    assert shown.evaluate(kind) == "log"
    part.locator("button", has_text="linear").click()
    opened.wait_for(lambda: shown.evaluate(kind) == "linear", SECONDS, "a linear axis")
    part.locator("button", has_text=re.compile("^seconds$")).click()
    opened.wait_for(
        lambda: "seconds" in shown.evaluate("figure => figure.layout.xaxis.title.text"), SECONDS, "seconds below"
    )
    part.locator(".widget-slider .noUi-handle").focus()
    opened.page.keyboard.press("ArrowRight")
    opened.wait_for(lambda: part.locator(".widget-readout").inner_text() == "2", SECONDS, "a longer mean")


def test_closing_the_watcher_ends_its_thread(watched: Any) -> None:
    watched.wait_idle()
    run_cell(watched, 2)
    watched.wait_for(lambda: watched.prompt(place(2)) == "[3]", SECONDS, "the answer of the kernel")
    assert watched.cell(place(2)).locator(".jp-OutputArea-output").inner_text().strip() == "(None, False)"
    assert explorer(watched).count() == 0


def test_watching_asks_no_other_machine_and_the_console_is_quiet(watched: Any) -> None:
    assert watched.traffic.outside() == [] and watched.traffic.ours() == []


@pytest.fixture(scope="module")
def direct(lab: Any) -> CaseBrowser:
    """The browser of cases as this process has it."""
    runs = [evaluated(lab.root / name, dims=3, step=step, labeled=n) for name, step, n in (("a", 2, 4), ("b", 1, 8))]
    return browse_cases(*runs)


@pytest.fixture(scope="module")
def browsed(
    direct: CaseBrowser, open_notebook: Callable[..., Any], lab: Any, tmp_path_factory: Any, artifacts: Path
) -> Iterator[Any]:
    runs = [str(one.run.path) for one in direct.answers.values()]
    cell = f"from widgets.case_browser import browse_cases\nshown = browse_cases(*{runs!r})\nshown"
    opened = open_notebook(notebook(tmp_path_factory.mktemp("made"), cell), "browse")
    run_cell(opened, 0)
    opened.wait_for(lambda: planes(opened).count() == 6, SECONDS, "the planes of two viewers")
    opened.wait_for(lambda: len(listed(opened)) == 5, SECONDS, "the table")
    yield opened
    opened.page.screenshot(path=artifacts / "case-browser.png")


def planes(opened: Any) -> Any:
    return explorer(opened).locator("canvas.ssmis-canvas")


def listed(opened: Any) -> list[str]:
    return list(
        explorer(opened).locator(".ssmis-case-list tbody tr").evaluate_all("rows => rows.map(r => r.dataset.case)")
    )


def selected(opened: Any) -> str:
    return str(explorer(opened).locator("tr[aria-selected=true]").get_attribute("data-case"))


def test_rows_sort_by_mouse_and_by_keyboard_and_a_missed_case_stays(browsed: Any, direct: CaseBrowser) -> None:
    assert listed(browsed) == direct.table.order()
    buttons = explorer(browsed).locator(".ssmis-case-list th button")
    assert buttons.count() == 1 + len(direct.table.columns)
    for column, press in ((2, "click"), (2, "Enter"), (-1, "Space"), (0, "click")):
        button = buttons.nth(column + 1)
        again = direct.table.sort["column"] == column
        direct.table.sort = {"column": column, "descending": again and not direct.table.sort["descending"]}
        if press == "click":
            button.click()
        else:
            button.focus()
            browsed.page.keyboard.press(press)
        browsed.wait_for(lambda: listed(browsed) == direct.table.order(), SECONDS, f"rows sorted by {column}")
    assert explorer(browsed).locator(".ssmis-case-list td", has_text="missed").count() == 4  # two distances of two runs


def opens(browsed: Any, direct: CaseBrowser, case: str) -> None:
    """The case is open in both, with the same numbers."""
    direct.show_case(case)
    wanted = {name: told(value) for name, value in direct.numbers.items()}
    browsed.wait_for(lambda: selected(browsed) == case, SECONDS, f"{case} to be chosen")
    browsed.wait_for(lambda: numbers(browsed) == wanted, SECONDS, f"the numbers of {case}")
    titles = explorer(browsed).locator(".ssmis-title")
    assert all(text.startswith(case) for text in titles.all_inner_texts()) and titles.count() == 2


def test_a_case_opens_by_mouse_and_keyboard_from_table_and_scatter(
    browsed: Any, direct: CaseBrowser, artifacts: Path
) -> None:
    page, before = browsed.page, planes(browsed).evaluate_all(CANVASES)
    rows = explorer(browsed).locator(".ssmis-case-list tbody tr")
    rows.nth(3).click()
    opens(browsed, direct, listed(browsed)[3])
    browsed.wait_for(lambda: planes(browsed).evaluate_all(CANVASES) != before, SECONDS, "other planes")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    opens(browsed, direct, listed(browsed)[2])
    points = explorer(browsed).locator(".ssmis-point")
    assert points.count() == 10
    (lost,) = [
        one
        for one in points.all()
        if "missed" in one.get_attribute("aria-label") and one.get_attribute("data-series") == "0"
    ]
    lost.click()
    opens(browsed, direct, str(lost.get_attribute("data-case")))
    page.screenshot(path=artifacts / "case-browser-missed.png")
    points.first.focus()
    page.keyboard.press("ArrowRight")
    focused = str(page.evaluate("document.activeElement.dataset.case"))
    page.keyboard.press("Enter")
    opens(browsed, direct, focused)


def test_the_controls_change_scatter_and_pictures(browsed: Any, direct: CaseBrowser) -> None:
    scatter = explorer(browsed).locator(".ssmis-scatter")
    explorer(browsed).locator("select").first.select_option("size of the reference")
    browsed.wait_for(lambda: "volume of the reference (ml)" in scatter.text_content(), SECONDS, "volumes")
    direct.controls["against"].value = "volume"
    assert explorer(browsed).locator(".ssmis-case-list th button").count() == 1 + len(direct.table.columns)
    entropy = explorer(browsed).locator("[data-layer=entropy]")
    assert entropy.count() == 2
    explorer(browsed).locator(".widget-checkbox input").click()
    browsed.wait_for(lambda: entropy.count() == 0, SECONDS, "the entropy to go")
    explorer(browsed).locator(".widget-checkbox input").focus()
    browsed.page.keyboard.press("Space")
    browsed.wait_for(lambda: entropy.count() == 2, SECONDS, "the entropy again")


def test_cursors_of_two_runs_are_linked(browsed: Any) -> None:
    places = explorer(browsed).locator(".ssmis-readout")
    before = places.all_inner_texts()
    explorer(browsed).locator("canvas[data-plane=axial]").nth(1).click(position={"x": 60, "y": 60})
    browsed.wait_for(lambda: all(a != b for a, b in zip(places.all_inner_texts(), before, strict=True)), 5, "both move")
    assert len({re.sub(r";.*", "", text) for text in places.all_inner_texts()}) == 1


def test_browsing_asks_no_other_machine_and_the_console_is_quiet(browsed: Any) -> None:
    assert browsed.traffic.outside() == [] and browsed.traffic.ours() == []
