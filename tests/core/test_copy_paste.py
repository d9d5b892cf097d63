"""Copy-paste in pure functions: boxes, mixes, pseudo-labels, reliable regions, and losses on a region."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssmis_core.inference import keep_largest_component
from ssmis_core.losses import region_cross_entropy, region_dice_loss, region_loss
from ssmis_core.methods.mixes import MIXES, PARTS
from ssmis_core.perturbations import box_mask, box_places, box_sides, copy_paste
from ssmis_core.pseudo_labels import hard_label, largest_components, reliable_region

SIZES = st.lists(st.integers(1, 9), min_size=2, max_size=3)


@given(SIZES, st.data())
def test_a_box_is_two_thirds_of_each_side_and_lies_within_its_patch(shape: list[int], data: Any) -> None:
    corner = [data.draw(st.integers(0, places - 1)) for places in box_places(shape, shape, 2 / 3)]
    mask = box_mask(shape, corner)
    assert set(mask.unique().tolist()) <= {0.0, 1.0} and mask.dtype == torch.float32
    sides = [max(1, int(size * 2 / 3)) for size in shape]
    hidden = np.argwhere(mask.numpy() == 0)
    assert hidden.min(0).tolist() == corner and (hidden.max(0) - hidden.min(0) + 1).tolist() == sides
    assert len(hidden) == math.prod(sides)


@given(SIZES, st.lists(st.integers(1, 130), min_size=3, max_size=3), st.data())
def test_a_box_placed_for_another_patch_is_cut_by_the_edge_and_never_missing(
    shape: list[int], frame: list[int], data: Any
) -> None:
    places = box_places(shape, frame[: len(shape)], 2 / 3)
    corner = [data.draw(st.integers(0, n - 1)) for n in places]
    hidden = np.argwhere(box_mask(shape, corner).numpy() == 0)
    assert len(hidden) >= 1 and hidden.min(0).tolist() == corner
    ends = [min(c + side, size) for c, side, size in zip(corner, box_sides(shape, 2 / 3), shape, strict=True)]
    assert (hidden.max(0) + 1).tolist() == ends


def test_the_released_box_of_brats_is_placed_as_in_112x112x80() -> None:
    assert box_places((96, 96, 96), (112, 112, 80), 2 / 3) == [48, 48, 16]  # 64 voxels a side: up to 15 are cut off
    assert box_places((112, 112, 80), (112, 112, 80), 2 / 3) == [38, 38, 27]  # of LA's own patch: none is
    assert box_sides((112, 112, 80), 2 / 3) == (74, 74, 53)


@given(SIZES, st.integers(0, 2**32 - 1), st.data())
def test_the_mixes_put_back_together_are_the_four_images(shape: list[int], seed: int, data: Any) -> None:
    generator = torch.Generator().manual_seed(seed)
    image = {part: torch.randn((2, 1, *shape), generator=generator) for part in PARTS}
    mask = box_mask(shape, [data.draw(st.integers(0, places - 1)) for places in box_places(shape, shape, 2 / 3)])
    mixed = {name: copy_paste(image[a], image[b], mask) for name, (a, b) in MIXES.items()}
    assert torch.equal(copy_paste(mixed["l_u"], mixed["u_l"], mask), copy_paste(image["l_a"], image["l_b"], mask))
    outside = {"l_a": ("l_u", "l_l"), "u_a": ("u_u",), "u_b": ("u_l",)}
    inside = {"l_b": ("u_l", "l_l"), "u_b": ("u_u",), "u_a": ("l_u",)}
    for part, names in outside.items():
        assert all(torch.equal(mixed[name] * mask, image[part] * mask) for name in names)
    for part, names in inside.items():
        assert all(torch.equal(mixed[name] * (1 - mask), image[part] * (1 - mask)) for name in names)
    # an unlabeled image is whole again from the two mixes that show its two sides
    assert torch.equal(copy_paste(mixed["u_u"], mixed["l_u"], mask), image["u_a"])
    assert torch.equal(copy_paste(mixed["u_l"], mixed["u_u"], mask), image["u_b"])


@given(st.integers(2, 4), st.integers(0, 2**32 - 1))
def test_a_pseudo_label_at_one_half_is_the_argmax(num_classes: int, seed: int) -> None:
    p = torch.randn((2, num_classes, 5, 4), generator=torch.Generator().manual_seed(seed)).softmax(1)
    assert torch.equal(hard_label(p), p.argmax(1))


def test_a_voxel_that_is_foreground_and_background_alike_is_foreground() -> None:
    assert hard_label(torch.full((1, 2, 3, 3), 0.5)).all()


@given(st.floats(0.05, 0.95), st.integers(0, 2**32 - 1))
def test_a_pseudo_label_of_two_classes_is_the_thresholded_foreground(threshold: float, seed: int) -> None:
    p = torch.randn((1, 2, 6, 5), generator=torch.Generator().manual_seed(seed)).softmax(1)
    away = (p[:, 1] - threshold).abs() > 1e-5  # where rounding does not decide
    assert torch.equal(hard_label(p, threshold)[away], (p[:, 1] >= threshold).long()[away])


@pytest.mark.parametrize("shape", [(12, 9), (8, 7, 6)])
def test_the_largest_component_is_kept_sample_by_sample_and_class_by_class(shape: tuple[int, ...]) -> None:
    label = torch.randint(4, (3, *shape), generator=torch.Generator().manual_seed(0))
    label[1] = 0
    kept = largest_components(label, 4)
    assert kept.dtype == label.dtype and not kept[1].any()
    for before, after in zip(label, kept, strict=True):
        assert torch.equal(after, torch.from_numpy(keep_largest_component(before.numpy(), 4)))
    assert not torch.equal(kept, label)


@given(SIZES, st.integers(1, 3), st.integers(0, 2**32 - 1), st.data())
def test_a_reliable_region_never_leaves_its_side_of_the_box(shape: list[int], mixes: int, seed: int, data: Any) -> None:
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(3, (2, *shape), generator=generator)
    predicted = [torch.randint(3, (2, *shape), generator=generator) for _ in range(mixes)]
    mask = box_mask(shape, [data.draw(st.integers(0, places - 1)) for places in box_places(shape, shape, 2 / 3)])
    for side in (mask, 1 - mask):
        side = side.expand(label.shape)[:, None]
        region = reliable_region(predicted, label, side)
        assert region.shape == side.shape and not (region * (1 - side)).any()
        right = torch.stack([one == label for one in predicted]).all(0)[:, None]
        assert torch.equal(region > 0, right & (side > 0))


@pytest.mark.parametrize("num_classes", [2, 4])
def test_an_empty_region_costs_nothing_and_has_no_gradient(num_classes: int) -> None:
    logits = torch.randn(2, num_classes, 5, 4, 3, requires_grad=True)
    target, nowhere = torch.zeros(2, 5, 4, 3, dtype=torch.int64), torch.zeros(2, 1, 5, 4, 3)
    for loss in (region_dice_loss(logits.softmax(1), target, nowhere), region_cross_entropy(logits, target, nowhere)):
        assert float(loss.detach()) == 0
    region_loss(logits, target, nowhere).backward()
    assert logits.grad is not None and not logits.grad.any()


def test_regions_are_values_by_hand() -> None:
    """Two voxels of two, of which the region has the first: p = (0.25, 0.75) where the label is 1."""
    p, target = torch.tensor([[[[0.25, 0.9]], [[0.75, 0.1]]]]), torch.tensor([[[1, 1]]])
    region = torch.tensor([[[[1.0, 0.0]]]])
    dice = (1 - 1e-5 / (0.25 + 1e-5) + 1 - (1.5 + 1e-5) / (1.75 + 1e-5)) / 2
    assert float(region_dice_loss(p, target, region)) == pytest.approx(dice, rel=1e-5)
    assert float(region_cross_entropy(p.log(), target, region)) == pytest.approx(-math.log(0.75), rel=1e-5)
    assert float(region_loss(p.log(), target, region)) == pytest.approx((dice - math.log(0.75)) / 2, rel=1e-5)
