"""Trainings that take turns: each in a process of its own, one iteration at a time, so that no two compute at once.

Workers that a script has for loading still read ahead while another has its turn: the script gains by that, if any.
An iteration ends where its last optimiser has stepped. That is all this file has to know of a training, so it times
any script that trains with torch.optim, unchanged.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from time import perf_counter
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

KINDS = {  # of torch's operations, by what their names hold; all others are "other"
    "convolution": ("conv",),
    "normalisation": ("batch_norm", "group_norm", "instance_norm", "layer_norm"),
    "product": ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm"),
    "activation": ("relu", "threshold", "sigmoid", "softmax", "tanh"),
    "noise": ("bernoulli", "uniform", "normal_", "rand", "dropout"),
    "memory": ("aten::copy_", "aten::cat", "aten::fill_", "aten::zero_"),
}


@dataclass(frozen=True)
class Iteration:
    """What an iteration took.

    seconds: of the clock. peak: the most bytes that the training has had at once so far, of the GPU's memory or, on a
    CPU, of the process with all that Python and torch take themselves. operations: floating point operations of
    convolutions and matrix products, forward and backward, or None where they were not counted. shares: of the time
    inside torch's operations, by their kind.
    """

    seconds: float
    peak: int
    operations: int | None = None
    shares: Mapping[str, float] | None = None


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
        shares = shares_of(self.profiler) if self.profiler else None
        self.counter = self.profiler = None
        self.pipe.send(Iteration(seconds, peak_memory(), operations, shares))
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
            self.profiler = self.watching.enter_context(operations_profile())
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
        with suppress(BrokenPipeError):  # where it has ended, no answer says so
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


def operations_profile() -> profile:
    """Of torch's operations, on the GPU too where there is one."""
    gpu = [ProfilerActivity.CUDA] if torch.cuda.is_available() else []
    return profile(activities=[ProfilerActivity.CPU, *gpu])


def shares_of(profiler: profile) -> dict[str, float]:
    """Of a profile that has ended: the share of each kind in the time on the GPU, or on the CPU where none had work."""
    events = profiler.key_averages()
    own = "self_device_time_total" if any(e.self_device_time_total for e in events) else "self_cpu_time_total"
    return by_kind((event.key, getattr(event, own)) for event in events)


def by_kind(events: Iterable[tuple[str, float]]) -> dict[str, float]:
    """The share of each kind in the time of torch's operations (name, own time); what is none of them is left out."""
    spent = dict.fromkeys((*KINDS, "other"), 0.0)
    for name, own in events:
        if name.startswith(("aten::", "autograd::")):
            kind = next((kind for kind, parts in KINDS.items() if any(part in name for part in parts)), "other")
            spent[kind] += own
    return {kind: own / max(sum(spent.values()), 1e-12) for kind, own in spent.items()}


def peak_memory() -> int:
    """Bytes: the most that were in use at once, on the GPU where there is one, else by this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    import resource  # Windows has none

    return (1 if sys.platform == "darwin" else 1024) * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
