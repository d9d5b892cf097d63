"""How figures look: colours that colour-blind readers can tell apart, one frame, and a text for those who see none."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import cycle, islice
from textwrap import wrap
from typing import TYPE_CHECKING

import plotly.graph_objects as go
import plotly.io as pio

if TYPE_CHECKING:
    import pandas

    from ssmis_core.runs import Run

# Okabe & Ito (2008), Color universal design.
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILLION, PURPLE = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)
CYCLE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)
REFERENCE, PREDICTION = SKY, ORANGE
CLASS_COLOURS = (SKY, ORANGE, PURPLE, YELLOW, GREEN, VERMILLION)
GREY = "#8A8A8A"


def class_colours(classes: int, *, predicted: bool = False) -> tuple[str, ...]:
    """Of the foreground classes: one for the role where there is one class, else one a class for either role.

    More than six classes have the same ones over again; legends and readouts name them.
    """
    single = (PREDICTION,) if predicted else (REFERENCE,)
    return single if classes == 2 else tuple(islice(cycle(CLASS_COLOURS), classes - 1))


def use() -> None:
    """Show figures as plotly data, which JupyterLab and VS Code draw; PLOTLY_RENDERER in the environment goes first."""
    if "PLOTLY_RENDERER" not in os.environ:
        pio.renderers.default = "plotly_mimetype"


def finish(
    figure: go.Figure, *, title: str, alt: str, height: int = 420, width: int = 860, runs: Iterable[Run] = ()
) -> go.Figure:
    """Give a figure its frame, its title and its description in words, kept in `layout.meta["alt"]`.

    height, width: pixels. runs: those that it shows, see `noted`. Returns the same figure.
    """
    shown = tuple(runs)
    title, alt = noted(title, *shown, by="<br>"), noted(alt, *shown)
    figure.update_layout(
        template="plotly_white",
        title={"text": title, "x": 0.02, "xanchor": "left", "font": {"size": 17}, "y": 0.98, "yanchor": "top"},
        font={"size": 13},
        height=height,
        width=width,
        meta={"alt": alt},
    )
    return figure


def wrapped(name: str, width: int = 34) -> str:
    """A long name for an axis or a legend, in lines of so many letters at most where it has a place to break."""
    return "<br>".join(wrap(name, width))


def one_header(table: pandas.DataFrame) -> pandas.DataFrame:
    """The table with the name of its index in the corner: pandas would give it a second, else empty header row."""
    return table.rename_axis(index=None, columns=table.index.name)


def noted(text: str, *runs: Run, by: str = "; ") -> str:
    """The text, and after it that weights were chosen on the test set, where that holds for any of the runs."""
    chosen = any(run.config.protocol == "best-on-test" for run in runs)
    return f"{text}{by}weights chosen on the test set" if chosen else text


def alt_text(figure: go.Figure) -> str:
    """The description in words that `finish` kept."""
    return (figure.layout.meta or {}).get("alt", "")
