"""A mistake in what a benchmark is given is told in one line, with exit code 2, and nothing is written."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
import torch

from ssmis_core import Run, UserError, configure
from ssmis_core.datasets.la import FOLDER
from ssmis_core.files import read_csv, write_csv

NUMBERS = {  # of each script, with what else it asks for
    "compare": ("--jobs --threads --iterations --labels", "--folder runs"),
    "data_pipeline": ("--rounds --batches --threads", "--la la --released released"),
    "evaluation": ("--volumes --filters --patch", "--la la --released released --run run"),
    "group_norm": ("--rounds --size", ""),
    "growth": ("--rounds --filters --side --size --threads", ""),
    "host_memory": ("--rounds --threads --filters --patch", ""),
    "mean_shape": ("--size", ""),
    "method_cost": ("--rounds --threads --filters --size --patch", ""),
    "metrics": ("--repeats --cases --threads", "--la la"),
    "roofline": ("--patch --step --threads", ""),
    "same_training": ("--iterations --threads", "--folder runs"),
    "signed_distance": ("--batch --rounds", "--la la"),
    "sliding_window": ("--volumes --rounds --filters --patch", "--la la --released released"),
    "startup": ("--repeats", ""),
    "train_samples": ("--labeled --iterations --jobs --threads", "--folder runs"),
    "training_step": ("--rounds --timed --patch --threads", "--la la --released released"),
    "viewer_latency": ("--scrolls --moves --cases --threads", ""),
}


@pytest.fixture
def run(
    script: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Callable[..., str]:
    """What a script says on stderr that refuses its arguments with exit code 2, and writes nothing."""
    monkeypatch.chdir(tmp_path)

    def refused(name: str, *arguments: str) -> str:
        before = sorted(tmp_path.rglob("*"))
        monkeypatch.setattr("sys.argv", [f"{name}.py", "--out", "out.csv", *arguments])
        try:
            code = script(name).main()
        except SystemExit as error:  # argparse
            code = error.code
        assert code == 2 and sorted(tmp_path.rglob("*")) == before
        return capsys.readouterr().err

    return refused


@pytest.fixture
def la(tmp_path: Path) -> Path:
    """What looks like the data set, without a volume."""
    (tmp_path / "la" / FOLDER).mkdir(parents=True)
    (tmp_path / "la" / "train.list").write_text("")
    return tmp_path / "la"


@pytest.mark.parametrize("name", NUMBERS)
def test_what_counts_something_is_a_whole_number_of_at_least_one(name: str, run: Callable[..., str]) -> None:
    flags, needed = map(str.split, NUMBERS[name])
    for flag in flags:
        for number in ("0", "-1", "1.5", "many"):
            values = [number] * (3 if flag == "--patch" else 1)
            *usage, told = run(name, *needed, flag, *values).splitlines()
            assert usage[0].startswith("usage: ") and told.startswith(f"{name}.py: error: argument {flag}: {number}: ")
            assert told.endswith("expected a whole number of at least 1")


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("compare", "--folder runs --max-seconds nan", "nan: expected seconds, a number above 0"),
        ("evaluation", "--la la --released it --run run --train-seconds 0", "0: expected seconds, a number above 0"),
        ("training_step", "--la la --released it --warm-up -1", "-1: expected a whole number of at least 0"),
    ],
)
def test_other_numbers_have_bounds_of_their_own(name: str, given: str, told: str, run: Callable[..., str]) -> None:
    assert run(name, *given.split()).endswith(f": {told}\n")


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("training_step", "--la nowhere --released .", "no folder '2018LA_Seg_Training Set' in"),
        (
            "training_step",
            "--la la --released nowhere",
            "SS-Net/code: no such folder, expected the checkouts",
        ),
        ("training_step", "--la la --released . --patch 40 40 40", "every side must be a multiple of 16"),
        ("data_pipeline", "--la nowhere --released .", "no folder '2018LA_Seg_Training Set' in"),
        ("data_pipeline", "--la la --released .", "SS-Net/code: no such folder"),
        ("sliding_window", "--la la --released .", "SS-Net/code: no such folder"),
        ("signed_distance", "--la nowhere", "no folder '2018LA_Seg_Training Set' in"),
        ("metrics", "--la nowhere", "no folder '2018LA_Seg_Training Set' in"),
        ("mean_shape", "--data-root nowhere", "acdc: neither "),
        ("growth", "--method ugmlc --size 16", "unknown method 'ugmlc'; did you mean 'ugmcl'?"),
        ("method_cost", "--methods ugmlc --size 32", "unknown method 'ugmlc'; did you mean 'ugmcl'?"),
        ("roofline", "--methods ugmlc", "unknown method 'ugmlc'; did you mean 'ugmcl'?"),
        ("same_training", "--folder runs --methods ugmlc", "unknown method 'ugmlc'; did you mean 'ugmcl'?"),
        ("group_norm", "--size 8", "patch 8x8: every side must be a multiple of 16"),
        ("host_memory", "--patch 8 8 8 --filters 2", "patch 8x8x8: every side must be a multiple of 16"),
        ("walkthrough", "nowhere.ipynb --folder runs", "nowhere.ipynb: no such file, expected a notebook"),
    ],
)
def test_what_is_not_there_is_told_in_one_line(
    name: str, given: str, told: str, la: Path, run: Callable[..., str]
) -> None:
    message = run(name, *given.split())
    assert message.startswith(f"{name}: ") and told in message and message.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "given"), [("page_tables", ["nowhere.md"]), ("one_table", ["out.csv", "nowhere.csv"])]
)
def test_a_file_that_is_not_there_is_told_in_one_line(
    name: str,
    given: list[str],
    script: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [f"{name}.py", *given])
    assert script(name).main() == 2 and not any(tmp_path.iterdir())
    assert capsys.readouterr().err == f"{name}: {given[-1]}: No such file or directory\n"


def test_a_notebook_that_fails_says_so_after_papermill(tmp_path: Path, run: Callable[..., str]) -> None:
    notebook = tmp_path / "broken.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")]), notebook)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "out.ipynb").touch()  # papermill keeps what it ran, to be looked at
    assert run("walkthrough", "broken.ipynb", "--folder", "runs").endswith(
        "walkthrough: broken.ipynb: did not run to its end; papermill's message stands above\n"
    )


def test_start_up_is_of_an_installed_command(
    script: Callable[[str], ModuleType], run: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(script("startup"), "SSMIS", tmp_path / "ssmis")
    assert run("startup") == (
        f"startup: {tmp_path}/ssmis: no such file, expected the installed command; run `make install` first\n"
    )


def test_a_run_that_the_released_side_does_not_match_is_told_before_anything_is_timed(
    script: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    run = Run.create(tmp_path / "run", configure("supervised", dataset="phantom", labeled=4))
    options = Namespace(run=run.path, patch=[112, 112, 80], filters=16)
    with pytest.raises(UserError, match="its dataset is phantom, expected la, as the released side has it"):
        script("evaluation").trained(options, "cpu")


def test_the_table_of_all_says_which_benchmark_a_row_is_of(
    script: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_csv(tmp_path / "growth.csv", [{"topic": "samples", "value": 2}])
    write_csv(tmp_path / "metrics.csv", [{"ratio": 3.5}])
    monkeypatch.setattr(
        "sys.argv", ["one_table.py", *(str(tmp_path / f"{n}.csv") for n in ("all", "growth", "metrics"))]
    )
    assert script("one_table").main() == 0
    growth, metrics = read_csv(tmp_path / "all.csv")
    assert (growth["benchmark"], growth["topic"], growth["value"]) == ("growth", "samples", 2)
    assert (metrics["benchmark"], metrics["ratio"]) == ("metrics", 3.5)


def test_an_evaluation_without_the_released_code_trains_nothing(
    script: Callable[[str], ModuleType], la: Path, run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script("evaluation"), "find_spec", lambda name: name)  # as if medpy were installed
    assert "SS-Net/code: no such folder" in run("evaluation", "--la", "la", "--released", ".", "--run", "run")


def test_released_scripts_need_the_list_beside_the_folder(la: Path, run: Callable[..., str]) -> None:
    (la / "train.list").unlink()
    assert "la: expected 'train.list' and '2018LA_Seg" in run("training_step", "--la", "la", "--released", ".")


@pytest.mark.skipif(torch.cuda.is_available(), reason="is for a machine without CUDA")
def test_cuda_that_is_not_there_is_told_before_anything_is_read(run: Callable[..., str]) -> None:
    message = run("signed_distance", "--la", "nowhere", "--devices", "cpu", "cuda")
    assert message.startswith("signed_distance: device 'cuda': this machine has no CUDA device")
    assert message.count("\n") == 1
