"""Small scenes for tests of explorers, and the method that each explorer and each view in the review is of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from widgets.adversarial_explorer import explore_adversarial
from widgets.copy_paste_explorer import explore_copy_paste
from widgets.distance_explorer import explore_distance
from widgets.explorer import Explorer
from widgets.scene import Scene
from widgets.separation_explorer import explore_separation
from widgets.translation_explorer import explore_translation
from widgets.uncertainty_explorer import explore_uncertainty

EXPLORERS: dict[Callable[..., Explorer], str] = {
    explore_adversarial: "ssnet",
    explore_separation: "ssnet",
    explore_distance: "ugmcl",
    explore_uncertainty: "ugmcl",
    explore_translation: "tracoco",
    explore_copy_paste: "cpam_trcm",
}
METHOD_OF_VIEW = {
    "adversarial noise": "ssnet",
    "signed distance map": "ugmcl",
    "uncertainty mask": "ugmcl",
    "translation overlap": "tracoco",
    "copy-paste mix": "cpam_trcm",
}


def sliced(method: str = "ssnet", *, classes: int = 4, axis: int = 2, **options: Any) -> Scene:
    """A small untrained method that sees volumes of the phantom slice by slice, resized and on a coarser grid."""
    data = {"num_classes": classes, "size": (31, 29, 27)}
    small = {"patch": (32, 32), "stride": (32, 32), "resize": (80, 64), "factor": (2, 2), "slice_axis": axis}
    small |= {"network": "unet2d", "augmentations": ("rot_flip_or_rotate",), "iterations": 20, "filters": 2}
    return Scene.untrained(method, **{"labeled": 4, "dataset_options": data, **small, **options})


def scene(dims: int = 2, method: str = "ssnet", *, classes: int = 2, **options: Any) -> Scene:
    """A small untrained method on the phantom."""
    size = {2: (32, 32), 3: (32, 32, 16)}[dims]
    small = {"patch": size, "stride": size, "factor": 1, "iterations": 20, "filters": 2, "norm": "batch"}
    data = {"dims": dims, "num_classes": classes, "size": size}
    return Scene.untrained(method, **{"labeled": 4, "dataset_options": data, **small, **options})
