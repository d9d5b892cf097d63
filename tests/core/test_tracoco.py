"""TraCoCo: two crops that show the same voxels, two networks that teach each other, and a switch for every part."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ssmis_core.batches import Batch
from ssmis_core.draws import Clock, Draws
from ssmis_core.errors import UserError
from ssmis_core.losses import negative_entropy, translation_kl
from ssmis_core.methods import create_method, method_options
from ssmis_core.methods.base import Step
from ssmis_core.views import Views

CLOCK = Clock("main", 300, 1000)
Make = Callable[..., Batch]


def tracoco(num_classes: int = 3, dims: int = 2, **options: Any) -> Any:
    """Tiny and always with the same first weights."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return create_method("tracoco", dims=dims, num_classes=num_classes, **{"filters": 2, "dropout": 0.0, **options})


def step(method: Any, batch: Batch, views: Views | None = None, draws: Draws | None = None) -> Step:
    with torch.random.fork_rng([]):
        draws = (draws or Draws(0)).at(CLOCK)
        draws.seed_dropout()
        return method.loss(batch, CLOCK, draws, views)


def terms(method: Any, batch: Batch) -> dict[str, float]:
    return {name: float(torch.as_tensor(value).detach()) for name, value in step(method, batch).terms.items()}


@pytest.mark.parametrize(
    ("options", "removed", "changed"),
    [
        ({"translation": False}, {"translation_kl", "negative_entropy"}, set()),
        ({"pseudo_loss": "ce"}, set(), {"co_training"}),
        ({"pseudo_loss": "mse"}, set(), {"co_training"}),
        ({"cutmix": "none"}, set(), {"co_training"}),
        ({"cutmix": "both"}, set(), {"co_training"}),
        ({"positive": 0.3}, set(), {"co_training"}),
        ({"negative": 0.4}, set(), {"co_training"}),
        ({"pseudo_dice": True}, set(), {"co_training"}),
        ({"kl_over": "space"}, set(), {"translation_kl"}),
        ({"clamp_logits": True}, set(), {"translation_kl", "negative_entropy"}),
        ({"kl_weight": 1.0, "entropy_weight": 0.05}, set(), set()),
        ({"weight": 0.3}, set(), {"consistency_weight"}),
    ],
    ids=lambda value: ",".join(map(str, value)) if isinstance(value, dict) else "",
)
def test_each_switch_removes_or_changes_exactly_its_terms(
    options: dict[str, Any], removed: set[str], changed: set[str], make_batch: Make
) -> None:
    batch = make_batch(num_classes=3)
    whole, other = terms(tracoco(), batch), terms(tracoco(**options), batch)
    assert whole.keys() - other.keys() == removed and other.keys() <= whole.keys()
    assert {name for name in other if other[name] != whole[name]} == changed


@pytest.mark.parametrize("options", [{}, {"translation": False}, {"kl_weight": 1.0, "entropy_weight": 0.05}], ids=str)
def test_the_total_is_the_weighted_sum_of_the_terms(options: dict[str, Any], make_batch: Make) -> None:
    method = tracoco(**options)
    taken, o = step(method, make_batch(num_classes=3)), method.options
    t = taken.terms
    unlabeled = t["co_training"]
    if o.translation:
        unlabeled = unlabeled + o.kl_weight * t["translation_kl"] + o.entropy_weight * t["negative_entropy"]
    expected = 0.5 * (t["cross_entropy"] + t["dice"]) + t["consistency_weight"] * unlabeled
    torch.testing.assert_close(taken.total, expected)


@pytest.mark.parametrize("dims", [2, 3])
def test_terms_are_recomputed_from_their_views(dims: int, make_batch: Make) -> None:
    """What an explorer draws is what trains: the equations, applied to the views, give the terms."""
    batch, views = make_batch(num_classes=3, dims=dims, size=32 if dims == 2 else 16), Views()
    taken = step(tracoco(dims=dims), batch, views)
    v = {name: view.value for name, view in views.items()}
    kl, entropy = torch.zeros(()), torch.zeros(())
    for name, first in (("1", "probability"), ("2", "probability_2")):
        p, q = v[first].log(), v[f"second_probability_{name}"].log()
        for row in range(4):
            here, there = v["overlap"][row, 0].bool(), v["second_overlap"][row, 0].bool()
            a, b = p[row][:, here][None], q[row][:, there][None]
            kl = kl + translation_kl(a, b)
            entropy = entropy + (negative_entropy(a) + negative_entropy(b)) / 8
    torch.testing.assert_close(taken.terms["translation_kl"].detach(), kl, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(taken.terms["negative_entropy"].detach(), entropy, rtol=1e-4, atol=1e-6)


def test_the_overlap_views_show_the_same_voxels_of_both_crops(make_batch: Make) -> None:
    batch, views = make_batch(num_classes=3), Views()
    step(tracoco(), batch, views)
    for row in range(4):
        first = views["image"].value[row, 0][views["overlap"].value[row, 0].bool()]
        second = views["second_image"].value[row, 0][views["second_overlap"].value[row, 0].bool()]
        assert torch.equal(first, second) and len(first) == (32 - 3) ** 2
    assert torch.equal(views["second_overlap"].corner, batch.corners(1))
    assert torch.equal(views["overlap"].corner, batch.corners(0))


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_each_voxels_share_of_the_translation_terms_is_a_view(variant: str, make_batch: Make) -> None:
    batch, views = make_batch(num_classes=3), Views()
    taken = step(tracoco(variant=variant), batch, views)
    shared = views["overlap"].value
    sums = {"divergence": torch.zeros(()), "overlap_entropy": torch.zeros(())}
    for name in sums:
        for one in (views[f"{name}_1"], views[f"{name}_2"]):
            assert bool((one.value[shared == 0] == 0).all()) and torch.equal(one.corner, batch.corners(0))
            sums[name] += (one.value.flatten(1).sum(1) / shared.flatten(1).sum(1)).sum()
    torch.testing.assert_close(taken.terms["translation_kl"].detach(), sums["divergence"], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(taken.terms["negative_entropy"].detach(), -sums["overlap_entropy"] / 4)


def networks_with_gradient(method: Any, total: Tensor) -> list[bool]:
    method.zero_grad()
    total.backward(retain_graph=True)
    return [
        any(p.grad is not None and bool(p.grad.any()) for p in network.parameters())
        for network in (method.network_1, method.network_2)
    ]


def test_each_network_learns_from_its_own_terms_and_a_teaching_pass_takes_no_gradient(make_batch: Make) -> None:
    method, batch = tracoco(), make_batch(num_classes=3)
    views = Views()
    clock = CLOCK
    one = method.network_terms("1", method.network_1, method.network_2, batch, Draws(0).at(clock), views)
    two = method.network_terms("2", method.network_2, method.network_1, batch, Draws(0).at(clock), views)
    for name in one:
        assert networks_with_gradient(method, one[name]) == [True, False], name
        assert networks_with_gradient(method, two[name]) == [False, True], name
    assert networks_with_gradient(method, step(method, batch).total) == [True, True]


def test_a_network_that_has_taught_learns_in_mixed_precision_too(
    make_batch: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older torch keeps the weights that it has cast for a pass without a gradient: they must be forgotten."""
    method, stale = tracoco(), set()

    def passed(network: Any, *_: Any) -> None:
        assert not (torch.is_grad_enabled() and network in stale)
        stale.update(() if torch.is_grad_enabled() else (network,))

    monkeypatch.setattr(torch, "clear_autocast_cache", stale.clear)
    for network in method.children():
        network.register_forward_hook(passed)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        step(method, make_batch(num_classes=3)).total.backward()
    assert all(p.grad is not None for p in method.parameters())


def test_translation_gives_gradients_by_way_of_both_crops() -> None:
    first, second = (torch.randn(1, 3, 5, 4, generator=torch.Generator().manual_seed(i)) for i in (0, 1))
    for over in ("classes", "space"):
        a, b = first.clone().requires_grad_(), second.clone().requires_grad_()
        translation_kl(a, b, over=over).backward()
        assert a.grad is not None and bool(a.grad.any()) and b.grad is not None and bool(b.grad.any())


def test_the_two_networks_start_from_different_weights_and_share_one_optimiser() -> None:
    method = tracoco()
    pairs = list(zip(method.network_1.parameters(), method.network_2.parameters(), strict=True))
    assert any(not torch.equal(a, b) for a, b in pairs)
    (stage,) = method.stages(10)
    assert list(stage.optimisers) == ["main"]
    learning = {id(p) for p in stage.optimisers["main"].parameters}
    assert learning == {id(p) for pair in pairs for p in pair}


def test_the_teaching_pass_sees_the_clean_first_crops_in_train_mode(make_batch: Make) -> None:
    method, batch, seen = tracoco(), make_batch(num_classes=3), []
    method.network_2.register_forward_hook(lambda module, x, _: seen.append((x[0], module.training)))
    step(method, batch)
    assert len(seen) == 4 and all(training for _, training in seen)
    assert torch.equal(seen[0][0], batch.image)  # it teaches network 1 first
    assert not any(torch.equal(x, batch.image) for x, _ in seen[1:])


def test_students_see_uniform_noise_within_its_bounds(make_batch: Make) -> None:
    seen: list[Tensor] = []
    method, batch = tracoco(noise=0.05), make_batch(num_classes=3)
    method.network_1.register_forward_hook(lambda module, x, _: seen.append(x[0]))
    step(method, batch)
    first, second = seen[0] - batch.image, seen[1] - batch.images(1)
    assert 0.045 < float(first.abs().max()) <= 0.0501 and float(second.abs().max()) <= 0.0501
    assert not torch.equal(first, second)


def test_only_the_second_network_sees_pasted_boxes_and_the_target_is_pasted_alike(make_batch: Make) -> None:
    views, batch = Views(), make_batch(num_classes=3)
    draws = Draws(0).fixed(**{"cutmix_2": 0.75, "cutmix_2/source": [1, 0, 3, 2]})
    step(tracoco(), batch, views, draws)
    assert "mixed_image_1" not in views and "cutmix_box_1" not in views
    box = views["cutmix_box_2"].value.bool()
    assert 0 < int(box.flatten(1).sum(1).max()) <= (32 // 2) ** 2  # sqrt(1 - 0.75) of each side, cut at the edges
    swapped = batch.image[[1, 0, 3, 2]]
    assert torch.equal(views["mixed_image_2"].value, torch.where(box, swapped, batch.image))
    clean = Views()
    step(tracoco(cutmix="none"), batch, clean, draws)
    q = clean["teacher_probability_2"].value
    torch.testing.assert_close(views["teacher_probability_2"].value, torch.where(box, q[[1, 0, 3, 2]], q))


@pytest.mark.parametrize(("variant", "whole"), [("paper", False), ("released", True)])
def test_released_boxes_go_through_the_whole_depth(variant: str, whole: bool, make_batch: Make) -> None:
    views = Views()
    centres = {f"cutmix_2/centre_{axis}": [8, 8, 8, 8] for axis in range(3)}
    draws = Draws(0).fixed(**{"cutmix_2": 0.75}, **centres)
    step(tracoco(2, 3, variant=variant), make_batch(dims=3, size=16), views, draws)
    box = views["cutmix_box_2"].value[0, 0]
    assert box[4:12, 4:12].any() and int(box.sum()) == 8 * 8 * (16 if whole else 8)


def test_the_first_steps_of_the_released_variant_differ_from_the_papers_only_where_it_says(make_batch: Make) -> None:
    released = method_options("tracoco", variant="released")
    changed = {name for name in vars(released) if getattr(released, name) != getattr(method_options("tracoco"), name)}
    assert changed == {"kl_over", "clamp_logits", "boxes", "bitwise"}
    batch = make_batch()  # two classes in 2D: boxes and the bitwise "not" are the same there
    paper, code = terms(tracoco(2), batch), terms(tracoco(2, variant="released"), batch)
    assert {name for name in paper if paper[name] != code[name]} == {"translation_kl", "negative_entropy"}


def test_teachers_that_are_sure_of_nothing_leave_the_co_training_term_0(make_batch: Make) -> None:
    method = tracoco(positive=1.0, negative=0.0)
    taken = step(method, make_batch(num_classes=3))
    assert float(taken.terms["co_training"].detach()) == 0
    taken.total.backward()
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in method.parameters())


def test_crops_that_share_nothing_are_finite(make_batch: Make) -> None:
    batch = make_batch(num_classes=3)
    for patches in (batch.labeled, *batch.streams):
        object.__setattr__(patches, "corner", torch.tensor([[0, 0], [-40, 0]]).expand(2, 2, 2))
    taken = step(tracoco(), batch)
    assert float(taken.terms["translation_kl"].detach()) == 0 and bool(taken.total.isfinite())
    taken.total.backward()


def test_the_network_that_answers_is_an_option(make_batch: Make) -> None:
    x = make_batch(num_classes=3).image
    answers = {name: tracoco(answer=name).eval().predict(x) for name in ("1", "2", "mean")}
    assert not torch.equal(answers["1"], answers["2"])
    torch.testing.assert_close(answers["mean"], (answers["1"] + answers["2"]) / 2)


def test_a_stopped_training_on_volumes_with_four_classes_goes_on_to_the_same_weights(
    tiny: Callable[..., Any],
    quietly: Callable[..., Any],
    same_training: Callable[..., None],
    clockwork: Any,
    tmp_path: Path,
) -> None:
    volumes = {"dataset_options": {"dims": 3, "size": 16, "num_classes": 4}, "patch": 16, "stride": 16, "norm": "batch"}
    config = tiny("tracoco", **volumes, iterations=4, log_every=3)
    whole = quietly(config, tmp_path / "whole")
    stopped = quietly(config, tmp_path / "parts", max_seconds=2, observers=[clockwork.observer()])
    assert (stopped.status, stopped.info["iterations_done"]) == ("stopped", 2)
    same_training(quietly(config, tmp_path / "parts"), whole)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pseudo_loss": "kl"}, r"unknown pseudo_loss 'kl' .*mse"),
        ({"cutmix": "all"}, r"unknown cutmix 'all' .*network_2"),
        ({"answer": "student"}, r"unknown answer 'student' .*mean"),
        ({"kl_over": "class"}, r"unknown kl_over 'class'; did you mean 'classes'"),
        ({"boxes": "3d"}, r"unknown boxes '3d' .*full_depth"),
        ({"positive": 1.5}, r"option positive=1\.5: expected 0 to 1"),
        ({"negative": -0.1}, r"option negative=-0\.1: expected 0 to 1"),
        ({"min_overlap": 0}, r"option min_overlap=0: expected 1 or more"),
        ({"noise": -0.1}, r"option noise=-0\.1: expected 0 or more"),
        ({"unlabeled_per_batch": 0}, r"tracoco needs at least 1 unlabeled sample a batch"),
        ({"augmentations": ("brightness",)}, r"'brightness' needs 'min_max'"),
    ],
)
def test_an_option_that_cannot_be_is_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        tracoco(**options).sampling  # noqa: B018
    assert "\n" not in str(caught.value)
