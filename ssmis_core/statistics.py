"""Intervals and paired comparisons: is a difference between two methods more than the noise of seeds or cases?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ssmis_core.errors import UserError

ROUNDING = 1e-12  # share of a number that may be an error of the arithmetic


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


def mean_interval(values: Sequence[float] | np.ndarray, *, confidence: float = 0.95) -> tuple[float, float]:
    """(mean, half width of Student's interval of it); NaN values are left out.

    The half width is NaN for fewer than two values, the mean too for none.
    """
    known = np.asarray(values, float)
    known = known[~np.isnan(known)]
    n = len(known)
    mean = float(known.mean()) if n else math.nan
    return mean, half_width(float(known.std(ddof=1)), n, confidence=confidence) if n > 1 else math.nan


def half_width(std: float, n: int, *, confidence: float = 0.95) -> float:
    """Half the width of Student's interval of the mean of n values that have this standard deviation."""
    from scipy import stats

    return float(stats.t.ppf(0.5 + confidence / 2, n - 1) * std / math.sqrt(n))


def paired_difference(
    a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray, *, confidence: float = 0.95
) -> PairedDifference:
    """Student's interval and paired t-test of a - b, pair by pair; d = mean / standard deviation of the differences.

    Pairs with a NaN on either side are left out; n counts those kept. Differences that are all equal have no spread to
    divide by: p and d are NaN, or 1 and 0 where there is no difference. Raises UserError for fewer than two pairs.
    """
    from scipy import stats

    difference = _differences(a, b)
    n = len(difference)
    if n < 2:
        raise UserError(f"paired comparison needs two pairs or more, found {n}")
    mean, half = mean_interval(difference, confidence=confidence)
    std = float(difference.std(ddof=1))
    if std <= ROUNDING * float(np.abs(difference).max()):  # equal but for the last digits
        std, half = 0.0, 0.0
    p, effect = (math.nan, math.nan) if mean else (1.0, 0.0)
    if std > 0:
        p, effect = float(stats.ttest_1samp(difference, 0.0).pvalue), mean / std
    return PairedDifference(mean, mean - half, mean + half, n, p, effect)


def wilcoxon(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> float:
    """p-value of Wilcoxon's signed-rank test of a - b, pair by pair: about ranks, so no one case decides it.

    Pairs with a NaN on either side and pairs without a difference are left out; 1 where none is left.
    Source: Wilcoxon, Individual comparisons by ranking methods (1945).
    """
    from scipy import stats

    difference = _differences(a, b)
    difference = difference[difference != 0]
    return float(stats.wilcoxon(difference).pvalue) if len(difference) else 1.0


def bootstrap_means(
    values: Sequence[Sequence[float]] | np.ndarray, *, draws: int = 10_000, seed: int = 0
) -> np.ndarray:
    """Means [draws] of values [seeds, cases] as they might be if others had been trained and other patients tested.

    Hierarchical bootstrap: seeds are drawn with replacement, then cases, the same ones in each drawn seed since every
    seed is tested on the same patients; a case's values are averaged over the seeds that have one, then cases. NaN
    values are left out; a draw without any value is NaN. Raises UserError for a table without rows or columns.
    Source: Davison & Hinkley, Bootstrap methods and their application (1997), section 3.8.
    """
    table = np.atleast_2d(np.asarray(values, float))
    known = ~np.isnan(table)
    seeds, cases = table.shape
    if not table.size:
        raise UserError(f"bootstrap of {seeds} seeds and {cases} cases: expected one or more of each")
    random = np.random.default_rng(seed)
    # how often each seed, and each case, is drawn: their sums are all that a mean needs
    of_seeds = random.multinomial(seeds, np.full(seeds, 1 / seeds), size=draws)
    of_cases = random.multinomial(cases, np.full(cases, 1 / cases), size=draws)
    sums, counts = of_seeds @ np.where(known, table, 0.0), of_seeds @ known
    weight = of_cases * (counts > 0)
    with np.errstate(invalid="ignore"):
        by_case = np.where(counts > 0, sums / counts, 0.0)  # [draws, cases]
        return (weight * by_case).sum(1) / weight.sum(1)


def bootstrap_interval(
    values: Sequence[Sequence[float]] | np.ndarray, *, confidence: float = 0.95, draws: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Interval of the mean of values [seeds, cases]: percentiles of `bootstrap_means`; NaN where nothing is known."""
    if np.isnan(np.asarray(values, float)).all():
        return math.nan, math.nan
    tail = 50 * (1 - confidence)
    low, high = np.nanpercentile(bootstrap_means(values, draws=draws, seed=seed), [tail, 100 - tail])
    return float(low), float(high)


def limits_of_agreement(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> tuple[float, float, float]:
    """(mean - 1.96 s, mean, mean + 1.96 s) of a - b, s the standard deviation: where 95 of 100 differences lie.

    Pairs with a NaN on either side are left out. Raises UserError for fewer than two pairs.
    Source: Bland & Altman, Statistical methods for assessing agreement between two methods (1986).
    """
    difference = _differences(a, b)
    if len(difference) < 2:
        raise UserError(f"limits of agreement need two pairs or more, found {len(difference)}")
    mean, apart = float(difference.mean()), 1.96 * float(difference.std(ddof=1))
    return mean - apart, mean, mean + apart


def paired_power(difference: float, std: float, n: int, *, alpha: float = 0.05) -> float:
    """Chance that a paired t-test over n cases finds a true mean difference (two-sided, p < alpha).

    std: of the single differences; without one every true difference is found. Source: the noncentral t distribution;
    Cohen, Statistical Power Analysis for the Behavioral Sciences (1988).
    """
    from scipy import stats

    if n < 2 or not std >= 0:
        raise UserError(f"power of n={n} pairs with std={std:g}: expected two pairs or more and std >= 0")
    if std == 0:
        return 1.0 if difference else alpha
    limit, shift = stats.t.ppf(1 - alpha / 2, n - 1), difference / std * math.sqrt(n)
    with np.errstate(invalid="ignore"):
        right, wrong = stats.nct.sf(limit, n - 1, abs(shift)), stats.nct.cdf(-limit, n - 1, abs(shift))
    return float((1.0 if np.isnan(right) else right) + (0.0 if np.isnan(wrong) else wrong))  # NaN: too far in a tail


def cases_needed(difference: float, std: float, *, power: float = 0.8, alpha: float = 0.05) -> int:
    """The fewest cases with which `paired_power` reaches a power. UserError for no difference, which none can find."""
    if not difference:
        raise UserError("cases needed for a difference of 0: expected another number")
    high = 2
    while paired_power(difference, std, high, alpha=alpha) < power:
        high *= 2
    low = high // 2  # too few, or 1
    while high - low > 1:
        middle = (low + high) // 2
        enough = paired_power(difference, std, middle, alpha=alpha) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def expected_best(std: float, looks: int) -> float:
    """How far the best of so many looks is expected to lie above their common mean, where only chance parts them.

    The looks are normal, with this standard deviation, and do not depend on each other: those of one training do, and
    count as fewer.
    """
    from scipy import stats

    if looks < 1:
        raise UserError(f"best of {looks} looks: expected one or more")
    z = np.linspace(-8.0, 8.0, 4001)
    density = looks * stats.norm.pdf(z) * stats.norm.cdf(z) ** (looks - 1)  # of the largest
    return float(std * (z * density).sum() * (z[1] - z[0]))


def _differences(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> np.ndarray:
    """a - b of the pairs that have two numbers; 0 where they are equal but for the arithmetic's last digits."""
    if len(a) != len(b):
        raise UserError(f"paired comparison of {len(a)} and {len(b)} values: expected as many on both sides")
    first, second = np.asarray(a, float), np.asarray(b, float)
    difference = first - second
    difference[np.isclose(first, second, rtol=ROUNDING, atol=0.0)] = 0.0
    return difference[~np.isnan(difference)]


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for as many tests: the i-th smallest of n times n - i + 1, never falling, at most 1.

    NaN, of what could not be tested, stays so and does not count.
    Source: Holm, A simple sequentially rejective multiple test procedure (1979).
    """
    corrected, highest = [math.nan] * len(p_values), 0.0
    tested = sorted((i for i, p in enumerate(p_values) if not math.isnan(p)), key=lambda i: p_values[i])
    for rank, index in enumerate(tested):
        highest = max(highest, min(1.0, (len(tested) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected
