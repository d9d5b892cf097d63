"""TraCoCo's losses and boxes as pure functions: values by hand, limits, ranges, gradients; 2D and 3D, any K."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ssmis_core.draws import Draws
from ssmis_core.losses import (
    confident_regional_cross_entropy,
    confident_regions,
    negative_entropy,
    negative_entropy_map,
    probabilities,
    translation_kl,
    translation_kl_map,
)
from ssmis_core.perturbations import add_uniform_noise, box_masks, draw_cutmix, paste

shapes = st.one_of(st.tuples(*[st.integers(1, 6)] * 2), st.tuples(*[st.integers(1, 4)] * 3))
classes = st.integers(2, 4)
seeds = st.integers(0, 1000)


def logits_of(num_classes: int, shape: tuple[int, ...], seed: int, *, batch: int = 2, spread: float = 3.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn((batch, num_classes, *shape), generator=generator)


@given(classes, shapes, seeds)
def test_kl_over_classes_is_0_for_equal_answers_and_never_negative(
    num_classes: int, shape: tuple[int, ...], seed: int
) -> None:
    a, b = logits_of(num_classes, shape, seed), logits_of(num_classes, shape, seed + 1)
    assert float(translation_kl(a, a)) == 0 == float(translation_kl(a, a, over="space"))
    assert float(translation_kl(a, b)) >= -1e-7
    shifted = a + torch.randn(2, 1, *shape, generator=torch.Generator().manual_seed(seed))
    assert float(translation_kl(a, shifted)) == pytest.approx(0.0, abs=1e-5)  # the same probabilities


@given(classes, shapes, seeds)
def test_kl_is_that_of_the_second_from_the_first(num_classes: int, shape: tuple[int, ...], seed: int) -> None:
    a, b = logits_of(num_classes, shape, seed), logits_of(num_classes, shape, seed + 1)
    p, q = probabilities(a).double(), probabilities(b).double()
    expected = (q * (q.log() - p.log())).sum(1).mean()
    torch.testing.assert_close(translation_kl(a, b).double(), expected, rtol=1e-4, atol=1e-5)
    p, q = torch.softmax(a.double(), 2), torch.softmax(b.double(), 2)
    expected = (q * (q.log() - p.log())).mean()
    torch.testing.assert_close(translation_kl(a, b, over="space").double(), expected, rtol=1e-4, atol=1e-5)


@given(classes, shapes, seeds)
def test_negative_entropy_lies_between_minus_ln_k_and_0(num_classes: int, shape: tuple[int, ...], seed: int) -> None:
    logits = logits_of(num_classes, shape, seed)
    assert -math.log(num_classes) - 1e-6 <= float(negative_entropy(logits)) <= 1e-7
    assert float(negative_entropy(0 * logits)) == pytest.approx(-math.log(num_classes), abs=1e-6)
    sure = torch.zeros_like(logits)
    sure[:, 0] = 200.0
    assert float(negative_entropy(sure)) == pytest.approx(0.0, abs=1e-6)


@given(classes, shapes, seeds)
def test_the_maps_tell_what_each_voxel_adds_to_the_terms(num_classes: int, shape: tuple[int, ...], seed: int) -> None:
    a, b = logits_of(num_classes, shape, seed), logits_of(num_classes, shape, seed + 1)
    for over in ("classes", "space"):
        each = translation_kl_map(a, b, over=over)
        assert each.shape == (2, 1, *shape) and (over == "space" or float(each.min()) > -1e-6)
        torch.testing.assert_close(each.mean(), translation_kl(a, b, over=over), rtol=1e-4, atol=1e-6)
    each = negative_entropy_map(a)
    assert each.shape == (2, 1, *shape) and -math.log(num_classes) - 1e-5 <= float(each.min()) <= float(each.max()) <= 0
    torch.testing.assert_close(each.mean(), negative_entropy(a), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("over", ["classes", "space"])
def test_a_region_without_voxels_gives_0(over: str) -> None:
    a = torch.zeros(1, 3, 0, 4, requires_grad=True)
    loss = translation_kl(a, a, over=over) + negative_entropy(a)
    loss.backward()
    assert float(loss.detach()) == 0


@given(st.integers(2, 4), shapes, seeds, st.floats(0.3, 0.95), st.floats(0.01, 0.3))
def test_regions_are_masks_and_no_class_is_both_followed_and_ruled_out(
    num_classes: int, shape: tuple[int, ...], seed: int, positive: float, negative: float
) -> None:
    q = probabilities(logits_of(num_classes, shape, seed))
    sure, ruled_out = confident_regions(q, positive=positive, negative=negative)
    assert sure.shape == (2, 1, *shape) and ruled_out.shape == q.shape
    assert set(torch.cat([sure.flatten(), ruled_out.flatten()]).tolist()) <= {0.0, 1.0}
    assert not (ruled_out.gather(1, q.argmax(1, keepdim=True))).any()
    assert bool((q[ruled_out.bool()] < negative).all())
    more, _ = confident_regions(q, positive=positive - 0.2, negative=negative)
    assert bool((more >= sure).all())


def by_hand(logits: Tensor, q: Tensor, positive: float, negative: float) -> float:
    """Voxel by voxel, as the definition says."""
    follow, avoid = [], []
    p = probabilities(logits).double().movedim(1, -1).reshape(-1, q.shape[1])
    for mine, theirs in zip(p, q.double().movedim(1, -1).reshape(-1, q.shape[1]), strict=True):
        best = int(theirs.argmax())
        if float(theirs[best]) >= positive:
            follow.append(-float(theirs[best] * mine[best].log()))
        avoid += [
            -float(theirs[k] * (1 - mine[k]).clamp(1e-6, 1).log())
            for k in range(len(theirs))
            if k != best and float(theirs[k]) < negative
        ]
    return (sum(follow) / len(follow) if follow else 0.0) + (sum(avoid) / len(avoid) if avoid else 0.0)


@given(classes, shapes, seeds)
def test_crc_is_its_definition_voxel_by_voxel(num_classes: int, shape: tuple[int, ...], seed: int) -> None:
    logits, q = logits_of(num_classes, shape, seed), probabilities(logits_of(num_classes, shape, seed + 1))
    loss = confident_regional_cross_entropy(logits, q, positive=0.65, negative=0.1)
    assert float(loss) == pytest.approx(by_hand(logits, q, 0.65, 0.1), rel=1e-4, abs=1e-6)


@given(shapes, seeds, st.floats(0.05, 0.5))
def test_with_two_classes_the_ruled_out_one_is_the_other_where_the_smallest_probability_is_low(
    shape: tuple[int, ...], seed: int, negative: float
) -> None:
    """The released binary rule: NLL of 1 - p of the class that is not chosen, where min q < beta."""
    logits, q = logits_of(2, shape, seed), probabilities(logits_of(2, shape, seed + 1))
    other, low = 1 - q.argmax(1, keepdim=True), q.min(1, keepdim=True).values
    nll = -torch.log((1 - probabilities(logits)).clamp(1e-6, 1.0)).gather(1, other) * low
    expected = nll[low < negative].mean() if bool((low < negative).any()) else torch.tensor(0.0)
    loss = confident_regional_cross_entropy(logits, q, positive=1.1, negative=negative)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-6)


def test_the_bitwise_not_counts_the_teachers_own_class_twice() -> None:
    q = torch.tensor([0.05, 0.75, 0.12, 0.08]).reshape(1, 4, 1, 1)
    logits = logits_of(4, (1, 1), 0, batch=1)
    p = probabilities(logits).flatten()
    expected = -0.05 * (torch.log(1 - p) * torch.tensor([1.0, 2.0, 1.0, 1.0])).mean()
    loss = confident_regional_cross_entropy(logits, q, positive=0.8, negative=0.1, bitwise=True)
    torch.testing.assert_close(loss, expected)
    ours = confident_regional_cross_entropy(logits, q, positive=0.8, negative=0.1)
    torch.testing.assert_close(ours, -(0.05 * torch.log(1 - p[0]) + 0.08 * torch.log(1 - p[3])) / 2)


@pytest.mark.parametrize("shape", [(5, 4), (3, 4, 2)])
@pytest.mark.parametrize("num_classes", [2, 4])
def test_crc_of_an_unsure_teacher_is_0_with_gradient_0(num_classes: int, shape: tuple[int, ...]) -> None:
    logits = logits_of(num_classes, shape, 0).requires_grad_()
    loss = confident_regional_cross_entropy(logits, torch.full(logits.shape, 1 / num_classes))
    loss.backward()
    assert float(loss.detach()) == 0 and logits.grad is not None and not logits.grad.any()


def test_crc_is_finite_for_extreme_answers_and_gives_no_gradient_to_the_teacher() -> None:
    logits = (100 * logits_of(3, (4, 4), 0)).requires_grad_()
    q = probabilities(100 * logits_of(3, (4, 4), 1)).requires_grad_()
    loss = confident_regional_cross_entropy(logits, q)
    loss.backward()
    assert bool(loss.isfinite()) and logits.grad is not None and bool(logits.grad.isfinite().all())
    assert q.grad is None


@pytest.mark.parametrize("shape", [(9, 7), (6, 5, 7)])
def test_crc_of_confident_answers_has_the_gradient_of_1_minus_softmax_to_the_last_bits(shape: tuple[int, ...]) -> None:
    """Where a student is sure of the wrong class, how 1 - p is rounded shows in the gradient of -log(1 - p)."""
    ours = logits_of(2, shape, 0, spread=5.0).requires_grad_()
    theirs, q = ours.detach().clone().requires_grad_(), probabilities(logits_of(2, shape, 1, spread=5.0))
    confident_regional_cross_entropy(ours, q).backward()
    (confidence, chosen), (low, other) = q.max(1), q.min(1)
    follow = confidence * torch.nn.functional.cross_entropy(theirs, chosen, reduction="none")
    inverse = (1 - torch.softmax(theirs, 1)).clamp(1e-6, 1.0)
    avoid = low * torch.nn.functional.nll_loss(inverse.log(), other, reduction="none")
    (follow[confidence >= 0.65].mean() + avoid[low < 0.1].mean()).backward()
    assert float(inverse.detach().min()) < 1e-5
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("name", ["kl", "kl_space", "entropy", "crc", "crc_bitwise"])
def test_gradients_are_those_of_finite_differences(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tensor, "float", Tensor.double)  # the functions compute in float32 on purpose
    a, b = (logits_of(3, (3, 2), seed, spread=1.0).double().requires_grad_() for seed in (0, 1))
    q = probabilities(3 * b.detach())
    functions: dict[str, Any] = {
        "kl": lambda a, b: translation_kl(a, b),
        "kl_space": lambda a, b: translation_kl(a, b, over="space"),
        "entropy": lambda a, b: negative_entropy(a) + negative_entropy(b),
        "crc": lambda a, b: confident_regional_cross_entropy(a, q),
        "crc_bitwise": lambda a, b: confident_regional_cross_entropy(a, q, bitwise=True),
    }
    assert torch.autograd.gradcheck(functions[name], (a, b))


@given(seeds, st.floats(0.0, 0.5))
def test_uniform_noise_stays_within_its_scale_and_clamped_within_0_and_1(seed: int, scale: float) -> None:
    x = torch.rand((2, 1, 4, 4), generator=torch.Generator().manual_seed(seed))
    uniform = Draws(seed).uniform_like("noise", x)
    assert float((add_uniform_noise(x, uniform, scale=scale) - x).abs().max()) <= scale + 1e-6
    clamped = add_uniform_noise(x, uniform, scale=scale, clamp=True)
    assert float(clamped.min()) >= 0 and float(clamped.max()) <= 1
    assert torch.equal(add_uniform_noise(x, torch.full_like(x, 0.5), scale=scale), x)


@given(shapes, seeds, st.floats(0.01, 0.99))
def test_a_box_has_its_share_of_every_side_unless_an_edge_cuts_it(
    shape: tuple[int, ...], seed: int, share: float
) -> None:
    x = torch.zeros((3, 1, *shape))
    draws = Draws(seed).fixed(cutmix=share)
    source, box = draw_cutmix("cutmix", x, draws)
    assert sorted(source.tolist()) == [0, 1, 2] and box.shape == (3, 1, *shape) and box.dtype == torch.bool
    for one in box[:, 0]:
        for axis, size in enumerate(shape):
            along = one.movedim(axis, 0).flatten(1).any(1).nonzero().flatten()
            assert len(along) <= 2 * (int(size * math.sqrt(1 - share)) // 2)
            assert len(along) == 0 or len(along) == int(along[-1] - along[0]) + 1  # in one piece
    _, through = draw_cutmix("cutmix", x, draws, axes=1)
    assert torch.equal(through.flatten(3).all(3), through.flatten(3).any(3))  # the other axes from end to end


def test_boxes_are_where_their_centres_say() -> None:
    box = box_masks(torch.tensor([[4, 5], [0, 7]]), [4, 3], (8, 8))[:, 0]
    rows, columns = np.nonzero(box[0].numpy())
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (2, 5, 4, 5)
    assert int(box[1].sum()) == 2 * 2  # cut off at two edges


@given(shapes, seeds)
def test_pasting_takes_the_box_from_the_source_and_the_rest_from_the_sample(shape: tuple[int, ...], seed: int) -> None:
    x = logits_of(2, shape, seed, batch=4)
    source, box = draw_cutmix("cutmix", x, Draws(seed))
    mixed = paste(x, source, box)
    everywhere = box.expand_as(x)
    assert torch.equal(mixed[everywhere], x[source][everywhere])
    assert torch.equal(mixed[~everywhere], x[~everywhere])
