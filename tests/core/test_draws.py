"""Randomness by name: every draw is a pure function of (seed, stage, t, rank, name), and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssmis_core.draws import Clock, Draws

KINDS: dict[str, Callable[[Draws, str], np.ndarray]] = {
    "integers": lambda draws, name: draws.integers(name, 0, 1 << 40, 4),
    "uniform": lambda draws, name: draws.uniform(name, 0.0, 1.0, 4),
    "beta": lambda draws, name: draws.beta(name, 4.0, 4.0, 4),
    "permutation": lambda draws, name: draws.permutation(name, 50),
    "normal_like": lambda draws, name: draws.normal_like(name, torch.zeros(4)).numpy(),
    "uniform_like": lambda draws, name: draws.uniform_like(name, torch.zeros(4)).numpy(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_key_draws_the_same_in_any_order(kind: str) -> None:
    draw = KINDS[kind]
    one, other = Draws(3, "main", 7), Draws(3, "main", 7)
    a, b = draw(one, "a"), draw(one, "b")
    assert np.array_equal(draw(other, "b"), b)
    assert np.array_equal(draw(other, "a"), a)
    assert np.array_equal(draw(one, "a"), a)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "other",
    [Draws(4, "main", 7), Draws(3, "pre", 7), Draws(3, "main", 8), Draws(3, "main", 7, rank=1)],
    ids=["seed", "stage", "iteration", "rank"],
)
def test_every_part_of_the_key_changes_the_draw(kind: str, other: Draws) -> None:
    draw = KINDS[kind]
    assert not np.array_equal(draw(Draws(3, "main", 7), "a"), draw(other, "a"))
    assert not np.array_equal(draw(other, "a"), draw(other, "b"))


def test_draws_are_the_same_on_every_machine_and_in_every_version() -> None:
    """A change of these numbers changes every published run: they are part of the file format."""
    draws = Draws(0, "main", 12)
    assert draws.key("labeled/0/corner_1") == 6534896751223785350
    assert draws.integers("labeled/0/corner_1", 0, 1000, 4).tolist() == [476, 658, 225, 564]
    assert draws.permutation("order", 6).tolist() == [3, 2, 0, 5, 4, 1]


@given(st.integers(), st.text(max_size=8), st.integers(0, 10**6))
def test_keys_are_numbers_that_every_generator_takes(seed: int, name: str, t: int) -> None:
    assert 0 <= Draws(seed, "main", t).key(name) < 2**63


@given(st.integers(0, 1000), st.integers(-50, 50), st.integers(1, 100))
def test_integers_stay_in_their_half_open_range(seed: int, low: int, width: int) -> None:
    values = Draws(seed).integers("n", low, low + width, 20)
    assert values.min() >= low and values.max() < low + width


@given(st.integers(0, 1000), st.floats(-5, 5), st.floats(0.01, 5))
def test_uniform_stays_in_its_half_open_range(seed: int, low: float, width: float) -> None:
    values = Draws(seed).uniform("u", low, low + width, 20)
    assert values.min() >= low and values.max() < low + width


@given(st.integers(0, 1000), st.integers(0, 60))
def test_permutation_has_every_number_once(seed: int, n: int) -> None:
    assert sorted(Draws(seed).permutation("order", n)) == list(range(n))


def test_at_gives_the_draws_of_that_iteration() -> None:
    there = Draws(5).at(Clock("main", 9, 100))
    assert there.key("a") == Draws(5, "main", 9).key("a")


def test_a_fixed_draw_replaces_only_its_name_and_stays_fixed_at_every_iteration() -> None:
    draws = Draws(0).fixed(corner=5).fixed(share=0.25)
    later = draws.at(Clock("main", 3, 10))
    assert later.integers("corner", 0, 9) == 5
    assert later.uniform("share", 0, 1) == later.beta("share", 1, 1) == 0.25
    assert later.integers("other", 0, 1 << 40) == Draws(0, "main", 3).integers("other", 0, 1 << 40)


def test_fixed_noise_is_spread_over_the_shape_that_is_asked_for() -> None:
    noise = Draws(0).fixed(n=0.5).normal_like("n", torch.zeros(2, 1, 3))
    assert noise.shape == (2, 1, 3) and bool((noise == 0.5).all())


def test_fixing_does_not_change_the_draws_it_was_called_on() -> None:
    draws = Draws(0)
    before = draws.integers("n", 0, 1 << 40)
    draws.fixed(n=1)
    assert draws.integers("n", 0, 1 << 40) == before


def test_noise_has_the_shape_and_is_float32_for_any_type_and_layout() -> None:
    x = torch.zeros(2, 3, 4, 5)
    expected = Draws(0).normal_like("n", x)
    assert expected.shape == x.shape and expected.dtype == torch.float32
    assert torch.equal(Draws(0).normal_like("n", x.bfloat16()), expected)
    assert torch.equal(Draws(0).normal_like("n", x.to(memory_format=torch.channels_last)), expected)


def test_noise_is_standard_normal_or_uniform() -> None:
    x = torch.zeros(20_000)
    normal, uniform = Draws(0).normal_like("n", x), Draws(0).uniform_like("u", x)
    assert abs(float(normal.mean())) < 0.03 and abs(float(normal.std()) - 1) < 0.03
    assert float(uniform.min()) >= 0 and float(uniform.max()) < 1 and abs(float(uniform.mean()) - 0.5) < 0.01


def test_drawing_leaves_the_generators_of_torch_and_numpy_alone() -> None:
    before, numpy_before = torch.get_rng_state(), repr(np.random.get_state())
    for draw in KINDS.values():
        draw(Draws(0), "a")
    assert torch.equal(torch.get_rng_state(), before)
    assert repr(np.random.get_state()) == numpy_before


def test_dropout_is_seeded_by_the_iteration() -> None:
    def mask(t: int) -> torch.Tensor:
        Draws(0, "main", t).seed_dropout()
        return torch.nn.functional.dropout(torch.ones(64))

    with torch.random.fork_rng([]):
        assert torch.equal(mask(1), mask(1))
        assert not torch.equal(mask(1), mask(2))
