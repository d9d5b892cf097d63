"""Predictive entropy, Monte-Carlo passes and the certainty threshold."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ssmis_core.draws import Draws
from ssmis_core.errors import UserError
from ssmis_core.perturbations import add_clipped_noise
from ssmis_core.uncertainty import (
    THRESHOLD_POLICIES,
    certainty_mask,
    certainty_threshold,
    entropy,
    monte_carlo_probabilities,
)


@pytest.mark.parametrize("num_classes", [2, 3, 4])
@pytest.mark.parametrize("shape", [(3, 2), (3, 2, 2)])
def test_entropy_is_0_where_sure_and_ln_k_where_nothing_is_known(num_classes: int, shape: tuple[int, ...]) -> None:
    sure = torch.zeros(2, num_classes, *shape)
    sure[:, 1] = 1
    flat = torch.full_like(sure, 1 / num_classes)
    assert entropy(sure).shape == (2, 1, *shape)
    torch.testing.assert_close(entropy(sure), torch.zeros(2, 1, *shape), atol=1e-5, rtol=0)
    torch.testing.assert_close(entropy(flat), torch.full((2, 1, *shape), math.log(num_classes)), atol=1e-5, rtol=0)


@given(st.integers(0, 1000), st.integers(2, 5))
def test_entropy_lies_within_0_and_ln_k(seed: int, num_classes: int) -> None:
    logits = 4 * torch.randn((2, num_classes, 5), generator=torch.Generator().manual_seed(seed))
    u = entropy(torch.softmax(logits, 1))
    assert float(u.min()) >= -1e-5 and float(u.max()) <= math.log(num_classes) + 1e-5


def test_entropy_is_finite_for_a_probability_of_0_in_float32() -> None:
    assert bool(entropy(torch.tensor([[[0.0], [1.0]]])).isfinite().all())
    assert entropy(torch.tensor([[[0.0], [1.0]]]).bfloat16()).dtype == torch.float32


def test_monte_carlo_is_the_mean_over_passes_each_with_its_own_named_noise() -> None:
    seen: list[Tensor] = []

    def forward(x: Tensor) -> Tensor:
        seen.append(x)
        return torch.cat([x.sigmoid(), 1 - x.sigmoid()], 1)

    x, draws = torch.randn((2, 1, 4, 4), generator=torch.Generator().manual_seed(0)), Draws(0)
    mean = monte_carlo_probabilities(forward, x, draws, passes=3, noise=0.1, clip=0.2)
    expected = [add_clipped_noise(x, draws.normal_like(f"monte_carlo_{i}", x), scale=0.1, clip=0.2) for i in range(3)]
    assert all(torch.equal(a, b) for a, b in zip(seen, expected, strict=True))
    p = torch.stack([one.sigmoid() for one in expected]).mean(0)
    torch.testing.assert_close(mean, torch.cat([p, 1 - p], 1))


def test_monte_carlo_takes_no_gradient() -> None:
    w = torch.ones((), requires_grad=True)
    assert not monte_carlo_probabilities(lambda x: w * x, torch.ones(1, 1, 2), Draws(0), passes=2).requires_grad


@given(st.integers(0, 1000), st.floats(0, 3), st.floats(0, 1))
def test_noise_is_clipped(seed: int, scale: float, clip: float) -> None:
    x = torch.zeros(100)
    noisy = add_clipped_noise(x, Draws(seed).normal_like("n", x), scale=scale, clip=clip)
    assert float(noisy.abs().max()) <= clip + 1e-6


@given(st.integers(2, 5), st.floats(0, 6000))
def test_the_rising_threshold_goes_from_three_quarters_to_all_of_ln_k(num_classes: int, t: float) -> None:
    first, now = certainty_threshold(0, 6000, num_classes), certainty_threshold(t, 6000, num_classes)
    last = certainty_threshold(6000, 6000, num_classes)
    assert 0.75 * math.log(num_classes) <= first <= now <= last == pytest.approx(math.log(num_classes))


def test_the_falling_threshold_is_the_rising_one_backwards_and_the_constant_one_stays() -> None:
    for t in (0, 1500, 6000):
        falling = certainty_threshold(t, 6000, 2, policy="falling")
        assert falling == certainty_threshold(6000 - t, 6000, 2)
        assert certainty_threshold(t, 6000, 2, policy="constant", start=0.5) == 0.5 * math.log(2)


def test_an_unknown_policy_is_a_user_error_that_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match=f"unknown threshold policy 'up'.*{', '.join(sorted(THRESHOLD_POLICIES))}"):
        certainty_threshold(0, 1, 2, policy="up")


def test_the_mask_is_1_strictly_below_the_threshold() -> None:
    mask = certainty_mask(torch.tensor([0.1, 0.5, 0.7]), 0.5)
    assert mask.tolist() == [1.0, 0.0, 0.0] and mask.dtype == torch.float32
