"""UG-MCL: each switch is one part of the paper, and the variants are the paper's text and the released code."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from ssmis_core import configure
from ssmis_core.batches import Batch
from ssmis_core.draws import Clock, Draws
from ssmis_core.errors import UserError
from ssmis_core.geometry import inverse_transform, signed_distance_per_class
from ssmis_core.losses import masked_mse
from ssmis_core.methods import create_method
from ssmis_core.networks import UNet3D, VNet
from ssmis_core.views import Views

CLOCK = Clock("main", 300, 1000)
CONSISTENCY = ("cross_task", "intra_task")
Make = Callable[..., Batch]


def ugmcl(num_classes: int = 3, **options: Any) -> Any:
    """Tiny and always with the same first weights, the shared ones also when a head is missing."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        whole = create_method("ugmcl", dims=2, num_classes=num_classes, filters=2, passes=2)
        method = create_method("ugmcl", dims=2, num_classes=num_classes, **{"filters": 2, "passes": 2, **options})
    if method.options.network == "vnet":
        method.load_state_dict(whole.state_dict(), strict=False)
    return method


def step(method: Any, batch: Batch, views: Views | None = None, clock: Clock = CLOCK) -> Any:
    with torch.random.fork_rng([]):
        draws = Draws(0).at(clock)
        draws.seed_dropout()
        return method.loss(batch, clock, draws, views)


def terms(method: Any, batch: Batch) -> dict[str, float]:
    return {name: float(torch.as_tensor(value).detach()) for name, value in step(method, batch).terms.items()}


@pytest.mark.parametrize(
    ("options", "removed", "changed"),
    [
        ({"intra_task": False}, {"intra_task"}, set()),
        ({"cross_task": False}, {"cross_task"}, set()),
        ({"distance": False, "cross_task": False}, {"distance", "cross_task"}, {"intra_task"}),
        ({"distance": False, "cross_task": False, "intra_task": False}, {"distance", *CONSISTENCY}, set()),
        ({"uncertainty": False}, set(), {"intra_task"}),
        ({"threshold_start": 0.1}, set(), {"intra_task"}),
        ({"beta": 0.25}, set(), {"intra_task"}),
        ({"distance_consistency": False}, set(), {"intra_task"}),
        ({"noise": 0.5, "noise_clip": 1.0}, set(), {"intra_task"}),
        ({"distance_loss": "mask_dice"}, set(), {"distance"}),
        ({"steepness": 20.0}, set(), {"cross_task"}),
        ({"ramp": "linear"}, set(), {"consistency_weight"}),
        ({"weight": 0.3}, set(), {"consistency_weight"}),
        ({"supervised_weight": 0.5}, set(), set()),
    ],
    ids=lambda value: ",".join(map(str, value)) if isinstance(value, dict) else "",
)
def test_each_switch_removes_or_changes_exactly_its_terms(
    options: dict[str, Any], removed: set[str], changed: set[str], make_batch: Make
) -> None:
    batch = make_batch(num_classes=3)
    whole, other = terms(ugmcl(), batch), terms(ugmcl(**options), batch)
    assert whole.keys() - other.keys() == removed and other.keys() <= whole.keys()
    assert {name for name in other if other[name] != whole[name]} == changed


@pytest.mark.parametrize("options", [{}, {"supervised_weight": 0.5}, {"cross_task": False}], ids=str)
def test_the_total_is_the_weighted_sum_of_the_terms(options: dict[str, Any], make_batch: Make) -> None:
    method = ugmcl(**options)
    taken = step(method, make_batch(num_classes=3))
    t = taken.terms
    supervised = t["cross_entropy"] + t["dice"] + t["distance"]
    consistency = t["intra_task"] + t.get("cross_task", 0.0)
    expected = method.options.supervised_weight * supervised + t["consistency_weight"] * consistency
    torch.testing.assert_close(taken.total, expected)


def test_the_weight_is_a_tenth_of_the_printed_ramp_over_the_whole_training() -> None:
    weight = ugmcl().options.consistency_weight
    assert weight(Clock("main", 300, 1000)) == pytest.approx(0.1 * math.exp(-5 * 0.7))
    assert weight(Clock("main", 1000, 1000)) == pytest.approx(0.1)


def test_the_released_ramp_is_held_for_150_iterations_at_a_time() -> None:
    weight = ugmcl(variant="released").options.consistency_weight
    assert weight(Clock("main", 1199, 6000)) < weight(Clock("main", 1200, 6000)) == weight(Clock("main", 1349, 6000))
    assert weight(Clock("main", 1234, 6000)) == pytest.approx(0.1 * math.exp(-5 * (1 - 8 / 200) ** 2))


def test_terms_are_recomputed_from_their_views(make_batch: Make) -> None:
    """What an explorer draws is what trains: the equations, applied to the views, give the terms."""
    batch, views, method = make_batch(num_classes=3), Views(), ugmcl(threshold_start=0.5)
    taken = step(method, batch, views)
    v = {name: view.value for name, view in views.items()}
    p, s, mask = v["probability"], v["distance"], v["certainty"]
    target = signed_distance_per_class(batch.label, 3)
    assert torch.equal(v["distance_target"], target)
    torch.testing.assert_close(taken.terms["distance"].detach(), ((s[:2] - target) ** 2).mean())
    cross = ((p[:, 1:] - inverse_transform(s)) ** 2).mean()
    torch.testing.assert_close(taken.terms["cross_task"].detach(), cross)
    intra = 0.75 * masked_mse(p, v["teacher_probability"], mask)
    intra = intra + 0.25 * masked_mse(s, v["teacher_distance"], mask, mean_classes=False)
    torch.testing.assert_close(taken.terms["intra_task"].detach(), intra)


def test_consistency_covers_the_labeled_half_too(make_batch: Make) -> None:
    batch, changed, views, other = make_batch(num_classes=3), make_batch(num_classes=3), Views(), Views()
    changed.labeled.image.mul_(1.5)
    step(ugmcl(norm="instance"), batch, views)
    step(ugmcl(norm="instance"), changed, other)
    assert len(views["certainty"].value) == 4
    assert not torch.equal(views["teacher_probability"].value[:2], other["teacher_probability"].value[:2])
    assert torch.equal(views["teacher_probability"].value[2:], other["teacher_probability"].value[2:])


@pytest.mark.parametrize("num_classes", [2, 4])
def test_the_papers_network_has_a_distance_head_a_foreground_class(num_classes: int, make_batch: Make) -> None:
    method, views = ugmcl(num_classes), Views()
    step(method, make_batch(num_classes=num_classes), views)
    assert isinstance(method.student, VNet)
    assert views["distance"].value.shape == (4, num_classes - 1, 32, 32)
    assert float(views["distance"].value.abs().max()) <= 1


@pytest.mark.parametrize("num_classes", [2, 4])
def test_the_released_network_reads_its_distances_off_the_logits(num_classes: int, make_batch: Make) -> None:
    method, batch, views = ugmcl(num_classes, variant="released"), make_batch(num_classes=num_classes), Views()
    taken = step(method, batch, views)
    assert isinstance(method.student, UNet3D) and method.student.distance_head is None
    assert views["distance"].value.shape == (4, num_classes, 32, 32)
    assert "distance_target" not in views
    p, s, mask = (views[name].value for name in ("probability", "distance", "certainty"))
    torch.testing.assert_close(taken.terms["cross_task"].detach(), ((p - inverse_transform(s)) ** 2).mean())
    intra = 0.5 * masked_mse(p, views["teacher_probability"].value, mask)  # and no distance consistency
    torch.testing.assert_close(taken.terms["intra_task"].detach(), intra)


def test_a_threshold_that_no_voxel_passes_makes_the_intra_task_term_0(make_batch: Make) -> None:
    views = Views()
    taken = step(ugmcl(threshold_start=1e-6, threshold_policy="constant"), make_batch(num_classes=3), views)
    assert not views["certainty"].value.any() and float(taken.terms["intra_task"].detach()) == 0
    taken.total.backward()


def test_without_uncertainty_no_monte_carlo_pass_is_made(make_batch: Make) -> None:
    method, calls = ugmcl(uncertainty=False), []
    method.teacher.register_forward_hook(lambda *_: calls.append(1))
    step(method, make_batch(num_classes=3))
    assert len(calls) == 1
    method = ugmcl(passes=5)
    method.teacher.register_forward_hook(lambda *_: calls.append(1))
    step(method, make_batch(num_classes=3))
    assert len(calls) == 1 + 6


def test_without_an_intra_task_term_the_teacher_is_not_asked(make_batch: Make) -> None:
    method, calls = ugmcl(intra_task=False), []
    method.teacher.register_forward_hook(lambda *_: calls.append(1))
    step(method, make_batch(num_classes=3))
    assert calls == []


def test_the_paper_and_the_released_code_are_different_methods() -> None:
    with pytest.raises(UserError, match=r"unknown variant of ugmcl 'code' \(known: paper, released\)"):
        create_method("ugmcl", variant="code")
    paper, released = ugmcl().options, ugmcl(variant="released").options
    assert (paper.distance_loss, released.distance_loss) == ("regression", "mask_dice")
    assert (paper.beta, released.beta) == (0.75, 0.5)
    assert ugmcl(variant="released", beta=0.9).options.beta == 0.9  # what is given by hand wins


@pytest.mark.parametrize(("settings", "dropout"), [({}, 0.3), ({"dropout": 0.1}, 0.1)], ids=str)
def test_the_released_network_has_the_dropout_and_the_norm_that_are_recorded(
    settings: dict[str, Any], dropout: float
) -> None:
    for preset in ("quick", "full"):
        options = configure("ugmcl", variant="released", preset=preset, **settings).options
        assert (options["dropout"], options["norm"]) == (dropout, "instance")
    student = ugmcl(variant="released", **settings).student
    assert student.dropout_bottom.p == student.dropout_head.p == dropout
    assert configure("ugmcl", preset="full", network="unet3d").options["norm"] == "instance"


def test_an_option_that_the_network_has_not_is_refused_when_it_is_given() -> None:
    for settings in ({"variant": "released"}, {"network": "unet3d"}):
        with pytest.raises(UserError, match="option norm='batch': network unet3d has 'instance' alone"):
            configure("ugmcl", norm="batch", **settings)
