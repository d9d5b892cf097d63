"""One view on one scan as napari layers: how its numbers are drawn, and where they lie."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ssmis_core.datasets import Case
from ssmis_core.views import View
from widgets import style
from widgets.replay import array
from widgets.review.colours import class_colours, label_colours, map_colours
from widgets.review.layers import LayerData, line_width, units, voxel_size

Drawn = tuple[str, np.ndarray, dict[str, Any], str]  # what comes after the view's name, array, settings, type

COLOURS = {  # of views that are not in the colour of a prediction
    "perturbed_probability": style.VERMILLION,
    "second_probability_1": style.VERMILLION,
    "overlap": style.GREEN,
    "box": style.GREEN,
    "certainty": style.VERMILLION,
    "confident_1": style.YELLOW,
    "pseudo_label": style.PURPLE,
}
LINES, FILLED = ("answer", "line", "hole"), ("fill", "left out")
PATCH_ROLES = ("scan", "view", "frame", "scan reference")  # of layers that belong to a view, not to a review
FRAMES = (style.SKY, style.PURPLE)


class Place:
    """Puts views of one scan where their patches lie, and remembers the boxes that these fill.

    factor: voxels of the scan, along each axis, to one voxel of the views' grid.
    """

    def __init__(self, scan: Case, factor: Sequence[int], class_names: Sequence[str]):
        self.scan, self.factor, self.class_names = scan, tuple(factor), list(class_names)
        self.boxes: dict[tuple[int, ...], tuple[int, ...]] = {}

    def draw(self, view: View, row: int, how: str, *, visible: bool) -> list[LayerData]:
        """Layers of one row of a view; how: see `widgets.review.view_layers.Topic`."""
        maps, corner = array(view, row), tuple(view.corner[row].tolist())
        self.boxes[corner] = maps.shape[1:]
        parts = self._maps(view, maps) if how == "map" else [self._plain(view, maps, how)]
        name = view.name.replace("_", " ")
        return [
            (
                data,
                {**self._settings(corner, f"{name}{suffix}", view, how), **look, "visible": visible and number == 0},
                kind,
            )
            for number, (suffix, data, look, kind) in enumerate(parts)
        ]

    def frames(self) -> list[LayerData]:
        """The edges of every patch drawn so far."""
        fine = np.array(voxel_size(self.scan))
        size = fine * self.factor
        layers: list[LayerData] = []
        for number, (corner, shape) in enumerate(self.boxes.items()):
            low = np.array(corner) * size - fine / 2
            lines = [low + ends * np.array(shape) * size for ends in edges(len(shape))]
            name = "patch" if len(self.boxes) == 1 else f"patch {number + 1}"
            pen = {"edge_color": FRAMES[number % len(FRAMES)], "edge_width": float(size.min()) / 2}
            kept = {"case": self.scan.id, "role": "frame", "corner": corner}
            look = {"name": name, "shape_type": "line", "units": units(self.scan), "metadata": {"ssmis": kept}, **pen}
            layers.append((lines, look, "shapes"))
        return layers

    def _settings(self, corner: Sequence[int], name: str, view: View, how: str) -> dict[str, Any]:
        """Voxel size and place in mm (or voxels): the middle of a coarse voxel is that of the block it stands for."""
        fine = np.array(voxel_size(self.scan))
        coarse = fine * self.factor
        start = np.array(corner) * coarse + (coarse - fine) / 2
        kept: dict[str, Any] = {
            "case": self.scan.id,
            "role": "view",
            "view": view.name,
            "kind": view.kind,
            "corner": tuple(corner),
        }
        kept["contour"] = line_width(view.value.shape[2:]) if how in LINES else 0
        place = {"scale": tuple(coarse.tolist()), "translate": tuple(start.tolist())}
        return {"name": name, **place, "units": units(self.scan), "metadata": {"ssmis": kept}}

    def _plain(self, view: View, maps: np.ndarray, how: str) -> Drawn:
        """A view as one layer: an image, an answer, a border, or a filled mask."""
        if how == "image":
            low, high = (float(value) for value in np.percentile(maps[0], (0.5, 99.5)))
            return "", maps[0], {"colormap": "gray", "contrast_limits": (low, max(high, low + 1e-6))}, "image"
        if how == "answer":
            labels, role = maps.argmax(0), "prediction"
        else:
            labels, role = maps[0] == 0 if how in ("left out", "hole") else maps[0], "reference"
        if view.name in COLOURS and labels.max() <= 1:
            colours = label_colours([COLOURS[view.name]])
        else:
            colours = class_colours(len(self.class_names), role)
        look = {"opacity": 0.4 if how in FILLED else 1.0}
        suffix = {"answer": ", answer", "left out": ", left out"}.get(how, "")
        return suffix, labels.astype(np.uint8), {"colormap": colours, **look}, "labels"

    def _maps(self, view: View, maps: np.ndarray) -> list[Drawn]:
        """Each channel of a view as numbers in colours; the first one is shown."""
        kind = "weight" if view.kind == "mask" else view.kind
        top = {"noise": float(np.abs(maps).max()) or 1e-6, "uncertainty": math.log(len(self.class_names))}.get(
            kind, 1.0
        )
        low = -top if kind in ("noise", "distance") else 0.0
        look = {"colormap": map_colours(kind), "contrast_limits": (low, top), "opacity": 0.6}
        return [(self._channel(maps, number), one, look, "image") for number, one in enumerate(maps)]

    def _channel(self, maps: np.ndarray, number: int) -> str:
        """The class that a channel belongs to, where there are several."""
        names = self.class_names if len(maps) == len(self.class_names) else self.class_names[1:]
        return f", {names[number]}" if 1 < len(maps) == len(names) else f" {number}" if len(maps) > 1 else ""


def edges(dims: int) -> list[np.ndarray]:
    """The edges of the unit square or cube, each as its two ends [2, dims]."""
    corners = [np.array(corner, float) for corner in itertools.product((0, 1), repeat=dims)]
    pairs = itertools.combinations(corners, 2)
    return [np.stack(pair) for pair in pairs if np.abs(pair[0] - pair[1]).sum() == 1]
