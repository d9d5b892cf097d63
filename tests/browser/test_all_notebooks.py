"""Every notebook as a reader runs it in JupyterLab: Run All, every cell green, every figure and explorer there.

What can be done with one of them is tried in test_jupyterlab.py, which has 02_ugmcl.ipynb.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.figures import assert_figures_drawn

pytestmark = pytest.mark.browser

SECONDS = 400  # for all cells of a small run, on a busy machine
SIZE = {"dataset_options": {"size": [32, 32, 16]}}
SMALL = {"patch": [32, 32, 16], "stride": [32, 32, 16], "filters": 2, "log_every": 5}
TRAINED = {**SIZE, "settings": SMALL, "iterations": 20, "labeled": 4}
SCANS = {"dataset_options": {"cases": 10, "unlabeled": 4, "size": [32, 32, 20]}}
NOTEBOOKS: dict[str, dict[str, Any]] = {
    "00_start_here": TRAINED,
    "01_ssnet": TRAINED,
    "03_tracoco": TRAINED,
    "04_cpam_trcm": TRAINED,
    "05_metrics": SIZE,
    "06_your_data": {**TRAINED, **SCANS},
    "07_compare": {"settings": {"patch": [32, 32], "stride": [32, 32], "filters": 2}, "iterations": 20, "seeds": 2},
    "08_review": {"who": "anna"},
}
LIVE = ("figure-explore-", "figure-watch", "figure-browse-")


def explorers(opened: Any) -> dict[str, Any]:
    """The explorer of each cell that is tagged with one, by tag."""
    tags = {tag: n for tag, n in opened.tagged("figure-").items() if tag.startswith(LIVE)}
    return {tag: opened.cell(number).locator(".ssmis-explorer") for tag, number in tags.items()}


def test_every_notebook_is_run_in_a_browser(repository: Path) -> None:
    there = {path.stem for path in (repository / "notebooks").glob("*.ipynb")}
    assert there == {*NOTEBOOKS, "02_ugmcl"}


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_cell_is_green_and_every_figure_there(
    name: str, open_notebook: Callable[..., Any], repository: Path, lab: Any, artifacts: Path
) -> None:
    parameters = dict(NOTEBOOKS[name])
    if name != "05_metrics":  # it writes no folder
        parameters["run_dir"] = str(lab.root / "runs" / name)
    opened = open_notebook(repository / "notebooks" / f"{name}.ipynb", name, **parameters)
    try:
        opened.menu("Run", "Run All Cells")
        opened.wait_for(lambda: opened.ran(opened.code()), SECONDS, "all cells to run")
        opened.wait_idle(60)
        assert opened.errors() == []
        assert_figures_drawn(opened)
        for tag, part in explorers(opened).items():
            part.scroll_into_view_if_needed()
            part.locator(".js-plotly-plot, canvas.ssmis-canvas").first.wait_for(state="visible")
            assert part.locator(".ssmis-error").count() == 0
            part.screenshot(path=artifacts / f"{name}-{tag}.png")
    finally:
        opened.page.screenshot(path=artifacts / f"{name}-after-run-all.png")
        opened.menu("Kernel", "Shut Down Kernel")  # or the next one would run beside it
    assert opened.traffic.outside() == [] and opened.traffic.ours() == []
