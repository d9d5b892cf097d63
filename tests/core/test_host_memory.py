"""Freed memory stays with the process while it computes, and the system has it back afterwards."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ssmis_core import host_memory
from ssmis_core.configuration import Configuration
from ssmis_core.evaluation import evaluate_run
from ssmis_core.host_memory import KEPT, USUAL, freed_memory_kept
from ssmis_core.inference import predict_probabilities
from ssmis_core.runs import Run

CPU, BLOCK = torch.device("cpu"), 96 << 20  # bytes: more than glibc keeps by itself
glibc = pytest.mark.skipif(sys.platform != "linux" or host_memory._glibc() is None, reason="a matter of glibc")


def resident() -> int:
    """Bytes of memory that the process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def resident_at_rest() -> int:
    """The same without what lies free."""
    libc = host_memory._glibc()
    assert libc is not None
    libc.malloc_trim(0)
    return resident()


def used_and_freed() -> None:
    np.ones(BLOCK // 8)


@glibc
def test_freed_memory_stays_inside_and_goes_back_at_the_end() -> None:
    before = resident_at_rest()
    with freed_memory_kept(CPU):
        used_and_freed()
        assert resident() > before + BLOCK // 2
        with freed_memory_kept(CPU):
            pass
        assert resident() > before + BLOCK // 2  # a block within gives nothing back
    assert resident() < before + BLOCK // 2
    used_and_freed()
    assert resident() < before + BLOCK // 2  # and nothing is kept any more


@glibc
def test_an_error_inside_gives_it_back_too() -> None:
    before = resident_at_rest()
    with pytest.raises(KeyError), freed_memory_kept(CPU):
        used_and_freed()
        raise KeyError
    assert resident() < before + BLOCK // 2 and host_memory._inside == 0


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
