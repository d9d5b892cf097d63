"""Adversarial noise: its length, its direction, and what a perturbed pass must leave alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from ssmis_core.losses import dice_loss
from ssmis_core.networks import Output, VNet
from ssmis_core.perturbations import frozen_statistics, unit_direction, virtual_adversarial

SHAPES = [(16, 16), (17, 9), (5, 7, 6)]


def squared(a: Tensor, b: Tensor) -> Tensor:
    return dice_loss(a, b, background=True)


def noise(shape: tuple[int, ...], seed: int = 0, *, batch: int = 2) -> Tensor:
    return torch.rand((batch, 1, *shape), generator=torch.Generator().manual_seed(seed))


class Tiny(nn.Module):
    """Convolution, BatchNorm, dropout, convolution: any size, 2D or 3D."""

    def __init__(self, dims: int, num_classes: int = 2, dropout: float = 0.0):
        super().__init__()
        conv, norm = (nn.Conv2d, nn.BatchNorm2d) if dims == 2 else (nn.Conv3d, nn.BatchNorm3d)
        self.first, self.norm, self.dropout = conv(1, 4, 3, padding=1), norm(4), nn.Dropout(dropout)
        self.last = conv(4, num_classes, 3, padding=1)
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Output:
        self.seen.append(x.detach().clone())
        features = self.dropout(torch.relu(self.norm(self.first(x))))
        return Output(self.last(features), features)


def tiny(dims: int, **settings: Any) -> Tiny:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return Tiny(dims, **settings).train()


def buffers(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.named_buffers()}


@given(st.integers(0, 1000), st.sampled_from(SHAPES), st.floats(1e-3, 1e3))
def test_a_unit_direction_has_length_1_in_each_sample(seed: int, shape: tuple[int, ...], scale: float) -> None:
    d = scale * (noise(shape, seed) - 0.5)
    unit = unit_direction(d)
    torch.testing.assert_close(unit.flatten(1).norm(dim=1), torch.ones(2), rtol=1e-3, atol=0.0)
    torch.testing.assert_close(unit, unit_direction(2 * d), rtol=1e-3, atol=1e-6)


def test_nothing_has_no_direction_and_is_not_nan() -> None:
    assert torch.equal(unit_direction(torch.zeros(2, 1, 4, 4)), torch.zeros(2, 1, 4, 4))


@pytest.mark.parametrize("num_classes", [2, 4])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_noise_has_length_epsilon_and_the_answers_are_those_to_x_and_to_x_plus_it(
    shape: tuple[int, ...], num_classes: int
) -> None:
    network, x = tiny(len(shape), num_classes=num_classes), noise(shape, 1)
    found = virtual_adversarial(network, x, noise(shape), distance=squared, xi=2.0, epsilon=3.0)
    torch.testing.assert_close(found.noise.flatten(1).norm(dim=1), torch.full((2,), 3.0))
    clean, trial, last = network.seen
    assert torch.equal(clean, x) and torch.equal(last, x + found.noise.detach())
    torch.testing.assert_close((trial - x).flatten(1).norm(dim=1), torch.full((2,), 2.0))
    assert found.clean.shape == found.perturbed.shape == (2, num_classes, *shape)
    torch.testing.assert_close(found.distance, squared(found.perturbed, found.clean))


def test_the_adversarial_noise_moves_the_answer_more_than_random_noise_of_its_length() -> None:
    network, x = tiny(2), noise((16, 16), 1)
    start = noise((16, 16))
    adversarial = virtual_adversarial(network, x, start, distance=squared, xi=1.0, epsilon=1.0)
    with torch.no_grad(), frozen_statistics(network):
        for seed in range(5):
            other = x + unit_direction(noise((16, 16), 10 + seed) - 0.5)
            moved = squared(torch.softmax(network(other).logits, 1), adversarial.clean)
            assert float(moved) < float(adversarial.distance.detach())


def test_more_power_iterations_make_more_passes() -> None:
    network = tiny(2)
    virtual_adversarial(network, noise((8, 8)), noise((8, 8), 1), distance=squared, iterations=3)
    assert len(network.seen) == 1 + 3 + 1


@pytest.mark.parametrize("iterations", [1, 3])
def test_only_the_clean_pass_updates_running_statistics(iterations: int) -> None:
    network, plain, x = tiny(3), tiny(3), noise((5, 7, 6))
    plain(x)
    virtual_adversarial(network, x, noise((5, 7, 6), 1), distance=squared, iterations=iterations)
    for name, value in buffers(plain).items():
        assert torch.equal(buffers(network)[name], value), name


def test_frozen_statistics_normalise_by_the_batch_and_come_back_after_an_error() -> None:
    network, plain, x = tiny(2), tiny(2), noise((8, 8))
    before = buffers(network)
    with frozen_statistics(network):
        assert torch.equal(network(x).logits, plain(x).logits)
    assert all(torch.equal(value, buffers(network)[name]) for name, value in before.items())
    with pytest.raises(ZeroDivisionError), frozen_statistics(network):
        raise ZeroDivisionError
    network(x)
    assert int(network.norm.num_batches_tracked) == 1


def test_frozen_statistics_change_nothing_in_eval_mode_or_for_a_layer_without_any() -> None:
    network, x = tiny(2), noise((8, 8))
    network(x)
    network.eval()
    expected = network(x).logits
    with frozen_statistics(network):
        assert torch.equal(network(x).logits, expected)
    layer = nn.BatchNorm2d(3, track_running_stats=False)
    with frozen_statistics(layer):
        pass
    assert not layer.track_running_stats


def test_gradients_reach_the_network_through_the_perturbed_answer_alone() -> None:
    network, x = tiny(2), noise((8, 8))
    found = virtual_adversarial(network, x, noise((8, 8), 1), distance=squared)
    assert not found.clean.requires_grad and not found.noise.requires_grad and found.perturbed.requires_grad
    assert all(p.grad is None for p in network.parameters())  # the power iteration leaves none behind
    found.distance.backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in network.last.parameters())


def test_the_noise_is_found_where_no_gradient_is_recorded() -> None:
    x, start = noise((8, 8)), noise((8, 8), 1)
    expected = virtual_adversarial(tiny(2), x, start, distance=squared)
    with torch.no_grad():
        found = virtual_adversarial(tiny(2), x, start, distance=squared)
    assert torch.equal(found.noise, expected.noise) and torch.equal(found.distance, expected.distance.detach())
    assert not found.distance.requires_grad


def test_dropout_is_drawn_anew_in_each_pass() -> None:
    network, x = tiny(2, dropout=0.5), noise((16, 16))
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        found = virtual_adversarial(network, x, noise((16, 16), 1), distance=squared, epsilon=0.0)
    assert not torch.equal(found.clean, found.perturbed)


def test_mixed_precision_passes_gradients_on_although_the_first_pass_has_none() -> None:
    network, x = VNet(dims=2, filters=2, dropout=0.0), noise((16, 16))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = virtual_adversarial(network, x, noise((16, 16), 1), distance=squared)
    found.distance.backward()
    assert found.distance.dtype == found.noise.dtype == torch.float32
    assert all(p.grad is not None for p in network.parameters())
