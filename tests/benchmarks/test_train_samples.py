"""Samples: made once, small, and what is opened is what was scored."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from ssmis_core import Run, UserError, evaluate_run
from ssmis_core import samples as library
from ssmis_core.datasets import phantom
from ssmis_core.methods import METHODS
from ssmis_core.samples import export_sample, open_sample, samples
from tests.conftest import REPOSITORY

SMALL = ["--datasets", "phantom", "--data-option", "dims=2", "--data-option", "size=32", "--labeled", "2"]
SMALL += ["--set", "patch=32", "--set", "stride=32", "--iterations", "2", "--device", "cpu", "--data-root", "nowhere"]


@pytest.fixture
def script_of_samples(script: Callable[[str], ModuleType], few_cases: None) -> ModuleType:
    return script("train_samples")


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with samples of supervised and UG-MCL, and the runs that they were made of; tests work on copies."""
    folder = tmp_path_factory.mktemp("once")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(REPOSITORY / "benchmarks")
        patch.setattr(phantom, "TRAIN", 10)
        patch.setattr(phantom, "TEST", 2)
        assert importlib.import_module("train_samples").main(command(folder)) == 0
    return folder


@pytest.fixture
def made(once: Path, few_cases: None, tmp_path: Path) -> list[str]:
    """The command that has made the samples in tmp_path."""
    shutil.copytree(once, tmp_path, dirs_exist_ok=True)
    return command(tmp_path)


def command(folder: Path, *methods: str) -> list[str]:
    where = ["--folder", str(folder / "runs"), "--out", str(folder / "samples")]
    return [*where, *SMALL, "--methods", *(methods or ("supervised", "ugmcl"))]


def test_samples_are_made_once_and_again_for_another_configuration(
    made: list[str], script_of_samples: ModuleType, tmp_path: Path
) -> None:
    root = tmp_path / "samples"
    assert samples(root) == ["phantom/supervised", "phantom/ugmcl"]
    assert not list(root.rglob("*.part")) and not list(root.rglob("checkpoint.pt"))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert script_of_samples.main(made) == 0
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert script_of_samples.main([*made, "--set", "weight_decay=0.5"]) == 0
    assert open_sample("phantom/ugmcl", root).config.options["weight_decay"] == 0.5


@pytest.mark.parametrize("name", ["supervised", "ugmcl"])
def test_the_scores_of_a_sample_are_those_of_its_stored_weights(name: str, made: list[str], tmp_path: Path) -> None:
    sample = open_sample(f"phantom/{name}", tmp_path / "samples")
    (run,) = (one for path in (tmp_path / "runs").glob("*/*") if (one := Run(path)).config.method == name)
    stored, full = sample.load_weights(), run.load_weights()
    assert {value.dtype for value in stored.values() if value.is_floating_point()} == {torch.float16}
    assert stored.keys() == full.keys()
    for key, value in full.items():
        torch.testing.assert_close(stored[key].to(value.dtype), value, rtol=1e-3, atol=1e-6)
    assert all(p.dtype == torch.float32 for p in sample.method().parameters())
    assert sample.info["stored"] == {"weights": "float16", "dice_in_full": run.summary["mean"]["dice"]}
    rows, summary = sample.rows("cases"), sample.summary
    assert len(rows) == 2 and summary["conventions"]["predictions"] == "not written"
    assert evaluate_run(sample, device="cpu", save_predictions=False)["mean"] == pytest.approx(summary["mean"])
    assert sample.rows("history") == run.rows("history") and "data_root" not in sample.info


def test_a_sample_that_is_not_there_is_a_user_error_that_lists_those_that_are(made: list[str], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown sample 'phantom/ugmlc'; did you mean 'phantom/ugmcl'\?"):
        open_sample("phantom/ugmlc", tmp_path / "samples")
    with pytest.raises(UserError, match=r"unknown sample 'a/b' \(known: none\)"):
        open_sample("a/b", tmp_path / "empty")


def test_weights_that_are_too_large_leave_the_sample_that_was_there(
    made: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sample = open_sample("phantom/ugmcl", tmp_path / "samples")
    (run,) = (one for path in (tmp_path / "runs").glob("*/*") if (one := Run(path)).config.method == "ugmcl")
    monkeypatch.setattr(library, "LIMIT", 1000)
    with pytest.raises(UserError, match=r"MB of weights, expected at most 0; fewer filters\?"):
        export_sample(run, sample.path)
    assert samples(tmp_path / "samples") == ["phantom/supervised", "phantom/ugmcl"]
    assert open_sample("phantom/ugmcl", tmp_path / "samples").rows("cases")
    run.update(status="stopped")
    with pytest.raises(UserError, match="is stopped, expected a finished run"):
        export_sample(run, tmp_path / "other")


def test_methods_that_are_not_registered_are_left_out_unless_they_are_named(
    script_of_samples: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(script_of_samples, "WANTED", ("supervised", "nonsense"))
    assert script_of_samples.registered(None) == ["supervised"]
    assert "left out, not registered: nonsense" in capsys.readouterr().err
    assert script_of_samples.main(command(tmp_path, "nonsense")) == 2
    assert "unknown method 'nonsense'" in capsys.readouterr().err and not (tmp_path / "runs").exists()


def test_every_sample_of_the_repository_opens_and_is_small() -> None:
    for name in samples():
        run = open_sample(name)
        dataset, method = name.split("/")
        assert (run.config.dataset, run.config.method) == (dataset, method) and method in METHODS
        assert (run.path / "weights.safetensors").stat().st_size < 5_100_000
        assert run.summary["cases"] == 20 and run.method().training is False
