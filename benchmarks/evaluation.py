"""Evaluation of LA volumes, from images to four metrics: ours against the released test functions.

    python benchmarks/evaluation.py --la DIR --released DIR --run RUN --out FILE.csv

`benchmarks/results/evaluation_cpu.csv` has four volumes (--volumes 4).

DIR of --la is the folder of the data set "la"; --released holds a checkout of the authors' SS-Net. RUN is a run folder
of supervised learning on LA with the full preset; where there is none, one is trained there for --train-seconds, since
the time of the metrics depends on what is predicted. Both sides predict with its weights window by window (112x112x80,
stride 18, 18, 4) and score Dice, Jaccard, 95HD and ASD; theirs by medpy. They take turns, a volume each, after one that
is not timed. Dice is checked equal, and the differences of the others are written. A row a volume, and one for all.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from machine import duration, machine, one_line, positive
from released_code import PATCH, beside_released, check_released
from sliding_window import STRIDE, released_network

from ssmis_core import Run, configure, train
from ssmis_core.datasets import Case, open_dataset
from ssmis_core.errors import UserError
from ssmis_core.files import write_csv
from ssmis_core.inference import predict_labels
from ssmis_core.methods.base import Method
from ssmis_core.metrics import evaluate
from ssmis_core.progress import silent

METRICS = ("dice", "jaccard", "hd95", "asd")
LARGEST_DIFFERENCE = 1e-3  # of a Dice: a voxel whose probability is one half may fall on either side


@one_line
def main() -> int:
    options = parse()
    torch.set_num_threads(options.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.allow_tf32 = False  # on both sides: what they predict is to be equal
    rows: list[dict[str, Any]] = []
    if find_spec("medpy") is None:  # asked before released code brings stand-ins for what is missing
        raise UserError("medpy is not installed, expected it for the released side's metrics")
    check_released("ssnet", options.released)
    data = open_dataset("la", options.la)
    run = trained(options, device)
    method = run.method(torch.device(device))
    with tempfile.TemporaryDirectory() as folder:
        theirs = released_network(method, options, Path(folder) / "code").to(device).eval()
        module = import_module("utils.test_3d_patch")
    sides = {"ours": partial(ours, method, run, device), "released": partial(released, module, theirs, options)}
    for side in sides.values():
        side(data.load(data.test[0]))
    for number, case_id in enumerate(data.test[: options.volumes]):
        case = data.load(case_id)
        row: dict[str, Any] = {"case": case_id, "shape": "x".join(map(str, case.image.shape[1:]))}
        found = {}
        for name in sorted(sides, reverse=number % 2 == 0):
            began = perf_counter()
            found[name] = sides[name](case)
            row[f"{name}_s"] = round(perf_counter() - began, 4)
        row["ratio"] = round(row["released_s"] / row["ours_s"], 2)
        for metric, mine, other in zip(METRICS, found["ours"], found["released"], strict=True):
            row |= {metric: round(mine, 6), f"{metric}_difference": float(f"{abs(mine - other):.3g}")}
        if row["dice_difference"] > LARGEST_DIFFERENCE:
            raise SystemExit(f"evaluation: {case_id}: Dice differs by {row['dice_difference']}")
        rows.append(row)
        write_csv(options.out, table(rows, device))
        print(*(f"{key}={value}" for key, value in row.items()), flush=True)
    return 0


def table(rows: list[dict[str, Any]], device: str) -> list[dict[str, Any]]:
    """The rows of the volumes so far and one of all, with the machine."""
    total = {side: round(sum(row[side] for row in rows), 3) for side in ("ours_s", "released_s")}
    every = {"case": "all", **total, "ratio": round(total["released_s"] / total["ours_s"], 2)}
    name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    return [{**machine(("torch", "numpy", "medpy")), "device": name, **row} for row in (*rows, every)]


def trained(options: argparse.Namespace, device: str) -> Run:
    """The run, or one that is trained now."""
    sizes: dict[str, Any] = {"patch": options.patch, "stride": STRIDE, "filters": options.filters}
    if not (options.run / "run.json").is_file():
        config = configure("supervised", dataset="la", data_root=options.la, preset="full", labeled=16, **sizes)
        how: dict[str, Any] = {"device": device, "max_seconds": options.train_seconds, "report": silent}
        train(config, run_dir=options.run, data_root=options.la, **how)
    run = Run(options.run)
    wanted = {"method": "supervised", "dataset": "la", "patch": tuple(options.patch), "stride": STRIDE}
    wanted |= {"factor": (1, 1, 1), "filters": options.filters}
    for key, value in wanted.items():
        own = run.config.options["filters"] if key == "filters" else getattr(run.config, key)
        if own != value:
            raise UserError(f"{run.path}: its {key} is {own}, expected {value}, as the released side has it")
    return run


def ours(method: Method, run: Run, device: str, case: Case) -> tuple[float, ...]:
    scores = evaluate(predict_labels(method, case.image, run.config, device=device), case.label)
    return scores.dice, scores.jaccard, scores.hd95, scores.asd


def released(module: Any, network: torch.nn.Module, options: argparse.Namespace, case: Case) -> tuple[float, ...]:
    patch = tuple(options.patch)
    labels, _ = module.test_single_case(network, case.image[0], STRIDE[0], STRIDE[2], patch, num_classes=2)
    if not labels.any():
        return (0.0, 0.0, 0.0, 0.0)
    return tuple(float(one) for one in module.calculate_metric_percase(labels, np.asarray(case.label)))


def parse() -> argparse.Namespace:
    parser = beside_released(__doc__)
    parser.add_argument("--run", type=Path, required=True, help="a run folder, or where there is to be one")
    parser.add_argument("--volumes", type=positive, default=20, help="of the test list")
    parser.add_argument("--train-seconds", type=duration, default=60.0)
    parser.add_argument("--filters", type=positive, default=16)
    parser.add_argument("--patch", type=positive, nargs=3, default=PATCH)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
