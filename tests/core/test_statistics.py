"""Intervals and paired tests, against scipy's own."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from ssmis_core.errors import UserError
from ssmis_core.statistics import (
    bootstrap_interval,
    bootstrap_means,
    cases_needed,
    expected_best,
    half_width,
    holm,
    limits_of_agreement,
    mean_interval,
    paired_difference,
    paired_power,
    wilcoxon,
)

NAN = math.nan
A, B = [0.71, 0.80, 0.62, 0.90, 0.77], [0.65, 0.81, 0.55, 0.84, 0.70]


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_the_interval_of_a_mean_is_scipys_t_interval(confidence: float) -> None:
    mean, half = mean_interval(A, confidence=confidence)
    expected = stats.t.interval(confidence, len(A) - 1, loc=np.mean(A), scale=stats.sem(A))
    assert (mean - half, mean + half) == pytest.approx(expected)


def test_the_interval_leaves_nan_out_and_needs_two_values() -> None:
    assert mean_interval([*A, NAN]) == mean_interval(A)
    assert mean_interval([2.0, NAN])[0] == 2.0
    assert math.isnan(mean_interval([2.0, NAN])[1])
    assert all(math.isnan(value) for value in mean_interval([]))


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_the_paired_difference_is_scipys_paired_t_test(confidence: float) -> None:
    found, expected = paired_difference(A, B, confidence=confidence), stats.ttest_rel(A, B)
    interval = expected.confidence_interval(confidence)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    difference = np.subtract(A, B)
    assert found.mean == pytest.approx(difference.mean())
    assert found.effect_size == pytest.approx(difference.mean() / difference.std(ddof=1))
    assert found.n == 5


def test_pairs_with_a_nan_on_either_side_are_left_out() -> None:
    assert paired_difference([*A, NAN, 0.5], [*B, 0.5, NAN]) == paired_difference(A, B)


@pytest.mark.parametrize(
    ("b", "p_value", "effect_size", "holds_zero"),
    [([0.0, 1.0], NAN, NAN, False), ([2.0, 3.0], NAN, NAN, False), ([1.0, 2.0], 1.0, 0.0, True)],
)
def test_equal_differences_have_an_interval_without_width(
    b: list[float], p_value: float, effect_size: float, holds_zero: bool
) -> None:
    found = paired_difference([1.0, 2.0], b)
    assert found.low == found.mean == found.high
    assert [found.p_value, found.effect_size] == pytest.approx([p_value, effect_size], nan_ok=True)
    assert found.holds_zero == holds_zero


def test_fewer_than_two_pairs_or_unequal_sides_are_errors() -> None:
    with pytest.raises(UserError, match="two pairs or more, found 1"):
        paired_difference([0.5], [0.4])
    with pytest.raises(UserError, match="two pairs or more, found 1"):
        paired_difference([0.5, NAN], [0.4, 0.3])
    with pytest.raises(UserError, match="2 and 1 values"):
        paired_difference([0.5, 0.6], [0.4])


@settings(max_examples=20)  # theirs takes its time
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holms_correction_is_that_of_statsmodels(p_values: list[float]) -> None:
    expected = multipletests(p_values, method="holm")[1]
    np.testing.assert_allclose(holm(p_values), expected, rtol=1e-12)


def test_the_signed_rank_test_is_scipys_without_pairs_that_say_nothing() -> None:
    assert wilcoxon(A, B) == pytest.approx(stats.wilcoxon(A, B).pvalue)
    assert wilcoxon([*A, NAN, 0.5, 0.7], [*B, 0.5, NAN, 0.7]) == wilcoxon(A, B)
    assert wilcoxon(A, A) == 1.0 and wilcoxon([], []) == 1.0
    assert wilcoxon(A, B) == wilcoxon(B, A)


def test_the_bootstrap_of_one_seed_is_scipys_of_its_cases() -> None:
    values = np.random.default_rng(0).gamma(2.0, size=30)
    low, high = bootstrap_interval([values], draws=20_000)
    expected = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=1).confidence_interval
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.02)


def test_the_bootstrap_draws_seeds_and_cases_and_covers_what_it_says() -> None:
    """Of tables whose seeds and cases have effects of their own, about 95 % of the intervals hold the mean."""
    random, held = np.random.default_rng(0), 0
    for trial in range(200):
        table = (
            1.0 + 0.5 * random.normal(size=(12, 1)) + random.normal(size=(1, 40)) + 0.3 * random.normal(size=(12, 40))
        )
        low, high = bootstrap_interval(table, draws=800, seed=trial)
        held += low <= 1.0 <= high
    assert 0.88 <= held / 200 <= 0.99
    seeds_alone = np.repeat(random.normal(size=(6, 1)), 50, axis=1)
    low, high = bootstrap_interval(seeds_alone)
    assert high - low > 0.3  # many cases do not make up for few seeds


def test_the_bootstrap_leaves_nan_out_and_is_the_same_again() -> None:
    table = np.array([[0.1, NAN, 0.3], [0.2, NAN, NAN]])
    assert bootstrap_interval(table) == bootstrap_interval(table)
    low, high = bootstrap_interval(table)
    assert 0.1 <= low < high <= 0.3
    assert all(math.isnan(one) for one in bootstrap_interval([[NAN, NAN]]))
    assert bootstrap_interval([[2.0]]) == (2.0, 2.0)


def test_bootstrap_means_are_those_of_drawing_seeds_and_cases_one_by_one() -> None:
    table, random = np.array([[0.0, 1.0, 2.0], [1.0, 3.0, 5.0]]), np.random.default_rng(1)
    slow = [table[np.ix_(random.integers(0, 2, 2), random.integers(0, 3, 3))].mean() for _ in range(20_000)]
    fast = bootstrap_means(table, draws=20_000)
    assert fast.shape == (20_000,) and sorted(set(np.round(fast, 9))) == sorted(set(np.round(slow, 9)))
    assert np.percentile(fast, [2.5, 25, 50, 75, 97.5]) == pytest.approx(
        np.percentile(slow, [2.5, 25, 50, 75, 97.5]), abs=0.1
    )


def test_a_difference_that_spreads_by_rounding_alone_is_constant() -> None:
    found = paired_difference([0.7, 0.8, 0.9], [0.6, 0.7, 0.8])
    assert math.isnan(found.p_value) and math.isnan(found.effect_size)
    assert found.low == found.high == found.mean == pytest.approx(0.1)


def test_scores_that_differ_by_rounding_alone_are_equal() -> None:
    a, b = [0.1 + 0.2, 0.7, 0.6, 0.9], [0.3, 0.7, 0.6, 0.9]
    assert a[0] != b[0]
    found = paired_difference(a, b)
    assert (found.mean, found.p_value, found.effect_size, wilcoxon(a, b)) == (0.0, 1.0, 0.0, 1.0)


def test_a_bootstrap_of_nothing_is_one_line() -> None:
    for nothing in (np.empty((0, 4)), np.empty((2, 0))):
        with pytest.raises(UserError, match="expected one or more of each"):
            bootstrap_means(nothing)


def test_the_limits_of_agreement_hold_95_of_100_differences() -> None:
    assert limits_of_agreement([1.0, 4.0, NAN, 3.0], [0.0, 1.0, 1.0, 1.0]) == pytest.approx((0.04, 2.0, 3.96))
    random = np.random.default_rng(0)
    a, b = random.normal(1.0, 2.0, 20_000), random.normal(0.0, 1.0, 20_000)
    low, _, high = limits_of_agreement(a, b)
    assert np.mean((a - b > low) & (a - b < high)) == pytest.approx(0.95, abs=0.01)
    with pytest.raises(UserError, match="two pairs or more, found 1"):
        limits_of_agreement([1.0, NAN], [0.0, 1.0])


def test_holms_correction_is_the_textbooks() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.01, NAN, 0.03])[::2] == pytest.approx([0.02, 0.03]) and math.isnan(holm([NAN])[0])
    assert holm([0.2]) == [0.2] and holm([]) == [] and max(holm([0.9, 0.8, 0.7])) == 1.0


@pytest.mark.parametrize(("effect", "cases"), [(0.2, 199), (0.5, 34), (0.8, 15), (-0.5, 34), (40.0, 2)])
def test_as_many_cases_are_needed_as_in_textbooks(effect: float, cases: int) -> None:
    assert cases_needed(effect, 1.0) == cases_needed(3 * effect, 3.0) == cases
    assert paired_power(effect, 1.0, cases) >= 0.8
    assert cases == 2 or paired_power(effect, 1.0, cases - 1) < 0.8


def test_power_is_how_often_the_paired_test_finds_the_difference() -> None:
    draws = np.random.default_rng(0).normal(0.6, 1.0, (4000, 12))
    found = stats.ttest_1samp(draws, 0.0, axis=1).pvalue < 0.05
    assert paired_power(0.6, 1.0, 12) == pytest.approx(found.mean(), abs=0.025)
    assert paired_power(0.0, 1.0, 12) == pytest.approx(0.05)


def test_power_rises_with_the_cases_up_to_one_however_many_there_are() -> None:
    power = [paired_power(difference, 4.6, n) for difference in (0.5, 2.0, -20.0) for n in (3, 20, 120, 320, 500, 5000)]
    rows = np.reshape(power, (3, 6))
    assert (np.diff(rows) >= -1e-9).all() and rows.max() <= 1 and rows[1:, -1] == pytest.approx([1.0, 1.0])


def test_differences_that_do_not_spread_are_found_however_small() -> None:
    assert paired_power(1e-6, 0.0, 2) == 1.0 and paired_power(0.0, 0.0, 2) == 0.05
    assert cases_needed(1e-6, 0.0) == 2


def test_power_of_what_cannot_be_tested_is_one_line() -> None:
    for wrong in ((1.0, 1.0, 1), (1.0, -1.0, 5), (1.0, NAN, 5)):
        with pytest.raises(UserError, match="expected two pairs or more and std >= 0"):
            paired_power(*wrong)
    with pytest.raises(UserError, match="difference of 0"):
        cases_needed(0.0, 1.0)


def test_the_half_width_is_that_of_the_interval_of_the_mean() -> None:
    assert half_width(float(np.std(A, ddof=1)), len(A)) == pytest.approx(mean_interval(A)[1])


@pytest.mark.parametrize(("looks", "wanted"), [(1, 0.0), (2, 1 / math.sqrt(math.pi)), (3, 1.5 / math.sqrt(math.pi))])
def test_the_best_of_a_few_looks_is_the_known_order_statistic(looks: int, wanted: float) -> None:
    assert expected_best(2.0, looks) == pytest.approx(2 * wanted, abs=1e-6)


def test_the_best_of_many_looks_is_what_chance_draws() -> None:
    best = np.random.default_rng(0).normal(0, 1, (4000, 60)).max(1)
    assert expected_best(1.0, 60) == pytest.approx(best.mean(), abs=0.03)
    with pytest.raises(UserError, match="one or more"):
        expected_best(1.0, 0)
