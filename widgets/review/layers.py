"""A case as napari layers: arrays and their settings, made without napari or Qt.

A layer is a tuple (array, settings, type), as napari's readers and `Layer.create` take it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ssmis_core.datasets import Case
from widgets.pixels import best_slice
from widgets.review.colours import ERRORS, class_colours, label_colours, map_colours
from widgets.review.state import Reviewed

LayerData = tuple[Any, dict[str, Any], str]

IMAGE, REFERENCE, PREDICTION, CORRECTION = "image", "reference", "prediction", "correction"
ERROR, UNCERTAINTY = "error", "uncertainty"


def case_layers(seen: Reviewed, class_names: Sequence[str]) -> list[LayerData]:
    """Layers of a reviewed case, lowest first: image, error, reference, prediction and the labels to correct.

    The correction starts as the prediction; it is shown once somebody has saved one.
    """
    case, classes = seen.case, len(class_names)
    layers, line = image_layers(case), line_width(case.shape)
    if seen.errors is not None:
        layers.append(error_layer(seen.errors, case))
    if case.label is not None:
        layers.append(label_layer(case.label, REFERENCE, case, classes, contour=line))
    layers.append(label_layer(seen.prediction, PREDICTION, case, classes, contour=line))
    drawn = seen.prediction if seen.correction is None else seen.correction
    shown: dict[str, Any] = {"visible": seen.correction is not None, "opacity": 0.45}
    layers.append(label_layer(drawn.copy(), CORRECTION, case, classes, **shown))
    return layers


def image_layers(case: Case) -> list[LayerData]:
    """The scan in grey, a layer a channel; the first one is shown."""
    layers: list[LayerData] = []
    for number, channel in enumerate(case.image):
        low, high = (float(value) for value in np.percentile(channel, (0.5, 99.5)))
        name = IMAGE if len(case.image) == 1 else f"{IMAGE} {number + 1}"
        grey = {"colormap": "gray", "contrast_limits": (low, max(high, low + 1e-6)), "visible": number == 0}
        layers.append((channel, {**settings(name, IMAGE, case), **grey}, "image"))
    return layers


def label_layer(labels: np.ndarray, role: str, case: Case, classes: int, *, contour: int = 0, **more: Any) -> LayerData:
    """A label map in the colours of its role; contour: voxels of its border, 0: filled."""
    look = {**settings(role, role, case, contour=contour), "colormap": class_colours(classes, role), **more}
    return (labels, look, "labels")


def error_layer(errors: np.ndarray, case: Case) -> LayerData:
    """Where the prediction is wrong, and how (see `errors_of`)."""
    look = {"colormap": label_colours(list(ERRORS.values())), "opacity": 0.6}
    return (errors, {**settings(ERROR, ERROR, case), **look}, "labels")


def uncertainty_layer(entropy: np.ndarray, case: Case, classes: int) -> LayerData:
    """Predictive entropy from 0 to ln K."""
    look: dict[str, Any] = {"colormap": map_colours("uncertainty"), "contrast_limits": (0.0, math.log(classes))}
    look |= {"opacity": 0.7, "visible": False}
    return (entropy, {**settings(UNCERTAINTY, UNCERTAINTY, case), **look}, "image")


def settings(name: str, role: str, case: Case, **more: Any) -> dict[str, Any]:
    """Name, voxel size in mm (1 where it is not known), and what the layer is, for whoever looks for it later.

    The width of an outline is among the latter: napari takes it once a layer is made, and not before.
    """
    kept = {"case": case.id, "role": role, "affine": case.affine, "in_mm": case.spacing is not None, **more}
    return {"name": name, "scale": voxel_size(case), "units": units(case), "metadata": {"ssmis": kept}}


def worst_slice(seen: Reviewed) -> float | None:
    """Where along z to look first, in the units of `voxel_size`; None in 2D.

    The slice with most errors among those that hold the reference; where there are none, the one with most errors, and
    of a perfect or unknown answer the one with most of it.
    """
    if len(seen.case.shape) == 2:
        return None
    mask = seen.prediction if seen.errors is None or not seen.errors.any() else seen.errors
    beside = mask * (1 if seen.case.label is None else seen.case.label.any(axis=(0, 1)))
    return best_slice(beside if beside.any() else mask) * voxel_size(seen.case)[2]


def line_width(shape: Sequence[int]) -> int:
    """Voxels that an outline is thick, so that it is seen on a fine grid and hides little on a coarse one."""
    return 1 if max(shape[:2]) < 128 else 2


def voxel_size(case: Case) -> tuple[float, ...]:
    """mm along each axis, or 1 voxel where the scan does not tell."""
    return case.spacing or (1.0,) * len(case.shape)


def units(case: Case) -> tuple[str, ...]:
    """The unit along each axis that `voxel_size` is in."""
    return ("mm" if case.spacing else "pixel",) * len(case.shape)


def role_of(layer: Any) -> str | None:
    """What a napari layer of ours shows; None for another's."""
    return layer.metadata.get("ssmis", {}).get("role")


# How layers look in 3D, by role: surfaces one through the other, and the scan as the one plane that was open in 2D.
SOLID: dict[str, dict[str, Any]] = {
    IMAGE: {"depiction": "plane"},
    REFERENCE: {"blending": "translucent_no_depth", "opacity": 0.45},
    PREDICTION: {"blending": "translucent_no_depth", "opacity": 0.45},
    CORRECTION: {"blending": "translucent_no_depth", "opacity": 0.45},
    ERROR: {"visible": False},
    "scan": {"depiction": "plane"},
    "view": {"depiction": "plane", "blending": "translucent_no_depth"},
}
