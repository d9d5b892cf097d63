"""Ramps and learning-rate schedules: where they start, where they end, and that they only go one way."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmis_core.errors import UserError
from ssmis_core.schedules import (
    RAMPS,
    SCHEDULES,
    cosine_rampdown,
    exponential_rampup,
    learning_rate_factor,
    linear_rampup,
    one_cycle,
    poly,
    ramp,
    sigmoid_rampup,
    step,
)

times, lengths = st.floats(-10, 1e5), st.floats(0.5, 1e5)


@pytest.mark.parametrize("kind", RAMPS)
@given(times, times, lengths)
def test_ramps_rise_and_stay_within_0_and_1(kind: str, a: float, b: float, length: float) -> None:
    early, late = ramp(kind, min(a, b), length), ramp(kind, max(a, b), length)
    assert 0 <= early <= late <= 1


@pytest.mark.parametrize("kind", RAMPS)
def test_ramps_are_full_from_their_length_on_and_where_the_length_is_0(kind: str) -> None:
    assert ramp(kind, 40, 40) == ramp(kind, 41, 40) == ramp(kind, 3, 0) == 1


@pytest.mark.parametrize("kind", ["sigmoid", "exponential", "linear"])
def test_ramps_hold_their_first_value_before_iteration_0(kind: str) -> None:
    assert ramp(kind, -5, 40) == ramp(kind, 0, 40) < 0.01


def test_gaussian_and_exponential_ramps_follow_their_formulas() -> None:
    assert sigmoid_rampup(10, 40) == pytest.approx(math.exp(-5 * 0.75**2))
    assert exponential_rampup(10, 40) == pytest.approx(math.exp(-5 * 0.75))
    assert linear_rampup(10, 40) == 0.25


@given(st.floats(0, 1))
def test_the_printed_ramp_lies_below_the_gaussian_one(share: float) -> None:
    assert exponential_rampup(share, 1.0) <= sigmoid_rampup(share, 1.0)


@given(st.floats(0, 1))
def test_cosine_rampdown_falls_symmetrically_from_1_to_0(share: float) -> None:
    assert cosine_rampdown(share, 1.0) + cosine_rampdown(1.0 - share, 1.0) == pytest.approx(1.0)
    assert cosine_rampdown(0, 1) == 1 and cosine_rampdown(1, 1) == pytest.approx(0)


@pytest.mark.parametrize("kind", SCHEDULES)
@given(st.integers(1, 10_000), st.data())
def test_learning_rate_factors_stay_above_0_and_not_above_1(kind: str, iterations: int, data: st.DataObject) -> None:
    t = data.draw(st.integers(0, iterations - 1))
    assert 0 < learning_rate_factor(kind, t, iterations) <= 1


def test_step_divides_by_ten_every_2500_iterations() -> None:
    assert [step(t, 6000) for t in (0, 2499, 2500, 4999)] == pytest.approx([1, 1, 0.1, 0.1])
    assert step(5000, 6000) == pytest.approx(0.01)
    assert step(10, 20, every=5, factor=0.5) == 0.25


def test_poly_falls_from_1_towards_0() -> None:
    assert poly(0, 100) == 1 and poly(50, 100) == pytest.approx(0.5**0.9) and poly(100, 100) == 0


@given(st.integers(2, 2000))
def test_one_cycle_climbs_to_1_once_and_then_falls_to_its_end(iterations: int) -> None:
    rates = [one_cycle(t, iterations) for t in range(iterations)]
    top = rates.index(max(rates))
    assert rates[0] == pytest.approx(0.04) and rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    if iterations >= 20:
        assert max(rates) > 0.97 and rates[-1] == pytest.approx(1e-4)


def test_unknown_names_are_user_errors_that_list_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"unknown ramp 'sigmod'; did you mean 'sigmoid'\?.*exponential, linear, none"):
        ramp("sigmod", 0, 1)
    with pytest.raises(UserError, match=r"unknown learning-rate schedule 'cosine' \(known: constant, one_cycle, poly"):
        learning_rate_factor("cosine", 0, 1)
