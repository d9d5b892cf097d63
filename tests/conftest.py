"""Shared by all tests: tools that may be missing, the real volumes, and how hypothesis searches."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

REPOSITORY = Path(__file__).resolve().parents[1]
LA_FOLDER = "2018LA_Seg_Training Set"

# No deadline: how long an example takes says more about the machine than about the code. In continuous integration
# the same examples are tried each time, so that a change fails for what it changed.
settings.register_profile("default", deadline=None, max_examples=50)
settings.register_profile("ci", deadline=None, max_examples=50, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")

# A shell starts background jobs with Ctrl-C ignored, which every process below them inherits.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def missing(what: str, how_to_install: str) -> None:
    """Skip the running test with a hint; fail it where nothing may be missing (SSMIS_REQUIRE_ALL=1)."""
    message = f"needs {what}: {how_to_install}"
    if os.environ.get("SSMIS_REQUIRE_ALL") == "1":
        pytest.fail(f"{message} (SSMIS_REQUIRE_ALL=1 allows no skips)", pytrace=False)
    pytest.skip(message)


def require_tool(tool_or_module: str, how_to_install: str) -> None:
    """Go on when a program is on the PATH or a top-level module can be imported; else see `missing`."""
    if shutil.which(tool_or_module) is None and importlib.util.find_spec(tool_or_module) is None:
        missing(tool_or_module, how_to_install)


def la_root(candidates: list[Path]) -> Path | None:
    """The first folder that holds the LA volumes, in one of the layouts that `open_dataset("la", root)` reads."""
    for root in candidates:
        for parent in (root / LA_FOLDER, root / "LA" / LA_FOLDER, root):
            if next(parent.glob("*/mri_norm2.h5"), None) is not None:
                return root
    return None


@pytest.fixture(scope="session")
def require() -> Callable[[str, str], None]:
    """`require("chromium", "apt-get install chromium")`: skip with that hint without it, or fail in CI."""
    return require_tool


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def real_la() -> Path:
    """Root of the real LA volumes, for `open_dataset("la", real_la)`; without them a skip, in CI a failure."""
    told = os.environ.get("SSMIS_DATA")
    root = la_root([Path(told)] if told else [REPOSITORY / "data" / "la"])
    if root is None:
        where = f"none under SSMIS_DATA={told}" if told else "none under data/la"
        missing("the LA volumes", f"{where}; get them with `ssmis data fetch la`, or set SSMIS_DATA to their folder")
    return root


@pytest.fixture(scope="session")
def real_acdc() -> Path:
    """Root of the real ACDC volumes, for `open_dataset("acdc", real_acdc)`; without them a skip, in CI a failure."""
    told = os.environ.get("SSMIS_DATA")
    root = Path(told) if told else REPOSITORY / "data" / "acdc"
    if not any((root / below / "patient001_frame01.h5").is_file() for below in ("", "data", "ACDC/data")):
        missing("the ACDC volumes", f"none in {root}; data/acdc/README.md says how to get them, or set SSMIS_DATA")
    return root


@pytest.fixture(scope="session")
def real_hippocampus() -> Path:
    """Folder of the real hippocampus scans, with images/ and labels/; without them a skip, in CI a failure."""
    told = os.environ.get("SSMIS_DATA")
    folder = Path(told) / "hippocampus" if told else None
    if folder is None or not (folder / "images").is_dir():
        where = "hippocampus/images and hippocampus/labels below SSMIS_DATA"
        missing("the hippocampus scans of the Medical Segmentation Decathlon", f"expected {where}")
    assert folder is not None
    return folder


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked gpu are skipped without a CUDA device, in continuous integration too."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device")
