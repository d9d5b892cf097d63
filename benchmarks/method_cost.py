"""What an iteration of each method costs, relative to one of supervised learning on patches of the same size.

    python benchmarks/method_cost.py --out benchmarks/results/method_cost.csv

Every registered method and variant, in 2D and 3D, with the options and the batch that the paper's own budget (preset
`full`) gives it: networks of 16 filters, mostly 2 labeled samples, and as many unlabeled ones where the method takes
any. An iteration is what the training loop does: batch, losses, backward, optimiser steps, averaged teachers. A method
of several stages is timed in each and counts by their lengths. All take turns in one run, in an order that rotates.
Each is divided by supervised with the same network in the same round, so that a machine which is busy for a while slows
both; the median over rounds is kept, with the lowest and the highest. Without --methods, costs.csv of the package,
which `ssmis methods` shows, is written too.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from machine import machine, one_line, positive

from ssmis_core.batches import Batches, Sampling
from ssmis_core.configuration import Configuration, configure
from ssmis_core.datasets import Dataset, open_dataset
from ssmis_core.devices import autocast
from ssmis_core.draws import Clock, Draws
from ssmis_core.files import write_csv
from ssmis_core.host_memory import freed_memory_kept
from ssmis_core.methods import METHODS, create_method, method_class
from ssmis_core.methods.base import Method, Stage
from ssmis_core.methods.overview import COSTS, count_networks
from ssmis_core.volume_bank import VolumeBank

BASELINE = "supervised"
LABELED, UNLABELED = 4, 4  # cases in memory
PATCH = {2: 96, 3: 48}
Key = tuple[str, str, str]  # method, variant, network


@one_line
def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    rows: list[dict[str, Any]] = []
    for dims in options.dims:
        data = open_dataset("phantom", dims=dims, size=options.size)
        patch = options.patch or PATCH[dims]
        found = contestants(options.methods or METHODS, data, patch, options.filters)
        with freed_memory_kept(torch.device("cpu")):  # as a training has it
            rows += measure(found, options.rounds)
    here = machine(("torch", "numpy", "scipy"))
    write_csv(options.out, [{**here, **row} for row in rows])
    if not options.methods:
        kept = {(row["method"], row["variant"], row["dims"]): row["relative"] for row in rows}
        keys = ("method", "variant", "dims", "relative")
        write_csv(options.costs, [dict(zip(keys, (*key, value), strict=True)) for key, value in kept.items()])
    return 0


def contestants(names: Iterable[str], data: Dataset, patch: int, filters: int) -> dict[Key, Contestant]:
    """Every variant of the methods, and supervised on each network that one of them has."""
    cases = [data.load(case_id) for case_id in data.train[: LABELED + UNLABELED]]
    bank = VolumeBank(cases, num_classes=data.num_classes, factor=[1] * data.dims)
    given = {"preset": "full", "patch": patch, "stride": patch, "filters": filters, "labeled": LABELED}
    found: dict[Key, Contestant] = {}

    def add(name: str, variant: str, **network: str) -> None:
        config = configure(name, variant=variant, dataset_options=data.options(), **given, **network)
        found.setdefault((name, variant, config.options["network"]), Contestant(config, data, bank))

    for name in names:
        for variant in method_class(name).VARIANTS:
            add(name, variant)
    for network in {network for _, _, network in found}:
        add(BASELINE, "paper", network=network)
    return found


def measure(found: dict[Key, Contestant], rounds: int) -> list[dict[str, Any]]:
    """A row a contestant: median seconds an iteration, and relative to supervised with the same network."""
    seconds: dict[Key, list[float]] = {key: [] for key in found}
    for number in range(-1, rounds):  # the first round warms up and is not kept
        order = list(found)
        order = order[number % len(order) :] + order[: number % len(order)]
        for key in order:
            spent = found[key].turn()
            if number >= 0:
                seconds[key].append(spent)
    rows = []
    for (name, variant, network), one in found.items():
        own, base = seconds[name, variant, network], seconds[BASELINE, "paper", network]
        relative = [mine / theirs for mine, theirs in zip(own, base, strict=True)]
        told = {"method": name, "variant": variant, "dims": one.method.dims, "network": network, **one.facts()}
        times = {"rounds": rounds, "seconds": round(median(own), 4), "relative": round(median(relative), 2)}
        rows.append({**told, **times, "lowest": round(min(relative), 2), "highest": round(max(relative), 2)})
        print(*(f"{key}={value}" for key, value in rows[-1].items()), flush=True)
    return rows


class Contestant:
    """A method in training on the shared volumes, with its own batch or a given one."""

    def __init__(self, config: Configuration, data: Dataset, bank: VolumeBank, sampling: Sampling | None = None):
        torch.manual_seed(0)
        shape = {"num_classes": data.num_classes, "dims": data.dims, "channels": data.channels}
        self.method: Method = create_method(config.method, variant=config.variant, **shape, **config.options).train()
        cases = range(LABELED), range(LABELED, LABELED + UNLABELED)
        self.batches = Batches(
            bank, labeled=cases[0], unlabeled=cases[1], patch=config.patch, sampling=sampling or self.method.sampling
        )
        self.config, self.stages, self.turns = config, self.method.stages(config.iterations), 0

    def facts(self) -> dict[str, Any]:
        trained, averaged = count_networks(self.method)
        patch = "x".join(map(str, self.config.patch))
        batch = {"labeled": self.method.sampling.labeled, "unlabeled": self.method.sampling.unlabeled}
        networks = {"filters": self.config.options["filters"], "trained": trained, "averaged": averaged}
        return {"patch": patch, **batch, **networks}

    def turn(self) -> float:
        """Train for an iteration of each stage: mean seconds by the stages' lengths."""
        self.turns += 1
        total = sum(stage.iterations for stage in self.stages)
        return sum(stage.iterations / total * self.iteration(stage) for stage in self.stages)

    def iteration(self, stage: Stage, *, precision: str = "float32") -> float:
        """Seconds of one iteration, as the training loop does it, mid-stage, where every ramp has begun."""
        optimisers = {name: optimiser.build() for name, optimiser in stage.optimisers.items()}
        self.method.begin(stage)
        clock = Clock(stage.name, min(stage.iterations // 2 + self.turns, stage.iterations - 1), stage.iterations)
        draws = Draws(0).at(clock)
        began = perf_counter()
        draws.seed_dropout()
        steps = self.method.steps(self.batches.at(clock, draws), clock, draws)
        while True:
            with autocast(precision, torch.device("cpu")):
                step = next(steps, None)
            if step is None:
                break
            optimisers[step.updates].zero_grad(set_to_none=True)
            step.total.backward(inputs=stage.optimisers[step.updates].parameters)
            optimisers[step.updates].step()
        self.method.after_step(clock)
        return perf_counter() - began


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the CSV to write")
    parser.add_argument("--costs", type=Path, default=COSTS, help="the package's table (default: where it is read)")
    parser.add_argument("--methods", nargs="+", help="only these, and supervised (default: all that are registered)")
    parser.add_argument("--dims", type=int, nargs="+", default=[2, 3], choices=(2, 3))
    parser.add_argument("--rounds", type=positive, default=7, help="turns that are kept")
    parser.add_argument("--threads", type=positive, default=1)
    parser.add_argument("--filters", type=positive, default=16)
    parser.add_argument("--size", type=positive, help="side of the phantom's images (default: its own)")
    parser.add_argument("--patch", type=positive, help=f"side of a patch (default: {PATCH})")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
