"""The frame that all explorers share: controls, linked pictures and numbers, or a still of them without a reader."""

from __future__ import annotations

import html
import math
import os
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import ipywidgets
import numpy as np
import plotly.graph_objects as go

from ssmis_core.errors import UserError
from widgets.chart import Chart
from widgets.kept_cases import tidied
from widgets.rerun import replace_earlier
from widgets.sheet import legend_width, sheet, with_room_for_its_legend
from widgets.slices import Outline, Panel, panels
from widgets.viewer import Layer, Viewer, at_once, link

WIDEST = 1150  # pixels of a still; charts stand below the slices where there is no room beside them
LIVE = ("JPY_SESSION_NAME", "VSCODE_PID", "COLAB_RELEASE_TAG")  # set where somebody sits in front of the kernel


def live() -> bool:
    """Whether a reader can move controls here; not in a notebook that runs headless."""
    return any(name in os.environ for name in LIVE)


@dataclass(frozen=True)
class Frame:
    """The parts that an explorer has on the page, for those that put others between them.

    head: title and reading; line: what was wrong, else empty; pictures: viewers and charts, None where an explorer
    brings its own.
    """

    head: ipywidgets.HTML
    controls: ipywidgets.Box
    line: ipywidgets.HTML
    numbers: ipywidgets.HTML
    pictures: ipywidgets.Box | None


class Explorer(ipywidgets.VBox):
    """Controls above, numbers and pictures below; moving a control computes anew.

    compute: takes the controls' values by name, draws into the pictures and returns named numbers (or texts).
    viewers: volumes, which share one crosshair; charts: plotly figures, beside the viewers where there is room, which
    is for 420 pixels in a notebook that is 1400 wide.
    reading: one line on how to read it. `numbers` has what was computed last, `seconds` how long it took; a UserError
    is shown in its line and leaves everything as it was. `frame` has the parts by name. `still()` is a plotly figure of
    what is shown, which stands in for the explorer where a notebook runs without a reader. `close()` frees everything.
    """

    in_steps = False  # True: what is drawn first is on the page while the rest is computed; False: all of it at once

    def __init__(
        self,
        title: str,
        reading: str,
        controls: Mapping[str, ipywidgets.ValueWidget],
        viewers: Sequence[Viewer],
        compute: Callable[..., Mapping[str, Any]],
        charts: Sequence[Chart] = (),
    ):
        self.title, self.reading, self.controls = title, reading, dict(controls)
        self.viewers, self.charts = list(viewers), list(charts)
        self.numbers: dict[str, Any] = {}
        self.seconds = 0.0
        self._compute, self._computing = compute, False
        for one in self.controls.values():
            one.style.description_width = "130px"
            one.observe(self._moved, names="value")
        self._links = link(*self.viewers)
        flow = ipywidgets.Layout(flex_flow="row wrap", align_items="center", grid_gap="2px 14px")
        self.frame = Frame(
            head=ipywidgets.HTML(f"<h3>{html.escape(title)}</h3><p>{html.escape(reading)}</p>"),
            controls=ipywidgets.Box(list(self.controls.values()), layout=flow),
            line=ipywidgets.HTML(),
            numbers=ipywidgets.HTML(),
            pictures=self._pictures(),
        )
        frame = self.frame
        shown = (frame.head, frame.controls, frame.line, frame.numbers, frame.pictures)
        super().__init__([one for one in shown if one is not None])
        replace_earlier(self)
        self.add_class("ssmis-explorer")
        self.refresh()

    def _pictures(self) -> ipywidgets.Box | None:
        """Viewers and charts, side by side where there is room; None where there are none."""
        # viewers are as wide as three planes; charts stand in a column beside them, or else in rows below
        wide = ((self.viewers, "1 1 785px", "column"), (self.charts, "1 1 420px", "row wrap"))
        parts = [ipywidgets.Box(shown, layout={"flex": flex, "flex_flow": flow}) for shown, flex, flow in wide if shown]
        return ipywidgets.Box(parts, layout={"flex_flow": "row wrap", "grid_gap": "8px"}) if parts else None

    def refresh(self) -> None:
        """Compute and draw for the controls as they stand; what that itself does to controls is no move."""
        drawn_late: Sequence[Chart] = () if self.in_steps else self.charts
        with tidied(), ExitStack() as last:  # the numbers do not wait for charts, which take a browser long to draw
            for chart in drawn_late:
                last.enter_context(chart.later())
            if self._answered():
                self._show_numbers()

    def _answered(self) -> bool:
        """Compute and draw; False where that was refused, which the line then tells."""
        began, self._computing = time.perf_counter(), True
        try:
            with at_once(*() if self.in_steps else self.viewers):
                self.numbers = dict(self._compute(**{name: one.value for name, one in self.controls.items()}))
        except UserError as error:
            self.complain(str(error))
            return False
        except Exception as error:  # told on the page too: a kernel's log, where it ends up, is out of a reader's sight
            self.complain(f"{type(error).__name__}: {error}")
            raise
        finally:
            self._computing = False
        self.seconds = time.perf_counter() - began
        return True

    def _show_numbers(self) -> None:
        self.frame.line.value = ""
        cells = "".join(
            f"<tr><td>{html.escape(name)}</td><td data-name='{html.escape(name)}'>{told(value)}</td></tr>"
            for name, value in self.numbers.items()
        )
        self.frame.numbers.value = f"<table class='ssmis-numbers'>{cells}</table>"

    def complain(self, text: str) -> None:
        """Say in the line what is wrong."""
        self.frame.line.value = f"<p class='ssmis-error' role='alert'>{html.escape(text)}</p>"

    def still(self) -> go.Figure:
        """The slices at the crosshair with their outlines, every map, and the charts, as one figure."""
        slices, charts = [slices_of(viewer) for viewer in self.viewers], [chart.figure for chart in self.charts]
        rows, beside = [[one] for one in slices] + [charts], [*slices[-1:], *charts]
        fits = all(legend_width(one) <= one.layout.width for one in slices[-1:])
        if fits and sum(one.layout.width for one in beside) <= WIDEST:
            rows = [*rows[:-2], beside]
        width = max(sum(one.layout.width for one in row) for row in rows)
        numbers = ", ".join(f"{name} {told(value)}" for name, value in self.numbers.items())
        title = textwrap.wrap(self.title, width // 9)  # about so many pixels a letter
        foot = textwrap.wrap(numbers, width // 7)
        head = 12 + 24 * len(title)
        return sheet(rows, title="<br>".join(title), alt=f"{self.reading} {numbers}.", head=head, foot=foot)

    def close(self) -> None:
        """Take it off the page and free what it holds, the parts that ipywidgets makes unasked included."""
        self._compute, self._computing = dict, True  # what computed holds the network and the scans; no move counts
        while self._links:
            self._links.pop().unlink()
        for one in parts_of(self):
            super().close() if one is self else one.close()

    def _moved(self, _change: Any) -> None:
        if not self._computing:
            self.refresh()

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return super()._repr_mimebundle_(**kwargs) if live() else self.still()._repr_mimebundle_(**kwargs)


def parts_of(widget: ipywidgets.Widget) -> list[ipywidgets.Widget]:
    """A widget after all that belongs to it: children, layouts, styles."""
    own = [getattr(widget, name, None) for name in ("layout", "style")]
    inner = [part for child in getattr(widget, "children", ()) for part in parts_of(child)]
    return [*inner, *(part for part in own if isinstance(part, ipywidgets.Widget)), widget]


def slices_of(viewer: Viewer) -> go.Figure:
    """The viewer's image with the outlines on it, then each of its maps, at the crosshair."""
    outlines: list[Outline] = []
    maps: list[Panel] = []
    image: np.ndarray | None = None
    for name, layer in viewer.layers.items():
        if layer.kind == "image":
            image = values_of(layer)
        elif layer.kind == "labels":
            for value, (told_as, colour) in enumerate(layer.legend, start=1):
                outlines.append(Outline(layer.values == value, told_as, colour, "dot" if layer.dashed else "solid"))
        else:
            maps.append(Panel(values_of(layer), name, layer.kind, top=layer.high))
    assert image is not None
    parts = [Panel(image, viewer.name, outlines=outlines), *maps]
    spacing = viewer.spacing[: viewer.dims] if viewer.in_mm else None
    settings: dict[str, Any] = {"columns": len(parts), "slices": [viewer.cursor[2]], "panel_height": 215}
    drawn = panels(parts, title=viewer.title, alt="", spacing=spacing, **settings)
    return with_room_for_its_legend(drawn.update_layout(title_font_size=15))


def values_of(layer: Layer) -> np.ndarray:
    """The numbers that a layer's bytes stand for."""
    return (layer.low + layer.values.astype(np.float32) / 255.0 * (layer.high - layer.low)).astype(np.float32)


def told(value: Any) -> str:
    """A number with four digits, a dash for one that there is not, anything else as it is."""
    if isinstance(value, float) and math.isnan(value):
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else html.escape(str(value))
