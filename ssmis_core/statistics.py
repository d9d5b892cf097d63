"""Paired comparisons: is the difference between two methods more than the noise between seeds or cases?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ssmis_core.errors import UserError


@dataclass(frozen=True)
class PairedDifference:
    """Mean of a - b over n pairs, its confidence interval, the p-value of the paired t-test and the effect size d."""

    mean: float
    low: float
    high: float
    n: int
    p_value: float
    effect_size: float

    @property
    def holds_zero(self) -> bool:
        """Whether the interval leaves the sign of the difference open."""
        return self.low <= 0.0 <= self.high

    def as_dict(self) -> dict[str, float | int]:
        return asdict(self)


def paired_difference(a: Sequence[float], b: Sequence[float], *, confidence: float = 0.95) -> PairedDifference:
    """Student's interval and paired t-test of a - b, pair by pair; d = mean / standard deviation of the differences.

    Pairs with a NaN on either side are left out; n counts those kept. Raises UserError for fewer than two pairs.
    """
    from scipy import stats

    if len(a) != len(b):
        raise UserError(f"paired comparison of {len(a)} and {len(b)} values: expected as many on both sides")
    difference = np.asarray(a, float) - np.asarray(b, float)
    difference = difference[~np.isnan(difference)]
    n = len(difference)
    if n < 2:
        raise UserError(f"paired comparison needs two pairs or more, found {n}")
    mean, std = float(difference.mean()), float(difference.std(ddof=1))
    half = float(stats.t.ppf(0.5 + confidence / 2, n - 1)) * std / np.sqrt(n)
    p = float(stats.ttest_1samp(difference, 0.0).pvalue) if std > 0 else float(mean == 0.0)
    effect = mean / std if std > 0 else float(np.sign(mean)) * float("inf") if mean else 0.0
    return PairedDifference(mean, mean - half, mean + half, n, p, effect)
