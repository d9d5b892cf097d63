"""Numbers that several explorers tell of two label maps."""

from __future__ import annotations

import math

import numpy as np

from ssmis_core.metrics import dice_of_classes


def mean_dice(answer: np.ndarray, other: np.ndarray, num_classes: int) -> float:
    """Dice of two label maps, mean over the foreground classes that either of them has; NaN where there are none."""
    known = [dice for dice in dice_of_classes(answer, other, num_classes) if not math.isnan(dice)]
    return float(np.mean(known)) if known else math.nan


def percent(right: np.ndarray, where: np.ndarray) -> float:
    """How many of these places are right, in percent; NaN where there are none."""
    return 100.0 * float(right[where].mean()) if where.any() else math.nan
