"""Telling a person how a training goes: a line with the iteration, the time left and the current terms."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """One report: iterations done of a total, seconds so far and to go, the terms of the last log row, a status."""

    done: int
    total: int
    seconds: float
    remaining: float
    terms: Mapping[str, float]
    status: str = "running"

    def line(self) -> str:
        """One line of text."""
        if self.status != "running":
            return f"{self.status} at iteration {self.done} of {self.total} after {duration(self.seconds)}"
        terms = "  ".join(f"{name} {value:.4g}" for name, value in self.terms.items())
        return f"{self.done}/{self.total}  {duration(self.seconds)} < {duration(self.remaining)}  {terms}"


Reporter = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """Report nothing."""


class TerminalReporter:
    """Prints to stderr: one line rewritten in place on a terminal, a new line every `every` seconds elsewhere.

    On a terminal the line is cut to its width: one that wraps could not be rewritten.
    """

    def __init__(self, every: float = 10.0):
        self.every, self._last, self._width = every, float("-inf"), 0

    def __call__(self, progress: Progress) -> None:
        now, ended = time.monotonic(), progress.status != "running"
        if sys.stderr.isatty():
            line = progress.line()[: shutil.get_terminal_size().columns - 1]
            print("\r" + line.ljust(self._width), end="\n" if ended else "", file=sys.stderr, flush=True)
            self._width = len(line)
        elif ended or now - self._last >= self.every:
            self._last = now
            print(progress.line(), file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
