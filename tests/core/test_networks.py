"""Backbones by name: which dimensions and options they have, and what dropout does in them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from ssmis_core import configure
from ssmis_core.errors import UserError
from ssmis_core.methods import create_method
from ssmis_core.networks import NETWORKS, UNet2D, create_network

SIZE = {2: (48, 32), 3: (32, 16, 32)}
PAIRS = [(name, dims) for name in NETWORKS for dims in (2, 3) if (name, dims) != ("unet2d", 3)]


def make(name: str, dims: int, **settings: Any) -> nn.Module:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return create_network(name, **{"dims": dims, "filters": 2, **settings})


@pytest.mark.parametrize("num_classes", [2, 4])
@pytest.mark.parametrize(("name", "dims"), PAIRS)
def test_every_network_answers_a_voxel_at_a_time_and_every_weight_gets_a_gradient(
    name: str, dims: int, num_classes: int
) -> None:
    network = make(name, dims, num_classes=num_classes, distance_channels=num_classes - 1, channels=2)
    output = network(torch.randn(2, 2, *SIZE[dims]))
    assert output.logits.shape == (2, num_classes, *SIZE[dims])
    assert output.features.shape == (2, 2, *SIZE[dims])
    assert (
        output.distance.shape == (2, num_classes - 1, *SIZE[dims]) and float(output.distance.detach().abs().max()) <= 1
    )
    (output.logits.square().mean() + output.distance.square().mean()).backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in network.parameters())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "dims"), PAIRS)
def test_a_network_compiles_as_one_graph(name: str, dims: int) -> None:
    """fullgraph raises at the first thing that a compiler cannot follow; the eager backend needs no C++ compiler."""
    network, x = make(name, dims, distance_channels=1).eval(), torch.randn(2, 1, *SIZE[dims])
    compiled = torch.compile(network, fullgraph=True, backend="eager")(x)
    torch.testing.assert_close(compiled.logits, network(x).logits)
    torch._dynamo.reset()


@pytest.mark.parametrize(("name", "dims"), PAIRS)
def test_dropout_is_drawn_in_training_alone_and_can_be_off(name: str, dims: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 1, *SIZE[dims])
    network = make(name, dims)
    answers = [network(x).logits for _ in range(8)]  # so few feature maps may be dropped alike twice
    assert any(not torch.equal(answers[0], other) for other in answers[1:])
    off = make(name, dims, dropout=0.0)
    assert torch.equal(off(x).logits, off(x).logits)
    network.eval()
    assert torch.equal(network(x).logits, network(x).logits)


def test_the_2d_unet_drops_more_the_deeper_and_nothing_on_the_way_up() -> None:
    def rates(stages: nn.ModuleList) -> list[float]:
        return [layer.p for layer in stages.modules() if isinstance(layer, nn.Dropout)]

    network = UNet2D(filters=2)
    assert rates(network.down) == pytest.approx([0.05, 0.1, 0.2, 0.3, 0.5])
    assert rates(network.up) == [0.0] * 4
    assert rates(UNet2D(filters=2, dropout=0.1).down) == pytest.approx([0.01, 0.02, 0.04, 0.06, 0.1])


def test_the_2d_unet_has_the_published_number_of_weights() -> None:
    assert sum(p.numel() for p in UNet2D(num_classes=4).parameters()) == pytest.approx(1.81e6, rel=0.01)


def test_the_2d_unet_in_3d_is_a_user_error_that_names_those_that_can() -> None:
    with pytest.raises(
        UserError, match=r"^network unet2d has 2 dimensions, found dims=3; expected one of vnet, unet3d$"
    ):
        create_method("supervised", network="unet2d", dims=3)


def test_the_2d_unet_leaves_no_choice_of_norm_whatever_a_preset_says() -> None:
    config = configure("supervised", dataset_options={"dims": 2}, network="unet2d")  # quick has instance norm
    assert config.options["norm"] == "batch"
    with pytest.raises(UserError, match="option norm='instance': network unet2d has 'batch' alone"):
        configure("supervised", dataset_options={"dims": 2}, network="unet2d", norm="instance")


@pytest.mark.parametrize("name", NETWORKS)
def test_a_patch_that_cannot_be_halved_four_times_is_a_user_error(name: str) -> None:
    with pytest.raises(UserError, match="patch 40x32: every side must be a multiple of 16"):
        make(name, 2)(torch.zeros(1, 1, 40, 32))
