"""The scripts for a GPU machine keep what worked and say what did not; here with a stand-in for the interpreter."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.skipif(shutil.which("timeout") is None, reason="needs GNU coreutils")
INTERPRETER = """#!/usr/bin/env bash
case "$*" in
    *one_table*) exec {python} "$@" ;;
    *{failing}*) echo "no device"; exit 1 ;;
esac
while [ $# -gt 0 ]; do
    if [ "$1" = --out ]; then printf 'ratio\\n2.5\\n' >"$2"; echo "wrote $2"; fi
    shift
done
"""


def gpu(folder: Path, failing: str) -> subprocess.CompletedProcess[str]:
    python = folder / "python"
    python.write_text(INTERPRETER.format(python=sys.executable, failing=failing))
    python.chmod(0o755)
    for name in ("la", "released"):
        (folder / name).mkdir(exist_ok=True)
    command = [REPOSITORY / "benchmarks" / "gpu.sh", folder / "la", folder / "released", folder / "out"]
    return subprocess.run(
        command, env={**os.environ, "PYTHON": str(python)}, capture_output=True, text=True, timeout=120
    )


def test_every_topic_is_a_part_of_one_table(tmp_path: Path) -> None:
    done = gpu(tmp_path, failing="nothing")
    assert done.returncode == 0, done.stderr
    steps = [f"training_step_{name}" for name in ("cpam_trcm", "ssnet", "tracoco", "ugmcl")]
    topics = ["evaluation", "signed_distance", "sliding_window", *steps]
    assert (tmp_path / "out" / "gpu.csv").read_text().split() == ["topic,ratio", *(f"{name},2.5" for name in topics)]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["gpu.csv", "gpu.log"]


def test_a_topic_that_fails_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    done = gpu(tmp_path, failing="training_step_ugmcl")
    assert done.returncode == 1 and "not finished: training_step_ugmcl;" in done.stdout
    kept = (tmp_path / "out" / "gpu.csv").read_text()
    assert "training_step_ugmcl" not in kept and "training_step_cpam_trcm" in kept
    assert "== training_step_ugmcl\nno device\n" in (tmp_path / "out" / "gpu.log").read_text()


def test_the_limits_leave_time_within_ten_minutes() -> None:
    """Four methods share one line; a topic that is stopped may take five seconds more."""
    text = (REPOSITORY / "benchmarks" / "gpu.sh").read_text(encoding="utf-8")
    limits = {
        name: int(seconds) for name, seconds in re.findall(r'^ *topic "?(\w+?)(?:_\$method"?)? (\d+) ', text, re.M)
    }
    assert set(limits) == {"signed_distance", "sliding_window", "training_step", "evaluation", "cuda_tests"}
    assert sum(limits.values()) + 3 * limits["training_step"] + 8 * 5 < 590


def test_its_scripts_know_the_options_that_it_gives(tmp_path: Path) -> None:
    """With a data set that is not there: a wrong option would be told first, with the usage."""
    python = tmp_path / "python"
    python.write_text(
        f'#!/usr/bin/env bash\ncase "$*" in *pytest*) exit 0;; *one_table*) exit 0;; esac\nexec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    for name in ("la", "released"):
        (tmp_path / name).mkdir()
    command = [REPOSITORY / "benchmarks" / "gpu.sh", tmp_path / "la", tmp_path / "released", tmp_path / "out"]
    subprocess.run(command, env={**os.environ, "PYTHON": str(python)}, capture_output=True, text=True, timeout=300)
    told = (tmp_path / "out" / "gpu.log").read_text()
    assert len(re.findall(r"^== ", told, re.MULTILINE)) == 8 and "usage:" not in told and "unrecognized" not in told


@pytest.mark.parametrize("name", ["gpu.sh", "train_la.sh"])
def test_without_arguments_a_script_tells_how_it_is_used(name: str) -> None:
    done = subprocess.run([REPOSITORY / "benchmarks" / name], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and f"benchmarks/{name} LA" in done.stdout
