"""The scripts for a GPU machine keep what worked and say what did not; here with a stand-in for the interpreter."""

from __future__ import annotations

import os
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
    topics = ["evaluation", "signed_distance", "sliding_window", "training_step"]
    assert (tmp_path / "out" / "gpu.csv").read_text().split() == ["topic,ratio", *(f"{name},2.5" for name in topics)]


def test_a_topic_that_fails_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    done = gpu(tmp_path, failing="training_step")
    assert done.returncode == 1 and "not finished: training_step;" in done.stdout
    assert "training_step" not in (tmp_path / "out" / "gpu.csv").read_text()
    assert (tmp_path / "out" / "training_step.log").read_text() == "no device\n"


@pytest.mark.parametrize("name", ["gpu.sh", "train_la.sh"])
def test_without_arguments_a_script_tells_how_it_is_used(name: str) -> None:
    done = subprocess.run([REPOSITORY / "benchmarks" / name], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and f"benchmarks/{name} LA" in done.stdout
