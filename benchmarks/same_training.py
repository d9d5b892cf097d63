"""Do the fast paths train to the same result? Dice of trainings with them and without, seed by seed.

    python benchmarks/same_training.py --out benchmarks/results/same_training.csv --folder DIR

Each method's quick budget on the 2D phantom. Both paths see the same batches and the same noise:

    fast    compiled networks, channels-last, the package's own distance transform and group normalisation, selectors of
            SS-Net of which map and normalisation are one
    plain   torch's eager operations on contiguous features, scipy's distance transform, torch's group and batch
            normalisation
    moved   plain, from initial weights that are moved by a millionth: what rounding does to a training by itself

They round differently, and a training magnifies that until two runs of a seed are as far apart as two seeds. So the
fast path is in order when the means over seeds differ by no more than the seeds do; moved says how far runs of one path
are apart. A row a training; runs lie in DIR, and those that are finished are not trained anew.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import Any
from unittest.mock import patch

import torch
from machine import machine, one_line, positive
from signed_distance import scipy_map

from ssmis_core import Run, configure, evaluate_run, train
from ssmis_core.configuration import Configuration
from ssmis_core.errors import UserError
from ssmis_core.files import write_csv
from ssmis_core.methods import create_method
from ssmis_core.methods.base import Method
from ssmis_core.networks.layers import GroupNorm
from ssmis_core.progress import silent
from ssmis_core.prototypes import MaskedBatchNorm

PATHS = ("fast", "plain", "moved")
METHODS = ("dtc", "ugmcl", "ssnet")  # signed distances; Monte-Carlo passes and a teacher; class separation


@one_line
def main() -> int:
    options = parse()
    if options.one:
        method, path, seed = options.one.split("/")
        return run(method, path, int(seed), options)
    for method, path, seed in product(options.methods, options.paths, options.seeds):
        configured(method, path, seed, options)
    rows: list[dict[str, Any]] = []
    for method in options.methods:
        dice: dict[str, list[float]] = {path: [] for path in options.paths}
        for seed in options.seeds:
            for path in options.paths:
                # a process of its own: what is compiled, or stood in for, is then of one training alone
                one = [*sys.argv[1:], "--one", f"{method}/{path}/{seed}"]
                if subprocess.run([sys.executable, __file__, *one], check=False).returncode:
                    raise UserError(f"{method}/{path}/{seed}: was not trained; what stopped it stands above")
                done = Run(folder(options, method, path, seed))
                dice[path].append(done.summary["mean"]["dice"])
                told = {"method": method, "path": path, "seed": seed, "iterations": done.info["iterations_done"]}
                here = machine(("torch", "scipy"), threads=done.info["threads"])
                rows.append({**here, **told, "dice": round(dice[path][-1], 4)})
                print(*(f"{key}={value}" for key, value in told.items()), rows[-1]["dice"], flush=True)
        if len(options.seeds) > 1:
            for path, values in dice.items():
                print(f"{method} {path}: mean {mean(values):.4f}, seeds spread by {stdev(values):.4f}", flush=True)
        write_csv(options.out, rows)
    return 0


def run(method: str, path: str, seed: int, options: argparse.Namespace) -> int:
    """Train and score one."""
    torch.set_num_threads(options.threads)
    config = configured(method, path, seed, options)
    where = folder(options, method, path, seed)
    with ExitStack() as stack:
        if path != "fast":
            stack.enter_context(plain())
        if path == "moved":
            stack.enter_context(patch("ssmis_core.training.create_method", moved))
        train(config, run_dir=where, report=silent)
        if not (where / "summary.json").is_file():
            evaluate_run(where, save_predictions=False)
    return 0


def configured(method: str, path: str, seed: int, options: argparse.Namespace) -> Configuration:
    """One training; UserError for what cannot be."""
    budget: dict[str, Any] = {"iterations": options.iterations} if options.iterations else {}
    return configure(method, dataset_options={"dims": 2}, labeled=4, seed=seed, compile=path == "fast", **budget)


@contextmanager
def plain() -> Iterator[None]:
    """Inside, torch and scipy do what the package has ways of its own for."""
    with ExitStack() as stack:
        for name in ("channels_last", "channels_last_3d"):
            stack.enter_context(patch.object(torch, name, torch.contiguous_format))
        stack.enter_context(patch("ssmis_core.geometry._signed_distance_one", scipy_map))
        stack.enter_context(patch.object(GroupNorm, "forward", torch.nn.GroupNorm.forward))
        stack.enter_context(patch.object(MaskedBatchNorm, "after", torchs_after))
        yield


def moved(*given: Any, **named: Any) -> Method:
    """`create_method`, then every weight times 1 + 1e-6 n, n ~ N(0, 1)."""
    method, generator = create_method(*given, **named), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weights in method.parameters():
            weights.mul_(1 + 1e-6 * torch.randn(weights.shape, generator=generator))
    return method


def torchs_after(norm: MaskedBatchNorm, linear: torch.nn.Linear, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """`MaskedBatchNorm.after` by torch: the map, then BatchNorm of the rows in the mask; 0 for the others."""
    inside = mask > 0
    rows = linear(x[inside])
    if norm.training and len(rows) < 2:
        return norm.bias + 0.0 * linear(x)  # torch's refuses a single row
    return x.new_zeros(len(x), linear.out_features).index_put((inside,), norm(rows))


def folder(options: argparse.Namespace, method: str, path: str, seed: int) -> Path:
    return Path(options.folder) / f"{method}-{path}-{seed}"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the CSV to write")
    parser.add_argument("--folder", type=Path, required=True, help="where the runs lie")
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--paths", nargs="+", choices=PATHS, default=PATHS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--iterations", type=positive, help="default: of the quick preset")
    parser.add_argument("--threads", type=positive, default=torch.get_num_threads())
    parser.add_argument("--one", help=argparse.SUPPRESS)  # METHOD/PATH/SEED: train that one
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
