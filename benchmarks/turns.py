"""Trainings that take turns: each in a process of its own, one iteration at a time, so that no two compute at once.

An iteration ends where its last optimiser has stepped. That is all this file has to know of a training, so it times
any script that trains with torch.optim, unchanged.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from time import perf_counter
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Iteration:
    """What an iteration took.

    seconds: of the clock. operations: floating point operations of convolutions and matrix products, forward and
    backward, or None where they were not counted. convolutions: their share of the time inside torch's operations.
    """

    seconds: float
    operations: int | None = None
    convolutions: float | None = None


class Watched:
    """In a training's process: what is asked of the iteration that runs, and the answer at its end."""

    def __init__(self, pipe: Connection, optimisers: int):
        self.pipe, self.optimisers, self.steps = pipe, optimisers, 0
        self.watching, self.began = ExitStack(), perf_counter()
        self.profiler: profile | None = None
        self.counter: FlopCounterMode | None = None
        self.hook = register_optimizer_step_post_hook(self.stepped)

    def stepped(self, *_: Any) -> None:
        """After an optimiser's step: when it was the iteration's last, answer and wait for the next turn."""
        self.steps += 1
        if self.steps % self.optimisers:
            return
        synchronise()
        seconds = perf_counter() - self.began
        self.watching.close()
        operations = self.counter.get_total_flops() if self.counter else None
        share = convolutions(self.profiler) if self.profiler else None
        self.counter = self.profiler = None
        self.pipe.send(Iteration(seconds, operations, share))
        self.wait()

    def wait(self) -> None:
        """Until the next turn; the end of the process where there is none."""
        try:
            asked = self.pipe.recv()
        except EOFError:
            asked = "end"
        if asked == "end":
            os._exit(0)  # from within a training that knows of no end
        if asked == "operations":
            self.counter = self.watching.enter_context(FlopCounterMode(display=False))
        if asked == "profile":
            gpu = [ProfilerActivity.CUDA] if torch.cuda.is_available() else []
            self.profiler = self.watching.enter_context(profile(activities=[ProfilerActivity.CPU, *gpu]))
        synchronise()
        self.began = perf_counter()


@dataclass
class Side:
    """A training in another process, which waits for its turns."""

    name: str
    process: Any
    pipe: Connection

    def turn(self, asked: str = "seconds") -> Iteration:
        """One iteration. asked: "seconds", "operations" or "profile" (the latter two cost time of their own)."""
        self.pipe.send(asked)
        return self.answer()

    def answer(self) -> Iteration:
        try:
            answer = self.pipe.recv()
        except EOFError:
            raise SystemExit(f"{self.name}: the training ended; what it said stands above") from None
        assert isinstance(answer, Iteration)
        return answer


@contextmanager
def sides(trainings: Mapping[str, tuple[Callable[..., None], tuple[Any, ...]]], threads: int) -> Iterator[list[Side]]:
    """Start the trainings; each has run its first iteration when the block begins.

    A training is (a function of a module, its arguments); it is called with the pipe first and makes a `Watched` of it.
    """
    context = multiprocessing.get_context("spawn")
    found: list[Side] = []
    before = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    os.environ.update(dict.fromkeys(before, str(threads)))
    try:
        for name, (function, arguments) in trainings.items():
            here, there = context.Pipe()
            process = context.Process(target=function, args=(there, *arguments))
            process.start()
            there.close()
            found.append(Side(name, process, here))
        for side in found:
            side.answer()
        yield found
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        for side in found:
            side.pipe.close()
            side.process.join(timeout=10)
            side.process.kill()


def convolutions(profiler: profile) -> float:
    """The share of convolutions, forward and backward, in the time inside torch's operations."""
    on_gpu = torch.cuda.is_available()
    spent: dict[bool, float] = {True: 0.0, False: 0.0}
    for event in profiler.key_averages():
        if event.key.startswith(("aten::", "autograd::")) or "conv" in event.key:
            own = event.self_device_time_total if on_gpu else event.self_cpu_time_total
            spent["conv" in event.key] += own
    return spent[True] / max(sum(spent.values()), 1e-12)


def synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
