"""The plain path is torch's and scipy's, and computes what the fast one does."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from unittest.mock import patch

import torch
from scipy import ndimage

from ssmis_core import geometry
from ssmis_core.methods import create_method
from ssmis_core.networks.layers import GroupNorm
from ssmis_core.prototypes import MaskedBatchNorm


def test_inside_the_plain_path_torch_and_scipy_compute_and_the_results_are_the_same(
    script: Callable[[str], ModuleType],
) -> None:
    module = script("same_training")
    masks = torch.zeros(3, 12, 11, dtype=torch.bool)
    masks[0, 3:7, 2:9], masks[1] = True, True  # an object, a full mask and an empty one
    norm, x = GroupNorm(2, 4), torch.rand(2, 4, 6, 5).contiguous(memory_format=torch.channels_last)
    selecting, rows, inside = MaskedBatchNorm(4), torch.rand(9, 3), torch.arange(9) % 2
    linear = torch.nn.Linear(3, 4)
    fast = geometry.signed_distance(masks), norm(x), selecting.after(linear, rows, inside)
    with (
        module.plain(),
        patch.object(ndimage, "distance_transform_edt", wraps=ndimage.distance_transform_edt) as scipys,
    ):
        plain = geometry.signed_distance(masks), norm(x), selecting.after(linear, rows, inside)
        assert MaskedBatchNorm.after is module.torchs_after
        assert scipys.call_count == 2 and torch.channels_last == torch.contiguous_format
    assert torch.channels_last != torch.contiguous_format and MaskedBatchNorm.after is not module.torchs_after
    fast, plain = ((*found[:2], found[2][inside > 0]) for found in (fast, plain))  # others count for nothing
    for ours, theirs in zip(fast, plain, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_moved_weights_are_those_of_the_seed_but_for_a_millionth(script: Callable[[str], ModuleType]) -> None:
    shape = {"num_classes": 2, "dims": 2, "channels": 1, "filters": 2}
    torch.manual_seed(0)
    own = create_method("ssnet", **shape)
    torch.manual_seed(0)
    moved = script("same_training").moved("ssnet", **shape)
    for (name, before), after in zip(own.named_parameters(), moved.parameters(), strict=True):
        torch.testing.assert_close(after, before, rtol=1e-5, atol=0, msg=name)
        assert (after != before).any() or not before.any(), name
        assert after.stride() == before.stride(), name
