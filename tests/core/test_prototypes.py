"""Prototypes: the mean over all pairs without the pairs, masks instead of selections, and a memory of fixed shape."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from ssmis_core.losses import one_hot
from ssmis_core.perturbations import evaluated
from ssmis_core.prototypes import (
    MaskedBatchNorm,
    PrototypeMemory,
    Selector,
    as_maps,
    as_rows,
    class_separation,
    class_weights,
    embedding_head,
    prototype_centres,
    prototype_distance,
    scores_of_class,
    selector_scores,
)

Separation = tuple[Tensor, Tensor, Tensor, PrototypeMemory]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def uniform(*shape: int, seed: int = 0) -> Tensor:
    return 0.05 + 0.9 * torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def problem(seed: int, num_classes: int, voxels: int = 40, size: int = 6) -> Separation:
    """Features, members, scores and a memory in which each class has another number of prototypes."""
    label = torch.randint(num_classes, (voxels,), generator=torch.Generator().manual_seed(seed))
    memory = PrototypeMemory(num_classes, size, 8)
    memory.count.copy_(torch.arange(num_classes) + size - num_classes + 1)
    memory.prototypes.copy_(random(num_classes, size, 8, seed=seed + 1) * memory.filled[..., None])
    return random(voxels, 8, seed=seed), one_hot(label, num_classes), uniform(voxels, num_classes, seed=seed), memory


def pairwise(features: Tensor, member: Tensor, scores: Tensor, memory: PrototypeMemory, own: Tensor | None) -> Tensor:
    """The definition, a matrix of pairs a class."""
    terms = []
    for k in range(member.shape[1]):
        f, m = features[member[:, k] > 0], memory.prototypes[k, : memory.count[k]]
        if len(f) < 2 or len(m) < 2:
            terms.append(torch.zeros(()))
            continue
        w = scores[member[:, k] > 0, k]
        v = torch.ones(len(m)) if own is None else own[k, : len(m)]
        distance = 1 - F.normalize(f, dim=1) @ F.normalize(m, dim=1).T
        terms.append((distance * (w / w.mean())[:, None] * (v / v.mean())[None]).mean())
    return torch.stack(terms)


@given(st.integers(0, 1000), st.sampled_from([1, 2, 4]), st.booleans())
def test_class_separation_is_the_mean_over_all_pairs(seed: int, num_classes: int, weighted: bool) -> None:
    features, member, scores, memory = problem(seed, num_classes)
    own = uniform(num_classes, 6, seed=seed + 2) if weighted else None
    centres = prototype_centres(memory.prototypes, memory.filled, own)
    actual = class_separation(features, member, scores, centres, memory.count)
    torch.testing.assert_close(actual, pairwise(features, member, scores, memory, own), rtol=1e-5, atol=1e-6)


@given(st.integers(0, 1000))
def test_class_separation_does_not_depend_on_lengths_or_on_the_order_of_voxels(seed: int) -> None:
    features, member, scores, memory = problem(seed, 3)
    centres = prototype_centres(memory.prototypes, memory.filled)
    expected = class_separation(features, member, scores, centres, memory.count)
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))
    other = class_separation(3 * features[order], member[order], 0.5 * scores[order], centres, memory.count)
    torch.testing.assert_close(other, expected, rtol=1e-4, atol=1e-5)
    assert bool((expected >= -1e-6).all()) and bool((expected <= 2 + 1e-6).all())


def test_features_that_are_their_prototypes_are_at_distance_0_and_opposite_ones_at_2() -> None:
    features, member = torch.ones(4, 8), torch.ones(4, 1)
    memory = PrototypeMemory(1, 3, 8)
    memory.update(features, member, member)
    centres = prototype_centres(memory.prototypes, memory.filled)
    for f, expected in ((features, 0.0), (-features, 2.0)):
        term = class_separation(f, member, member, centres, memory.count)
        assert float(term) == pytest.approx(expected, abs=1e-6)
        torch.testing.assert_close(prototype_distance(f, centres), torch.full((4, 1), expected))


@pytest.mark.parametrize(("voxels", "prototypes"), [(0, 4), (1, 4), (5, 0), (5, 1)])
def test_a_class_with_fewer_than_two_voxels_or_prototypes_adds_0_and_gradient_0(voxels: int, prototypes: int) -> None:
    features, member = random(5, 8).requires_grad_(), torch.zeros(5, 1)
    member[:voxels] = 1
    memory = PrototypeMemory(1, 4, 8)
    memory.prototypes.copy_(random(1, 4, 8, seed=1))
    memory.count.fill_(prototypes)
    centres = prototype_centres(memory.prototypes, memory.filled)
    term = class_separation(features, member, uniform(5, 1), centres, memory.count).sum()
    term.backward()
    assert float(term.detach()) == 0 and features.grad is not None and not features.grad.any()


def test_class_separation_has_the_gradient_of_the_pairwise_definition() -> None:
    features, member, scores, memory = problem(3, 3)
    ours, theirs = (features.clone().requires_grad_() for _ in range(2))
    centres = prototype_centres(memory.prototypes, memory.filled)
    class_separation(ours, member, scores, centres, memory.count).sum().backward()
    pairwise(theirs, member, scores, memory, None).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)


@given(st.integers(0, 1000), st.booleans())
def test_the_memory_keeps_the_best_voxels_of_each_class(seed: int, highest: bool) -> None:
    features, member, scores, _ = problem(seed, 3)
    memory = PrototypeMemory(3, 6, 8)
    entered = memory.update(features, member, scores, highest=highest)
    for k in range(3):
        rows = member[:, k] > 0
        order = scores[rows, k].argsort(descending=highest)[:6] if rows.sum() > 6 else torch.arange(int(rows.sum()))
        assert int(memory.count[k]) == min(6, int(rows.sum())) == len(order)
        assert torch.equal(memory.prototypes[k, : len(order)], features[rows][order])
        assert not memory.prototypes[k, len(order) :].any()
        assert sorted(entered[rows].nonzero()[:, 0].tolist()) == sorted(order.tolist())


def test_a_class_without_voxels_keeps_its_prototypes_and_the_others_are_overwritten() -> None:
    memory = PrototypeMemory(2, 4, 8)
    first, member = random(6, 8), one_hot(torch.tensor([0, 0, 0, 1, 1, 1]), 2)
    memory.update(first, member, uniform(6, 2))
    kept, count = memory.prototypes.clone(), memory.count.clone()
    entered = memory.update(random(6, 8, seed=1), torch.zeros(6, 2), uniform(6, 2))
    assert torch.equal(memory.prototypes, kept) and torch.equal(memory.count, count) and not entered.any()
    memory.update(random(6, 8, seed=2), member * torch.tensor([1.0, 0.0]), uniform(6, 2))
    assert not torch.equal(memory.prototypes[0], kept[0]) and torch.equal(memory.prototypes[1], kept[1])


def test_fewer_voxels_than_places_leave_places_empty() -> None:
    memory = PrototypeMemory(2, 32, 8)
    memory.update(random(3, 8), one_hot(torch.tensor([0, 1, 1]), 2), uniform(3, 2))
    assert memory.count.tolist() == [1, 2] and memory.filled.sum(1).tolist() == [1, 2]
    memory.update(random(1, 8, seed=1), torch.tensor([[0.0, 1.0]]), uniform(1, 2))
    assert memory.count.tolist() == [1, 1]


def test_the_memory_takes_no_gradient_and_is_state() -> None:
    memory, other = PrototypeMemory(2, 4, 8), PrototypeMemory(2, 4, 8)
    memory.update(random(6, 8).requires_grad_(), torch.ones(6, 2), uniform(6, 2).requires_grad_())
    assert not memory.prototypes.requires_grad and not list(memory.parameters())
    other.load_state_dict(memory.state_dict())
    assert torch.equal(other.prototypes, memory.prototypes) and torch.equal(other.count, memory.count)


@given(st.integers(0, 1000), st.integers(2, 30))
def test_masked_batch_norm_is_batch_norm_of_the_rows_taken_out(seed: int, rows: int) -> None:
    x, mask = 3 * random(30, 4, seed=seed).double() + 2, torch.zeros(30)
    mask[torch.randperm(30, generator=torch.Generator().manual_seed(seed))[:rows]] = 1
    masked, plain = MaskedBatchNorm(5).double(), nn.BatchNorm1d(5).double()
    linear, same = nn.Linear(4, 5).double(), nn.Linear(4, 5).double()
    for norm in (masked, plain):
        nn.init.constant_(norm.weight, 1.5), nn.init.constant_(norm.bias, 0.5)
    same.load_state_dict(linear.state_dict())
    inside = mask > 0
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    y, expected = masked.after(linear, ours, mask)[inside], plain(same(theirs[inside]))
    torch.testing.assert_close(y, expected)
    for name, value in plain.named_buffers():
        torch.testing.assert_close(masked.get_buffer(name), value)
    (y**3).sum().backward(), (expected**3).sum().backward()
    pairs = [(ours, theirs), *zip(linear.parameters(), same.parameters(), strict=True)]
    pairs += zip(masked.parameters(), plain.parameters(), strict=True)
    for mine, other in pairs:
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-6, atol=1e-6)
    masked.eval(), plain.eval()
    plain.load_state_dict(masked.state_dict())
    assert torch.equal(masked.after(linear, x, mask), plain(linear(x)))


@pytest.mark.parametrize("rows", [0, 1])
def test_masked_batch_norm_without_rows_is_finite_and_keeps_its_statistics(rows: int) -> None:
    norm, linear, mask, x = MaskedBatchNorm(5), nn.Linear(4, 5), torch.zeros(6), random(6, 4).requires_grad_()
    mask[:rows] = 1
    before = {name: value.clone() for name, value in norm.named_buffers()}
    y = norm.after(linear, x, mask)
    y.sum().backward()
    assert bool(y.isfinite().all()) and x.grad is not None and bool(x.grad.isfinite().all())
    assert all(bool(one.grad.isfinite().all()) for one in linear.parameters() if one.grad is not None)
    assert all(torch.equal(value, norm.get_buffer(name)) for name, value in before.items())


@pytest.mark.parametrize("training", [True, False])
def test_a_selector_scores_the_voxels_of_its_class_as_if_they_were_alone(training: bool) -> None:
    features, member = random(40, 32), one_hot(torch.arange(40) % 3, 3)
    selectors = nn.ModuleList(Selector() for _ in range(3)).train(training)
    scores = selector_scores(selectors, features, member)
    assert scores.shape == (40, 3) and 0 <= float(scores.detach().min()) < float(scores.detach().max()) < 1
    for k, selector in enumerate(selectors):
        inside = member[:, k] > 0
        assert bool((scores[inside, k] > 0).all()) and bool((scores[~inside, k] == 0).all())
        torch.testing.assert_close(selector(features[inside], torch.ones(int(inside.sum()))), scores[inside, k])


def test_a_variance_that_rounding_would_leave_below_zero_is_not() -> None:
    """Rows that differ far along one direction, and a map that sees nothing of it: 0, but for cancellation."""
    for seed in range(20):
        linear, norm, direction = nn.Linear(32, 32), MaskedBatchNorm(32), F.normalize(random(32, seed=seed), dim=0)
        with torch.no_grad():
            linear.weight -= (linear.weight @ direction)[:, None] * direction
        x = 1e3 * torch.stack([direction, -direction])
        norm.momentum = 1.0  # so that the running variance is this one
        y = norm.after(linear, x, torch.ones(2))
        assert norm.running_var is not None and float(norm.running_var.min()) >= 0 and bool(y.isfinite().all())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("count", [0, 1, 5, 40])
def test_rows_of_the_class_alone_or_all_rows_masked_give_the_same_scores(count: int, training: bool) -> None:
    """What a CPU computes and what a GPU does, with gradients and running statistics."""
    features, inside = random(40, 32), torch.zeros(40)
    inside[torch.randperm(40, generator=torch.Generator().manual_seed(1))[:count]] = 1.0
    alone, masked = (Selector().train(training) for _ in range(2))
    masked.load_state_dict(alone.state_dict())
    scores = scores_of_class(alone, features, inside), masked(features, inside) * inside
    torch.testing.assert_close(*scores)
    weights = uniform(40)
    for score in scores:
        (score * weights).sum().backward()
    for a, b in zip(alone.parameters(), masked.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-6)
    for a, b in zip(alone.buffers(), masked.buffers(), strict=True):
        torch.testing.assert_close(a, b)


def test_selectors_learn_and_pass_no_gradient_to_the_features() -> None:
    features, member = random(40, 32).requires_grad_(), torch.ones(40, 2)
    selectors = nn.ModuleList(Selector() for _ in range(2))
    class_weights(selector_scores(selectors, features, member), member)[:10].sum().backward()
    assert features.grad is None
    assert all(bool(p.grad.any()) for s in selectors for n, p in s.named_parameters() if n.startswith("3.weight"))


def test_evaluated_uses_running_statistics_and_leaves_the_head_as_it_was() -> None:
    head, x = embedding_head(4), random(20, 4)
    before = {name: value.clone() for name, value in head.named_buffers()}
    y = evaluated(head, x)
    assert head.training and all(m.training for m in head)
    assert all(torch.equal(value, head.get_buffer(name)) for name, value in before.items())
    assert torch.equal(y, head.eval()(x)) and not torch.equal(y, head.train()(x))


@pytest.mark.parametrize("shape", [(5, 4), (4, 3, 2)])
def test_rows_go_back_to_where_they_came_from(shape: tuple[int, ...]) -> None:
    maps = random(2, 3, *shape)
    rows = as_rows(maps)
    assert rows.shape == (2 * len(maps[0, 0].flatten()), 3)
    assert torch.equal(rows[len(rows) // 2], maps[(1, slice(None), *[0] * len(shape))])
    assert torch.equal(as_maps(rows, maps), maps)


def test_weights_of_a_class_sum_to_1_and_of_an_empty_one_to_0() -> None:
    member = one_hot(torch.tensor([0, 0, 2]), 3)
    assert class_weights(uniform(3, 3), member).sum(0).tolist() == pytest.approx([1, 0, 1])


def test_the_gradient_of_the_separation_is_that_of_finite_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    features, member, scores, memory = problem(5, 2, voxels=7)
    centres = prototype_centres(memory.prototypes, memory.filled).double()

    def term(features: Tensor, scores: Tensor) -> Tensor:
        return class_separation(features, member.double(), scores, centres, memory.count).sum()

    inputs = (features.double().requires_grad_(), scores.double().requires_grad_())
    assert torch.autograd.gradcheck(term, inputs)
