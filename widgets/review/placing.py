"""One view on one scan as napari layers: how its numbers are drawn, and where they lie."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ssmis_core.datasets import Case
from ssmis_core.views import View
from ssmis_core.working_grid import WorkingGrid
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
    """Puts views of one sample where their patches lie in its scan, and remembers the boxes that these fill.

    sample: what the views are of, the scan or a slice of it; grid: that they were made on. Of a slice everything is
    one voxel thick across it.
    """

    def __init__(self, scan: Case, sample: str, grid: WorkingGrid, class_names: Sequence[str]):
        self.scan, self.sample, self.grid, self.class_names = scan, sample, grid, list(class_names)
        first, step = (np.array(one) for one in grid.lattice(scan.shape))
        self.size = np.array(voxel_size(scan)) * step  # of a voxel of the views, in mm (or voxels of the scan)
        self.first = np.array(voxel_size(scan)) * first  # where the middle of the grid's first voxel is
        self.boxes: dict[tuple[int, ...], tuple[int, ...]] = {}

    def cut(self, view: View, row: int) -> tuple[np.ndarray, tuple[int, ...]]:
        """(maps [C, *box], corner of the box) of one row of a view, along the axes of the scan."""
        maps, corner = array(view, row), view.corner[row].tolist()
        place, axis = self.grid.place_of(self.sample), self.grid.slice_axis
        if place is not None and axis is not None:
            maps = np.expand_dims(maps, 1 + axis)
            corner.insert(axis, place)
        return maps, tuple(corner)

    def draw(self, view: View, row: int, how: str, *, visible: bool) -> list[LayerData]:
        """Layers of one row of a view; how: see `widgets.review.view_layers.Topic`."""
        maps, corner = self.cut(view, row)
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
        layers: list[LayerData] = []
        for number, (corner, shape) in enumerate(self.boxes.items()):
            low = self.first + (np.array(corner) - 0.5) * self.size
            lines = [low + ends * np.array(shape) * self.size for ends in edges(len(shape))]
            name = "patch" if len(self.boxes) == 1 else f"patch {number + 1}"
            pen = {"edge_color": FRAMES[number % len(FRAMES)], "edge_width": float(self.size.min()) / 2}
            kept = {"case": self.scan.id, "role": "frame", "corner": corner}
            look = {"name": name, "shape_type": "line", "units": units(self.scan), "metadata": {"ssmis": kept}, **pen}
            layers.append((lines, look, "shapes"))
        return layers

    def _settings(self, corner: Sequence[int], name: str, view: View, how: str) -> dict[str, Any]:
        """Voxel size and place in mm (or voxels): the middle of a coarse voxel is that of the block it stands for."""
        start = self.first + np.array(corner) * self.size
        kept: dict[str, Any] = {
            "case": self.scan.id,
            "role": "view",
            "view": view.name,
            "kind": view.kind,
            "corner": tuple(corner),
        }
        kept["contour"] = line_width(view.value.shape[2:]) if how in LINES else 0
        place = {"scale": tuple(self.size.tolist()), "translate": tuple(start.tolist())}
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
