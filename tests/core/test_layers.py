"""Layers of ours that stand for one of torch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ssmis_core.networks.layers import make_head, make_norm


def answers(layer: nn.Module, x: Tensor) -> list[Tensor]:
    """The output, and the gradients of a fixed function of it."""
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    y = layer(x)
    gradients = torch.autograd.grad(
        (y * torch.arange(y.numel()).reshape(y.shape).cos()).sum(), [x, *layer.parameters()]
    )
    return [y, *gradients]


@pytest.mark.parametrize("outputs", [1, 2, 4])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last_3d])
def test_a_head_is_the_convolution_of_one_voxel(outputs: int, memory_format: torch.memory_format) -> None:
    torch.manual_seed(0)
    head, convolution = make_head(3, 6, outputs), nn.Conv3d(6, outputs, 1)
    convolution.load_state_dict(head.state_dict())
    x = torch.randn(2, 6, 5, 4, 3).to(memory_format=memory_format)
    for ours, theirs in zip(answers(head, x), answers(convolution, x), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("channels", [2, 6, 12, 20, 32])
def test_group_norm_takes_any_number_of_channels(channels: int) -> None:
    x = torch.randn(2, channels, 4, 4, generator=torch.Generator().manual_seed(0))
    assert make_norm("group", 2, channels)(x).shape == x.shape


@pytest.mark.parametrize("norm", ["instance", "group"])
@pytest.mark.parametrize(("dims", "last"), [(2, torch.channels_last), (3, torch.channels_last_3d)])
def test_group_norm_is_that_of_torch_and_keeps_the_layout(norm: str, dims: int, last: torch.memory_format) -> None:
    torch.manual_seed(0)
    ours = make_norm(norm, dims, 16)
    theirs = nn.GroupNorm(16 if norm == "instance" else 8, 16)
    torch.nn.init.normal_(ours.weight)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 16, 7, 6, 5)[..., 0] if dims == 2 else torch.randn(2, 16, 7, 6, 5)
    for given in (x.contiguous(), x.to(memory_format=last)):
        for a, b in zip(answers(ours, given), answers(theirs, given), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
    assert ours(x.to(memory_format=last)).is_contiguous(memory_format=last)
    assert ours(x.contiguous()).is_contiguous()
