"""A chart sends its figure when a page asks for it, and the script once; a click is heard."""

from __future__ import annotations

import json
from typing import Any

import ipywidgets
import plotly.graph_objects as go
import pytest
from ipywidgets.widgets.widget import _instances

from ssmis_core.errors import UserError
from widgets.chart import Chart
from widgets.explorer import Explorer


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], Any]]:
    messages: list[tuple[dict[str, Any], Any]] = []
    monkeypatch.setattr(Chart, "send", lambda self, content, buffers=None: messages.append((content, buffers)))
    return messages


def test_a_page_without_the_script_is_sent_it_before_the_figure(sent: list[tuple[dict[str, Any], Any]]) -> None:
    chart = Chart(go.Figure(go.Scatter(y=[1, 2])))
    chart._answer(chart, {"type": "ready", "script": True}, [])
    chart._answer(chart, {"type": "ready", "script": False}, [])
    assert [content["type"] for content, _ in sent] == ["script", "figure", "figure"]
    assert b"plotly.js" in sent[0][1][0][:100]
    assert json.loads(sent[1][0]["figure"])["data"][0]["y"] == [1, 2]
    chart.close()


def test_show_replaces_the_figure_and_a_saved_notebook_does_not_hold_it(
    sent: list[tuple[dict[str, Any], Any]],
) -> None:
    chart, figure = Chart(), go.Figure(go.Scatter(y=[4242.5]))
    chart.show(figure)
    assert chart.figure is figure and [content["type"] for content, _ in sent] == ["figure"]
    assert "4242.5" not in str({key: value for key, value in chart.get_state().items() if key != "_esm"})
    chart.close()


def test_an_explorer_sends_its_numbers_before_its_charts_and_a_chart_only_once(
    sent: list[tuple[dict[str, Any], Any]],
) -> None:
    chart, slider = Chart(), ipywidgets.IntSlider(0)

    def compute(n: int) -> dict[str, int]:
        for y in (n, n + 1):
            chart.show(go.Figure(go.Scatter(y=[y])))
        if n == 2:
            chart._answer(chart, {"type": "ready"}, [])  # a page that asks in the midst of it has its answer in the end
            raise UserError("two is refused")
        return {"n": n}

    def drawn() -> list[int]:
        return [json.loads(content["figure"])["data"][0]["y"][0] for content, _ in sent]

    explorer = Explorer("t", "r", {"n": slider}, [], compute, [chart])
    before: list[list[int]] = []
    explorer.frame.numbers.observe(lambda _: before.append(drawn()), names="value")
    slider.value = 1
    assert before == [[1]] and drawn() == [1, 2]
    slider.value = 2
    assert before == [[1]] and drawn() == [1, 2, 3]  # what was shown before it was refused
    explorer.close()


def test_a_click_is_told_by_numbers_of_trace_and_point() -> None:
    chart, heard = Chart(), []
    chart.on_pick(lambda trace, point: heard.append((trace, point)))
    chart._answer(chart, {"type": "pick", "trace": 2, "point": 5}, [])
    assert heard == [(2, 5)]
    chart.close()


def test_an_explorer_can_do_without_viewers_and_closes_its_charts() -> None:
    counts = []
    for _ in range(3):
        chart = Chart()
        figure = go.Figure(go.Scatter(y=[1]), layout={"width": 300, "height": 200})
        explorer = Explorer("t", "r", {}, [], lambda chart=chart, figure=figure: chart.show(figure) or {}, [chart])
        assert explorer.still().layout.title.text == "t" and len(explorer.still().data) == 1
        explorer.close()
        counts.append(len(_instances))
    assert counts[0] == counts[-1]
