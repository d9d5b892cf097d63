"""Trainings that take turns are timed an iteration at a time, and only one computes at once."""

from __future__ import annotations

import multiprocessing
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

TRAINING = """
import time
import torch
from turns import Watched


def train(pipe, log, name, seconds, optimisers):
    Watched(pipe, optimisers)
    weights = [torch.nn.Parameter(torch.ones(1)) for _ in range(optimisers)]
    steps = [torch.optim.SGD([weight], lr=0.1) for weight in weights]
    while True:
        with open(log, "a") as file:
            file.write(f"{name} begins\\n")
        time.sleep(seconds)
        for weight, step in zip(weights, steps):
            step.zero_grad()
            weight.sum().backward()
            with open(log, "a") as file:
                file.write(f"{name} steps\\n")
            step.step()


def fail(pipe):
    raise ValueError("no such volume")
"""


@pytest.fixture
def turns(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("turns")


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, turns: ModuleType, tmp_path: Path) -> Iterator[ModuleType]:
    """A module with trainings, which other processes can import too."""
    (tmp_path / "toy_training.py").write_text(textwrap.dedent(TRAINING))
    monkeypatch.syspath_prepend(tmp_path)
    import toy_training

    yield toy_training
    del sys.modules["toy_training"]


def test_sides_compute_in_turns_and_an_iteration_ends_with_its_last_optimiser(
    turns: ModuleType, toy: ModuleType, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    trainings = {"fast": (toy.train, (str(log), "fast", 0.0, 2)), "slow": (toy.train, (str(log), "slow", 0.2, 1))}
    with turns.sides(trainings, 1) as (fast, slow):
        log.write_text("")  # the first iterations, which both have run, may overlap
        took = [side.turn().seconds for side in (slow, fast, slow)]
    assert took[0] >= 0.2 and took[2] >= 0.2 and took[1] < 0.2
    slowly, fastly = ["slow begins", "slow steps"], ["fast begins", "fast steps", "fast steps"]
    assert log.read_text().splitlines() == slowly + fastly + slowly
    assert not fast.process.is_alive() and not slow.process.is_alive()


def test_a_training_that_fails_ends_the_comparison(turns: ModuleType, toy: ModuleType) -> None:
    with pytest.raises(SystemExit, match="broken: the training ended"), turns.sides({"broken": (toy.fail, ())}, 1):
        pass


def test_operations_and_the_shares_of_their_kinds_are_told_when_they_are_asked_for(
    turns: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(code: int) -> Any:
        raise SystemExit(code)

    monkeypatch.setattr(turns.os, "_exit", end)
    here, there = multiprocessing.Pipe()
    for asked in ("seconds", "operations", "profile", "end"):
        here.send(asked)
    network, x = nn.Conv2d(3, 5, 3, padding=1, bias=False), torch.rand(2, 3, 8, 8)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    watched = turns.Watched(there, 1)
    try:
        with pytest.raises(SystemExit):
            while True:
                network(x).sum().backward()
                optimiser.step()
    finally:
        watched.hook.remove()
    first, plain, counted, profiled = (here.recv() for _ in range(4))
    products = 2 * 8 * 8 * 3 * 5 * 9  # samples, voxels, channels in and out, voxels of the kernel
    assert counted.operations == 2 * 2 * products  # multiply and add, forward and the weights' gradient
    assert first.operations is plain.operations is profiled.operations is None
    assert plain.shares is None and sum(profiled.shares.values()) == pytest.approx(1.0)
    assert 0.0 < profiled.shares["convolution"] < 1.0 and profiled.shares["normalisation"] == 0.0


def test_operations_are_of_one_kind_each_and_what_is_none_of_torch_does_not_count(turns: ModuleType) -> None:
    told = {"aten::mkldnn_convolution": 4.0, "aten::convolution_backward": 2.0, "aten::native_batch_norm": 1.0}
    told |= {"aten::linalg_vector_norm": 1.0, "ProfilerStep*": 90.0}
    shares = turns.by_kind(told.items())
    assert shares == {kind: 0.0 for kind in shares} | {"convolution": 0.75, "normalisation": 0.125, "other": 0.125}
