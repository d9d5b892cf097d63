"""Seconds of a training iteration: ours against the authors' released scripts as they stand.

    python benchmarks/training_step.py --la DIR --released DIR --out benchmarks/results/training_step_cpu.csv

DIR of --la is the folder of the data set "la". --released holds checkouts of the authors' repositories: SS-Net, UG-MCL,
TraCoCo and shuaiAIMedcalLab (CPAM+TRCM). Both sides train on the same volumes with the script's own networks, batch and
patch, and do all that an iteration takes: loading, cropping, losses, backward, optimiser, averaged teacher. Ours is
`train` with the full preset and the variant "released". They take turns, and which goes first rotates: an iteration
that is not timed, since a machine may have taken the memory of the side that waited, and --timed ones that are. That
both compute the same is shown by the tests on the values that the released functions returned; here the floating point
operations of an iteration are counted on both sides, its time by kind of operation, and peak memory. --ours names how
ours computes, several at once: float32 or bf16, and compiled or not (bf16+compile).

On a CPU the published patch takes up to a minute an iteration; --patch 80 80 48 is a smaller one on both sides.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import torch
from machine import machine, none_or_more, one_line, positive, spread
from released_code import PATCH, RELEASED, beside_released, check_la, check_released, train_released
from turns import KINDS, Watched, sides

from ssmis_core.configuration import Configuration, configure
from ssmis_core.files import write_csv
from ssmis_core.networks.layers import check_divisible
from ssmis_core.progress import silent
from ssmis_core.training import train

LABELED = {"ssnet": 4, "ugmcl": 8, "tracoco": 16, "cpam_trcm": 8}  # scans, the scripts' defaults
RELEASED_SIDE = "released"
HOW = ("float32", "bf16", "float32+compile", "bf16+compile")
DIVISOR = 16  # of a side of the patch: every script's network halves it four times
LONG = 10_000_000  # iterations: no turn is the last; a first stage of a share of this is one iteration


def train_ours(pipe: Connection, name: str, la: Path, scratch: Path, patch: Sequence[int], how: str) -> None:
    """Train one of our methods on LA until there are no more turns."""
    Watched(pipe, optimisers=1)
    train(configured(name, la, patch, how), run_dir=scratch, data_root=la, report=silent)


def configured(name: str, la: Path, patch: Sequence[int], how: str) -> Configuration:
    """Our side's training; UserError for what cannot be."""
    precision, _, compiled = how.partition("+")
    options: dict[str, Any] = (
        {"pretraining": 1 / LONG} if name == "cpam_trcm" else {}
    )  # the released side begins with its second stage
    return configure(
        name,
        dataset="la",
        data_root=la,
        preset="full",
        variant="released",
        labeled=LABELED[name],
        iterations=LONG,
        patch=tuple(patch),
        stride=tuple(patch),
        precision=precision,
        compile=bool(compiled),
        **options,
    )


@one_line
def main() -> int:
    options = parse()
    check_la(options.la)
    check_divisible(tuple(options.patch), DIVISOR, "V-Net")
    for name in options.methods:
        check_released(name, options.released)
        for how in options.ours:
            configured(name, options.la, options.patch, how)
    rows = []
    for name in options.methods:
        for row in compare(name, options):
            rows.append({**machine(("torch", "numpy", "scipy"), threads=options.threads), **row})
            print(*(f"{key}={value}" for key, value in row.items()), flush=True)
        write_csv(options.out, rows)
    return 0


def compare(name: str, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row for each way of ours, all sides in turns."""
    with tempfile.TemporaryDirectory() as folder:
        theirs = Path(folder) / "released" / "run"
        theirs.mkdir(parents=True)
        trainings: dict[str, Any] = {
            how: (train_ours, (name, options.la, Path(folder) / how, options.patch, how)) for how in options.ours
        }
        trainings[RELEASED_SIDE] = (train_released, (name, options.released, options.la, theirs, options.patch))
        spent: dict[str, list[float]] = {side: [] for side in trainings}
        peak: dict[str, int] = {}
        with sides(trainings, options.threads) as all_sides:
            for one in all_sides:
                for _ in range(options.warm_up):
                    one.turn()
            for number in range(options.rounds):
                first = number % len(all_sides)
                for one in all_sides[first:] + all_sides[:first]:
                    one.turn()
                    taken = [one.turn() for _ in range(options.timed)]
                    spent[one.name] += [iteration.seconds for iteration in taken]
                    peak[one.name] = taken[-1].peak
            plain = [one for one in all_sides if "+" not in one.name]  # what is compiled cannot be looked into
            told = {one.name: (one.turn("operations").operations, one.turn("profile").shares) for one in plain}
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    patch = "x".join(map(str, options.patch))
    for how in options.ours:
        row: dict[str, Any] = {"device": device, "method": name, "patch": patch, "how": how, "rounds": options.rounds}
        for side, key in (("ours", how), ("released", RELEASED_SIDE)):
            row |= {**spread(side, spent[key]), f"{side}_peak_gb": round(peak[key] / 1e9, 2)}
        row |= {"timed": len(spent[how]), "ratio": round(median(spent[RELEASED_SIDE]) / median(spent[how]), 2)}
        for side, key in (("ours", how), ("released", RELEASED_SIDE)):
            operations, shares = told.get(key, (None, None))
            row |= {f"{side}_gflop": operations and round(operations / 1e9, 1)}
            row |= {f"{side}_{kind}": shares and round(shares[kind], 3) for kind in (*KINDS, "other")}
        yield row


def parse() -> argparse.Namespace:
    parser = beside_released(__doc__)
    parser.add_argument("--methods", nargs="+", default=list(RELEASED), choices=list(RELEASED))
    parser.add_argument("--rounds", type=positive, default=7, help="turns of each side")
    parser.add_argument("--timed", type=positive, default=1, help="iterations of a turn that are timed")
    parser.add_argument("--warm-up", type=none_or_more, default=1, help="iterations before, beside the first")
    parser.add_argument("--patch", type=positive, nargs=3, default=PATCH)
    parser.add_argument("--ours", nargs="+", default=["float32"], choices=HOW, help="how ours computes")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
