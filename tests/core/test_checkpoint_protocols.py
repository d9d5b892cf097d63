"""The checkpoint protocols in the training loop: which cases are scored, and which weights are kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ssmis_core import Run, evaluate_run
from ssmis_core.batches import Batch
from ssmis_core.configuration import Configuration
from ssmis_core.draws import Clock
from ssmis_core.methods.base import Method
from ssmis_core.observers import Observer
from ssmis_core.validation import Validator

Tiny = Callable[..., Configuration]
Quietly = Callable[..., Run]


def test_the_last_protocol_scores_nothing_and_keeps_the_last_weights(
    tiny: Tiny, quietly: Quietly, tmp_path: Path
) -> None:
    run = quietly(tiny("supervised"), tmp_path / "run")
    assert run.rows("evaluations") == [] and "selected" not in run.info
    checkpoint = run.load_checkpoint()
    assert checkpoint is not None
    assert all(torch.equal(value, checkpoint["method"][key]) for key, value in run.load_weights().items())


@pytest.mark.parametrize(("labeled", "held"), [(3, 1), (10, 2)])
def test_best_on_validation_holds_out_a_fifth_of_the_labeled_cases(
    labeled: int, held: int, tiny: Tiny, quietly: Quietly, tmp_path: Path
) -> None:
    trained: set[str] = set()

    def look(clock: Clock, batch: Batch, *_: Any) -> None:
        trained.update(batch.labeled.case)

    config = tiny("supervised", protocol="best-on-validation", validate_every=3, labeled=labeled, iterations=7)
    run = quietly(config, tmp_path / "run", observers=[Observer(look, every=1)])
    rows = run.rows("evaluations")
    scored = {row["case"] for row in rows}
    assert scored == {f"phantom-{labeled - 1 - i:03d}" for i in range(held)} and not scored & trained
    assert {row["split"] for row in rows} == {"validation"}
    assert [row["iteration"] for row in rows] == sorted([3, 6, 7] * held)


def test_held_out_cases_are_not_unlabeled_ones_either(tiny: Tiny, quietly: Quietly, tmp_path: Path) -> None:
    seen: set[str] = set()
    config = tiny("mean_teacher", protocol="best-on-validation", validate_every=4, iterations=4)
    quietly(config, tmp_path / "run", observers=[Observer(lambda _, batch, *__: seen.update(batch.case), every=1)])
    assert "phantom-003" not in seen and len(seen) == 9


def test_best_on_test_says_so_in_every_row_and_keeps_the_best_weights(
    tiny: Tiny, quietly: Quietly, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score, ranks, weights = Validator.score, {2: 0.1, 4: 0.3, 6: 0.2}, {}

    def ranked(self: Validator, method: Method, device: torch.device, iteration: int) -> Any:
        weights[iteration] = {key: value.clone() for key, value in method.state_dict().items()}
        return score(self, method, device, iteration)[0], ranks[iteration]

    monkeypatch.setattr(Validator, "score", ranked)
    run = quietly(tiny("supervised", protocol="best-on-test", validate_every=2), tmp_path / "run")
    rows = run.rows("evaluations")
    assert [(row["iteration"], row["split"]) for row in rows] == [(n, "test") for n in (2, 2, 4, 4, 6, 6)]
    assert {row["case"] for row in rows} == {"phantom-010", "phantom-011"}
    assert run.info["selected"] == {"iteration": 4, "dice": 0.3, "protocol": "best-on-test"}
    assert all(torch.equal(value, weights[4][key]) for key, value in run.load_weights().items())

    summary = evaluate_run(run, save_predictions=False, device="cpu")
    assert summary["conventions"]["checkpoint_protocol"] == "best-on-test" and summary["conventions"]["iteration"] == 4
    after = run.rows("evaluations")  # the row of the selected weights, not of the last ones, is the one written anew
    for n in (2, 4, 6):
        assert [r["dice"] for r in after if r["iteration"] == n] == [r["dice"] for r in rows if r["iteration"] == n]


def test_validation_does_not_change_training(tiny: Tiny, quietly: Quietly, tmp_path: Path) -> None:
    plain = quietly(tiny("ugmcl"), tmp_path / "plain")
    scored = quietly(replace(tiny("ugmcl"), protocol="best-on-test", validate_every=2), tmp_path / "scored")
    assert [row["loss"] for row in plain.rows("history")] == [row["loss"] for row in scored.rows("history")]
