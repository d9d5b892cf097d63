"""What every registered method promises, in 2D and 3D and for any number of classes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from ssmis_core import configure
from ssmis_core.batches import Batch
from ssmis_core.draws import Clock, Draws
from ssmis_core.errors import UserError
from ssmis_core.methods import METHODS, create_method, method_options
from ssmis_core.methods.base import Method, Step
from ssmis_core.views import KINDS, Views

TINY = {"filters": 2}
WITH_TEACHER = ("mean_teacher", "uamt", "ugmcl", "cpam", "cpam_trcm", "bcp")
STARTING_AS_A_MEAN = ("mean_teacher", "uamt", "ugmcl")  # the teacher's first step is a copy, whatever the decay
SIZE = {2: 32, 3: 16}
Make = Callable[..., Batch]


def make_method(name: str, *, dims: int = 2, num_classes: int = 2, **options: Any) -> Any:
    """A tiny method with the same first weights every time."""
    passes = {"passes": 2} if name in ("ugmcl", "uamt") else {}
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return create_method(name, dims=dims, num_classes=num_classes, **{**TINY, **passes, **options})


def loss_at(method: Method, batch: Batch, t: int = 5, views: Views | None = None, T: int = 10) -> Step:
    """The loss of iteration t, with the dropout of that iteration."""
    clock = Clock("main", t, T)
    draws = Draws(0).at(clock)
    with torch.random.fork_rng([]):
        draws.seed_dropout()
        return method.loss(batch, clock, draws, views)


def train(method: Method, batch: Batch, iterations: int) -> list[float]:
    """The main totals of a few iterations on one batch, taken as the loop takes them; those of the last stage."""
    for stage in method.stages(iterations):
        totals = []
        optimisers = {name: one.build() for name, one in stage.optimisers.items()}
        method.begin(stage)
        for t in range(stage.iterations):
            clock = Clock(stage.name, t, stage.iterations)
            for step in method.steps(batch, clock, Draws(0).at(clock)):
                optimisers[step.updates].zero_grad()
                step.total.backward(inputs=stage.optimisers[step.updates].parameters)
                optimisers[step.updates].step()
                totals += [float(step.total.detach())] if step.updates == "main" else []
            method.after_step(clock)
    return totals


def values(terms: Mapping[str, Tensor | float]) -> dict[str, float]:
    return {name: float(torch.as_tensor(value).detach()) for name, value in terms.items()}


def finite(state: Mapping[str, Tensor]) -> bool:
    return all(bool(value.isfinite().all()) for value in state.values())


@pytest.mark.parametrize("num_classes", [2, 4])
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains_and_then_predicts_probabilities(
    name: str, dims: int, num_classes: int, make_batch: Make
) -> None:
    method = make_method(name, dims=dims, num_classes=num_classes)
    wanted = method.sampling
    batch = make_batch(
        dims=dims, num_classes=num_classes, size=SIZE[dims], labeled=wanted.labeled, unlabeled=wanted.unlabeled
    )
    before = {key: value.clone() for key, value in method.state_dict().items()}
    assert all(math.isfinite(total) for total in train(method, batch, 3))
    assert finite(method.state_dict())
    assert any(not torch.equal(before[key], value) for key, value in method.state_dict().items())
    p = method.eval().predict(batch.image)
    assert p.shape == (len(batch.image), num_classes, *[SIZE[dims]] * dims) and p.dtype == torch.float32
    torch.testing.assert_close(p.sum(1), torch.ones_like(p[:, 0]))
    assert float(p.min()) >= 0 and not p.requires_grad


@pytest.mark.parametrize("name", METHODS)
def test_training_lowers_the_loss_on_a_batch_seen_again(name: str, make_batch: Make) -> None:
    method = make_method(name, optimiser="adamw", learning_rate=0.01, dropout=0.0, schedule="constant")
    totals = train(method, make_batch(), 12)
    assert totals[-1] < totals[0]


@pytest.mark.parametrize("num_classes", [2, 4])
@pytest.mark.parametrize("name", METHODS)
def test_a_batch_without_foreground_is_finite(name: str, num_classes: int, make_batch: Make) -> None:
    method = make_method(name, num_classes=num_classes)
    assert all(math.isfinite(total) for total in train(method, make_batch(num_classes=num_classes, empty=True), 2))
    assert finite(method.state_dict())


@pytest.mark.parametrize("name", METHODS)
def test_the_total_is_part_of_a_graph_and_every_term_is_a_single_number(name: str, make_batch: Make) -> None:
    step = loss_at(make_method(name), make_batch())
    assert step.total.requires_grad and step.total.ndim == 0 and step.total.dtype == torch.float32
    assert all(torch.as_tensor(value).ndim == 0 for value in step.terms.values())
    assert "loss" not in step.terms  # the log's own name for the total


@pytest.mark.parametrize("name", METHODS)
def test_views_change_no_bit_of_the_loss_and_are_detached(name: str, make_batch: Make) -> None:
    batch, views = make_batch(), Views()
    with_views, without = make_method(name), make_method(name)
    seen, unseen = loss_at(with_views, batch, views=views), loss_at(without, batch)
    assert torch.equal(seen.total, unseen.total) and values(seen.terms) == values(unseen.terms)
    for a, b in zip(with_views.state_dict().values(), without.state_dict().values(), strict=True):
        assert torch.equal(a, b)  # normalisation statistics too
    assert views and all(not view.value.requires_grad and view.kind in KINDS for view in views.values())
    placed = [view for view in views.values() if view.case]  # the others, prototypes say, belong to no patch
    assert all(len(view.case) == len(view.corner) == len(view.turn) == len(view.value) for view in placed)


@pytest.mark.parametrize("name", METHODS)
def test_the_loss_is_a_pure_function_of_weights_batch_clock_and_draws(name: str, make_batch: Make) -> None:
    batch = make_batch()
    first, second = loss_at(make_method(name), batch), loss_at(make_method(name), batch)
    assert torch.equal(first.total, second.total)
    assert not torch.equal(first.total, loss_at(make_method(name), batch, t=6).total)


@pytest.mark.parametrize("name", METHODS)
def test_state_dict_is_the_whole_state(name: str, make_batch: Make) -> None:
    batch, one, other = make_batch(), make_method(name), make_method(name, norm="batch")
    train(one, batch, 2)
    other.load_state_dict(one.state_dict())
    assert torch.equal(loss_at(one, batch).total, loss_at(other, batch).total)
    assert torch.equal(one.eval().predict(batch.image), other.eval().predict(batch.image))


@pytest.mark.parametrize("name", METHODS)
def test_an_unlabeled_image_matters_to_every_method_but_the_supervised_one(name: str, make_batch: Make) -> None:
    batch, changed = make_batch(), make_batch()
    changed.streams[0].image.mul_(2)
    a, b = loss_at(make_method(name), batch), loss_at(make_method(name), changed)
    assert torch.equal(a.total, b.total) == (name == "supervised")


@pytest.mark.parametrize("name", WITH_TEACHER)
def test_gradients_reach_the_student_and_never_the_teacher(name: str, make_batch: Make) -> None:
    method = make_method(name)
    loss_at(method, make_batch()).total.backward()
    assert all(p.grad is not None and bool(p.grad.any()) for n, p in method.student.named_parameters() if "head" in n)
    assert all(p.grad is not None for p in method.student.parameters())
    assert all(p.grad is None and not p.requires_grad for p in method.teacher.parameters())
    learning = {id(p) for stage in method.stages(10) for o in stage.optimisers.values() for p in o.parameters}
    assert learning == {id(p) for p in method.student.parameters()}


@pytest.mark.parametrize("name", STARTING_AS_A_MEAN)
def test_the_teacher_is_a_copy_after_the_first_step(name: str, make_batch: Make) -> None:
    method = make_method(name)
    train(method, make_batch(), 1)
    for teacher, student in zip(method.teacher.parameters(), method.student.parameters(), strict=True):
        assert torch.equal(teacher, student)


@pytest.mark.parametrize("name", STARTING_AS_A_MEAN)
@pytest.mark.parametrize(("t", "decay"), [(0, 0.0), (1, 0.5), (9, 0.9), (5000, 0.99)])
def test_the_teacher_follows_by_its_formula(name: str, t: int, decay: float) -> None:
    method = make_method(name)
    with torch.no_grad():
        for parameter in method.student.parameters():
            parameter.add_(1.0)
    before = [p.clone() for p in method.teacher.parameters()]
    method.after_step(Clock("main", t, 6000))
    for old, student, teacher in zip(before, method.student.parameters(), method.teacher.parameters(), strict=True):
        torch.testing.assert_close(teacher, decay * old + (1 - decay) * student)


@pytest.mark.parametrize("name", WITH_TEACHER)
def test_the_teacher_keeps_normalisation_statistics_of_its_own(name: str, make_batch: Make) -> None:
    method = make_method(name, norm="batch")
    loss_at(method, make_batch())
    statistics = {key: value.clone() for key, value in method.teacher.named_buffers()}
    student = dict(method.student.named_buffers())
    assert statistics and any(not torch.equal(value, student[key]) for key, value in statistics.items())
    method.after_step(Clock("main", 0, 10))
    assert all(torch.equal(value, statistics[key]) for key, value in method.teacher.named_buffers())


@pytest.mark.parametrize("name", WITH_TEACHER)
def test_the_network_that_answers_is_an_option(name: str, make_batch: Make) -> None:
    batch = make_batch()
    student, teacher = make_method(name), make_method(name, answer="teacher")
    for method in (student, teacher):
        train(method, batch, 3)
        method.eval()
    assert not torch.equal(student.predict(batch.image), teacher.predict(batch.image))
    assert torch.equal(teacher.predict(batch.image), torch.softmax(teacher.teacher(batch.image).logits.detach(), 1))


@pytest.mark.parametrize("name", METHODS)
def test_mixed_precision_trains_with_float32_losses(name: str, make_batch: Make) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        step = loss_at(make_method(name), make_batch())
    step.total.backward()
    assert step.total.dtype == torch.float32 and math.isfinite(float(step.total.detach()))


def test_an_unknown_method_is_a_user_error_that_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"unknown method 'ug_mcl'; did you mean 'ugmcl'\? \(known: .*supervised"):
        create_method("ug_mcl")


@pytest.mark.parametrize("name", METHODS)
def test_unknown_variants_and_options_are_user_errors_that_list_the_known_ones(name: str) -> None:
    with pytest.raises(UserError, match=rf"unknown variant of {name} 'text' .*known: paper"):
        create_method(name, variant="text")
    with pytest.raises(UserError, match=rf"unknown option of {name} 'filter'; did you mean 'filters'\? .*dropout"):
        create_method(name, filter=8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filters": "16"}, r"option filters='16' of ugmcl: expected int"),
        ({"filters": 0}, r"option filters=0: expected a number above 0"),
        ({"filters": True}, r"option filters=True of ugmcl: expected int"),
        ({"uncertainty": 1}, r"option uncertainty=1 of ugmcl: expected bool"),
        ({"beta": 1.5}, r"option beta=1\.5: expected 0 to 1"),
        ({"dropout": 1.5}, r"option dropout=1\.5: expected 0 to below 1"),
        ({"ramp_step": 0}, r"options ramp_step=0, ramp_iterations=0: expected 1 or more and 0 or more"),
        ({"passes": 0}, r"option passes=0: expected 1 or more"),
        ({"ema_decay": 2}, r"option ema_decay=2\.0: expected 0 to 1"),
        ({"unlabeled_per_batch": -1}, r"option unlabeled_per_batch=-1: expected 0 or more"),
        ({"weight_decay": -1e-4}, r"option weight_decay=-0\.0001: expected 0 or more"),
        ({"weight": -0.1}, r"option weight=-0\.1: expected 0 or more"),
        ({"noise": -0.1}, r"option noise=-0\.1: expected 0 or more"),
        ({"noise_clip": -0.2}, r"option noise_clip=-0\.2: expected 0 or more"),
        ({"supervised_weight": -1}, r"option supervised_weight=-1\.0: expected 0 or more"),
        ({"steepness": 0}, r"option steepness=0\.0: expected a number above 0"),
        ({"threshold_start": 0}, r"option threshold_start=0\.0: expected above 0 to 1"),
        ({"threshold_start": 1.5}, r"option threshold_start=1\.5: expected above 0 to 1"),
        ({"threshold_policy": "up"}, r"unknown threshold policy 'up' .*falling"),
        ({"distance_loss": "l1"}, r"unknown distance loss 'l1' .*mask_dice"),
        ({"optimiser": "sdg"}, r"unknown optimiser 'sdg'; did you mean 'sgd'"),
        ({"schedule": "cosine"}, r"unknown schedule 'cosine' .*one_cycle"),
        ({"ramp": "up"}, r"unknown ramp 'up' .*sigmoid"),
        ({"answer": "both"}, r"unknown answer 'both' .*student, teacher"),
        ({"network": "unet"}, r"unknown network 'unet'.*vnet"),
        ({"norm": "bacth"}, r"unknown normalisation 'bacth'; did you mean 'batch'"),
        ({"distance": False}, r"cross_task=True needs distance=True"),
        ({"augmentations": ("flip",)}, r"unknown augmentation 'flip'"),
    ],
)
def test_an_option_that_cannot_be_is_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        create_method("ugmcl", dims=2, **{**TINY, **options}).sampling  # noqa: B018
    assert "\n" not in str(caught.value)


def test_whole_numbers_stand_for_floats_and_lists_for_tuples() -> None:
    options = method_options("ugmcl", beta=1, augmentations=["rot_flip"])
    assert options.beta == 1.0 and isinstance(options.beta, float) and options.augmentations == ("rot_flip",)


def test_the_supervised_baseline_records_that_it_takes_no_unlabeled_sample() -> None:
    config = configure("supervised", dataset_options={"dims": 2})  # where the preset has 4 for all methods
    assert config.options["unlabeled_per_batch"] == 0
    with pytest.raises(UserError, match="option unlabeled_per_batch=4: supervised takes 0 alone"):
        make_method("supervised", unlabeled_per_batch=4)


def test_a_mean_teacher_without_unlabeled_samples_is_a_user_error() -> None:
    with pytest.raises(UserError, match="mean_teacher needs at least 1 unlabeled sample a batch"):
        make_method("mean_teacher", unlabeled_per_batch=0)


@pytest.mark.parametrize(("dims", "num_classes"), [(1, 2), (4, 2), (2, 1)])
def test_other_dimensions_or_a_single_class_are_user_errors(dims: int, num_classes: int) -> None:
    with pytest.raises(UserError, match="expected 2 or 3 dimensions and 2 or more classes"):
        create_method("supervised", dims=dims, num_classes=num_classes)


@pytest.mark.slow
def test_a_compiled_network_gives_the_same_loss(make_batch: Make, require: Callable[[str, str], None]) -> None:
    require("g++", "apt-get install g++ (torch.compile builds with it)")
    plain, compiled = make_method("supervised", dropout=0.0), make_method("supervised", dropout=0.0)
    for network in compiled.children():
        network.compile()
    batch = make_batch()
    expected, actual = loss_at(plain, batch), loss_at(compiled, batch)
    torch.testing.assert_close(actual.total, expected.total, rtol=1e-4, atol=1e-5)
    actual.total.backward()
    assert plain.state_dict().keys() == compiled.state_dict().keys()
