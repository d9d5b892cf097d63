"""The scripts for a GPU machine keep what worked and say what did not; here with a stand-in for the interpreter."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.skipif(shutil.which("timeout") is None, reason="needs GNU coreutils")
CHECKOUTS = ("SS-Net", "UG-MCL", "TraCoCo", "shuaiAIMedcalLab")
INTERPRETER = """#!/usr/bin/env bash
case "$*" in
    *is_available*) echo "a warning" >&2; echo {device}; exit ;;
    *one_table*) exec {python} "$@" ;;
    *{failing}*) echo "no device"; exit 1 ;;
esac
while [ $# -gt 0 ]; do
    if [ "$1" = --out ]; then printf 'ratio\\n2.5\\n' >"$2"; echo "wrote $2"; fi
    shift
done
"""


METHODS = ("cpam_trcm", "ssnet", "tracoco", "ugmcl")
FINISHED = """#!/usr/bin/env bash
case "$*" in
    *is_available*) echo cpu; exit ;;
    *{stopped}*) exit 3 ;;
esac
mkdir -p {runs}/la-3d/one && cd {runs}/la-3d/one && touch run.json weights.safetensors summary.json
"""


def laid_out(folder: Path) -> None:
    """Folders for LA, and for the released code."""
    for name in ("la/2018LA_Seg_Training Set", *(f"released/{c}" for c in CHECKOUTS)):
        (folder / name).mkdir(parents=True, exist_ok=True)


def stand_in(folder: Path, text: str) -> dict[str, str]:
    """The environment in which $PYTHON is a script of that text."""
    python = folder / "python"
    python.write_text(text)
    python.chmod(0o755)
    return {**os.environ, "PYTHON": str(python)}


def run(script: str, *arguments: Path | str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [REPOSITORY / "benchmarks" / script, *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)


def gpu(folder: Path, failing: str, device: str = "cuda", **env: str) -> subprocess.CompletedProcess[str]:
    laid_out(folder)
    known = stand_in(folder, INTERPRETER.format(python=sys.executable, failing=failing, device=device))
    return run("gpu.sh", folder / "la", folder / "released", folder / "out", env={**known, **env})


def test_every_topic_is_a_part_of_one_table(tmp_path: Path) -> None:
    done = gpu(tmp_path, failing="nothing")
    assert done.returncode == 0, done.stderr
    compiled, steps = ([f"{kind}_step_{name}" for name in METHODS] for kind in ("compiled", "training"))
    topics = [*compiled, "evaluation", "signed_distance", "sliding_window", *steps]
    assert (tmp_path / "out" / "gpu.csv").read_text().split() == [
        "benchmark,ratio",
        *(f"{name},2.5" for name in topics),
    ]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["gpu.csv", "gpu.log"]


def test_a_topic_that_fails_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    done = gpu(tmp_path, failing="training_step_ugmcl")
    assert done.returncode == 1 and "not finished: training_step_ugmcl;" in done.stdout
    kept = (tmp_path / "out" / "gpu.csv").read_text()
    assert "training_step_ugmcl" not in kept and "training_step_cpam_trcm" in kept
    assert "== training_step_ugmcl\nno device\n" in (tmp_path / "out" / "gpu.log").read_text()


def test_the_limits_leave_time_within_ten_minutes() -> None:
    """Four methods share one line; a stopped topic may take five seconds more; compiled networks have the rest."""
    text = (REPOSITORY / "benchmarks" / "gpu.sh").read_text(encoding="utf-8")
    limits = {
        name: int(seconds) for name, seconds in re.findall(r'^ *topic "?(\w+?)(?:_\$method"?)? (\d+) ', text, re.M)
    }
    assert set(limits) == {"signed_distance", "sliding_window", "training_step", "evaluation", "cuda_tests"}
    (end,), (least,) = (map(int, re.findall(pattern, text)) for pattern in (r"end=(\d+)", r'"\$left" -lt (\d+)'))
    assert sum(limits.values()) + 3 * limits["training_step"] + 8 * 5 + least < end < 590 - 5


def test_compiled_networks_are_left_out_where_there_is_no_time(tmp_path: Path) -> None:
    done = gpu(tmp_path, failing="nothing", SECONDS="520")  # as long as it has run already
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("no time left for compiled networks of ") == 4
    assert "compiled_step" not in (tmp_path / "out" / "gpu.csv").read_text()


def test_its_scripts_know_the_options_that_it_gives(
    script: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """With a data set that has no volumes: a wrong option would be told first, with the usage."""
    laid_out(tmp_path)
    given = tmp_path / "given"
    asked = 'case "$*" in *is_available*) echo cuda; exit;; esac'
    env = stand_in(tmp_path, f'#!/usr/bin/env bash\n{asked}\nprintf "%s\\t" "$@" >>{given}; echo >>{given}\n')
    run("gpu.sh", tmp_path / "la", tmp_path / "released", tmp_path / "out", env=env)
    commands = [line.split("\t")[:-1] for line in given.read_text().splitlines()]
    measured = [command for command in commands if command[0] != "-m"]
    assert len(commands) == 12 and len(measured) == 11
    for command in measured:
        monkeypatch.setattr("sys.argv", command)
        assert script(Path(command[0]).stem).main() == 2
        assert "usage:" not in capsys.readouterr().err


WRONG = [
    ("la", "LA {}/la: expected a folder '2018LA_Seg_Training Set' in it"),
    ("released/UG-MCL", "RELEASED {}/released: expected a folder 'UG-MCL' in it"),
    ("released", "RELEASED {}/released: no such folder, expected one with SS-Net UG-MCL TraCoCo shuaiAIMedcalLab"),
    ("python", "PYTHON={}/python: no such command, expected a Python with what the package needs"),
]


@pytest.mark.parametrize(("missing", "told"), WRONG)
def test_what_is_not_there_is_one_line_and_what_was_measured_stays(missing: str, told: str, tmp_path: Path) -> None:
    laid_out(tmp_path)
    env = stand_in(tmp_path, INTERPRETER.format(python=sys.executable, failing="nothing", device="cuda"))
    gone = tmp_path / missing
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    if missing == "la":
        gone.mkdir()
    refused(tmp_path, "gpu.sh", told, "la", "released", "out", env=env)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("echo cpu", "its torch sees no CUDA device, expected one"),
        ("echo no module torch >&2; exit 1", "no module torch (exit code 1), expected a Python with torch"),
    ],
)
def test_without_cuda_what_was_measured_stays(text: str, told: str, tmp_path: Path) -> None:
    laid_out(tmp_path)
    env = stand_in(tmp_path, f"#!/usr/bin/env bash\n{text}\n")
    refused(tmp_path, "gpu.sh", f"PYTHON={{}}/python: {told}", "la", "released", "out", env=env)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("nowhere", "out", "10"), "LA nowhere: no such folder, expected one with 2018LA_Seg_Training Set"),
        (("la", "out", "ten"), "SECONDS ten: expected a number above 0"),
        (("la", "out", "0.0"), "SECONDS 0.0: expected a number above 0"),
        (("la", "out"), "arguments: 2 given, expected LA OUT SECONDS [options of benchmarks/compare.py]"),
        (("la", "python", "10"), "OUT python: cannot be written to, expected a folder or where there is to be one"),
    ],
)
def test_trainings_that_cannot_be_are_one_line_and_an_archive_stays(
    given: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    laid_out(tmp_path)
    refused(tmp_path, "train_la.sh", told, *given, env=stand_in(tmp_path, "#!/usr/bin/env bash\necho cpu\n"))


def refused(folder: Path, script: str, told: str, *given: str, env: dict[str, str]) -> None:
    """That a script says this alone on stderr, with exit code 2, and leaves what an earlier run has written."""
    (folder / "out").mkdir()
    for name in ("gpu.csv", "gpu.log", "runs.tar.gz"):
        (folder / "out" / name).write_text("earlier")
    paths = [str(folder / one) if script == "gpu.sh" else one for one in given]
    command = [REPOSITORY / "benchmarks" / script, *paths]
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stderr == f"{script}: {told.replace('{}', str(folder))}\n"
    assert {file.name: file.read_text() for file in (folder / "out").iterdir()} == dict.fromkeys(
        ("gpu.csv", "gpu.log", "runs.tar.gz"), "earlier"
    )


def test_finished_runs_are_packed_without_weights_and_an_archive_stays_where_there_is_none(tmp_path: Path) -> None:
    laid_out(tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    (out / "runs.tar.gz").write_text("earlier")
    given = (tmp_path / "la", out, "10")
    done = run("train_la.sh", *given, env=stand_in(tmp_path, FINISHED.format(stopped="compare", runs=out / "runs")))
    assert done.returncode == 3 and (out / "runs.tar.gz").read_text() == "earlier"
    done = run("train_la.sh", *given, env=stand_in(tmp_path, FINISHED.format(stopped="nothing", runs=out / "runs")))
    assert done.returncode == 0, done.stderr
    with tarfile.open(out / "runs.tar.gz") as archive:
        assert archive.getnames() == ["runs/la-3d/one/run.json", "runs/la-3d/one/summary.json"]
    assert sorted(file.name for file in out.iterdir()) == ["runs", "runs.tar.gz"]


@pytest.mark.parametrize("name", ["gpu.sh", "train_la.sh"])
def test_without_arguments_a_script_tells_how_it_is_used(name: str) -> None:
    done = subprocess.run([REPOSITORY / "benchmarks" / name], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and f"benchmarks/{name} LA" in done.stdout
    assert done.stderr.startswith(f"{name}: arguments: 0 given, expected LA ") and done.stderr.count("\n") == 1
