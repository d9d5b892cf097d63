"""What a device can keep."""

from __future__ import annotations

import pytest
import torch

from ssmis_core.devices import has_room


@pytest.mark.parametrize(("nbytes", "room"), [(399, True), (401, False)])
def test_a_gpu_keeps_less_than_its_free_memory_and_what_torch_holds_of_it_unused(
    nbytes: int, room: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (300, 2000))  # bytes: free, all
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 1500)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 800)
    assert has_room(torch.device("cuda"), nbytes) is room


def test_a_cpu_is_not_asked() -> None:
    assert has_room(torch.device("cpu"), 10**18)
