"""A real JupyterLab and a real browser: what the tests in this folder drive.

Pictures of what the browser showed are kept in the folder that SSMIS_ARTIFACTS names (default: artifacts/).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.jupyterlab import Lab, OpenNotebook, headless_chromium, open_in_page, running_lab


@pytest.fixture(scope="session")
def artifacts() -> Path:
    """The folder for pictures of what the browser showed."""
    folder = Path(os.environ.get("SSMIS_ARTIFACTS", "artifacts"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, require: Callable[[str, str], None]) -> Iterator[Lab]:
    """`jupyter lab` of this environment, with folders of its own for everything."""
    require("jupyterlab", "pip install -e '.[all]'")
    with running_lab(tmp_path_factory.mktemp("jupyter"), tmp_path_factory.mktemp("notebooks")) as server:
        yield server


@pytest.fixture(scope="module")
def browser(require: Callable[[str, str], None]) -> Iterator[Any]:
    """A headless Chromium. Not for the session: Playwright's event loop would be in the way of other tests' own."""
    require("playwright", "pip install playwright")
    require("chromium", "apt-get install chromium fonts-dejavu-core")
    with headless_chromium() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def open_notebook(lab: Lab, browser: Any) -> Iterator[Callable[..., OpenNotebook]]:
    """`open_notebook(path, name, **parameters)`: a copy with parameters set as papermill does, open in a page."""
    windows = []

    def open_one(path: Path, name: str, **parameters: Any) -> OpenNotebook:
        from papermill.iorw import load_notebook_node
        from papermill.parameterize import parameterize_notebook

        opened = open_in_page(lab, browser, parameterize_notebook(load_notebook_node(str(path)), parameters), name)
        windows.append(opened.page.context)
        return opened

    yield open_one
    for window in windows:
        window.close()
