"""Freed memory stays with the process while it computes, and the system has it back afterwards."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from ssmis_core import host_memory
from ssmis_core.host_memory import freed_memory_kept

CPU, BLOCK = torch.device("cpu"), 96 << 20  # bytes: more than glibc keeps by itself
glibc = pytest.mark.skipif(sys.platform != "linux" or host_memory._glibc() is None, reason="a matter of glibc")


def resident() -> int:
    """Bytes of memory that the process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def used_and_freed() -> None:
    torch.ones(BLOCK // 4)


@glibc
def test_freed_memory_stays_inside_and_goes_back_at_the_end() -> None:
    used_and_freed()
    before = resident()
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
    used_and_freed()
    before = resident()
    with pytest.raises(KeyError), freed_memory_kept(CPU):
        used_and_freed()
        raise KeyError
    assert resident() < before + BLOCK // 2 and host_memory._inside == 0


def test_on_a_gpu_and_with_another_c_library_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(host_memory, "_set", refuse)
    with freed_memory_kept(torch.device("cuda")):
        pass
    monkeypatch.setattr(host_memory, "_glibc", lambda: None)
    with freed_memory_kept(CPU):
        pass
