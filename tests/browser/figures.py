"""Plotly figures of a notebook that is open in JupyterLab."""

from __future__ import annotations

from typing import Any

# Width and height of the largest drawing in a plotly figure, and how many things are drawn in it.
MEASURE = """figure => {
  const drawings = [...figure.querySelectorAll('svg.main-svg, canvas')].map(d => d.getBoundingClientRect());
  const largest = drawings.reduce((a, b) => a.width * a.height > b.width * b.height ? a : b, {width: 0, height: 0});
  const {shapes = [], annotations = []} = figure.layout;
  const things = figure.data.length + shapes.length + annotations.length;
  return {width: largest.width, height: largest.height, things};
}"""


def figure_of(opened: Any, number: int) -> Any:
    """The plotly figure of a cell, in view and alive.

    In a file that was saved and opened again, JupyterLab shows a picture of it until the mouse comes near.
    """
    drawn = opened.cell(number).locator(".jp-RenderedPlotly")
    drawn.first.wait_for(state="attached")
    drawn.first.scroll_into_view_if_needed()
    figure = opened.cell(number).locator(".js-plotly-plot")

    def alive() -> bool:
        box = drawn.first.bounding_box()
        opened.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        return bool(figure.count())

    if figure.count() == 0:
        opened.wait_for(alive, 20, f"the figure of cell {number} to come alive")
        opened.page.mouse.move(0, 0)
    assert drawn.count() == 1, f"cell {number} shows {drawn.count()} figures, expected one"
    return figure


def figure_cells(opened: Any) -> dict[str, int]:
    """Places of the cells with a plotly figure, by tag; explorers have tests of their own."""
    live = ("figure-explore-", "figure-watch", "figure-browse-")
    return {tag: number for tag, number in opened.tagged("figure-").items() if not tag.startswith(live)}


def assert_figures_drawn(opened: Any) -> None:
    """Every cell with a figure shows one that is not empty, at a size that can be read."""
    figures = figure_cells(opened)
    assert figures
    for tag, number in figures.items():
        figure = figure_of(opened, number)
        figure.locator("svg.main-svg, canvas").first.wait_for(state="visible")
        size = figure.evaluate(MEASURE)
        assert size["width"] > 200 and size["height"] > 150 and size["things"] > 0, f"{tag}: {size}"
