"""Freed memory stays with the process while it computes, and the system has it back afterwards."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ssmis_core import host_memory
from ssmis_core.configuration import Configuration
from ssmis_core.evaluation import evaluate_run
from ssmis_core.host_memory import KEPT, USUAL, freed_memory_kept
from ssmis_core.inference import predict_probabilities
from ssmis_core.runs import Run

CPU = torch.device("cpu")
glibc = pytest.mark.skipif(sys.platform != "linux" or host_memory._glibc() is None, reason="a matter of glibc")


# in a process of its own, whose heap no other test has left holes in
PROGRAM = """
import resource
from pathlib import Path
import numpy as np, torch
from ssmis_core.host_memory import freed_memory_kept

BLOCK = 96 << 20  # bytes: more than glibc keeps by itself

def kept():
    np.ones(BLOCK // 8)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() > before + BLOCK // 2

before = 0
kept()
before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
found = [kept()]
with freed_memory_kept(torch.device("cpu")):
    found.append(kept())
    with freed_memory_kept(torch.device("cpu")):
        pass
    found.append(kept())
found.append(kept())
try:
    with freed_memory_kept(torch.device("cpu")):
        found.append(kept())
        raise KeyError
except KeyError:
    found.append(kept())
print(*found)
"""


@glibc
def test_freed_memory_stays_inside_alone_whatever_happens_there() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    before, inside, around_another, after, with_an_error, after_it = (word == "True" for word in done.stdout.split())
    assert (inside, around_another, with_an_error) == (True, True, True)
    assert (before, after, after_it) == (False, False, False)


@pytest.mark.parametrize("name", ["GLIBC_TUNABLES", "MALLOC_TRIM_THRESHOLD_"])
def test_settings_of_the_environment_stand(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    host_memory._glibc.cache_clear()
    try:
        assert host_memory._glibc() is None
    finally:
        host_memory._glibc.cache_clear()


def test_on_a_gpu_and_with_another_c_library_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(host_memory, "_set", refuse)
    with freed_memory_kept(torch.device("cuda")):
        pass
    monkeypatch.setattr(host_memory, "_glibc", lambda: None)
    with freed_memory_kept(CPU):
        pass


@glibc
def test_training_evaluation_and_prediction_keep_it(
    tiny: Callable[..., Configuration],
    quietly: Callable[..., Run],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    monkeypatch.setattr(
        host_memory, "_set", lambda libc, settings: told.append({id(KEPT): "kept", id(USUAL): "usual"}[id(settings)])
    )
    run = quietly(tiny("supervised", dataset_options={"dims": 2}, iterations=1), tmp_path / "run")
    assert told[0] == "kept" and told[-1] == "usual" and told.count("usual") == 1  # a validation within ends nothing
    told.clear()
    evaluate_run(run, device="cpu")
    assert told.count("kept") > 1 and told.count("usual") == 1  # once for all cases
    told.clear()
    predict_probabilities(run.method(), run.dataset().load("phantom-010").image, run.config)
    assert told == ["kept", "usual"]
