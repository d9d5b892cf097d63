"""Batches a second for training on LA: our volume bank against the released dataset, transforms and loader.

    python benchmarks/data_pipeline.py --la DIR --released DIR --out benchmarks/results/data_pipeline.csv

DIR of --la is the folder of the data set "la"; --released holds a checkout of the authors' SS-Net, whose loader most
released codes of the field share. A batch is 2 labeled and 2 unlabeled patches of 112x112x80, cropped, turned and
flipped. Ours cuts it from volumes in memory, in the training's own process; theirs reads whole volumes from files, with
no worker and with the four workers of the script, which read ahead while the others have their turn. Both are checked
to give float32 patches of that size in the same range of values. start_s is what comes before the first batch.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from machine import machine, one_line, positive, spread
from released_code import PATCH, Compose, beside_released, check_la, check_released, lay_out, open_released
from torch import Tensor
from turns import synchronise

from ssmis_core.batches import Batches, Sampling
from ssmis_core.datasets import open_dataset
from ssmis_core.draws import Clock, Draws
from ssmis_core.files import write_csv
from ssmis_core.volume_bank import VolumeBank

LABELED = 4
LONG = 1_000_000


@one_line
def main() -> int:
    options = parse()
    torch.set_num_threads(options.threads)
    check_la(options.la)
    check_released("ssnet", options.released)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with tempfile.TemporaryDirectory() as folder:
        scratch, la = Path(folder) / "released" / "run", options.la.resolve()
        scratch.mkdir(parents=True)
        lay_out(la, scratch)
        open_released("ssnet", options.released, Path(folder) / "code")
        os.chdir(scratch)
        sides = {"ours": ours(la, device)} | {f"released_{n}": released(n, device) for n in (0, 4)}
        started: dict[str, float] = {}
        spent: dict[str, list[float]] = {name: [] for name in sides}
        for name, side in sides.items():
            began = perf_counter()
            check(name, next(side))
            started[name] = perf_counter() - began
        for number in range(options.rounds):
            names = list(sides)
            for name in names[number % 3 :] + names[: number % 3]:
                began = perf_counter()
                for _ in range(options.batches):
                    next(sides[name])
                synchronise()
                spent[name].append((perf_counter() - began) / options.batches)
    row: dict[str, Any] = {"device": device, "patch": "x".join(map(str, PATCH)), "rounds": options.rounds}
    for name, seconds in spent.items():
        row |= {**spread(name, seconds), f"{name}_start_s": round(started[name], 3)}
    for name in ("released_0", "released_4"):
        row[f"ratio_{name}"] = round(median(spent[name]) / median(spent["ours"]), 2)
    print(*(f"{key}={value}" for key, value in row.items()), flush=True)
    write_csv(options.out, [{**machine(("torch", "numpy", "h5py")), **row}])
    return 0


def ours(la: Path, device: str) -> Iterator[Tensor]:
    data = open_dataset("la", la)
    labeled, unlabeled = data.split(LABELED)
    bank = VolumeBank(
        map(data.load, [*labeled, *unlabeled]), num_classes=2, factor=[1, 1, 1], device=torch.device(device)
    )
    indices = bank.samples_of(labeled), bank.samples_of(unlabeled)
    batches = Batches(bank, labeled=indices[0], unlabeled=indices[1], patch=PATCH, sampling=Sampling())
    draws = Draws(0)
    for t in range(LONG):
        clock = Clock("main", t, LONG)
        yield batches.at(clock, draws.at(clock)).image


def released(workers: int, device: str) -> Iterator[Tensor]:
    theirs: Any = import_module("dataloaders.dataset")
    steps = [theirs.RandomRotFlip(), theirs.RandomCrop(PATCH), theirs.ToTensor()]
    data = theirs.LAHeart(base_dir="data/LA", split="train", transform=Compose(steps))
    sampler = theirs.TwoStreamBatchSampler(list(range(LABELED)), list(range(LABELED, 80)), 4, 2)
    while True:  # an epoch is a pass over the labeled volumes
        for batch in torch.utils.data.DataLoader(data, batch_sampler=sampler, num_workers=workers):
            yield batch["image"].to(device)


def check(name: str, images: Tensor) -> None:
    """Both sides give normalised float32 patches of the published size."""
    assert tuple(images.shape) == (4, 1, *PATCH) and images.dtype == torch.float32, (name, images.shape, images.dtype)
    assert -10 < float(images.min()) < 0 < float(images.max()) < 50, (name, images.min(), images.max())


def parse() -> argparse.Namespace:
    parser = beside_released(__doc__)
    parser.add_argument("--rounds", type=positive, default=5, help="timed turns of each side")
    parser.add_argument("--batches", type=positive, default=10, help="of one turn")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
