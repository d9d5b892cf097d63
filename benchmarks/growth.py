"""How time and memory grow: an iteration with the batch and with the patch, evaluation with the cases, volumes kept.

    python benchmarks/growth.py --out benchmarks/results/growth.csv

On the 3D phantom. Iterations are those of a method with its own network; cases are predicted by supervised learning's
quick network, which was not trained. Four topics, each with 1, 2, 4 and 8 times the smallest amount:

    samples     labeled samples in a batch, and as many unlabeled ones: seconds of an iteration
    voxels      of a patch: seconds of an iteration
    cases       predicted window by window and scored: seconds
    volumes     in memory for training: bytes (cases of images and labels as they are read)

Amounts of a topic take turns in an order that rotates. growth is the time (or memory) over that of the smallest amount,
for as much work: 1 is linear, below 1 is less. exponent: the slope of log time over log amount, 1 where it is linear.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from machine import machine, one_line, positive
from method_cost import LABELED, UNLABELED, Contestant

from ssmis_core.configuration import configure
from ssmis_core.datasets import Dataset, open_dataset
from ssmis_core.evaluation import score_case
from ssmis_core.files import write_csv
from ssmis_core.host_memory import freed_memory_kept
from ssmis_core.methods import create_method
from ssmis_core.volume_bank import VolumeBank

TIMES = (1, 2, 4, 8)
ITERATIONS = ("samples", "voxels")  # the topics that the method and its options are for
Work = Mapping[int, Callable[[], float]]  # amount, and a turn of that much: its seconds


@one_line
def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    data = open_dataset("phantom", dims=3, size=options.size)
    here = machine(("torch", "numpy"), threads=options.threads)
    topics = {"samples": samples(data, options), "voxels": voxels(data, options), "cases": cases(data)}
    rows = []
    for topic, work in topics.items():
        with freed_memory_kept(torch.device("cpu")):  # as a training and an evaluation have it
            spent = in_turns(work, options.rounds)
        rows += told(topic, "s", {amount: median(seconds) for amount, seconds in spent.items()})
    rows += told("volumes", "bytes", volumes(data))
    trained = {"method": options.method, "filters": options.filters, "rounds": options.rounds}
    write_csv(options.out, [{**here, **(trained if row["topic"] in ITERATIONS else {}), **row} for row in rows])
    return 0


def in_turns(work: Work, rounds: int) -> dict[int, list[float]]:
    """Seconds of every amount; each round begins with another, and the first round, a warm-up, is not kept."""
    spent: dict[int, list[float]] = {amount: [] for amount in work}
    order = list(work)
    for number in range(-1, rounds):
        first = number % len(order)
        for amount in order[first:] + order[:first]:
            seconds = work[amount]()
            if number >= 0:
                spent[amount].append(seconds)
    return spent


def told(topic: str, unit: str, spent: Mapping[int, float]) -> list[dict[str, Any]]:
    """A row an amount: what it took, and relative to the smallest for as much work; the exponent of the whole topic."""
    amounts = list(spent)
    slope = float(np.polyfit(np.log(amounts), np.log([spent[amount] for amount in amounts]), 1)[0])
    rows = []
    for amount in amounts:
        per_unit = spent[amount] / amount, spent[amounts[0]] / amounts[0]
        growth = {"growth": round(per_unit[0] / per_unit[1], 3), "exponent": round(slope, 3)}
        rows.append({"topic": topic, "amount": amount, "unit": unit, "value": round(spent[amount], 4), **growth})
        print(*(f"{key}={value}" for key, value in rows[-1].items()), flush=True)
    return rows


def contestant(data: Dataset, options: argparse.Namespace, patch: Sequence[int], times: int = 1) -> Contestant:
    """The method in training with patches of that size, and so many times one labeled and one unlabeled sample."""
    cases = [data.load(case_id) for case_id in data.train[: LABELED + UNLABELED]]
    bank = VolumeBank(cases, num_classes=data.num_classes, factor=[1] * data.dims)
    config = configure(
        options.method,
        preset="full",
        labeled=LABELED,
        dataset_options=data.options(),
        patch=tuple(patch),
        stride=tuple(patch),
        filters=options.filters,
    )
    own = Contestant(config, data, bank).method.sampling
    return Contestant(config, data, bank, replace(own, labeled=times, unlabeled=times if own.unlabeled else 0))


def samples(data: Dataset, options: argparse.Namespace) -> Work:
    """Iterations with batches of 1, 2, 4 and 8 samples of each kind."""
    side = options.side
    found = {times: contestant(data, options, (side, side, side), times) for times in TIMES}
    return {times: one.turn for times, one in found.items()}


def voxels(data: Dataset, options: argparse.Namespace) -> Work:
    """Iterations on patches of 1, 2, 4 and 8 times as many voxels: sides are doubled one after the other."""
    side = options.side
    patches = [tuple(2 * side if axis < doubled else side for axis in range(3)) for doubled in range(4)]
    return {int(np.prod(patch)): contestant(data, options, patch).turn for patch in patches}


def cases(data: Dataset) -> Work:
    """Evaluation of 1, 2, 4 and 8 test cases with a network that was not trained."""
    config = configure("supervised", preset="quick", labeled=LABELED, dataset_options=data.options())
    shape = {"num_classes": data.num_classes, "dims": data.dims, "channels": data.channels}
    method = create_method("supervised", **shape, **config.options).eval()
    loaded = [data.load(case_id) for case_id in data.test[: max(TIMES)]]

    def evaluate(count: int) -> float:
        began = perf_counter()
        for case in loaded[:count]:
            score_case(method, case, config, class_names=data.class_names)
        return perf_counter() - began

    return {times: partial(evaluate, times) for times in TIMES}


def volumes(data: Dataset) -> dict[int, float]:
    """Bytes that a bank of 1, 2, 4 and 8 cases holds: images in float32 and labels in uint8, once."""
    loaded = [data.load(case_id) for case_id in data.train[: max(TIMES)]]
    held = {}
    for times in TIMES:
        bank = VolumeBank(loaded[:times], num_classes=data.num_classes, factor=[1] * data.dims)
        once = sum(4 * case.image.size + np.size(case.label) for case in loaded[:times])
        if bank.nbytes != once:
            raise SystemExit(f"growth: {times} volumes take {bank.nbytes} bytes in memory, expected {once}")
        held[times] = float(bank.nbytes)
    return held


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the CSV to write")
    parser.add_argument("--method", default="ugmcl")
    parser.add_argument("--rounds", type=positive, default=5, help="turns that are kept")
    parser.add_argument("--filters", type=positive, default=16)
    parser.add_argument("--side", type=positive, default=32, help="of the smallest patch")
    parser.add_argument("--size", type=positive, default=64, help="side of the phantom's volumes")
    parser.add_argument("--threads", type=positive, default=torch.get_num_threads())
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
