"""What an answer reaches that looks at no image: the mean shape of the training labels, on every test slice.

    python benchmarks/mean_shape.py --data-root DIR --out benchmarks/results/acdc_mean_shape.csv

The labels of all training cases are brought to one size by nearest neighbour, slice by slice. The mean shape of a class
is where at least half of these slices have it. It is brought back to every slice of every test case and scored as a
prediction is. Since many slices have little or nothing of a class, half is much to ask: beside it stands the share with
the highest mean Dice of all that were tried, chosen on the test cases themselves, so an upper bound for such a method.
A row for each class, and for their mean. All training labels are used, also of what a method gets as unlabeled.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import machine, one_line, positive

from ssmis_core.datasets import Case, Dataset, open_dataset
from ssmis_core.errors import UserError
from ssmis_core.evaluation import score_labels, summarise
from ssmis_core.files import write_csv
from ssmis_core.resampling import resize_nearest
from ssmis_core.working_grid import WorkingGrid

SIZE = 256
HALF = 0.5
SHARES = tuple(round(0.05 * n, 2) for n in range(1, 16))  # of slices; tried in place of one half
TOLD = ("dice", "jaccard", "hd95", "asd", "hd95_mm", "asd_mm")


@one_line
def main() -> int:
    options = parse()
    data = open_dataset(options.dataset, options.data_root)
    shares = class_shares(data, options.size)
    tests = list(data.stream(data.test))
    best = max(SHARES, key=lambda share: mean_dice(mean_shape(shares, share), tests, data))
    here = {**machine(("numpy", "torch")), "dataset": data.name, "size": options.size}
    rows = []
    for share, chosen in ((HALF, "beforehand"), (best, "on the test cases")):
        scored = [
            row
            for case in tests
            for row in score_labels(
                on_each_slice(mean_shape(shares, share), case, data), case, class_names=data.class_names
            )
        ]
        rows += [{**here, "baseline": "mean shape", "at_least": share, "chosen": chosen, **row} for row in told(scored)]
    write_csv(options.out, rows)
    print(options.out.read_text(encoding="utf-8"))
    return 0


def class_shares(data: Dataset, size: int) -> np.ndarray:
    """[K, size, size]: the share of the slices of the training cases that have each class at a place."""
    grid, total, count = grid_of(data, size), torch.zeros(data.num_classes, size, size), 0
    for case in data.stream(data.train):
        for sample in grid.samples(case.id, *on_grid(grid, case, data)):
            assert sample.label is not None
            total += torch.stack([sample.label == k for k in range(data.num_classes)])
            count += 1
    return (total / count).numpy()


def mean_shape(shares: np.ndarray, at_least: float) -> np.ndarray:
    """uint8 [size, size]: the likeliest class but the background where its share is large enough, else 0."""
    best = shares[1:].argmax(axis=0)
    return np.where(shares[1:].max(axis=0) >= at_least, best + 1, 0).astype(np.uint8)


def on_each_slice(shape: np.ndarray, case: Case, data: Dataset) -> np.ndarray:
    """The shape [size, size] as labels of a case, uint8 [*spatial]: the same on every slice."""
    axis = grid_of(data, len(shape)).slice_axis
    assert axis is not None
    plane = [n for a, n in enumerate(case.shape) if a != axis]
    flat = resize_nearest(torch.from_numpy(shape), plane).numpy()
    return np.repeat(np.expand_dims(flat, axis), case.shape[axis], axis)


def mean_dice(shape: np.ndarray, cases: Sequence[Case], data: Dataset) -> float:
    """Mean over cases and classes of the Dice of a shape on each slice."""
    scores = []
    for case in cases:
        labels = on_each_slice(shape, case, data)
        for k in range(1, data.num_classes):
            mine, true = labels == k, case.label == k
            if size := int(mine.sum()) + int(true.sum()):
                scores.append(2 * int((mine & true).sum()) / size)
    return float(np.mean(scores))


def told(scored: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A row a class and one for their mean, of the rows of every case."""
    summary = summarise(scored)
    for name, of_class in summary["classes"].items():
        means = {metric: (of_class.get(metric) or {}).get("mean") for metric in TOLD}
        yield {"class": name, "cases": summary["cases"], **rounded(means), "missed": of_class["missed"]}
    yield {"class": "mean", "cases": summary["cases"], **rounded(summary["mean"]), "missed": summary["missed"]}


def rounded(means: dict[str, float | None]) -> dict[str, float]:
    """Four digits; NaN for what is not known."""
    values = ((metric, means.get(metric)) for metric in TOLD)
    return {metric: math.nan if value is None else round(value, 4) for metric, value in values}


def grid_of(data: Dataset, size: int) -> WorkingGrid:
    if data.slice_axis is None:
        raise UserError(f"{data.name}: its volumes are not seen slice by slice, expected a data set such as acdc")
    return WorkingGrid((1, 1), (size, size), data.slice_axis)


def on_grid(grid: WorkingGrid, case: Case, data: Dataset) -> tuple[torch.Tensor, torch.Tensor]:
    """(image, label) of a training case on the grid."""
    assert case.label is not None
    image, label = (torch.from_numpy(np.ascontiguousarray(one)) for one in (case.image, case.label))
    return grid.image(image), grid.label(label, data.num_classes)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="acdc")
    parser.add_argument("--data-root", type=Path, help="folder of the data set's files")
    parser.add_argument("--size", type=positive, default=SIZE, help="pixels a side of the common slice")
    parser.add_argument("--out", type=Path, required=True, help="the CSV to write")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
