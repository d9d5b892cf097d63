"""SS-Net: each switch is one part of the paper, views are what trained, memory and clean answer take no gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ssmis_core import configure
from ssmis_core.batches import Batch
from ssmis_core.draws import Clock, Draws
from ssmis_core.errors import UserError
from ssmis_core.losses import dice_loss
from ssmis_core.methods import create_method
from ssmis_core.views import Views

CLOCK = Clock("main", 300, 1000)
HALVES = ("separation_labeled", "separation_unlabeled")
Make = Callable[..., Batch]


def ssnet(num_classes: int = 3, dims: int = 2, **options: Any) -> Any:
    """Tiny and always with the same first weights, also when a part is missing."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        whole = create_method("ssnet", dims=dims, num_classes=num_classes, filters=2)
        method = create_method("ssnet", dims=dims, num_classes=num_classes, **{"filters": 2, **options})
    method.load_state_dict({**method.state_dict(), **shared(whole.state_dict(), method.state_dict())})
    return method


def shared(state: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in state.items() if key in known and value.shape == known[key].shape}


def step(method: Any, batch: Batch, views: Views | None = None, clock: Clock = CLOCK, **fixed: Any) -> Any:
    with torch.random.fork_rng([]):
        draws = Draws(0).at(clock).fixed(**fixed)
        draws.seed_dropout()
        return method.loss(batch, clock, draws, views)


def terms(method: Any, batch: Batch) -> dict[str, float]:
    """Of a second look, when the memory has been filled by the first."""
    step(method, batch)
    return {name: float(torch.as_tensor(value).detach()) for name, value in step(method, batch).terms.items()}


def warm(method: Any, batch: Batch, iterations: int = 20) -> Any:
    """A few steps on one batch, so that some voxels are predicted right."""
    optimiser = torch.optim.Adam(method.parameters(), lr=0.02)
    for t in range(iterations):
        optimiser.zero_grad()
        step(method, batch, clock=Clock("main", t, iterations)).total.backward()
        optimiser.step()
    assert bool((method.memory.count > 1).all())
    return method


@pytest.mark.parametrize(
    ("options", "removed", "changed"),
    [
        ({"smoothness": False}, {"smoothness"}, set()),
        ({"separation": False}, set(HALVES), {"smoothness"}),
        ({"smoothness": False, "separation": False}, {"smoothness", *HALVES}, set()),
        ({"epsilon": 5.0}, set(), {"smoothness"}),
        ({"xi": 0.5}, set(), {"smoothness"}),
        ({"power_iterations": 2}, set(), {"smoothness"}),
        ({"dice": "plain"}, set(), {"dice", "smoothness"}),
        ({"dice": "squared"}, set(), set()),
        ({"prototypes": "lowest"}, set(), set(HALVES)),
        ({"prototypes_per_class": 8}, set(), set(HALVES)),
        ({"prototype_selectors": False}, set(), set(HALVES)),
        ({"separation_weight": 1.0}, set(), set()),
        ({"ramp_iterations": 1000}, set(), {"consistency_weight"}),
        ({"weight": 0.1}, set(), {"consistency_weight"}),
    ],
    ids=lambda value: ",".join(map(str, value)) if isinstance(value, dict) else "",
)
def test_each_switch_removes_or_changes_exactly_its_terms(
    options: dict[str, Any], removed: set[str], changed: set[str], make_batch: Make
) -> None:
    plain = {"dropout": 0.0, "num_classes": 2}
    batch, start = make_batch(num_classes=2), warm(ssnet(**plain), make_batch(num_classes=2)).state_dict()
    methods = [ssnet(**plain), ssnet(**plain, **options)]
    for method in methods:
        method.load_state_dict({**method.state_dict(), **shared(start, method.state_dict())})
    whole, other = (terms(method, batch) for method in methods)
    assert whole.keys() - other.keys() == removed and other.keys() <= whole.keys()
    if "separation" in options and "smoothness" in other:
        changed = set()  # without dropout nothing is drawn in between
    assert {name for name in other if other[name] != pytest.approx(whole[name], rel=1e-6)} == changed


@pytest.mark.parametrize("options", [{}, {"separation_weight": 0.5}, {"smoothness": False}, {"separation": False}])
def test_the_total_is_the_weighted_sum_of_the_terms(options: dict[str, Any], make_batch: Make) -> None:
    method = ssnet(**options)
    taken = step(method, make_batch(num_classes=3))
    t = taken.terms
    separation = sum(t.get(half, 0.0) for half in HALVES)
    unlabeled = t.get("smoothness", 0.0) + method.options.separation_weight * separation
    torch.testing.assert_close(taken.total, t["dice"] + t["consistency_weight"] * unlabeled)


@pytest.mark.parametrize(("dims", "num_classes"), [(2, 2), (2, 4), (3, 2), (3, 4)])
def test_terms_are_recomputed_from_their_views(dims: int, num_classes: int, make_batch: Make) -> None:
    """What an explorer draws is what trains: the equations, applied to the views, give the terms."""
    batch = make_batch(num_classes=num_classes, dims=dims, size={2: 32, 3: 16}[dims])
    method, views = ssnet(num_classes, dims, dropout=0.0), Views()
    warm(method, batch, 8) if num_classes == 2 else step(method, batch)
    taken = step(method, batch, views)
    v = {name: view.value for name, view in views.items()}
    a, b = v["perturbed_probability"], v["clean_probability"]
    form = {"squared": False, "per_class": False, "eps": 1e-8} if dims == 3 else {"eps": 1e-10}
    torch.testing.assert_close(taken.terms["smoothness"].detach(), dice_loss(a, b, background=True, **form))
    label, distance, score = v["separation_label"], v["prototype_distance"], v["selector_score"]
    assert torch.equal(label[:2, 0], batch.label) and torch.equal(label[2:, 0], v["probability"][2:].argmax(1))
    for name, half in zip(HALVES, (slice(2), slice(2, None)), strict=True):
        expected = torch.zeros(())
        for k in range(1, num_classes):
            inside = label[half, 0] == k
            if inside.sum() > 1 and method.memory.count[k - 1] > 1:
                w = score[half, k - 1][inside]
                expected = expected + (w / w.mean() * distance[half, k - 1][inside]).mean() / num_classes
        torch.testing.assert_close(taken.terms[name].detach(), expected, rtol=1e-4, atol=1e-6)


def test_views_show_the_noise_the_memory_and_who_entered_it(make_batch: Make) -> None:
    batch = make_batch()
    method, views = warm(ssnet(2), batch), Views()
    step(method, batch, views)
    noise, entered = views["adversarial_noise"], views["entered_memory"]
    assert noise.kind == "noise" and noise.value.shape == batch.image.shape
    torch.testing.assert_close(noise.value.flatten(1).norm(dim=1), torch.full((4,), 10.0), rtol=1e-3, atol=0.0)
    assert entered.kind == "mask" and entered.value.shape == (2, 1, 32, 32)
    assert set(entered.value.unique().tolist()) == {0.0, 1.0}
    assert int(entered.value.sum()) == int(method.memory.count.sum()) == 32
    right = views["probability"].value[:2].argmax(1) == batch.label
    could, inside = right & (batch.label > 0), entered.value[:, 0] > 0
    assert bool(could[inside].all())
    score = views["prototype_score"].value[:, 0]
    assert float(score[inside].min()) >= float(score[could & ~inside].max())
    assert torch.equal(views["prototypes"].value, method.memory.prototypes)
    distance = views["prototype_distance"]
    assert distance.kind == "distance" and distance.value.shape == (4, 1, 32, 32)
    assert float(distance.value.min()) >= 0 and float(distance.value.max()) <= 2


def test_perturbed_passes_leave_the_networks_running_statistics_alone(make_batch: Make) -> None:
    """Two forward passes an iteration count: the method's own and the clean one of the smoothness term."""
    batch, method = make_batch(num_classes=3), ssnet(dropout=0.0)
    other = ssnet(dropout=0.0)
    step(method, batch)
    for _ in range(2):
        other.network(batch.image)
    for name, value in other.network.named_buffers():
        torch.testing.assert_close(method.network.get_buffer(name), value)


def test_the_heads_see_each_half_once_and_not_for_the_memory(make_batch: Make) -> None:
    method = warm(ssnet(2), make_batch())
    before = {name: int(value) for name, value in method.named_buffers() if name.endswith("tracked")}
    step(method, make_batch())
    for head in ("projection.1", "prediction.1", "selectors.0.1"):
        name = f"{head}.num_batches_tracked"
        assert int(method.get_buffer(name)) == before[name] + 2


def test_gradients_reach_network_heads_and_selectors(make_batch: Make) -> None:
    method = warm(ssnet(2), make_batch())
    method.zero_grad()
    sum(step(method, make_batch()).terms[half] for half in HALVES).backward()
    reached = {name for name, p in method.named_parameters() if p.grad is not None and bool(p.grad.any())}
    for part in ("network.down", "network.up", "projection.3", "prediction.3", "selectors.0", "prototype_selectors.0"):
        assert any(name.startswith(part) for name in reached), part
    assert not any("head" in name for name in reached)  # the logits choose classes, they are not pulled on


def test_gradients_do_not_reach_the_network_through_the_memory_or_the_clean_answer(make_batch: Make) -> None:
    batch = make_batch()
    method, views = warm(ssnet(2, dropout=0.0), batch), Views()
    step(method, batch, views)
    assert not method.memory.prototypes.requires_grad
    # the term as it would be without either: prototypes and the clean answer as plain numbers
    network = method.network
    term = step(method, batch).terms["smoothness"]
    grads = torch.autograd.grad(term, list(network.parameters()), allow_unused=True)
    noisy = torch.softmax(network(batch.image + views["adversarial_noise"].value).logits, 1)
    expected = torch.autograd.grad(
        method.distance(noisy, views["clean_probability"].value), list(network.parameters()), allow_unused=True
    )
    for a, b in zip(grads, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_a_class_that_the_batch_lacks_keeps_its_prototypes(make_batch: Make) -> None:
    method = warm(ssnet(2), make_batch())
    kept = method.memory.prototypes.clone()
    taken = step(method, make_batch(empty=True))
    assert torch.equal(method.memory.prototypes, kept) and bool(kept.any())
    assert float(taken.terms["separation_labeled"].detach()) == 0
    taken.total.backward()
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in method.parameters())


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("num_classes", [2, 4])
def test_a_first_batch_without_foreground_trains_on(dims: int, num_classes: int, make_batch: Make) -> None:
    method = ssnet(num_classes, dims)
    taken = step(method, make_batch(dims=dims, num_classes=num_classes, size=16, empty=True))
    taken.total.backward()
    assert math.isfinite(float(taken.total.detach())) and not method.memory.count.any()
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in method.parameters())


def test_only_voxels_predicted_right_enter_the_memory(make_batch: Make) -> None:
    batch, method = make_batch(), ssnet(2, dropout=0.0)
    with torch.no_grad():
        method.network.head.weight.zero_()
        method.network.head.bias.copy_(torch.tensor([1.0, 0.0]))  # background everywhere: no foreground is right
    step(method, batch)
    assert not method.memory.count.any()
    with torch.no_grad():
        method.network.head.bias.copy_(torch.tensor([0.0, 1.0]))
    step(method, batch)
    assert method.memory.count.tolist() == [32]


def test_the_start_of_the_search_is_a_named_draw(make_batch: Make) -> None:
    batch, views, other = make_batch(num_classes=3), Views(), Views()
    step(ssnet(dropout=0.0), batch, views)
    start = torch.rand(batch.image.shape, generator=torch.Generator().manual_seed(5))
    step(ssnet(dropout=0.0), batch, other, adversarial_start=start)
    assert not torch.equal(views["adversarial_noise"].value, other["adversarial_noise"].value)


def test_without_smoothness_the_image_is_seen_once_and_with_it_four_times(make_batch: Make) -> None:
    for options, passes in (({"smoothness": False}, 1), ({}, 4), ({"power_iterations": 3}, 6)):
        method, calls = ssnet(**options), []
        method.network.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        step(method, make_batch(num_classes=3))
        assert len(calls) == passes


@pytest.mark.parametrize("options", [{}, {"unlabeled_per_batch": 0}])
def test_a_batch_without_an_unlabeled_half_has_no_term_for_it(options: dict[str, Any], make_batch: Make) -> None:
    taken = step(ssnet(**options), make_batch(num_classes=3, unlabeled=0))
    taken.total.backward()
    assert "separation_unlabeled" not in taken.terms and "separation_labeled" in taken.terms


def test_without_separation_there_are_neither_heads_nor_memory() -> None:
    assert [name for name, _ in ssnet(separation=False).named_children()] == ["network"]
    assert "prototype_selectors" not in dict(ssnet(variant="released").named_children())


def test_the_paper_and_the_released_code_are_different_methods() -> None:
    paper, released = ssnet().options, ssnet(variant="released").options
    assert (paper.prototypes, released.prototypes) == ("highest", "lowest")
    assert (paper.prototype_selectors, released.prototype_selectors) == (True, False)
    assert ssnet(variant="released", prototypes="highest").options.prototypes == "highest"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"xi": 0.0}, r"option xi=0\.0: expected a number above 0"),
        ({"epsilon": -1.0}, r"option epsilon=-1\.0: expected 0 or more"),
        ({"power_iterations": 0}, r"option power_iterations=0: expected 1 or more"),
        ({"dice": "round"}, r"unknown dice 'round' .*plain, squared"),
        ({"prototypes": "best"}, r"unknown prototypes 'best'; .*highest, lowest"),
        ({"prototypes_per_class": 1}, r"option prototypes_per_class=1: expected 2 or more"),
        ({"separation_weight": -0.1}, r"option separation_weight=-0\.1: expected 0 or more"),
        ({"ramp": "up"}, r"unknown ramp 'up' .*sigmoid"),
        ({"ema_decay": 0.9}, r"unknown option of ssnet 'ema_decay'"),
    ],
)
def test_an_option_that_cannot_be_is_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        create_method("ssnet", dims=2, filters=2, **options)
    assert "\n" not in str(caught.value)


def test_a_resumed_training_goes_on_with_its_memory(
    tiny: Callable[..., Any],
    quietly: Callable[..., Any],
    same_training: Callable[..., None],
    clockwork: Any,
    tmp_path: Path,
) -> None:
    config = tiny("ssnet", iterations=24, learning_rate=0.02, norm="batch", dropout=0.0)
    whole = quietly(config, tmp_path / "whole")
    cut = quietly(config, tmp_path / "cut", max_seconds=20, observers=[clockwork.observer()])
    assert cut.info["iterations_done"] == 20 and cut.load_weights()["memory.count"].sum() > 1
    same_training(quietly(config, tmp_path / "cut"), whole)


def test_presets_take_the_papers_numbers_where_they_are_full() -> None:
    options = configure("ssnet", preset="full").options
    assert (options["epsilon"], options["xi"], options["prototypes_per_class"]) == (10.0, 10.0, 32)
    assert (options["weight"], options["ramp_iterations"], options["ramp_step"]) == (1.0, 6000, 1)
    assert configure("ssnet", preset="full", variant="released").options["ramp_step"] == 150
    assert configure("ssnet", preset="quick", variant="released").options["ramp_step"] == 1
