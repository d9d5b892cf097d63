"""The comparison: every run once, the same command goes on, and the tables are those of the run folders."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ssmis_core import Run, evaluate_run, train, training
from ssmis_core.datasets import acdc
from ssmis_core.errors import NonFiniteLoss
from ssmis_core.files import read_csv
from ssmis_core.methods.supervised import Supervised
from ssmis_core.progress import silent
from ssmis_core.statistics import paired_difference
from tests.conftest import REPOSITORY
from tests.core.datasets.acdc_helpers import TEST, TRAIN, preprocessed

SMALL = ["--data-option", "size=32", "--dims", "2", "--iterations", "2", "--labels", "2", "--device", "cpu"]
SMALL += [word for pair in ("filters=2", "patch=32", "stride=32") for word in ("--set", pair)]
ENTRIES = """
[[entry]]
name = "without cross-task"
method = "ugmcl"
options = { cross_task = false }
"""


@pytest.fixture
def compare(script: Callable[[str], ModuleType], few_cases: None) -> ModuleType:
    return script("compare")


def state(folder: Path) -> dict[str, int]:
    """When each file of the run folders was written."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*/*") if path.is_file()}


def test_every_run_is_made_once_and_the_tables_are_those_of_the_folders(compare: ModuleType, tmp_path: Path) -> None:
    entries = tmp_path / "entries.toml"
    entries.write_text(ENTRIES)
    command = ["--folder", str(tmp_path / "runs"), "--out", str(tmp_path / "out.csv"), *SMALL]
    command += ["--methods", "supervised", "ugmcl", "--entries", str(entries), "--variants", "paper", "released"]
    assert compare.main([*command, "--seeds", "0"]) == 0
    first = state(tmp_path / "runs")
    assert compare.main([*command, "--seeds", "0", "1"]) == 0
    second = state(tmp_path / "runs")
    assert first.items() <= second.items() and len(second) == 2 * len(first)

    rows = read_csv(tmp_path / "out.csv")
    names = {
        ("supervised", "paper"),
        *((name, v) for name in ("ugmcl", "without cross-task") for v in ("paper", "released")),
    }
    assert {(row["name"], row["variant"], row["seed"]) for row in rows} == {
        (*name, s) for name in names for s in (0, 1)
    }
    for row in rows:
        run = Run(tmp_path / "runs" / "phantom-2d" / row["run"])
        assert (run.config.method, run.config.seed, run.config.variant) == (row["method"], row["seed"], row["variant"])
        assert run.config.options.get("cross_task") is (None if row["name"] == "supervised" else row["name"] == "ugmcl")
        assert row["dice"] == pytest.approx(run.summary["mean"]["dice"], rel=1e-3)
        assert row["status"] == "finished" and row["seconds"] == run.info["seconds"] and row["machine"] and row["torch"]

    dice = {(row["name"], row["variant"], row["seed"]): row["dice"] for row in rows}
    pairs = {(p["comparison"], p["over"]): p for p in read_csv(tmp_path / "out_pairs.csv") if p["metric"] == "dice"}
    told = pairs["ugmcl minus supervised", "seeds"]
    expected = paired_difference(*([dice[n, "paper", s] for s in (0, 1)] for n in ("ugmcl", "supervised")))
    assert (told["mean"], told["low"], told["n"]) == (
        pytest.approx(expected.mean, abs=2e-5),  # the table has five digits
        pytest.approx(expected.low, abs=2e-4),
        2,
    )
    assert pairs["ugmcl minus ugmcl (released)", "cases"]["against"] == "variant"
    assert pairs["without cross-task (released) minus supervised", "seeds"]["n"] == 2
    (means,) = (
        row for row in read_csv(tmp_path / "out_means.csv") if (row["name"], row["variant"]) == ("ugmcl", "paper")
    )
    assert means["dice"] == pytest.approx(np.mean([dice["ugmcl", "paper", s] for s in (0, 1)]), rel=1e-3)


def test_structures_of_acdc_are_compared_each_by_itself(
    script: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = {"train": TRAIN[:8], "val": TRAIN[8:10], "test": TEST[:2]}
    monkeypatch.setattr(acdc, "published_list", lambda path: tuple(lists[path.stem]))
    for number, case in enumerate((*TRAIN[:10], *TEST[:2])):
        preprocessed(tmp_path / "data", case, number)
    command = ["--folder", str(tmp_path / "runs"), "--out", str(tmp_path / "out.csv"), "--datasets", "acdc"]
    command += ["--data-root", str(tmp_path / "data"), "--labels", "2", "--seeds", "0", "1", "--iterations", "2"]
    command += ["--methods", "supervised", "ssnet", "--device", "cpu"]
    command += [word for pair in ("filters=2", "patch=32", "stride=32", "resize=32") for word in ("--set", pair)]
    assert script("compare").main([*command, "--set", "factor=1"]) == 0
    rows, classes = read_csv(tmp_path / "out.csv"), read_csv(tmp_path / "out_classes.csv")
    assert {(row["dataset"], row["dims"], row["labeled"], row["cases"]) for row in rows} == {("acdc", 2, 2, 2)}
    names = ["right ventricle", "myocardium", "left ventricle"]
    assert [(row["name"], row["class"]) for row in classes] == [(m, c) for m in ("supervised", "ssnet") for c in names]
    runs = [Run(tmp_path / "runs" / "acdc-2d" / row["run"]) for row in rows if row["name"] == "ssnet"]
    for row in classes[3:]:
        told = [run.summary["classes"][row["class"]]["dice"]["mean"] for run in runs]
        assert row["dice"] == pytest.approx(np.mean(told), rel=1e-3) and row["seeds"] == len(runs) == 2


def test_a_run_that_was_stopped_goes_on_and_is_evaluated_again(
    compare: ModuleType, clockwork: Any, tmp_path: Path
) -> None:
    command = ["--folder", str(tmp_path), "--methods", "supervised", "--seeds", "0", *SMALL]
    (job,) = compare.jobs(compare.parse(command))
    run = train(
        job.config, run_dir=job.folder, device="cpu", report=silent, max_seconds=1, observers=[clockwork.observer()]
    )
    assert run.status == "stopped" and evaluate_run(run, save_predictions=False)["conventions"]["iteration"] == 1
    assert not job.done
    assert compare.main(command) == 0
    assert job.done and run.status == "finished" and run.summary["conventions"]["iteration"] == 2
    assert len(run.rows("history")) == 1  # two halves of one log interval, not two trainings


def test_when_the_time_is_over_what_runs_is_stopped_and_the_rest_is_left(
    compare: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--folder", str(tmp_path), "--methods", "supervised", "mean_teacher", "--seeds", "0", *SMALL]
    clock = iter([0.0, 9.999999, 10.0])  # the command begins, then each run
    with monkeypatch.context() as patch:
        patch.setattr(compare, "time", SimpleNamespace(monotonic=lambda: next(clock)))
        assert compare.main([*command, "--max-seconds", "10"]) == 0
    told = capsys.readouterr().out
    assert ": stopped" in told and "not begun: the time is over" in told
    assert [(row["name"], row["status"]) for row in read_csv(tmp_path / "runs.csv")] == [("supervised", "stopped")]
    assert compare.main(command) == 0
    assert [row["status"] for row in read_csv(tmp_path / "runs.csv")] == ["finished", "finished"]


def test_a_run_that_fails_is_a_row_and_the_others_are_made(
    compare: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def diverge(*_: Any) -> None:
        raise NonFiniteLoss("loss term 'dice' became NaN or infinite at iteration 1")

    monkeypatch.setattr(Supervised, "loss", diverge)
    command = ["--folder", str(tmp_path), "--methods", "supervised", "mean_teacher", "--seeds", "0", *SMALL]
    assert compare.main(command) == 0
    rows = {row["name"]: row for row in read_csv(tmp_path / "runs.csv")}
    assert rows["supervised"]["status"] == "failed" and "'dice' became NaN" in rows["supervised"]["error"]
    assert np.isnan(rows["supervised"]["dice"]) and rows["mean_teacher"]["status"] == "finished"
    assert "failed: loss term 'dice'" in capsys.readouterr().out


def test_ctrl_c_stops_and_the_same_command_goes_on(
    compare: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    command = ["--folder", str(tmp_path), "--methods", "supervised", "mean_teacher", "--seeds", "0", *SMALL]
    row = training.Training.write_row

    def interrupt(self: Any, *arguments: Any) -> None:
        row(self, *arguments)
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(training.Training, "write_row", interrupt)
        assert compare.main([*command, "--set", "log_every=1"]) == 130
    (stopped,) = read_csv(tmp_path / "runs.csv")
    assert (stopped["name"], stopped["status"]) == ("supervised", "interrupted")
    assert compare.main([*command, "--set", "log_every=1"]) == 0
    assert [row["status"] for row in read_csv(tmp_path / "runs.csv")] == ["finished", "finished"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--methods", "supervised", "ugmlc"], "unknown method 'ugmlc'; did you mean 'ugmcl'"),
        (["--methods", "supervised", "--variants", "relaesed"], "unknown variant 'relaesed'"),
        (["--methods", "ugmcl"], "unknown baseline 'supervised' (known: ugmcl)"),
        (["--datasets", "fantom"], "unknown data set 'fantom'; did you mean 'phantom'"),
        (["--set", "beta=0.5"], "unknown option of"),
        (["--entries", "nothing.toml"], "nothing.toml: "),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_trained(
    compare: ModuleType, wrong: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare.main(["--folder", str(tmp_path / "runs"), *SMALL, *wrong]) == 2
    told = capsys.readouterr()
    assert told.err.startswith("compare: ") and message in told.err and told.err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("options = { iterations = 9 }", "entry 'changed' sets iterations"),
        ("options = { labeled = 9 }", "entry 'changed' sets labeled"),
        ("options = 9", "entry 'changed': expected name and method as text, options as a table"),
        ("opitons = {}", "expected [[entry]] tables of name, method, options"),
    ],
)
def test_an_entry_that_cannot_be_is_one_line(
    compare: ModuleType, entry: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "entries.toml"
    file.write_text(f'[[entry]]\nname = "changed"\nmethod = "ssnet"\n{entry}\n')
    given = ["--folder", str(tmp_path / "runs"), "--methods", "supervised", "--entries", str(file)]
    assert compare.main([*given, *SMALL]) == 2
    told = capsys.readouterr().err
    assert told.startswith("compare: ") and message in told and told.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_several_processes_are_told_to_stop_and_save_where_they_are(tmp_path: Path) -> None:
    """Three endless trainings in two processes, and a SIGTERM to the first one: the third is not begun."""
    script = str(REPOSITORY / "benchmarks" / "compare.py")
    command = [sys.executable, script, "--folder", str(tmp_path), "--methods", "supervised", "--jobs", "2", *SMALL]
    endless = [*command, "--iterations", "100000", "--set", "log_every=10"]
    with subprocess.Popen(endless, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as process:
        deadline = time.monotonic() + 120
        while len(list(tmp_path.glob("*/*/history.csv"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 130 and "stopped; the same command goes on" in out
    runs = [Run(path.parent) for path in sorted(tmp_path.glob("*/*/run.json"))]
    assert [run.status for run in runs] == ["interrupted"] * 2
    assert all((run.path / "weights.safetensors").is_file() for run in runs)
    assert {run.config.seed for run in runs} == {0, 1} and {run.info["threads"] for run in runs} == {1}
    assert [row["status"] for row in read_csv(tmp_path / "runs.csv")] == ["interrupted"] * 2
