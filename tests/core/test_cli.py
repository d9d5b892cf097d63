"""The `ssmis` command: train, evaluate and predict in a row, stops, and the process itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from ssmis_core import cli, training
from ssmis_core.methods import METHODS
from ssmis_core.methods.overview import cost
from ssmis_core.runs import Run, default_run_dir
from tests.core.cli_helpers import FLAT, contents, empty_folder, write_nifti

fresh = pytest.fixture(autouse=True)(empty_folder)


def test_train_then_evaluate_then_predict(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["train", *FLAT]) == 0
    (folder,) = Path("runs").iterdir()
    assert folder.name.startswith("supervised-phantom-2-quick-seed0-")
    shown = capsys.readouterr().out
    for part in ("left atrium", "Dice %", "Jaccard %", "95HD", "ASD", "missed", "20 test cases", "the last iteration"):
        assert part in shown
    assert shown.splitlines()[-1] == f"run folder: {folder}"
    scores = json.loads((folder / "summary.json").read_text())["classes"]["left atrium"]
    assert f"{100 * scores['dice']['mean']:.2f}" in shown

    assert cli.run(["evaluate", str(folder), "--empty", "zero", "--largest-component", "--precision", "bf16"]) == 0
    shown = capsys.readouterr().out
    assert "scores 0 everywhere" in shown and "Precision of the network's passes: bf16." in shown
    said = json.loads((folder / "summary.json").read_text())["conventions"]
    assert (said["empty"], said["largest_component"]) == ("zero", True)

    image = write_nifti(Path("scan.nii.gz"), np.random.default_rng(1).normal(50, 9, (20, 18, 1)))
    assert cli.run(["predict", str(folder), str(image), "--precision", "bf16"]) == 0
    labels = nibabel.load("scan-labels.nii.gz")
    assert labels.shape == (20, 18, 1)
    assert "left atrium" in capsys.readouterr().out


def test_a_finished_training_is_not_done_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["train", *FLAT, "--no-evaluate", "--run-dir", "r"]) == 0
    assert "ssmis evaluate r" in capsys.readouterr().out
    before = contents(Path("r"))
    assert cli.run(["train", *FLAT, "--no-evaluate", "--run-dir", "r"]) == 0
    assert contents(Path("r")) == before
    assert "summary.json" not in before


def test_every_combination_of_settings_has_a_folder_that_the_same_command_finds_again() -> None:
    for settings in (
        [],
        ["--set", "beta=0.5"],
        ["--variant", "released", "--set", "network=vnet"],
        ["--iterations", "2"],
    ):
        command = ["train", "ugmcl", *FLAT[1:], "--no-evaluate", "--max-seconds", "0", *settings]
        before = set(Path("runs").glob("*"))
        assert cli.run(command) == 0
        (folder,) = set(Path("runs").iterdir()) - before
        assert folder == default_run_dir(Run(folder).config)
        assert cli.run([*command, "--device", "cpu"]) == 0
        assert Run(folder).info["iterations_done"] == 2
    assert len(list(Path("runs").glob("ugmcl-released-phantom-2-quick-seed0-*"))) == 1


def test_ctrl_c_saves_everything_and_the_same_command_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Impatient(training.TerminalReporter):
        def __call__(self, progress: Any) -> None:
            if progress.status == "running" and progress.done == 1:
                os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(training, "TerminalReporter", Impatient)
        assert cli.run(["train", *FLAT, "--run-dir", "r"]) == 130
    told = capsys.readouterr()
    assert "interrupted at iteration 1 of 3; everything is saved in r" in told.out
    assert "same command" in told.out
    assert Run("r").status == "interrupted"
    assert not Path("r/summary.json").exists()
    assert cli.run(["train", *FLAT, "--run-dir", "r"]) == 0
    assert Run("r").status == "finished"
    assert cli.run(["train", *FLAT, "--run-dir", "straight"]) == 0
    assert Path("r/weights.safetensors").read_bytes() == Path("straight/weights.safetensors").read_bytes()


def test_max_seconds_stops_without_evaluation(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["train", *FLAT, "--run-dir", "r", "--max-seconds", "0"]) == 0
    assert "stopped at iteration 1 of 3" in capsys.readouterr().out
    assert Path("r/weights.safetensors").is_file() and not Path("r/summary.json").exists()


def test_a_loss_that_is_not_finite_ends_in_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["train", *FLAT, "--run-dir", "r", "--set", "learning_rate=1e38", "--set", "optimiser=sgd"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("ssmis: ")] == lines[-1:]
    assert Run("r").status == "failed"


def test_results_selected_on_the_test_list_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["train", *FLAT, "--protocol", "best-on-test", "--validate-every", "2"]) == 0
    assert "best on the TEST list" in capsys.readouterr().out


def test_settings_and_options_reach_the_run() -> None:
    assert cli.run(["train", *FLAT, "--run-dir", "r", "--no-evaluate", "--seed", "7", "--set", "augmentations="]) == 0
    config = Run("r").config
    assert (config.seed, config.patch, config.options["filters"], config.options["augmentations"]) == (
        7,
        (16, 16),
        2,
        [],
    )


def test_methods_lists_them_and_their_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["methods"]) == 0
    shown = capsys.readouterr().out
    assert "ugmcl" in shown and "released" in shown and "2022" in shown
    lines = {line.split()[0]: line for line in shown.splitlines() if line}
    assert set(METHODS) <= set(lines) and "averaged" not in lines["supervised"]
    assert "  1 + 1 averaged  " in lines["mean_teacher"]
    for name in METHODS:
        assert all(f"  {value:.1f}x  " in lines[name] for value in cost(name).values())
    assert cli.run(["methods", "--options", "ugmcl"]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("beta "))
    assert row.split() == ["beta", "float", "0.75", "0.5"]


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1])}
    whole = [sys.executable, "-m", "ssmis_core.cli", *arguments]
    return subprocess.run(whole, capture_output=True, text=True, env=environment)


def test_the_process_ends_with_the_code_and_one_line() -> None:
    done = command("data", "check", "atrium")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("ssmis: unknown data set 'atrium'") and done.stderr.count("\n") == 1
    assert command("--version").stdout.startswith("ssmis ")


def test_help_imports_nothing_slow() -> None:
    code = "import sys; from ssmis_core import cli; cli.run(['train', '--help']); print(*sys.modules, file=sys.stderr)"
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert done.returncode == 0 and "typer" in loaded
    assert loaded.isdisjoint({"torch", "numpy", "scipy", "rich", "h5py", "nibabel", "pandas", "requests"})


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["data"],
        ["data", "list"],
        ["data", "fetch"],
        ["data", "check"],
        ["methods"],
        ["train"],
        ["stop"],
        ["evaluate"],
        ["predict"],
    ],
)
def test_every_help_has_an_example(names: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([*names, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Example" in shown and "\n    ssmis " in shown


def test_errors_that_are_ours_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(cli, "app", broken)
    with pytest.raises(RuntimeError, match="a defect"):
        cli.run(["methods"])
