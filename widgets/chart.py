"""A plotly figure that is redrawn in place while controls move: an explorer's picture that is no volume."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anywidget
import plotly
import plotly.graph_objects as go

from widgets.scripts import module

HERE = Path(__file__).parent


class Chart(anywidget.AnyWidget):
    """A figure in the browser. Zoom, a turned scene and hidden traces outlast `show`.

        chart = Chart(figure)
        chart.show(another)

    A page is sent plotly's own script by the kernel, once for all its charts; nothing is loaded from elsewhere. Figures
    go as messages, so that a saved notebook does not hold them. In a browser without WebGL, meshes (with i, j, k) and
    lines in 3D are a shaded still, which cannot be turned. `figure` is what is shown. `on_pick(callback)` calls
    `callback(trace, point)` with the numbers of a point that was clicked on. `close()` frees it.
    """

    _esm = module("elements.js", "solid.js", "chart.js")
    _css = HERE / "viewer.css"

    def __init__(self, figure: go.Figure | None = None):
        super().__init__()
        self.figure = go.Figure() if figure is None else figure
        self._picks: list[Callable[[int, int], None]] = []
        self._waiting: bool | None = None  # within `later`: whether the page has yet to hear of a figure
        self.on_msg(self._answer)

    def show(self, figure: go.Figure) -> None:
        """Draw this figure instead."""
        self.figure = figure
        if self._waiting is None:
            self.send({"type": "figure", "figure": figure.to_json()})
        else:
            self._waiting = True

    @contextmanager
    def later(self) -> Iterator[None]:
        """What is shown within goes to the page at the end: drawing it takes long, and others would wait for that."""
        if self._waiting is not None:  # within another one, which sends it
            yield
            return
        self._waiting = False
        try:
            yield
        finally:
            waiting, self._waiting = self._waiting, None
            if waiting:
                self.show(self.figure)

    def on_pick(self, callback: Callable[[int, int], None]) -> None:
        """Call back with (number of the trace, number of its point) whenever a point is clicked on."""
        self._picks.append(callback)

    def close(self) -> None:
        """Free the figure, here and in the browser."""
        self.__dict__.pop("figure", None)
        self._picks.clear()
        super().close()

    def _answer(self, _widget: Any, content: Mapping[str, Any], _buffers: Any) -> None:
        """A page that begins to show the chart asks for the figure, and for the script where it has none yet."""
        if content.get("type") == "ready":
            if content.get("script"):
                script = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
                self.send({"type": "script"}, [script.read_bytes()])
            self.show(self.figure)
        elif content.get("type") == "pick":
            for callback in self._picks:
                callback(int(content["trace"]), int(content["point"]))
