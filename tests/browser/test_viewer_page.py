"""Viewers on a page, and what their kernel knows of the crosshair once hands are off it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.cells import notebook, place, run_cell

pytestmark = pytest.mark.browser

MAKE = """import time
import ipywidgets
import numpy as np
from widgets.viewer import Viewer, link
scan = np.arange(24 * 24 * 24.0).reshape(24, 24, 24)
first, second, alone = (Viewer(scan, title=title) for title in ("first", "second", "alone"))
for one in (first, second, alone):
    one.show_labels("label", scan > 5000)
links = link(first, second)
ipywidgets.VBox([first, second, alone])"""
PUT = "first.cursor = [3, 4, 5]"
ANOTHER = """time.sleep(1.5)
alone.show_volume(np.zeros((6, 6, 6)))"""
TELL = "print(first.cursor, second.cursor, alone.cursor)"


def viewer(opened: Any, title: str) -> Any:
    return opened.page.locator(".ssmis-viewer").filter(has=opened.page.locator(".ssmis-title", has_text=title))


def shown_at(opened: Any, title: str) -> tuple[int, ...]:
    """The voxel that a viewer's line tells of."""
    found = re.search(r"voxel \((\d+), (\d+), (\d+)\)", viewer(opened, title).locator(".ssmis-readout").inner_text())
    return tuple(int(n) for n in found.groups()) if found else ()


def known(opened: Any) -> list[list[int]]:
    """The crosshairs of the three viewers as the kernel has them."""
    cell = opened.cell(place(3))
    before = opened.prompt(place(3))
    run_cell(opened, 3)
    opened.wait_for(lambda: re.search(r"\d", now := opened.prompt(place(3))) and now != before, 60, "the cell to run")
    opened.wait_idle()
    found = [int(n) for n in re.findall(r"\d+", cell.locator(".jp-OutputArea-output").inner_text())]
    return [found[:3], found[3:6], found[6:]]


@pytest.fixture(scope="module")
def opened(open_notebook: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    cells = notebook(tmp_path_factory.mktemp("viewers"), MAKE, PUT, ANOTHER, TELL)
    page = open_notebook(cells, "viewers")
    run_cell(page, 0)
    page.wait_for(lambda: shown_at(page, "alone"), 120, "the viewers")
    page.wait_idle()
    return page


def test_a_slider_of_a_linked_viewer_does_not_bring_an_older_crosshair_back(opened: Any) -> None:
    first = viewer(opened, "first").locator("canvas[data-plane=axial]")
    first.click(position={"x": 20, "y": 20})
    there = shown_at(opened, "first")
    opened.wait_for(lambda: shown_at(opened, "second") == there != (12, 12, 12), 10, "the linked viewer to follow")
    opened.page.wait_for_timeout(600)
    opened.wait_idle()
    assert known(opened)[:2] == [list(there), list(there)]

    run_cell(opened, 1)
    opened.wait_for(lambda: shown_at(opened, "second") == (3, 4, 5), 20, "the crosshair to be put")
    slide = viewer(opened, "second").locator(".ssmis-opacity")
    slide.focus()
    slide.press("ArrowLeft")
    opened.page.wait_for_timeout(600)
    opened.wait_idle()
    assert shown_at(opened, "first") == shown_at(opened, "second") == (3, 4, 5)
    assert known(opened)[:2] == [[3, 4, 5], [3, 4, 5]]


def test_a_volume_that_comes_while_the_crosshair_moves_has_a_crosshair_of_its_own(opened: Any) -> None:
    canvas = viewer(opened, "alone").locator("canvas[data-plane=axial]")
    run_cell(opened, 2)
    canvas.hover()
    for step in range(60):
        if not viewer(opened, "alone").locator("input.ssmis-slice[max='23']").count():
            break
        opened.page.mouse.wheel(0, 100 if step % 8 < 4 else -100)
        opened.page.wait_for_timeout(40)
    opened.page.wait_for_timeout(600)
    opened.wait_idle()
    assert all(n < 6 for n in shown_at(opened, "alone")) and known(opened)[2] == list(shown_at(opened, "alone"))
