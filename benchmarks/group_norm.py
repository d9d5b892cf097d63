"""Training steps of channels-last networks with ours and with torch's group normalisation, on the CPU.

    python benchmarks/group_norm.py --out benchmarks/results/group_norm.csv

The same V-Net with instance normalisation takes forward and backward on the same planes with either, in turns, and
which goes first alternates; losses are checked equal first. A row a number of threads and filters.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import median
from time import perf_counter
from unittest.mock import patch

import torch
from machine import machine, one_line, positive, spread
from torch import Tensor, nn

from ssmis_core.files import write_csv
from ssmis_core.networks import create_network
from ssmis_core.networks.layers import GroupNorm

SIDES = {"ours": GroupNorm.forward, "torch": nn.GroupNorm.forward}


@one_line
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the CSV to write")
    parser.add_argument("--rounds", type=positive, default=15, help="timed steps of each side")
    parser.add_argument("--size", type=positive, default=96, help="side of the planes")
    options = parser.parse_args()
    rows, cores = [], torch.get_num_threads()
    for threads in sorted({1, cores}):
        torch.set_num_threads(threads)
        for filters in (8, 16):
            rows.append({**machine(("torch",)), **compare(filters, options.size, options.rounds)})
            print(rows[-1], flush=True)
    write_csv(options.out, rows)
    return 0


def compare(filters: int, size: int, rounds: int) -> dict[str, str | float]:
    """One row: both sides in turns on the same network and planes."""
    torch.manual_seed(0)
    own = {"filters": filters, "dropout": 0.0, "norm": "instance"}
    network = create_network("vnet", channels=1, num_classes=2, dims=2, **own)
    network = network.train().to(memory_format=torch.channels_last)
    x = torch.randn(8, 1, size, size).to(memory_format=torch.channels_last)
    losses = {name: float(timed(name, network, x)[0]) for name in SIDES}  # and a first step of each, which warms up
    if abs(losses["ours"] - losses["torch"]) > 1e-5 * abs(losses["torch"]):
        raise SystemExit(f"group_norm: results differ, {losses}")
    spent: dict[str, list[float]] = {name: [] for name in SIDES}
    for number in range(rounds):
        for name in sorted(SIDES, reverse=number % 2 == 0):
            spent[name].append(timed(name, network, x)[1])
    row: dict[str, str | float] = {"planes": f"8x1x{size}x{size}", "filters": filters, "rounds": rounds}
    for name, seconds in spent.items():
        row |= spread(name, seconds)
    return {**row, "ratio": round(median(spent["torch"]) / median(spent["ours"]), 2)}


def timed(name: str, network: nn.Module, x: Tensor) -> tuple[Tensor, float]:
    """The loss of a step, and its seconds."""
    with patch.object(GroupNorm, "forward", SIDES[name]):
        began = perf_counter()
        loss: Tensor = network(x).logits.square().mean()
        loss.backward()
        spent = perf_counter() - began
    network.zero_grad()
    return loss.detach(), spent


if __name__ == "__main__":
    sys.exit(main())
