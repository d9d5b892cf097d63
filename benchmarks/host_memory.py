"""Seconds on a CPU with memory of freed tensors kept for the next ones, and with each block given back at once.

    python benchmarks/host_memory.py --out benchmarks/results/host_memory.csv

Two kinds of work by a V-Net: the prediction of four windows, and a training iteration of two patches. Both ways take
turns, and which goes first alternates; in each turn the work is done once untimed and then timed three times. A row a
kind of work: median seconds with the lowest and highest, their ratio, and the pages that the system made (faults).
"""

from __future__ import annotations

import argparse
import resource
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from machine import machine, one_line, positive, spread

from ssmis_core.files import write_csv
from ssmis_core.host_memory import freed_memory_kept
from ssmis_core.losses import probabilities, supervised_terms
from ssmis_core.methods import create_method
from ssmis_core.methods.base import Method

PATCH = (112, 112, 80)
Ways = dict[str, Callable[[], AbstractContextManager[None]]]
WAYS: Ways = {"kept": partial(freed_memory_kept, torch.device("cpu")), "given_back": nullcontext}


@one_line
def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the CSV to write")
    parser.add_argument("--rounds", type=positive, default=3, help="turns of each way")
    parser.add_argument("--threads", type=positive, default=torch.get_num_threads())
    parser.add_argument("--filters", type=positive, default=16)
    parser.add_argument("--patch", type=positive, nargs=3, default=PATCH)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    method, patch = create_method("supervised", filters=options.filters), tuple(options.patch)
    rows = []
    for name, work in (("prediction", prediction(method, patch)), ("training", training(method, patch))):
        row: dict[str, Any] = {"work": name, "patch": "x".join(map(str, patch)), "rounds": options.rounds}
        row |= compare(work, options.rounds)
        rows.append({**machine(("torch",)), **row})
        print(*(f"{key}={value}" for key, value in row.items()), flush=True)
        write_csv(options.out, rows)
    return 0


def prediction(method: Method, patch: tuple[int, ...]) -> Callable[[], None]:
    windows = torch.rand(4, 1, *patch)

    def work() -> None:
        method.eval()
        with torch.no_grad():
            method.predict(windows)

    return work


def training(method: Method, patch: tuple[int, ...]) -> Callable[[], None]:
    images, label = torch.rand(2, 1, *patch), torch.randint(2, (2, *patch))

    def work() -> None:
        method.train().zero_grad(set_to_none=True)
        logits = method.answering_network()(images).logits
        sum(supervised_terms(logits, probabilities(logits), label).values(), torch.zeros(())).backward()

    return work


def compare(work: Callable[[], None], rounds: int) -> dict[str, Any]:
    """Both ways in turns."""
    spent: dict[str, list[float]] = {name: [] for name in WAYS}
    faults: dict[str, list[int]] = {name: [] for name in WAYS}
    for number in range(rounds):
        for name in sorted(WAYS, reverse=number % 2 == 0):
            with WAYS[name]():
                work()
                for _ in range(3):
                    before, began = pages_made(), perf_counter()
                    work()
                    spent[name].append(perf_counter() - began)
                    faults[name].append(pages_made() - before)
    row: dict[str, Any] = {}
    for name, seconds in spent.items():
        row |= {**spread(name, seconds), f"{name}_faults": int(median(faults[name]))}
    return {**row, "ratio": round(median(spent["given_back"]) / median(spent["kept"]), 2)}


def pages_made() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


if __name__ == "__main__":
    sys.exit(main())
