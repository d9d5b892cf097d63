"""Prediction of whole LA volumes window by window: ours against the released test function.

    python benchmarks/sliding_window.py --la DIR --released DIR --out benchmarks/results/sliding_window.csv

DIR of --la is the folder of the data set "la"; --released holds a checkout of the authors' SS-Net, whose
`test_single_case` is what most released codes of the field share. Both sides have the same V-Net with the same weights,
float32, the published patch (112x112x80) and stride (18, 18, 4). They take turns, and which goes first alternates;
before, each has predicted a part of the volume, which is not timed. The probabilities of the whole are checked equal. A
row a volume: median seconds of each side and the ratio.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from machine import machine, one_line, positive, spread
from released_code import PATCH, beside_released, open_released

from ssmis_core.configuration import configure
from ssmis_core.datasets import open_dataset
from ssmis_core.errors import UserError
from ssmis_core.files import write_csv
from ssmis_core.inference import predict_probabilities
from ssmis_core.methods import create_method
from ssmis_core.methods.base import Method
from ssmis_core.networks.published_keys import vnet_key

STRIDE = (18, 18, 4)
LARGEST_DIFFERENCE = 1e-5


@one_line
def main() -> int:
    options = parse()
    torch.set_num_threads(options.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.allow_tf32 = False  # on both sides: results in float32 are to be equal
    data = open_dataset("la", options.la)
    with tempfile.TemporaryDirectory() as folder:
        ours, released = both_sides(options, device, Path(folder) / "code")
    rows = []
    for case_id in data.test[: options.volumes]:
        image = data.load(case_id).image
        row = {"device": torch.cuda.get_device_name() if device == "cuda" else "cpu", "case": case_id}
        row |= {"shape": "x".join(map(str, image.shape[1:])), "patch": "x".join(map(str, options.patch))}
        row |= {"filters": options.filters, **compare(image, ours, released, options.rounds)}
        rows.append({**machine(("torch", "numpy")), **row})
        print(*(f"{key}={value}" for key, value in row.items()), flush=True)
        write_csv(options.out, rows)
        if row["largest_difference"] > LARGEST_DIFFERENCE:
            raise UserError(f"{case_id}: probabilities differ by more than {LARGEST_DIFFERENCE:g}")
    return 0


Side = Callable[[np.ndarray], np.ndarray]


def both_sides(options: argparse.Namespace, device: str, copy: Path) -> tuple[Side, Side]:
    """Functions of an image [1, X, Y, Z] that return foreground probabilities [X, Y, Z]."""
    given = {"preset": "full", "data_root": options.la, "filters": options.filters}
    config = configure("supervised", dataset="la", labeled=4, patch=options.patch, stride=STRIDE, **given)
    torch.manual_seed(0)
    method = create_method("supervised", num_classes=2, dims=3, **config.options)
    method = method.to(device).eval()
    theirs = released_network(method, options, copy).to(device).eval()
    test_single_case = import_module("utils.test_3d_patch").test_single_case

    def ours(image: np.ndarray) -> np.ndarray:
        return predict_probabilities(method, image, config, device=device)[1].cpu().numpy()

    def released(image: np.ndarray) -> np.ndarray:
        _, scores = test_single_case(theirs, image[0], STRIDE[0], STRIDE[2], tuple(options.patch), num_classes=2)
        return np.asarray(scores[1])

    return ours, released


def released_network(method: Method, options: argparse.Namespace, copy: Path) -> torch.nn.Module:
    """The released V-Net with the weights of ours."""
    open_released("ssnet", options.released, copy, options.patch)
    how = {"n_channels": 1, "n_classes": 2, "n_filters": options.filters, "normalization": "batchnorm"}
    network: torch.nn.Module = import_module("networks.VNet").VNet(**how, has_dropout=False)
    own, theirs = next(method.children()).state_dict(), network.state_dict()
    same = {key: own[ours] for key in theirs if (ours := vnet_key(key)) in own}
    if len(same) != len(own):
        raise SystemExit(f"the released V-Net has {len(same)} of our {len(own)} parameters")
    network.load_state_dict({**theirs, **same})
    return network


def compare(image: np.ndarray, ours: Side, released: Side, rounds: int) -> dict[str, Any]:
    """Both sides in turns on one volume."""
    sides = {"ours": ours, "released": released}
    spent: dict[str, list[float]] = {name: [] for name in sides}
    found: dict[str, np.ndarray] = {}
    for side in sides.values():
        side(image[:, : image.shape[1] // 2])
    for number in range(rounds):
        for name in sorted(sides, reverse=number % 2 == 0):
            began = perf_counter()
            found[name] = sides[name](image)
            spent[name].append(perf_counter() - began)
    difference = float(np.abs(found["ours"] - found["released"]).max())
    row: dict[str, Any] = {"rounds": rounds}
    for name, seconds in spent.items():
        row |= spread(name, seconds)
    row["ratio"] = round(median(spent["released"]) / median(spent["ours"]), 2)
    return {**row, "largest_difference": float(f"{difference:.2g}")}


def parse() -> argparse.Namespace:
    parser = beside_released(__doc__)
    parser.add_argument("--volumes", type=positive, default=1, help="of the test list (default: 1)")
    parser.add_argument("--rounds", type=positive, default=1, help="timed predictions of each side")
    parser.add_argument("--filters", type=positive, default=16, help="of the V-Net's first level")
    parser.add_argument("--patch", type=positive, nargs=3, default=PATCH)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
