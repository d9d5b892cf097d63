"""The five views in a napari window, at their place in the scan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.napari.conftest import picture, settle
from tests.widgets.explorer_scenes import METHOD_OF_VIEW, scene, sliced
from widgets.review.view_layers import TOPICS

pytestmark = pytest.mark.napari


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("dims", [2, 3])
def test_a_view_opens_where_its_patch_lies(viewer: Any, topic: str, dims: int) -> None:
    from widgets.review.view_dock import ViewDock

    own = viewer.add_image(np.zeros((4,) * dims), name="mine")
    one = scene(dims, METHOD_OF_VIEW[topic], dataset_options={"dims": dims, "size": (48, 44, 40)[:dims]}, factor=1)
    dock = ViewDock(viewer, one)
    viewer.window.add_dock_widget(dock, name="views")
    case = one.dataset.test[2]
    dock.case.setCurrentText(case)
    dock.topic.setCurrentText(topic)
    dock.buttons["show"].click()
    settle()
    assert dock.line.text() == TOPICS[topic].reading
    assert dock.patch.currentText() == case and not own.visible
    about = next(one for one in viewer.layers if one.metadata.get("ssmis", {}).get("view") == TOPICS[topic].about)
    corner, size = np.array(about.metadata["ssmis"]["corner"]), np.array(about.scale)
    assert np.allclose(about.translate, corner * size)
    assert np.allclose(viewer.layers["scan"].data_to_world((0,) * dims), 0)
    name = topic.replace(" ", "-")
    picture(viewer, f"view-{name}-{dims}d")
    if dims == 3:
        viewer.dims.ndisplay = 3
        picture(viewer, f"view-{name}-solid")
    dock.buttons["clear"].click()
    settle()
    assert [layer.name for layer in viewer.layers] == ["mine"] and own.visible


def test_views_of_a_slice_open_on_that_slice_of_the_volume(viewer: Any) -> None:
    from widgets.review.view_dock import ViewDock

    one = sliced("cpam_trcm")
    dock = ViewDock(viewer, one)
    case = one.dataset.test[2]
    dock.case.setCurrentText(case)
    assert [dock.slice.itemText(n) for n in range(dock.slice.count())] == one.samples(case)
    assert dock.slice.currentText() == one.sample(case)
    dock.slice.setCurrentText(one.samples(case)[8])
    dock.topic.setCurrentText("copy-paste mix")
    dock.buttons["show"].click()
    settle()
    about = next(layer for layer in viewer.layers if layer.metadata.get("ssmis", {}).get("view") == "box")
    assert about.data.shape[2] == 1 and round(about.world_to_data(viewer.dims.point)[2]) == 0
    assert round(viewer.layers["scan"].world_to_data(viewer.dims.point)[2]) == 8
    others = [dock.patch.itemText(n) for n in range(dock.patch.count())]
    other = next(name for name in others if name != dock.slice.currentText())
    dock.patch.setCurrentText(other)
    dock.show_view()
    assert {layer.metadata["ssmis"]["case"] for layer in viewer.layers} == {one.case_of(other)}
    picture(viewer, "view-of-a-slice")


def test_the_patch_of_another_scan_of_the_batch_can_be_shown(viewer: Any) -> None:
    from widgets.review.view_dock import ViewDock

    dock = ViewDock(viewer, scene(2, "cpam_trcm"))
    dock.topic.setCurrentText("copy-paste mix")
    dock.show_view()
    others = [dock.patch.itemText(n) for n in range(dock.patch.count())]
    other = next(name for name in others if name != dock.case.currentText())
    dock.patch.setCurrentText(other)
    dock.show_view()
    assert {layer.metadata["ssmis"]["case"] for layer in viewer.layers} == {other}


def test_what_cannot_be_shown_is_said_in_the_dock(viewer: Any, tmp_path: Path) -> None:
    from widgets.review.view_dock import ViewDock

    dock = ViewDock(viewer)
    dock.buttons["show"].click()
    assert dock.line.text() == "no run is open, expected a run folder in the field above"
    dock.open(str(tmp_path))
    assert "not a run folder" in dock.line.text()
    dock.use(scene(2, "ugmcl"))
    dock.topic.setCurrentText("copy-paste mix")
    dock.show_view()
    assert "method ugmcl does not show 'copy-paste mix'" in dock.line.text()
    assert list(viewer.layers) == []
