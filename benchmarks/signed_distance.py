"""Signed distance maps of a batch of left atrium patches: ours against scipy, as released code computes them.

    python benchmarks/signed_distance.py --la DIR --out benchmarks/results/signed_distance.csv

DIR is the folder of the data set "la". Both sides get the same masks in the same run, in turns, and which goes first
alternates; results are checked equal first. scipy's side is what the methods' authors run inside a training step: two
distance transforms and the inner border of every mask. A row a number of threads (scipy has one) and device: median
seconds of each side with the lowest and highest, and the ratio of the medians.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import torch
from machine import machine, one_line, positive, spread
from scipy import ndimage

from ssmis_core.datasets import open_dataset
from ssmis_core.devices import choose_device
from ssmis_core.files import write_csv
from ssmis_core.geometry import signed_distance

PATCH = (112, 112, 80)
LARGEST_DIFFERENCE = 1e-6


@one_line
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--la", type=Path, required=True, help="the folder of the data set la")
    parser.add_argument("--out", type=Path, required=True, help="the CSV to write")
    parser.add_argument("--batch", type=positive, default=4, help="patches that are transformed at once")
    parser.add_argument("--devices", nargs="+", choices=("cpu", "cuda"), help="of ours (default: all there are)")
    parser.add_argument("--rounds", type=positive, default=9, help="timed runs of each side")
    options = parser.parse_args()
    devices = options.devices or ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for device in devices:
        choose_device(device)
    masks = patches(options.la, options.batch)
    cores = torch.get_num_threads()
    rows = []
    for device in devices:
        for threads in sorted({1, cores}) if device == "cpu" else (cores,):
            torch.set_num_threads(threads)
            rows.append({**machine(("torch", "numpy", "scipy")), **compare(masks, device, options.rounds)})
            print(rows[-1], flush=True)
            write_csv(options.out, rows)
    return 0


def patches(root: Path, batch: int) -> torch.Tensor:
    """Masks [batch, 112, 112, 80] cut from the labels of the first training cases, as a training draws them."""
    data, random = open_dataset("la", root), np.random.default_rng(0)
    found = []
    for case_id in data.train[:batch]:
        label = data.load(case_id).label
        corner = [int(random.integers(0, n - size + 1)) for n, size in zip(label.shape, PATCH, strict=True)]
        found.append(label[tuple(slice(at, at + size) for at, size in zip(corner, PATCH, strict=True))] == 1)
    return torch.from_numpy(np.ascontiguousarray(np.stack(found)))


def compare(masks: torch.Tensor, device: str, rounds: int) -> dict[str, object]:
    """One row: both sides in turns on the same masks."""
    there = masks.to(device)

    def ours() -> torch.Tensor:
        found = signed_distance(there)
        if device == "cuda":
            torch.cuda.synchronize()
        return found

    sides: dict[str, Callable[[], torch.Tensor]] = {"ours": ours, "scipy": lambda: scipys(masks)}
    difference = float((ours().cpu() - scipys(masks)).abs().max())
    if difference > LARGEST_DIFFERENCE:
        raise SystemExit(f"signed_distance: results differ by {difference:g}, expected {LARGEST_DIFFERENCE:g} at most")
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in sorted(sides, reverse=number % 2 == 0):
            began = perf_counter()
            sides[name]()
            seconds[name].append(perf_counter() - began)
    row: dict[str, object] = {"device": device, "masks": "x".join(map(str, masks.shape)), "rounds": rounds}
    for name, spent in seconds.items():
        row |= spread(name, spent)
    row["ratio"] = round(median(seconds["scipy"]) / median(seconds["ours"]), 2)
    row["largest_difference"] = float(f"{difference:.2g}")
    return row


def scipys(masks: torch.Tensor) -> torch.Tensor:
    """The same maps by scipy, mask by mask."""
    return torch.from_numpy(np.stack([scipy_map(inside) for inside in masks.numpy()]))


def scipy_map(inside: np.ndarray) -> np.ndarray:
    """The signed distance map of one boolean mask; 0 for one without a boundary."""
    if inside.all() or not inside.any():
        return np.zeros(inside.shape, np.float32)
    outer, inner = ndimage.distance_transform_edt(~inside), ndimage.distance_transform_edt(inside)
    signed = outer / outer.max() - inner / inner.max()
    cross = ndimage.generate_binary_structure(inside.ndim, 1)
    signed[inside & ~ndimage.binary_erosion(inside, cross, border_value=1)] = 0.0
    return signed.astype(np.float32)


if __name__ == "__main__":
    sys.exit(main())
