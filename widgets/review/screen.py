"""What review and views do alike with a napari viewer: add layers, turn the axes, go to a slice."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from widgets.review.layers import SOLID, LayerData, role_of


def add_layers(viewer: Any, layers: Iterable[LayerData]) -> list[Any]:
    """Add layers, lowest first, and return them. Only labels that are there to be corrected can be painted on."""
    from napari.layers import Layer

    added = []
    for data, look, kind in layers:
        layer = viewer.add_layer(Layer.create(data, dict(look), kind))
        if kind == "labels":
            kept = layer.metadata.get("ssmis", {})
            layer.contour, layer.editable = kept.get("contour", 0), kept.get("role") == "correction"
        added.append(layer)
    return added


def remove_layers(viewer: Any, unwanted: Callable[[dict[str, Any]], bool]) -> None:
    """Remove layers of ours for whose metadata `unwanted` holds; layers that others added stay."""
    for layer in list(viewer.layers):
        kept = layer.metadata.get("ssmis")
        if kept is not None and unwanted(kept):
            viewer.layers.remove(layer)


def turn_axes(viewer: Any, dims: int) -> None:
    """Slices across the last axis, x to the right and y up as in the figures, and a bar of their scale."""
    viewer.dims.order = tuple(reversed(range(dims)))
    viewer.scene.camera.orientation2d = ("up", "right")
    viewer.canvas.overlays.scale_bar.visible = True


def go_to(viewer: Any, place: float | None) -> None:
    """Show the slice at a place along the last axis, in mm or voxels as the layers are; None: there is but one."""
    if place is not None:
        viewer.dims.set_point(2, place)


class Solid:
    """Gives layers of ours another look in 3D (see `SOLID`), and their own again in 2D.

    Call `arrange` after new layers were added.
    """

    ANGLES = (-25.0, 30.0, -40.0)

    def __init__(self, viewer: Any):
        self.viewer = viewer
        self._own: dict[Any, dict[str, Any]] = {}
        warnings.filterwarnings("ignore", message="Contours are not displayed")  # surfaces stand in for them
        viewer.dims.events.ndisplay.connect(self.arrange)

    def arrange(self, _event: Any = None) -> None:
        """Look as the number of axes on the screen asks for."""
        solid = self.viewer.dims.ndisplay == 3
        turned = solid and not self._own
        for layer in self.viewer.layers:
            if solid and layer not in self._own:
                self._own[layer] = self._put(layer, SOLID.get(str(role_of(layer)), {}))
        if not solid:
            for layer, own in self._own.items():
                self._put(layer, own)
            self._own.clear()
        if turned:
            self.viewer.fit_to_view()
            self.viewer.scene.camera.angles = self.ANGLES

    def release(self) -> None:
        """Leave the viewer alone from now on."""
        self.viewer.dims.events.ndisplay.disconnect(self.arrange)

    def _put(self, layer: Any, look: dict[str, Any]) -> dict[str, Any]:
        """Change what the layer has of a look; what it was before."""
        known = {name: value for name, value in look.items() if hasattr(layer, name)}
        before = {name: getattr(layer, name) for name in known}
        for name, value in known.items():
            setattr(layer, name, value)
        if known.get("depiction") == "plane":
            size = np.array(layer.data.shape)
            place = layer.world_to_data(self.viewer.dims.point)[-1]
            layer.plane.position = (*(size[:2] / 2), float(np.clip(place, 0, size[2] - 1)))
            layer.plane.normal = (0, 0, 1)
        return before
