"""The training loop: what it writes, what it refuses, and that looking on changes nothing."""

from __future__ import annotations

import json
import math
import weakref
from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
import torch

from ssmis_core import Run, UserError
from ssmis_core.batches import Batch
from ssmis_core.configuration import Configuration
from ssmis_core.datasets import Case, Dataset, phantom
from ssmis_core.draws import Clock
from ssmis_core.methods import METHODS
from ssmis_core.methods.base import Step
from ssmis_core.observers import Observer
from ssmis_core.progress import Progress
from ssmis_core.views import Views
from ssmis_core.volume_bank import VolumeBank

Tiny = Callable[..., Configuration]
Quietly = Callable[..., Run]


@pytest.mark.parametrize("name", METHODS)
def test_a_training_leaves_a_complete_run_folder(name: str, tiny: Tiny, quietly: Quietly, tmp_path: Path) -> None:
    config = tiny(name, iterations=5, log_every=2)
    run = quietly(config, tmp_path / "run")
    assert run.status == "finished" and run.config == config
    assert sorted(path.name for path in run.path.iterdir()) == [
        "checkpoint.pt",
        "evaluations.csv",
        "history.csv",
        "run.json",
        "weights.safetensors",
    ]
    stages = accumulate(stage.iterations for stage in run.method().stages(5))  # a stage ends with a row
    assert [row["iteration"] for row in run.rows("history")] == sorted({2, 4, 5, *stages})
    assert all(math.isfinite(row["loss"]) and row["learning_rate"] > 0 for row in run.rows("history"))
    assert run.info["iterations_done"] == 5 and len(run.info["data_fingerprint"]) == 64
    assert run.info["environment"]["versions"]["torch"] == torch.__version__
    assert run.method().state_dict().keys() == run.load_weights().keys()


def test_three_dimensions_and_more_classes_train_too(tiny: Tiny, quietly: Quietly, tmp_path: Path) -> None:
    options = {"dims": 3, "size": 16, "num_classes": 4}
    config = tiny("ugmcl", dataset_options=options, patch=16, stride=16, norm="batch", iterations=2, passes=1)
    run = quietly(config, tmp_path / "run")
    assert run.status == "finished" and run.info["shape"] == {"num_classes": 4, "dims": 3, "channels": 1}


def test_training_is_the_same_each_time_and_another_one_for_another_seed(
    tiny: Tiny, quietly: Quietly, same_training: Callable[[Run, Run], None], tmp_path: Path
) -> None:
    runs = [quietly(tiny("ugmcl", seed=seed), tmp_path / name) for name, seed in (("a", 0), ("b", 0), ("c", 1))]
    same_training(runs[0], runs[1])
    assert runs[0].rows("history")[0]["loss"] != runs[2].rows("history")[0]["loss"]


def test_training_leaves_the_callers_random_state_alone(tiny: Tiny, quietly: Quietly, tmp_path: Path) -> None:
    before = torch.get_rng_state()
    quietly(tiny("supervised", iterations=2), tmp_path / "run")
    assert torch.equal(torch.get_rng_state(), before)


def test_a_finished_run_returns_at_once(
    tiny: Tiny, quietly: Quietly, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny("supervised", iterations=2)
    run = quietly(config, tmp_path / "run")
    times = {path.name: path.stat().st_mtime_ns for path in run.path.iterdir()}
    monkeypatch.setattr(phantom.Phantom, "read", lambda *_: pytest.fail("a case was read"))
    assert quietly(config, tmp_path / "run").status == "finished"
    assert times == {path.name: path.stat().st_mtime_ns for path in run.path.iterdir()}


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_a_time_limit_that_cannot_be_is_refused_before_anything_is_written(
    seconds: float, tiny: Tiny, quietly: Quietly, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=rf"max_seconds={seconds}: expected 0 or more"):
        quietly(tiny(), tmp_path / "run", max_seconds=seconds)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, r"another configuration \(seed: 1, not 0\); choose another run_dir"),
        ({"iterations": 3}, r"another configuration \(iterations: 3, not 2\)"),
        ({"method": "mean_teacher"}, r"another configuration \(method: 'mean_teacher', not 'supervised'"),
        ({"learning_rate": 0.5}, r"another configuration \(options\.learning_rate: 0\.5, not 0\.002\)"),
        ({"dataset_options": {"dims": 2, "size": 48}}, r"dataset_options\.size: \[48, 48\], not \[32, 32\]"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_folder_with_another_configuration_is_refused_by_the_difference(
    change: dict[str, Any], message: str, tiny: Tiny, quietly: Quietly, tmp_path: Path
) -> None:
    settings = {"method": "supervised", "iterations": 2}
    run = quietly(tiny(**settings), tmp_path / "run")
    before = (run.path / "run.json").read_bytes()
    with pytest.raises(UserError, match=message) as caught:
        quietly(tiny(**{**settings, **change}), tmp_path / "run")
    assert "\n" not in str(caught.value) and (run.path / "run.json").read_bytes() == before


def test_going_on_with_other_data_is_refused(
    tiny: Tiny, quietly: Quietly, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clockwork: Any
) -> None:
    config = tiny("supervised")
    run = quietly(config, tmp_path / "run", max_seconds=2, observers=[clockwork.observer()])
    before = {path.name: path.read_bytes() for path in run.path.iterdir()}
    read = phantom.Phantom.read
    monkeypatch.setattr(phantom.Phantom, "read", lambda *at: (lambda c: replace(c, image=2 * c.image))(read(*at)))
    with pytest.raises(UserError, match=r"was trained on other data \(fingerprint \w{12}, now \w{12}\)"):
        quietly(config, tmp_path / "run")
    assert before == {path.name: path.read_bytes() for path in run.path.iterdir()}


def test_even_a_finished_run_of_another_phantom_generator_is_refused(
    tiny: Tiny, quietly: Quietly, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny("supervised", iterations=1)
    run = quietly(config, tmp_path / "run")
    monkeypatch.setattr(phantom, "VERSION", phantom.VERSION + 1)
    for again in (lambda: quietly(config, tmp_path / "run"), run.dataset):
        with pytest.raises(UserError, match="phantom: version=1, expected 2"):
            again()


def test_only_a_few_whole_volumes_are_in_memory_and_the_fingerprint_is_that_of_all(
    tiny: Tiny, quietly: Quietly, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: weakref.WeakSet[Case] = weakref.WeakSet()
    most: list[int] = []
    load = Dataset.load

    def watched(self: Dataset, case_id: str) -> Case:
        case = load(self, case_id)
        alive.add(case)
        most.append(len(alive))
        return case

    monkeypatch.setattr(Case, "__hash__", object.__hash__)
    monkeypatch.setattr(Dataset, "load", watched)
    run = quietly(tiny(factor=2, patch=16, norm="batch", iterations=1), tmp_path / "run")
    assert len(most) == 10 and max(most) <= 4  # the one in hand, and three that were read meanwhile
    data = run.dataset()
    assert run.info["data_fingerprint"] == data.fingerprint_of(load(data, case_id) for case_id in data.train)


def test_a_folder_with_other_files_is_refused_and_one_with_an_extra_folder_is_not(
    tiny: Tiny, quietly: Quietly, tmp_path: Path
) -> None:
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match=r"papers: exists and is not a run folder"):
        quietly(tiny("supervised", iterations=1), tmp_path / "papers")
    assert [path.name for path in (tmp_path / "papers").iterdir()] == ["thesis.txt"]
    (tmp_path / "run" / "extra").mkdir(parents=True)
    assert quietly(tiny("supervised", iterations=1), tmp_path / "run").status == "finished"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"patch": 24}, r"patch 24x24: every side must be a multiple of 16 for this VNet"),
        ({"patch": 16}, r"patch 16x16: leaves one voxel at the lowest level of VNet.*at least 32"),
        ({"patch": 16, "norm": "batch", "unlabeled_per_batch": 1}, r"patch 16x16: leaves one voxel.*of one sample"),
        (
            {"method": "cpam", "patch": 16, "norm": "batch", "labeled_per_batch": 2, "unlabeled_per_batch": 2},
            r"patch 16x16: leaves one voxel.*of one sample",
        ),
        ({"method": "ugmcl", "labeled": 10}, r"no unlabeled case is left beside 10 labeled ones"),
    ],
    ids=["not_divisible", "one_voxel", "one_sample", "one_sample_a_mix", "labeled"],
)
def test_bad_input_is_refused_before_the_folder_exists(
    settings: dict[str, Any], message: str, tiny: Tiny, quietly: Quietly, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        quietly(tiny(**settings), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_cuda_without_a_cuda_device_is_one_line(tiny: Tiny, quietly: Quietly, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="device 'cuda': this machine has no CUDA device"):
        quietly(tiny(), tmp_path / "run", device="cuda")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "meta", None])
def test_an_unknown_device_is_one_line(device: Any, tiny: Tiny, quietly: Quietly, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"device '{device}': expected auto, cpu, cuda or cuda:N"):
        quietly(tiny(), tmp_path / "run", device=device)


def test_observers_do_not_change_training_even_when_they_see_the_truth(
    tiny: Tiny, quietly: Quietly, same_training: Callable[[Run, Run], None], tmp_path: Path
) -> None:
    seen: list[tuple[int, float]] = []

    def look(clock: Clock, batch: Batch, step: Step, views: Views, bank: VolumeBank) -> None:
        torch.manual_seed(0)
        index = bank.ids.index(batch.case[-1])  # an unlabeled one: the bank knows its label, the batch does not
        box = views["probability"].placed(3).shape[1:]
        _, truth = bank.cut(index, batch.corner[3].tolist(), box, label=True)
        assert truth is not None and batch.unlabeled is not None and batch.unlabeled.label is None
        seen.append((clock.t, float(step.total.detach()) + float(truth.sum())))

    config = tiny("ugmcl")
    alone = quietly(config, tmp_path / "alone")
    watched = quietly(config, tmp_path / "watched", observers=[Observer(look, every=2)])
    same_training(alone, watched)
    assert [t for t, _ in seen] == [1, 3, 5]


def test_progress_is_reported_at_every_row_and_at_the_end(tiny: Tiny, quietly: Quietly, tmp_path: Path) -> None:
    told: list[Progress] = []
    quietly(tiny("supervised"), tmp_path / "run", report=told.append)
    assert [(one.done, one.status) for one in told] == [(2, "running"), (4, "running"), (6, "running"), (6, "finished")]
    assert set(told[0].terms) == {"loss", "cross_entropy", "dice"} and told[0].total == 6


def test_the_supervised_baseline_takes_every_label_and_no_other_image(
    tiny: Tiny, quietly: Quietly, tmp_path: Path
) -> None:
    batches: list[Batch] = []
    config = tiny("supervised", labeled=10, iterations=2)
    run = quietly(config, tmp_path / "run", observers=[Observer(lambda _, batch, *__: batches.append(batch), every=1)])
    assert run.status == "finished" and all(batch.streams == () for batch in batches)


def test_run_json_is_plain_and_complete(tiny: Tiny, quietly: Quietly, tmp_path: Path) -> None:
    config = tiny("ugmcl", variant="released", iterations=1)
    run = quietly(config, tmp_path / "run")
    stored = json.loads((run.path / "run.json").read_text())
    assert Configuration.from_dict(stored["configuration"]) == run.config == config
    assert stored["configuration"]["options"]["distance_loss"] == "mask_dice"
