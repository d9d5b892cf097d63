"""What a reader does with notebooks/02_ugmcl.ipynb in JupyterLab: run it, move sliders, stop a training, come back."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.browser.figures import assert_figures_drawn, figure_cells, figure_of

pytestmark = pytest.mark.browser

LONG = 5000  # iterations that no test waits for
# A training of seconds that still has every part: small volumes, one window a case, a thin network.
WHOLE = {"patch": [32, 32, 32], "stride": [32, 32, 32], "filters": 4, "log_every": 5}
SMALL = {"dataset_options": {"size": 32}, "passes": 2, "settings": WHOLE}
CONTROLS = ("supervised", "with_distance")  # trained after it, in this order, under extra/
RUN_SECONDS = 240  # for all cells of a small run, on a busy machine
TALLEST = 16_000  # pixels that Chromium puts in one picture


@pytest.fixture(scope="module")
def notebook(repository: Path) -> Path:
    return repository / "notebooks" / "02_ugmcl.ipynb"


@pytest.fixture(scope="module")
def executed(open_notebook: Callable[..., Any], notebook: Path, lab: Any, artifacts: Path) -> Iterator[Any]:
    """The notebook after Run All Cells, with every cell done."""
    opened = open_notebook(notebook, "run_all", run_dir=str(lab.root / "run_all"), iterations=20, **SMALL)
    try:
        opened.menu("Run", "Run All Cells")
        opened.wait_for(lambda: opened.ran(opened.code()), RUN_SECONDS, "all cells to run")
        opened.wait_idle()
    finally:
        opened.page.screenshot(path=artifacts / "02_ugmcl-after-run-all.png")
    yield opened


def settled(opened: Any, part: Any) -> bytes:
    """A picture of a part of the page, once two in a row are the same."""
    shots = [b"", part.screenshot()]

    def still() -> bool:
        shots.append(part.screenshot())
        return shots[-1] == shots[-2]

    opened.wait_for(still, 20, "the picture to settle")
    return shots[-1]


def differs(part: Any, before: bytes) -> bool:
    """Whether a part of the page looks other than before."""
    return bool(part.screenshot() != before)


def drag_slider(opened: Any, figure: Any) -> None:
    """Drag the first slider of a figure to its far end."""
    rail, grip = figure.locator(".slider-rail-touch-rect").first, figure.locator(".slider-grip-rect").first
    grip.scroll_into_view_if_needed()
    box, at = rail.bounding_box(), grip.bounding_box()
    y, start = at["y"] + at["height"] / 2, at["x"] + at["width"] / 2
    left, right = box["x"] + 4, box["x"] + box["width"] - 4
    opened.page.mouse.move(start, y)
    opened.page.mouse.down()
    opened.page.mouse.move(left if start - left > right - start else right, y, steps=6)
    opened.page.mouse.up()


def test_run_all_numbers_every_code_cell_and_shows_no_error(executed: Any) -> None:
    numbers = [int(executed.prompt(n).strip("[]")) for n in executed.code()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert executed.errors() == []


def test_every_figure_cell_shows_a_figure(executed: Any, artifacts: Path) -> None:
    assert_figures_drawn(executed)
    for tag, number in figure_cells(executed).items():
        figure_of(executed, number).screenshot(path=artifacts / f"02_ugmcl-{tag}.png")


def test_a_slider_in_a_figure_changes_the_picture_beside_it(executed: Any) -> None:
    moved = 0
    for tag, number in figure_cells(executed).items():
        figure = figure_of(executed, number)
        if figure.locator(".slider-grip-rect").count() == 0:
            continue
        # The drawing without the slider: its grip alone moving would not be enough.
        drawing = figure.locator(".cartesianlayer, .gl-container canvas").filter(visible=True).first
        before = settled(executed, drawing)
        drag_slider(executed, figure)
        executed.wait_for(partial(differs, drawing, before), 10, f"the slider of {tag} to change the picture")
        moved += 1
    assert moved


def test_the_whole_page_is_kept_as_a_picture(executed: Any, artifacts: Path) -> None:
    page = executed.page
    last = executed.cell(len(executed.cells) - 1)
    page.set_viewport_size({"width": 1400, "height": TALLEST})
    try:
        executed.cell(0).scroll_into_view_if_needed()
        (artifacts / "02_ugmcl-page.png").write_bytes(settled(executed, page))
        end = last.bounding_box()
        if end["y"] + end["height"] > TALLEST - 50:  # the rest, above the bar at the bottom
            page.set_viewport_size({"width": 1400, "height": TALLEST // 4})
            last.scroll_into_view_if_needed()
            (artifacts / "02_ugmcl-page-end.png").write_bytes(settled(executed, page))
    finally:
        page.set_viewport_size({"width": 1400, "height": 1500})
    assert (artifacts / "02_ugmcl-page.png").stat().st_size > 10_000


def test_a_reload_of_the_saved_page_keeps_the_figures(executed: Any) -> None:
    executed.menu("File", "Save Notebook")
    executed.wait_for(executed.saved, 30, "the notebook to be saved with its outputs")
    executed.load()
    assert all(re.fullmatch(r"\[\d+\]", executed.prompt(n)) for n in executed.code())
    assert_figures_drawn(executed)


def rows(path: Path) -> list[dict[str, str]]:
    """Rows of a table; none before it is there."""
    if not path.is_file():
        return []
    with path.open() as file:
        return list(csv.DictReader(file))


def interrupt_in_training(opened: Any, run: Path) -> None:
    """Interrupt the kernel once the training of a run has come some way."""
    opened.wait_for(lambda: opened.fail_on_error() or rows(run / "history.csv"), 120, f"rows in {run.name}/history.csv")
    opened.menu("Kernel", "Interrupt Kernel")


def test_interrupting_the_kernel_stops_training_and_leaves_a_run_to_look_at(
    open_notebook: Callable[..., Any], notebook: Path, lab: Any, artifacts: Path
) -> None:
    run = lab.root / "interrupted"
    opened = open_notebook(notebook, "interrupt", run_dir=str(run), iterations=LONG, **SMALL)
    code = opened.code()
    training = next(n for n in code if "train(" in opened.cells[n].source)
    try:
        opened.select(next(n for n in code if n > training))
        opened.menu("Run", "Run All Above Selected Cell")
        interrupt_in_training(opened, run)
        opened.wait_for(lambda: opened.ran([n for n in code if n <= training]), 60, "the training cell to end")
        opened.wait_idle()
        assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
        assert (run / "weights.safetensors").stat().st_size > 0
        assert 0 < int(rows(run / "history.csv")[-1]["iteration"]) < LONG
        assert "interrupted" in figure_of(opened, training).evaluate("figure => figure.layout.title.text")
        opened.menu("Run", "Run Selected Cell and All Below")
        for control in CONTROLS:  # as long as the first training, so stopped like it
            interrupt_in_training(opened, run / "extra" / control)
        opened.wait_for(lambda: opened.ran(code), RUN_SECONDS, "the cells after the training to run")
    finally:
        opened.page.screenshot(path=artifacts / "02_ugmcl-interrupted.png")
    assert rows(run / "cases.csv")
    assert_figures_drawn(opened)


def test_the_page_asks_no_other_machine_and_complains_of_nothing(executed: Any) -> None:
    assert len(executed.traffic.addresses) > 10
    assert executed.traffic.outside() == []
    assert executed.traffic.ours() == []
