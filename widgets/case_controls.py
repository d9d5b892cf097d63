"""The controls of an explorer that choose what it looks at: a case, and of volumes seen slice by slice also a slice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets

from widgets.scene import Scene

Compute = Callable[..., Mapping[str, Any]]


def choosing(scene: Scene, name: str, compute: Compute) -> tuple[dict[str, Any], Compute]:
    """(controls by name, compute) of an explorer that begins at a case or a slice of one.

    compute: takes the control `case`, and others by name. Of a run on whole cases it is returned as it is. Of a run on
    slices there is a control `slice`, which counts from 1 and begins anew with every case, at the slice that
    `Scene.sample` takes; `compute` is then given the slice, by its name, as its case.
    """
    case = scene.case_of(name)
    which = ipywidgets.Dropdown(options=scene.cases, value=case, description="case")
    if not scene.sliced:
        return {"case": which}, compute
    slider = ipywidgets.IntSlider(min=1, description="slice", continuous_update=False)
    shown = ""

    def turn_to(name: str) -> None:
        """Let the slider go through the slices of a case, and stand at one of them."""
        nonlocal shown
        shown = scene.case_of(name)
        slices = scene.samples(shown)
        with slider.hold_trait_notifications():
            slider.max, slider.value = len(slices), 1 + slices.index(scene.sample(name))

    def compute_slice(**values: Any) -> Mapping[str, Any]:
        if values["case"] != shown:
            turn_to(values["case"])
        values["case"] = scene.samples(shown)[slider.value - 1]
        del values["slice"]
        return compute(**values)

    turn_to(name)
    return {"case": which, "slice": slider}, compute_slice
