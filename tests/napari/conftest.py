"""napari windows on a screen: that of the desktop, or a virtual one that is started for the tests.

Pictures of the windows are kept in the folder that SSMIS_ARTIFACTS names (default: artifacts/).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssmis_core.runs import Run
from tests.conftest import missing, require_tool
from tests.widgets.review_runs import shifted_run

SCREEN = ["-screen", "0", "1600x1200x24", "-nolisten", "tcp"]
LIBRARIES = "apt-get install xvfb libgl1 libegl1 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1"


@pytest.fixture(scope="session")
def screen() -> Iterator[str]:
    """The name of a display that windows can be opened on; a skip with the reason where there is none."""
    require_tool("napari", "make viewer")
    from ssmis_core.errors import UserError
    from widgets.review.display import check_display, named_display

    with virtual_screen() if named_display() is None else Desktop():
        try:
            check_display()
        except UserError as error:
            missing("a display with OpenGL", f"{error}; {LIBRARIES}")
        yield str(named_display())


class Desktop:
    """The display that is there already."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


class virtual_screen:
    """An X server without a monitor, on a free number, as long as the block runs."""

    def __enter__(self) -> None:
        if shutil.which("Xvfb") is None:
            missing("a display", f"set DISPLAY, or {LIBRARIES}")
        reading, writing = os.pipe()
        self.server = subprocess.Popen(["Xvfb", "-displayfd", str(writing), *SCREEN], pass_fds=[writing])
        os.close(writing)
        with os.fdopen(reading) as told:
            os.environ["DISPLAY"] = f":{told.readline().strip()}"

    def __exit__(self, *_: object) -> None:
        del os.environ["DISPLAY"]
        self.server.terminate()
        self.server.wait(20)


@pytest.fixture
def viewer(screen: str) -> Iterator[Any]:
    """An empty napari window."""
    import napari

    window = napari.Viewer(title="test")
    window.window.resize(1400, 900)
    settle()
    yield window
    with contextlib.suppress(RuntimeError):  # the test has closed it
        window.close()
    settle()


def settle(seconds: float = 0.3, done: Callable[[], bool] = lambda: True) -> None:
    """Let Qt work for so long, and on until something is done (at most two minutes)."""
    from qtpy.QtWidgets import QApplication

    begun = time.monotonic()
    while time.monotonic() < begun + seconds or (not done() and time.monotonic() < begun + 120):
        QApplication.processEvents()
        time.sleep(0.01)
    assert done(), "waited two minutes in vain"


def picture(viewer: Any, name: str) -> np.ndarray:
    """What the window shows, kept as a file; the canvas alone [height, width, 3], which must not be flat."""
    settle(0.5)
    folder = Path(os.environ.get("SSMIS_ARTIFACTS", "artifacts"))
    folder.mkdir(parents=True, exist_ok=True)
    viewer.screenshot(str(folder / f"napari-{name}.png"), canvas_only=False, flash=False)
    canvas = np.asarray(viewer.screenshot(canvas_only=True, flash=False))[..., :3]
    colours = len(np.unique(canvas.reshape(-1, 3), axis=0))
    assert colours > 50 and canvas.std() > 5, f"{name}: the canvas is flat ({colours} colours)"
    return canvas


def share_of(canvas: np.ndarray, colour: str, reach: int = 40) -> float:
    """Share of the canvas's pixels that are near a colour "#rrggbb"."""
    wanted = np.array([int(colour[n : n + 2], 16) for n in (1, 3, 5)])
    return float((np.abs(canvas.astype(int) - wanted).max(-1) <= reach).mean())


@pytest.fixture(scope="session")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Run]:
    """Small evaluated runs of ugmcl, by number of axes."""
    folder = tmp_path_factory.mktemp("evaluated")
    return {dims: shifted_run(folder / str(dims), dims) for dims in (2, 3)}


@pytest.fixture
def copied(evaluated: dict[int, Run], tmp_path: Path) -> Callable[[int], Run]:
    """copied(dims): a run that the test may write to."""
    return lambda dims: Run(shutil.copytree(evaluated[dims].path, tmp_path / f"run-{dims}"))
