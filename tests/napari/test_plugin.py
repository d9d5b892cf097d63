"""The plugin as napari finds it: a valid manifest, readers, sample data, docks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from ssmis_core.runs import Run
from tests.conftest import require_tool
from tests.napari.conftest import settle

pytestmark = pytest.mark.napari
NAME = "ssmis-workbench"


def test_the_manifest_is_valid() -> None:
    require_tool("npe2", "make viewer")
    done = subprocess.run([sys.executable, "-m", "npe2", "validate", NAME], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_run_folder_and_a_prediction_open(viewer: Any, evaluated: dict[int, Run]) -> None:
    run = evaluated[3]
    viewer.open(str(run.path), plugin=NAME)
    assert [layer.name for layer in viewer.layers][-1] == "correction"
    viewer.layers.clear()
    prediction = sorted((run.path / "predictions").glob("*.nii.gz"))[0]
    (layer,) = viewer.open(str(prediction), plugin=NAME)
    assert type(layer).__name__ == "Labels" and layer.data.any()


@pytest.mark.parametrize(("key", "dims"), [("phantom_3d", 3), ("phantom_2d", 2)])
def test_sample_data_opens(viewer: Any, key: str, dims: int) -> None:
    viewer.open_sample(NAME, key)
    assert [layer.ndim for layer in viewer.layers] == [dims, dims]


def test_the_docks_open_from_the_menu_and_review_a_run(viewer: Any, copied: Callable[[int], Run]) -> None:
    _, dock = viewer.window.add_plugin_dock_widget(NAME, "Review a run")
    dock.folder.setText("nowhere")
    dock.start()
    assert "not a run folder" in dock.line.text()
    dock.folder.setText(str(copied(2).path))
    dock.start()
    assert dock.line.text() == "" and dock.window is not None
    settle(done=lambda: dock.window.layer("uncertainty") is not None)
    assert dock.window.close()
    _, views = viewer.window.add_plugin_dock_widget(NAME, "See what a method sees")
    views.open(str(copied(3).path))
    assert views.line.text().startswith("ugmcl, after 2 iterations")
