"""Colours of layers in napari: the ones of the figures, so that a notebook and a window say the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.colors

from widgets import style
from widgets.slices import KINDS

CORRECTION = style.GREEN
ERRORS = {"missed": style.VERMILLION, "too much": style.BLUE, "another class": style.YELLOW}
CLEAR = "transparent"


def label_colours(colours: list[str] | tuple[str, ...]) -> dict[int | None, str]:
    """Labels 1, 2, ... in these colours; the background and any other label clear."""
    return {None: CLEAR, 0: CLEAR, **dict(enumerate(colours, start=1))}


def class_colours(classes: int, role: str) -> dict[int | None, str]:
    """Of a label map in a role: "reference", "prediction" or "correction". One colour a class where there are more."""
    if classes == 2 and role == "correction":
        return label_colours([CORRECTION])
    return label_colours(style.class_colours(classes, predicted=role == "prediction"))


def map_colours(kind: str, steps: int = 64) -> dict[str, Any]:
    """Name and colours, RGBA [steps, 4] in [0, 1], of a kind of map, see `widgets.slices.KINDS`."""
    name = KINDS[kind][0]
    sampled = plotly.colors.sample_colorscale(name, np.linspace(0, 1, steps).tolist(), colortype="tuple")
    return {"name": f"ssmis {name}", "colors": np.column_stack([np.array(sampled), np.ones(steps)])}
