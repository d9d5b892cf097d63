"""What is marked too much, and what too little."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest


def test_volume_precision_and_recall_are_shares_of_voxels(script: Callable[[str], ModuleType]) -> None:
    true, marked = np.zeros((2, 10), bool), np.zeros((2, 10), bool)
    true[0, :8], marked[0, 4:] = True, True  # 4 of 6 marked voxels are right, and 4 of 8 true ones marked
    assert script("over_and_under").shares(marked, true) == pytest.approx((6 / 8, 4 / 6, 4 / 8))
    nothing = script("over_and_under").shares(np.zeros_like(true), true)
    assert nothing[0] == 0.0 and np.isnan(nothing[1]) and nothing[2] == 0.0
