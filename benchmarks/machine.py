"""What benchmarks share: on which machine a number was measured, numbers that are given, mistakes told in one line.

A benchmark is run as a script (`python benchmarks/metrics.py`), so it imports this file as `from machine import ...`.
"""

from __future__ import annotations

import inspect
import math
import os
import platform
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable, Sequence
from functools import wraps
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import ParamSpec

from ssmis_core.errors import UserError

Arguments = ParamSpec("Arguments")


def one_line(main: Callable[Arguments, int]) -> Callable[Arguments, int]:
    """A benchmark's main that tells a mistake, or a file that it cannot use, as "<script>: ..." on stderr; then 2."""

    @wraps(main)
    def told(*given: Arguments.args, **named: Arguments.kwargs) -> int:
        try:
            return main(*given, **named)
        except (UserError, OSError) as error:
            of_file = isinstance(error, OSError) and error.filename is not None and error.strerror is not None
            what = f"{error.filename}: {error.strerror}" if of_file else error
            print(f"{Path(inspect.getfile(main)).stem}: {what}", file=sys.stderr)
            return 2

    return told


def positive(text: str, least: int = 1) -> int:
    """A whole number of at least 1: the type of an option that counts something."""
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise ArgumentTypeError(f"{text}: expected a whole number of at least {least}")
    return number


def none_or_more(text: str) -> int:
    """A whole number of at least 0."""
    return positive(text, least=0)


def duration(text: str) -> float:
    """A number above 0, or inf for no end."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not number > 0:
        raise ArgumentTypeError(f"{text}: expected seconds, a number above 0")
    return number


def machine(packages: Sequence[str] = (), *, threads: int | None = None) -> dict[str, str | int]:
    """Machine name, CPU model, cores, threads, Python's version and those of the named packages, as CSV columns.

    The name is $SSMIS_MACHINE where it is set, else the host's name. threads: how many the measured code used;
    None: torch's setting if torch is imported, else the number of cores that this process may use.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if threads is None:
        torch = sys.modules.get("torch")
        threads = int(torch.get_num_threads()) if torch is not None else cores
    row: dict[str, str | int] = {
        "machine": os.environ.get("SSMIS_MACHINE") or platform.node() or "unknown",
        "cpu": cpu_model(),
        "cores": cores,
        "threads": threads,
        "python": platform.python_version(),
    }
    for package in packages:
        try:
            row[package] = version(package)
        except PackageNotFoundError:
            row[package] = "not installed"
    return row


def spread(side: str, seconds: Sequence[float]) -> dict[str, float]:
    """The columns of a side that was timed several times: median, lowest and highest seconds."""
    columns = {"s": median(seconds), "lowest": min(seconds), "highest": max(seconds)}
    return {f"{side}_{name}": round(value, 5) for name, value in columns.items()}


def processor_time() -> tuple[int, int]:
    """(ticks that other guests of the host took from this machine, all ticks) of all cores since the start; else zeros.

    A virtual machine cannot see who took them, but two readings tell how much of a measurement was not its own.
    """
    try:
        ticks = [int(part) for part in Path("/proc/stat").read_text(encoding="utf-8").split("\n", 1)[0].split()[1:9]]
    except (OSError, ValueError):
        return 0, 0  # not Linux
    return ticks[7], sum(ticks)


def cpu_model() -> str:
    """The processor's name as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine() or "unknown"
