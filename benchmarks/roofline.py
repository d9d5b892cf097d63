"""How fast a training iteration could be: its operations and bytes against what a machine can do.

    python benchmarks/roofline.py --step 3 --out benchmarks/results/roofline.csv

For every method as in its paper, with its own batch and network: floating point operations of convolutions and matrix
products, forward and backward, and the bytes that torch's operations read and write when none is fused with another (a
compiler can save some of them).

    gflop, gbyte          an iteration on the small patch, in float32
    gflop_la, gbyte_la    on LA (112x112x80) with the networks in bf16, as a GPU trains. Operations grow with voxels.
                          Bytes do but for those of weights and optimisers: a line through the patch of --patch and one
                          of 32x32x32

compute_s is operations / peak and traffic_s bytes / bandwidth: no iteration is faster than the first, and none that
fuses nothing is faster than the second. For an H200 (h200_*) peak and bandwidth are the vendor's. --step N takes those
of this machine (a product of large matrices, a large copy), as they are just before and just after N iterations on the
small patch, and says to which kinds of operation the time of one more goes. A CPU's distance transform is numpy's, and
not counted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from machine import machine, one_line, positive, spread
from method_cost import Contestant, contestants
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode
from turns import operations_profile, shares_of

from ssmis_core.datasets import open_dataset
from ssmis_core.errors import UserError
from ssmis_core.files import write_csv
from ssmis_core.host_memory import freed_memory_kept
from ssmis_core.methods import METHODS

LA = 112 * 112 * 80
SMALLEST = 32
H200 = {"operations": 989e12, "bytes": 4.8e12}  # bf16 without sparsity; HBM3e


class ByteCounter(TorchDispatchMode):
    """Bytes that operations read and write, views left out."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if not function.is_view:
            tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, torch.Tensor)]
            self.bytes += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        return result


@one_line
def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    if options.patch <= SMALLEST:
        raise UserError(f"--patch {options.patch}: expected more than {SMALLEST}, the patch that it is compared with")
    data = open_dataset("phantom", dims=3)
    wanted = options.methods or METHODS
    smaller = contestants(wanted, data, SMALLEST, 16)
    rows = []
    for key, one in contestants(wanted, data, options.patch, 16).items():
        name, variant, network = key
        if variant != "paper":
            continue
        row: dict[str, Any] = {"method": name, "network": network, **one.facts(), **counted(one)}
        row["gflop_la"] = round(row["gflop"] * LA / options.patch**3, 1)
        row["gbyte_la"] = round(on_la(moved(smaller[key], "bf16"), moved(one, "bf16"), options.patch), 1)
        in_la = limits({count: row[f"{count}_la"] for count in ("gflop", "gbyte")}, H200)
        row |= {f"h200_{limit}": float(f"{value:.3g}") for limit, value in in_la.items()}
        if options.step:
            row |= {"steps": options.step, **timed(one, row, options.step)}
        rows.append({**machine(("torch",)), **row})
        print(*(f"{column}={value}" for column, value in row.items()), flush=True)
        write_csv(options.out, rows)
    return 0


def timed(one: Contestant, counts: Mapping[str, float], iterations: int) -> dict[str, float]:
    """Seconds of an iteration here, those that this machine needs at least for it, and where the time goes."""
    with freed_memory_kept(torch.device("cpu")):  # as a training has it
        one.iteration(one.stages[-1])
        before = rates()  # a machine that others share is not equally fast all the time
        spent = [one.iteration(one.stages[-1]) for _ in range(iterations)]
        peak = {key: max(value, before[key]) for key, value in rates().items()}
        with operations_profile() as watched:
            one.iteration(one.stages[-1])
    row = {"peak_gflops": round(peak["operations"] / 1e9, 1), "peak_gbytes": round(peak["bytes"] / 1e9, 1)}
    row |= {key: round(value, 4) for key, value in limits(counts, peak).items()} | spread("step", spent)
    return row | {kind: round(share, 3) for kind, share in shares_of(watched).items()}


def rates() -> dict[str, float]:
    """What this machine can do in a second."""
    return {"operations": product_rate(), "bytes": copy_rate()}


def limits(counts: Mapping[str, float], machine_can: Mapping[str, float]) -> dict[str, float]:
    """Seconds that the operations alone take, and the bytes alone."""
    compute, traffic = counts["gflop"] * 1e9 / machine_can["operations"], counts["gbyte"] * 1e9 / machine_can["bytes"]
    return {"compute_s": compute, "traffic_s": traffic}


def counted(one: Contestant) -> dict[str, float]:
    """Operations and bytes of an iteration of the last stage in float32, in units of 10^9."""
    one.iteration(one.stages[-1])
    with FlopCounterMode(display=False) as operations:
        one.iteration(one.stages[-1])
    return {"gflop": round(operations.get_total_flops() / 1e9, 2), "gbyte": round(moved(one, "float32"), 3)}


def moved(one: Contestant, precision: str) -> float:
    """Bytes that an iteration of the last stage reads and writes, in units of 10^9."""
    with ByteCounter() as traffic:
        one.iteration(one.stages[-1], precision=precision)
    return traffic.bytes / 1e9


def on_la(smallest: float, small: float, patch: int) -> float:
    """Bytes on LA's patch, on the line through those of patches of SMALLEST^3 and patch^3 voxels."""
    return small + (small - smallest) * (LA - patch**3) / (patch**3 - SMALLEST**3)


def product_rate(size: int = 2048, rounds: int = 7) -> float:
    """Floating point operations a second of a float32 matrix product, the best of some rounds."""
    a, b = torch.rand(size, size), torch.rand(size, size)
    return 2 * size**3 / best(lambda: a @ b, rounds)


def copy_rate(size: int = 2**26, rounds: int = 7) -> float:
    """Bytes a second that a copy of 256 MiB reads and writes, the best of some rounds."""
    a, b = torch.rand(size), torch.empty(size)
    return 2 * 4 * size / best(lambda: b.copy_(a), rounds)


def best(work: Callable[[], Any], rounds: int) -> float:
    spent = []
    for _ in range(rounds):
        began = perf_counter()
        work()
        spent.append(perf_counter() - began)
    return min(spent)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the CSV to write")
    parser.add_argument("--methods", nargs="+", help="default: all that are registered")
    parser.add_argument("--patch", type=positive, default=48, help="side of the small patch")
    parser.add_argument("--step", type=positive, default=0, metavar="N", help="time N iterations of each as well")
    parser.add_argument("--threads", type=positive, default=torch.get_num_threads())
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
