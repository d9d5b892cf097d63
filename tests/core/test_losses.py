"""Loss functions: values by hand, limits, shapes in 2D and 3D with any number of classes, and gradients."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ssmis_core import losses
from ssmis_core.losses import (
    cross_entropy,
    dice_loss,
    masked_mse,
    most_probable,
    one_hot,
    probabilities,
    soft_mask_dice,
)

SHAPES = [(5, 4), (4, 3, 2)]
KS = [2, 3, 4]


def random_logits(num_classes: int, shape: tuple[int, ...], *, batch: int = 2, seed: int = 0) -> Tensor:
    return torch.randn((batch, num_classes, *shape), generator=torch.Generator().manual_seed(seed))


def random_label(num_classes: int, shape: tuple[int, ...], *, batch: int = 2, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(num_classes, (batch, *shape), generator=generator)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("num_classes", KS)
def test_the_most_probable_class_is_the_first_of_the_highest(num_classes: int, shape: tuple[int, ...]) -> None:
    p = probabilities(random_logits(num_classes, shape)).round(decimals=1)  # many are equal
    first = p.flatten(2).permute(0, 2, 1).tolist()
    expected = [[values.index(max(values)) for values in sample] for sample in first]
    found = most_probable(p)
    assert found.dtype == torch.int64 and found.flatten(1).tolist() == expected


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("num_classes", KS)
def test_probabilities_and_one_hot_sum_to_one_over_the_classes(num_classes: int, shape: tuple[int, ...]) -> None:
    p = probabilities(random_logits(num_classes, shape))
    torch.testing.assert_close(p.sum(1), torch.ones(2, *shape))
    label = random_label(num_classes, shape)
    hot = one_hot(label, num_classes)
    assert hot.shape == p.shape and hot.dtype == torch.float32
    assert torch.equal(hot.sum(1), torch.ones(2, *shape)) and torch.equal(hot.argmax(1), label)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("num_classes", KS)
def test_cross_entropy_is_the_mean_of_minus_log_probability(num_classes: int, shape: tuple[int, ...]) -> None:
    logits, label = random_logits(num_classes, shape), random_label(num_classes, shape)
    chosen = probabilities(logits).gather(1, label[:, None])
    torch.testing.assert_close(cross_entropy(logits, label), -chosen.log().mean())
    torch.testing.assert_close(cross_entropy(torch.zeros_like(logits), label), torch.tensor(math.log(num_classes)))


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("num_classes", KS)
def test_dice_is_its_formula_a_class_summed_over_the_batch(num_classes: int, squared: bool, background: bool) -> None:
    p, label = probabilities(random_logits(num_classes, (5, 4))), random_label(num_classes, (5, 4))
    expected = []
    for k in range(0 if background else 1, num_classes):
        a, b = p[:, k], (label == k).float()
        size = (a * a + b * b).sum() if squared else (a + b).sum()
        expected.append(1 - (2 * (a * b).sum() + 1e-5) / (size + 1e-5))
    actual = dice_loss(p, label, squared=squared, background=background)
    torch.testing.assert_close(actual, torch.stack(expected).mean())


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_dice_is_0_for_a_perfect_and_1_for_a_disjoint_answer(shape: tuple[int, ...], squared: bool) -> None:
    label = random_label(2, shape)
    right, wrong = one_hot(label, 2), one_hot(1 - label, 2)
    assert float(dice_loss(right, label, squared=squared)) == pytest.approx(0, abs=1e-6)
    assert float(dice_loss(wrong, label, squared=squared)) == pytest.approx(1, abs=1e-5)


def test_dice_takes_labels_or_maps_alike() -> None:
    p, label = probabilities(random_logits(3, (5, 4))), random_label(3, (5, 4))
    assert torch.equal(dice_loss(p, label), dice_loss(p, one_hot(label, 3)))
    assert torch.equal(dice_loss(p, label), dice_loss(p, label.to(torch.uint8)))


@pytest.mark.parametrize("num_classes", KS)
def test_dice_without_any_foreground_is_finite_and_has_finite_gradients(num_classes: int) -> None:
    logits = random_logits(num_classes, (5, 4)).requires_grad_()
    loss = dice_loss(probabilities(logits), torch.zeros(2, 5, 4, dtype=torch.int64))
    loss.backward()
    assert 0.99 < float(loss.detach()) <= 1
    assert logits.grad is not None and bool(logits.grad.isfinite().all())
    empty = one_hot(torch.zeros(2, 5, 4, dtype=torch.int64), num_classes)
    assert float(dice_loss(empty, empty)) == 0  # nothing predicted, nothing there


@given(st.integers(0, 1000), st.booleans(), st.booleans())
def test_dice_lies_within_0_and_1(seed: int, squared: bool, background: bool) -> None:
    p = probabilities(5 * random_logits(3, (4, 3), seed=seed))
    loss = float(dice_loss(p, random_label(3, (4, 3), seed=seed), squared=squared, background=background))
    assert -1e-6 <= loss <= 1 + 1e-6


@given(st.integers(0, 1000))
def test_losses_do_not_depend_on_where_voxels_lie(seed: int) -> None:
    logits, label = random_logits(3, (4, 3), seed=seed), random_label(3, (4, 3), seed=seed)
    turned, label_turned = logits.rot90(1, (2, 3)), label.rot90(1, (1, 2))
    torch.testing.assert_close(cross_entropy(turned, label_turned), cross_entropy(logits, label))
    torch.testing.assert_close(dice_loss(probabilities(turned), label_turned), dice_loss(probabilities(logits), label))


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_dice_of_all_channels_at_once_sums_over_the_classes_too(shape: tuple[int, ...], squared: bool) -> None:
    a, b = probabilities(random_logits(3, shape)), probabilities(random_logits(3, shape, seed=5))
    size = (a * a + b * b).sum() if squared else (a + b).sum()
    actual = dice_loss(a, b, squared=squared, background=True, per_class=False, eps=1e-8)
    torch.testing.assert_close(actual, 1 - (2 * (a * b).sum() + 1e-8) / (size + 1e-8))


def test_only_squared_dice_of_a_soft_map_with_itself_is_0() -> None:
    p = probabilities(random_logits(3, (5, 4)))
    assert float(dice_loss(p, p)) == pytest.approx(0, abs=1e-6)
    assert float(dice_loss(p, p, squared=False)) > 0.1


def test_soft_mask_dice_is_the_mean_over_foreground_masks() -> None:
    soft, label = torch.rand(2, 3, 5, 4, generator=torch.Generator().manual_seed(0)), random_label(4, (5, 4))
    each = [dice_loss(soft[:, k - 1 : k], (label == k)[:, None], background=True) for k in (1, 2, 3)]
    torch.testing.assert_close(soft_mask_dice(soft, label, num_classes=4), torch.stack(each).mean())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mean_classes", [False, True])
def test_masked_mse_averages_over_the_voxels_of_the_mask(shape: tuple[int, ...], mean_classes: bool) -> None:
    a, b = random_logits(3, shape), random_logits(3, shape, seed=5)
    mask = random_label(2, shape)[:, None]
    inside = ((a - b) ** 2)[mask.bool().expand_as(a)]
    expected = inside.mean() if mean_classes else 3 * inside.mean()
    torch.testing.assert_close(masked_mse(a, b, mask, mean_classes=mean_classes), expected)


def test_masked_mse_without_a_mask_is_that_with_a_full_one() -> None:
    a, b = random_logits(3, (5, 4)), random_logits(3, (5, 4), seed=5)
    torch.testing.assert_close(masked_mse(a, b), torch.nn.functional.mse_loss(a, b))
    torch.testing.assert_close(masked_mse(a, b), masked_mse(a, b, torch.ones(2, 1, 5, 4)))


def test_masked_mse_of_an_empty_mask_is_0_with_gradient_0() -> None:
    a = random_logits(3, (5, 4)).requires_grad_()
    loss = masked_mse(a, torch.zeros_like(a), torch.zeros(2, 1, 5, 4))
    loss.backward()
    assert float(loss.detach()) == 0 and a.grad is not None and not a.grad.any()


@pytest.mark.parametrize(
    "loss",
    [
        lambda x, label: cross_entropy(x, label),
        lambda x, label: dice_loss(probabilities(x), label),
        lambda x, label: dice_loss(probabilities(x), label, squared=False, background=True),
        lambda x, label: soft_mask_dice(torch.sigmoid(x[:, 1:]), label, num_classes=3),
        lambda x, label: masked_mse(probabilities(x), one_hot(label, 3).to(x), (label > 0)[:, None]),
        lambda x, label: masked_mse(x, one_hot(label, 3).to(x), mean_classes=False),
    ],
    ids=["cross_entropy", "dice_squared", "dice_plain", "soft_mask_dice", "masked_mse", "mse"],
)
@pytest.mark.parametrize("shape", [(3, 2), (2, 2, 2)])
def test_gradients_are_those_of_finite_differences(
    loss: Callable[[Tensor, Tensor], Tensor], shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The functions compute in float32 on purpose; differences need float64, so `.float()` is made to keep it here.
    monkeypatch.setattr(Tensor, "float", Tensor.double)
    x = random_logits(3, shape).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, random_label(3, shape)), (x,))


@pytest.mark.parametrize("name", ["probabilities", "cross_entropy", "dice_loss", "masked_mse"])
def test_losses_compute_in_float32_under_mixed_precision(name: str) -> None:
    x, label = random_logits(2, (5, 4)).bfloat16(), random_label(2, (5, 4))
    arguments = {"probabilities": (x,), "masked_mse": (x, x)}.get(name, (x, label))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert getattr(losses, name)(*arguments).dtype == torch.float32
