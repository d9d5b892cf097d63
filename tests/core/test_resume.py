"""Stopped, killed, out of disk or out of numbers: the folder stays usable and the same command ends the same."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ssmis_core import Run, UserError, checkpoints, evaluate_run
from ssmis_core.configuration import Configuration
from ssmis_core.errors import NonFiniteLoss
from ssmis_core.methods.base import Step
from ssmis_core.methods.supervised import Supervised
from ssmis_core.observers import Observer

Tiny = Callable[..., Configuration]
Quietly = Callable[..., Run]
Same = Callable[[Run, Run], None]

# What each driver starts with: the configuration from the command line, on the data set of a few cases.
DRIVER = """
import json, os, pathlib, signal, sys
import torch
torch.set_num_threads(1)
from ssmis_core import checkpoints, runs, train
from ssmis_core.configuration import Configuration
from ssmis_core.datasets import phantom
from ssmis_core.observers import Observer
from ssmis_core.progress import silent
phantom.TRAIN, phantom.TEST = 10, 2
config = Configuration.from_dict(json.loads(sys.argv[1]))
"""


@pytest.fixture
def checkpoint_every_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints.Cadence, "due", lambda self: True)


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    """Sums depend in their last bits on how many threads share them; the drivers take one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def drive(code: str, config: Configuration, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", DRIVER + code, json.dumps(config.as_dict()), *arguments]
    root = Path(__file__).resolve().parents[2]
    return subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("name", "protocol"), [("supervised", "best-on-test"), ("ugmcl", "last")])
def test_going_on_after_a_time_limit_equals_the_uninterrupted_training(
    name: str, protocol: str, tiny: Tiny, quietly: Quietly, same_training: Same, clockwork: Any, tmp_path: Path
) -> None:
    config = tiny(name, iterations=8, log_every=3, protocol=protocol, validate_every=0 if protocol == "last" else 2)
    whole = quietly(config, tmp_path / "whole")
    stops = []
    for _ in range(4):  # a second an iteration: three iterations a call, in the middle of a log interval
        run = quietly(config, tmp_path / "parts", max_seconds=3, observers=[clockwork.observer()])
        stops.append((run.status, run.info["iterations_done"]))
    assert stops == [("stopped", 3), ("stopped", 6), ("finished", 8), ("finished", 8)]
    same_training(run, whole)


def test_a_stopped_run_can_be_evaluated(tiny: Tiny, quietly: Quietly, clockwork: Any, tmp_path: Path) -> None:
    run = quietly(tiny(), tmp_path / "run", max_seconds=3, observers=[clockwork.observer()])
    summary = evaluate_run(run, save_predictions=False, device="cpu")
    assert summary["conventions"]["status"] == "stopped" and summary["conventions"]["iteration"] == 3


def test_no_time_at_all_is_one_iteration_and_leaves_a_run_that_can_be_used_and_finished(
    tiny: Tiny, quietly: Quietly, same_training: Same, clockwork: Any, tmp_path: Path
) -> None:
    config = tiny()
    for done in (1, 2):
        run = quietly(config, tmp_path / "run", max_seconds=0, observers=[clockwork.observer()])
        assert (run.status, run.info["iterations_done"]) == ("stopped", done)
        assert run.method().training is False  # it has weights
    same_training(quietly(config, tmp_path / "run"), quietly(config, tmp_path / "whole"))


KILL = """
def train_and_die(run_dir, iteration, during_write):
    checkpoints.Cadence.due = lambda self: True
    write, saved = pathlib.Path.write_bytes, [0]
    def die(*_):
        saved[0] += 1
        if saved[0] == iteration and not during_write:
            os.kill(os.getpid(), signal.SIGKILL)
    def write_half(path, content):
        half = saved[0] == iteration and during_write and "checkpoint" in path.name
        write(path, content[: len(content) // 2] if half else content)
        if half:
            os.kill(os.getpid(), signal.SIGKILL)
    pathlib.Path.write_bytes = write_half
    train(config, run_dir=run_dir, device="cpu", report=silent, observers=[Observer(die, every=1)])

# One child a death, so that torch is imported once (its optimisers bring in torch._dynamo, which takes seconds).
# A child that lives on is a failure.
import torch._dynamo
for run_dir, iteration, during_write in json.loads(sys.argv[2]):
    child = os.fork()
    if child == 0:
        try:
            train_and_die(run_dir, iteration, during_write)
        finally:
            os._exit(1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kill -9 is tried with fork")
@pytest.mark.parametrize(("name", "options"), [("mean_teacher", {}), ("cpam_trcm", {"pretraining": 0.5})], ids=str)
def test_the_same_command_after_kill_9_equals_the_uninterrupted_training(
    name: str, options: dict[str, Any], tiny: Tiny, quietly: Quietly, same_training: Same, tmp_path: Path
) -> None:
    config = tiny(name, iterations=6, log_every=3, **options)  # of two stages, three iterations each
    whole = quietly(config, tmp_path / "whole")
    chosen = random.randrange(2, 6)
    deaths = [("first", 1, False), ("some", chosen, False), ("writing", chosen, True), ("last", 6, True)]
    deaths += [("before a stage", 4, False)] if options else []
    jobs = json.dumps([(str(tmp_path / name), iteration, during) for name, iteration, during in deaths])
    with drive(KILL, config, jobs) as driver:
        out, _ = driver.communicate()
    assert out.split() == ["-9"] * len(deaths), out
    for name, iteration, _ in deaths:
        left = Run(tmp_path / name)
        checkpoint = left.load_checkpoint()
        assert left.status == "running", name
        assert (checkpoint["state"]["done"] if checkpoint else 0) == iteration - 1, f"{name}, killed at {iteration}"
        same_training(quietly(config, tmp_path / name), whole)


INTERRUPT = """
def wait(clock, *_):
    if clock.t == 2:
        print("third iteration", flush=True)
        sys.stdin.readline()
run = train(config, run_dir=sys.argv[2], device="cpu", report=silent, observers=[Observer(wait, every=1)])
print(run.status)
"""


def test_ctrl_c_leaves_a_usable_run_that_finishes_the_same(
    tiny: Tiny, quietly: Quietly, same_training: Same, tmp_path: Path
) -> None:
    config = tiny()
    with drive(INTERRUPT, config, str(tmp_path / "run")) as driver:
        assert driver.stdout is not None and driver.stdout.readline() == "third iteration\n"
        driver.send_signal(signal.SIGINT)
        out, _ = driver.communicate("go on\n")
    assert driver.returncode == 0 and out == "interrupted\n"
    run = Run(tmp_path / "run")
    assert run.status == "interrupted" and run.info["iterations_done"] == 3
    assert evaluate_run(run, save_predictions=False, device="cpu")["cases"] == 2
    scored = run.rows("evaluations")
    quietly(config, run.path)
    assert run.rows("evaluations") == scored and {row["iteration"] for row in scored} == {3}
    forget_evaluation(run, 3)
    same_training(run, quietly(config, tmp_path / "whole"))


def forget_evaluation(run: Run, iteration: int) -> None:
    """Take the rows of an evaluation in between away; the training's own are what remains."""
    checkpoint = run.load_checkpoint()
    assert checkpoint is not None
    for rows in (kept := run.rows("evaluations"), checkpoint["state"]["evaluations"]):
        rows[:] = [row for row in rows if row["iteration"] != iteration]
    run.write_rows("evaluations", kept)
    run.save_checkpoint(checkpoint)


def test_a_schedulers_sigterm_stops_between_two_iterations(
    tiny: Tiny, quietly: Quietly, same_training: Same, tmp_path: Path
) -> None:
    def stop(clock: Any, *_: Any) -> None:
        if clock.t == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    config = tiny("supervised")
    run = quietly(config, tmp_path / "run", observers=[Observer(stop, every=1)])
    assert (run.status, run.info["iterations_done"]) == ("interrupted", 3)
    same_training(quietly(config, run.path), quietly(config, tmp_path / "whole"))


@pytest.mark.parametrize("log_every", [1, 10])
def test_a_loss_that_is_not_finite_names_its_iteration_and_keeps_the_last_good_checkpoint(
    log_every: int,
    tiny: Tiny,
    quietly: Quietly,
    same_training: Same,
    checkpoint_every_iteration: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    config = tiny("supervised", log_every=log_every)
    whole = quietly(config, tmp_path / "whole")
    loss = Supervised.loss

    def poisoned(self: Supervised, batch: Any, clock: Any, *rest: Any) -> Step:
        step = loss(self, batch, clock, *rest)
        bad = step.terms["dice"] * (float("nan") if clock.t == 3 else 1.0)
        return Step(step.total + bad, {**step.terms, "dice": bad}) if clock.t == 3 else step

    with monkeypatch.context() as patch:
        patch.setattr(Supervised, "loss", poisoned)
        with pytest.raises(NonFiniteLoss, match="loss term 'dice' became NaN or infinite at iteration 4"):
            quietly(config, tmp_path / "run")
    run = Run(tmp_path / "run")
    checkpoint = run.load_checkpoint()
    assert run.status == "failed" and "dice" in run.info["error"]
    assert checkpoint is not None and checkpoint["state"]["done"] == 3
    assert all(bool(value.isfinite().all()) for value in checkpoint["method"].values())
    same_training(quietly(config, tmp_path / "run"), whole)
    assert run.info.get("error") is None  # a finished run carries no old error


def test_weights_that_are_not_finite_never_reach_a_checkpoint(
    tiny: Tiny, quietly: Quietly, checkpoint_every_iteration: None, tmp_path: Path
) -> None:
    """A gradient can overflow while the loss is still finite: the weights are then lost, the checkpoint is not."""
    method: list[Supervised] = []

    def spoil(clock: Any, *_: Any) -> None:
        if clock.t == 3:
            with torch.no_grad():
                next(method[0].parameters()).fill_(float("nan"))

    init = Supervised.__init__

    def remember(self: Supervised, *arguments: Any, **shape: Any) -> None:
        init(self, *arguments, **shape)
        method.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Supervised, "__init__", remember)
        with pytest.raises(NonFiniteLoss, match=r"weights .*became NaN or infinite by iteration 4"):
            quietly(tiny("supervised", log_every=10), tmp_path / "run", observers=[Observer(spoil, every=1)])
    checkpoint = Run(tmp_path / "run").load_checkpoint()
    assert checkpoint is not None and checkpoint["state"]["done"] == 3
    assert all(bool(value.isfinite().all()) for value in checkpoint["method"].values())


def test_a_second_training_in_the_same_folder_is_refused_while_the_first_runs(
    tiny: Tiny, quietly: Quietly, same_training: Same, tmp_path: Path
) -> None:
    pytest.importorskip("fcntl")
    config, refused = tiny("supervised"), []

    def again(*_: object) -> None:
        with pytest.raises(
            UserError, match=r"run: another training or evaluation is writing here; wait for it to end"
        ) as caught:
            quietly(config, tmp_path / "run")
        refused.append(caught)

    run = quietly(config, tmp_path / "run", observers=[Observer(again, every=4)])
    assert len(refused) == 1
    same_training(run, quietly(config, tmp_path / "whole"))


def test_a_failure_leaves_the_iteration_of_the_weights_that_are_there(
    tiny: Tiny, quietly: Quietly, clockwork: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tiny("supervised")
    run = quietly(config, tmp_path / "run", max_seconds=2, observers=[clockwork.observer()])
    monkeypatch.setattr(Supervised, "loss", lambda *_: Step(torch.zeros((), requires_grad=True) * float("nan"), {}))
    with pytest.raises(NonFiniteLoss):
        quietly(config, run.path)
    assert run.status == "failed"
    assert evaluate_run(run, save_predictions=False, device="cpu")["conventions"]["iteration"] == 2


@pytest.mark.parametrize("what", ["checkpoint.pt", "weights.safetensors", "history.csv", "run.json"])
def test_a_full_disk_is_one_line_and_leaves_the_files_as_they_were(
    what: str,
    tiny: Tiny,
    quietly: Quietly,
    same_training: Same,
    clockwork: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    config = tiny(iterations=4, log_every=2)
    run = quietly(config, tmp_path / "run", max_seconds=2, observers=[clockwork.observer()])
    before = {path.name: path.read_bytes() for path in run.path.iterdir()}
    replace = os.replace

    def full(source: Path, target: Path) -> None:
        if Path(target).name == what:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(UserError, match=rf"{what}: cannot be written, no space left on the disk") as caught:
            quietly(config, run.path)
    assert "\n" not in str(caught.value)
    assert (run.path / what).read_bytes() == before[what]
    assert not list(run.path.glob(".*.part"))
    same_training(quietly(config, run.path), quietly(config, tmp_path / "whole"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full, a device without room, is there on Linux only")
@pytest.mark.parametrize("what", ["checkpoint.pt", "weights.safetensors"])
def test_the_disk_that_fills_up_in_the_middle_of_a_file_is_named_and_the_same_command_goes_on(
    what: str, tiny: Tiny, quietly: Quietly, same_training: Same, clockwork: Any, tmp_path: Path
) -> None:
    config = tiny(iterations=4, log_every=2)
    run = quietly(config, tmp_path / "run", max_seconds=2, observers=[clockwork.observer()])
    (run.path / f".{what}.part").symlink_to("/dev/full")
    with pytest.raises(UserError, match=rf"{what}: cannot be written, no space left on the disk"):
        quietly(config, run.path)
    assert run.status == "failed" and what in run.info["error"]
    assert not list(run.path.glob(".*.part"))
    same_training(quietly(config, run.path), quietly(config, tmp_path / "whole"))
