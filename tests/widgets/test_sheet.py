"""Figures on one page: each keeps its size, its axes and what it shows."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest

from widgets import style
from widgets.distance import level_set
from widgets.sheet import sheet, with_room_for_its_legend
from widgets.slices import Outline, Panel, panels


def slices() -> go.Figure:
    image = np.arange(64.0).reshape(8, 8)
    parts = [Panel(image, "scan", outlines=[Outline(image > 30, "one")]), Panel(image / 64, "p", kind="probability")]
    return panels(parts, title="upper", alt="a")


def scatter() -> go.Figure:
    figure = go.Figure(go.Scatter(x=[0, 1], y=[2, 3], name="points"))
    figure.add_shape(type="rect", x0=0, x1=1, y0=2, y1=3, xref="x", yref="y")
    return style.finish(figure, title="lower", alt="b", height=300, width=400)


def pixels(figure: go.Figure, name: str) -> tuple[float, float]:
    """How wide and high a subplot is drawn."""
    at, page = figure.layout, (figure.layout.width, figure.layout.height)
    margin = at.margin
    inner = (page[0] - margin.l - margin.r, page[1] - margin.t - margin.b)
    return tuple(inner[n] * (b - a) for n, (a, b) in enumerate((at[f"xaxis{name}"].domain, at[f"yaxis{name}"].domain)))


def test_subplots_keep_their_size_and_every_trace_its_own_axes() -> None:
    upper, lower = slices(), scatter()
    page = sheet([[upper], [lower]], title="page", alt="all", foot=["numbers"])
    assert pixels(page, "") == pytest.approx(pixels(upper, "")) and pixels(page, "2") == pytest.approx(
        pixels(upper, "2")
    )
    last = page.data[len(upper.data)]
    assert (last.xaxis, last.yaxis, last.legend) == ("x3", "y3", "legend2")
    assert page.layout.xaxis3.anchor == "y3" and page.layout.shapes[0].xref == "x3"
    assert [list(trace.x) if trace.x is not None else None for trace in page.data[-1:]] == [[0, 1]]
    np.testing.assert_array_equal(page.data[0].z, upper.data[0].z)
    assert page.layout.yaxis3.domain[1] < page.layout.yaxis.domain[0]  # below


def test_titles_stay_and_the_page_has_its_own() -> None:
    page = sheet([[slices(), scatter()]], title="page", alt="all", foot=["numbers"])
    texts = [note.text for note in page.layout.annotations]
    assert page.layout.title.text == "page" and style.alt_text(page) == "all"
    assert {"upper", "lower", "scan", "p", "numbers"} <= set(texts)
    assert page.layout.xaxis3.domain[0] > page.layout.xaxis2.domain[1]  # beside
    ends = [note.x for note in page.layout.annotations if note.xref == "paper"]
    assert min(ends) >= 0 and max(ends) <= 1


def test_a_scene_gets_a_place_of_its_own() -> None:
    ball = (np.indices((12, 12, 12)) - 6.0).__pow__(2).sum(0) ** 0.5 / 6 - 0.5
    solid = level_set({"ball": (ball, style.SKY)}, 0.0)
    page = sheet([[scatter()], [solid, solid]], title="page", alt="all")
    assert [trace.scene for trace in page.data[1:]] == ["scene", "scene2"] and page.data[1].type == "mesh3d"
    left, right = page.layout.scene.domain.x, page.layout.scene2.domain.x
    assert 0 <= left[0] < left[1] < right[0] < right[1] <= 1


@pytest.mark.parametrize(("classes", "more"), [(1, 0), (3, 40)])
def test_a_legend_of_many_rows_has_room_over_the_panels(classes: int, more: int) -> None:
    """Of seven outlines with long names two stand in a row: four rows, where two have room."""
    image = np.arange(64.0).reshape(8, 8)
    names = [f"{role}, the structure {k}" for role in ("teacher", "reference") for k in range(classes)]
    outlines = [Outline(image > 9 * n, name) for n, name in enumerate(["left out", *names])]
    parts = [Panel(image, "scan", outlines=outlines), Panel(image / 64, "p", kind="probability")]
    plain, roomy = (panels(parts, title="t", alt="a") for _ in range(2))
    with_room_for_its_legend(roomy)
    assert (roomy.layout.height - plain.layout.height, roomy.layout.margin.t - plain.layout.margin.t) == (more, more)
    assert pixels(roomy, "") == pytest.approx(pixels(plain, ""))
