"""CPAM's two stages: what each trains, how the iterations part, and what one hands over to the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ssmis_core import Run, UserError, evaluate_run
from ssmis_core.batches import Batch
from ssmis_core.configuration import Configuration
from ssmis_core.datasets import Dataset
from ssmis_core.draws import Clock
from ssmis_core.losses import region_cross_entropy, region_loss
from ssmis_core.methods.base import Stage
from ssmis_core.methods.cpam import CPAM
from ssmis_core.validation import Validator
from tests.core.cpam_helpers import cpam, look, rows

Make = Callable[..., Batch]
Tiny = Callable[..., Configuration]
Quietly = Callable[..., Run]
Weights = dict[str, torch.Tensor]


def equal(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def test_pretraining_pastes_labeled_images_into_one_another_and_asks_no_teacher(make_batch: Make) -> None:
    batch, other, calls = make_batch(labeled=4, unlabeled=4), make_batch(labeled=4, unlabeled=4), []
    other.streams[0].image.mul_(2)
    method, clock = cpam(), Clock("pretraining", 0, 10)
    method.teacher.register_forward_hook(lambda *_: calls.append(1))
    step, views = look(method, batch, clock)
    mask = views["box"][0, 0]
    assert torch.equal(views["mix_l_l"], rows(batch, "l_a") * mask + rows(batch, "l_b") * (1 - mask))
    target = torch.where(mask > 0, *batch.label.chunk(2))
    log = views["probability_l_l"].log()
    torch.testing.assert_close(step.total.detach(), region_loss(log, target, torch.ones_like(views["mix_l_l"])))
    ce = torch.nn.functional.nll_loss(log, target)
    torch.testing.assert_close(region_cross_entropy(log, target, torch.ones_like(views["mix_l_l"])), ce)
    assert calls == [] and torch.equal(look(cpam(), other, clock)[0].total, step.total)


@pytest.mark.parametrize(
    ("iterations", "share", "lengths"),
    [
        (17_000, 2 / 17, [2000, 15_000]),
        (34_000, 2 / 17, [4000, 30_000]),
        (100, 0.25, [25, 75]),
        (3, 2 / 17, [1, 2]),
        (2, 0.9, [1, 1]),
        (1, 2 / 17, [1]),
        (10, 0.0, [10]),
    ],
)
def test_the_iterations_are_those_of_both_stages(iterations: int, share: float, lengths: list[int]) -> None:
    stages = cpam(pretraining=share, pretraining_schedule="constant", schedule="poly").stages(iterations)
    assert [stage.iterations for stage in stages] == lengths
    assert [stage.name for stage in stages] == ["pretraining", "main"][-len(lengths) :]
    assert [stage.schedule for stage in stages] == ["constant", "poly"][-len(lengths) :]
    assert [stage.select for stage in stages] == ["best", "last"][-len(lengths) :]


def test_self_training_begins_with_the_pretrained_weights_in_both_networks(make_batch: Make) -> None:
    method = cpam(norm="batch")
    pretraining, main = method.stages(10)
    look(method, make_batch(), Clock("pretraining", 0, 10))  # moves the student's running statistics
    with torch.no_grad():
        for parameter in method.student.parameters():
            parameter.add_(torch.randn_like(parameter))
    method.begin(pretraining)
    assert not equal(method.teacher, method.student)
    method.after_step(Clock("pretraining", 0, 10))
    assert not equal(method.teacher, method.student)
    method.begin(main)
    assert equal(method.teacher, method.student)


@pytest.mark.parametrize("t", [0, 1, 500])
def test_the_teacher_follows_with_a_constant_decay(t: int) -> None:
    method = cpam()
    with torch.no_grad():
        for parameter in method.student.parameters():
            parameter.add_(1.0)
    before = [p.clone() for p in method.teacher.parameters()]
    method.after_step(Clock("main", t, 1000))
    for old, student, teacher in zip(before, method.student.parameters(), method.teacher.parameters(), strict=True):
        torch.testing.assert_close(teacher, 0.99 * old + 0.01 * student)


def test_a_teacher_that_has_not_begun_does_not_answer(make_batch: Make) -> None:
    """A run that is cut short in its first stage, or validated there, is the student's."""
    method, x = cpam(answer="teacher").eval(), make_batch().image
    with torch.no_grad():
        for parameter in method.student.parameters():
            parameter.mul_(2.0)
    assert torch.equal(method.predict(x), torch.softmax(method.student(x).logits.detach(), 1))
    method.begin(Stage("main", 1, method.optimisers()))
    with torch.no_grad():
        for parameter in method.student.parameters():
            parameter.mul_(2.0)
    again = cpam(answer="teacher").eval()
    again.load_state_dict(method.state_dict())  # and so is a run that is read from its weights
    for one in (method, again):
        assert torch.equal(one.predict(x), torch.softmax(method.teacher(x).logits.detach(), 1))
    assert not torch.equal(method.predict(x), torch.softmax(method.student(x).logits.detach(), 1))


# ---------------------------------------------------------------- stopped and resumed
@pytest.mark.parametrize("protocol", ["last", "best-on-test"])
@pytest.mark.parametrize("seconds", [2, 3])
def test_a_training_stopped_in_either_stage_or_between_them_ends_like_the_uninterrupted_one(
    seconds: int, protocol: str, tiny: Tiny, quietly: Quietly, same_training: Any, clockwork: Any, tmp_path: Path
) -> None:
    every = 0 if protocol == "last" else 2
    config = tiny("cpam_trcm", iterations=8, pretraining=0.4, log_every=3, protocol=protocol, validate_every=every)
    whole, stops = quietly(config, tmp_path / "whole"), []
    while not stops or stops[-1][0] != "finished":  # a second an iteration; the first stage has three
        run = quietly(config, tmp_path / "parts", max_seconds=seconds, observers=[clockwork.observer()])
        stops.append((run.status, run.info["iterations_done"]))
    assert [done for _, done in stops] == {2: [2, 4, 6, 8], 3: [3, 6, 8]}[seconds]
    same_training(run, whole)
    assert run.info.get("handed_over") == whole.info.get("handed_over")


# ---------------------------------------------------------------- what a stage hands over
RANKS = {1: 0.1, 2: 0.3, 3: 0.2, 4: 0.2, 5: 0.25, 6: 0.1}  # three iterations of each stage


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The weights at every validation, ranked by RANKS, and those that "main" began with, once a training is over."""
    score, begin, seen = Validator.score, CPAM.begin, {}

    def ranked(self: Validator, method: CPAM, device: torch.device, iteration: int) -> Any:
        seen[iteration] = {key: value.clone() for key, value in method.state_dict().items()}
        return score(self, method, device, iteration)[0], RANKS[iteration]

    def remember(self: CPAM, stage: Stage) -> None:
        begin(self, stage)
        seen[stage.name] = {key: value.clone() for key, value in self.state_dict().items()}

    monkeypatch.setattr(Validator, "score", ranked)
    monkeypatch.setattr(CPAM, "begin", remember)
    return seen


def assert_both_networks_are(weights: Weights, student: Weights) -> None:
    for key, value in weights.items():
        if key != "self_training":
            assert torch.equal(value, student[key.replace("teacher.", "student.")]), key


@pytest.mark.parametrize("protocol", ["best-on-test", "best-on-validation"])
def test_self_training_begins_with_the_best_pretrained_weights_of_the_protocols_cases(
    protocol: str, handed: dict[str, Any], tiny: Tiny, quietly: Quietly, tmp_path: Path
) -> None:
    config = tiny("cpam", iterations=6, pretraining=0.5, protocol=protocol, validate_every=1)
    run = quietly(config, tmp_path / "run")
    assert_both_networks_are(handed["main"], handed[2])
    assert run.info["handed_over"] == {"pretraining": {"iteration": 2, "dice": 0.3, "protocol": protocol}}
    assert run.info["selected"] == {"iteration": 5, "dice": 0.25, "protocol": protocol}  # of the last stage alone
    assert all(torch.equal(value, handed[5][key]) for key, value in run.load_weights().items())
    split = {"best-on-test": "test", "best-on-validation": "validation"}[protocol]
    assert {row["split"] for row in run.rows("evaluations")} == {split}


def test_under_the_protocol_last_no_stage_looks_at_a_case_it_does_not_train_on(
    handed: dict[str, Any], tiny: Tiny, quietly: Quietly, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, load = set(), Dataset.load
    monkeypatch.setattr(Dataset, "load", lambda self, case_id: loaded.add(case_id) or load(self, case_id))
    ends: list[Weights] = []
    after = CPAM.after_step

    def remember(self: CPAM, clock: Clock) -> None:
        after(self, clock)
        if clock.stage == "pretraining":
            ends.append({key: value.clone() for key, value in self.state_dict().items()})

    monkeypatch.setattr(CPAM, "after_step", remember)
    run = quietly(tiny("cpam", iterations=6, pretraining=0.5), tmp_path / "run")
    assert loaded <= {f"phantom-{i:03d}" for i in range(10)} and run.rows("evaluations") == []
    assert len(ends) == 3
    assert_both_networks_are(handed["main"], ends[-1])
    assert "handed_over" not in run.info and "selected" not in run.info


def test_a_stage_that_asks_for_nothing_hands_over_its_last_weights_and_the_protocol_selects_at_the_end(
    handed: dict[str, Any], tiny: Tiny, quietly: Quietly, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = CPAM.stages
    monkeypatch.setattr(CPAM, "stages", lambda self, n: [replace(one, select="last") for one in stages(self, n)])
    config = tiny("cpam", iterations=6, pretraining=0.5, protocol="best-on-test", validate_every=1)
    run = quietly(config, tmp_path / "run")
    assert_both_networks_are(handed["main"], handed[3])
    assert "handed_over" not in run.info and run.info["selected"]["iteration"] == 5


@pytest.mark.parametrize(("seconds", "selected"), [(3, 3), (4, None)])
def test_a_run_stopped_after_its_first_stage_says_which_weights_it_has(
    seconds: int, selected: int | None, tiny: Tiny, quietly: Quietly, clockwork: Any, tmp_path: Path
) -> None:
    """What the first stage selected is not what a run has that has trained on since."""
    config = tiny("cpam", iterations=6, pretraining=0.5, protocol="best-on-test", validate_every=10)
    run = quietly(config, tmp_path / "run", max_seconds=seconds, observers=[clockwork.observer()])
    assert (run.info["selected"] or {}).get("iteration") == selected
    summary = evaluate_run(run, save_predictions=False, device="cpu")
    assert summary["conventions"]["iteration"] == seconds and summary["conventions"]["status"] == "stopped"
    assert run.info["handed_over"]["pretraining"]["iteration"] == 3


def test_a_stage_of_an_unknown_selection_or_without_a_main_optimiser_is_a_user_error() -> None:
    optimisers = cpam().optimisers()
    with pytest.raises(UserError, match=r"unknown selection of a stage 'first' \(known: best, last\)"):
        Stage("one", 1, optimisers, select="first")
    with pytest.raises(UserError, match=r"stage 'one': optimisers critic, expected one by the name of main"):
        Stage("one", 1, {"critic": optimisers["main"]})
