"""Benchmarks are scripts: they import one another as they do when they are run, from their own folder."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from tests.conftest import REPOSITORY
from tests.core.conftest import clockwork, few_cases

__all__ = ["clockwork", "few_cases"]


@pytest.fixture
def script() -> Iterator[Callable[[str], ModuleType]]:
    """`script("compare")`: benchmarks/compare.py as a module."""
    folder = str(REPOSITORY / "benchmarks")
    sys.path.insert(0, folder)
    try:
        yield importlib.import_module
    finally:
        sys.path.remove(folder)
