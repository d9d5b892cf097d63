"""Our four metrics against medpy's, on the 20 left atrium test labels and perturbed copies of them.

    python benchmarks/metrics.py --la DIR --out benchmarks/results/metrics_medpy.csv

DIR holds "LA/2018LA_Seg_Training Set/<case>/mri_norm2.h5". Each label is perturbed in several fixed ways; both sides
score the same arrays in the same run, in turns, and which of them goes first alternates. The CSV has one row a case
and perturbation (median seconds of each side, their ratio, the absolute differences); in its last row, case and
perturbation are "all", seconds are means, the ratio is that of the sums and the differences are the largest.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean, median
from time import perf_counter

import numpy as np
from machine import machine
from scipy import ndimage

from ssmis_core.files import write_csv
from ssmis_core.metrics import evaluate

TEST_LIST = Path(__file__).resolve().parents[1] / "data" / "la" / "test.list"
METRICS = ("dice", "jaccard", "hd95", "asd")

Values = tuple[float, ...]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--la", type=Path, required=True, help='folder that holds "LA/2018LA_Seg_Training Set"')
    parser.add_argument("--out", type=Path, required=True, help="the CSV to write")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each side for one row (median is kept)")
    parser.add_argument("--cases", type=int, default=None, help="only the first cases of the list")
    options = parser.parse_args()
    names = TEST_LIST.read_text(encoding="utf-8").split()[: options.cases]
    here = machine(("numpy", "scipy", "medpy"), threads=1)  # neither side starts threads
    rows: list[dict[str, object]] = []
    theirs(np.ones((2, 2, 2)), np.ones((2, 2, 2)))  # imports medpy before the clock runs
    for index, name in enumerate(names):
        path = options.la / "LA" / "2018LA_Seg_Training Set" / name / "mri_norm2.h5"
        if not path.is_file():
            print(f"{path}: not found, expected the files of data/la/test.list under --la", file=sys.stderr)
            return 2
        reference = read_label(path)
        for kind, prediction in perturbed(reference, seed=index):
            rows.append({**here, **compare(prediction, reference, options.repeats, name, kind)})
            print(*(rows[-1][key] for key in ("case", "perturbation", "ours_s", "medpy_s", "ratio")), flush=True)
    rows.append({**here, **summary(rows)})
    write_csv(options.out, rows)
    print({key: value for key, value in rows[-1].items() if key not in here})
    print("smallest ratio", min(float(str(row["ratio"])) for row in rows))
    return 0


def read_label(path: Path) -> np.ndarray:
    import h5py

    with h5py.File(path) as file:
        return (file["label"][()] > 0).astype(np.uint8)


def perturbed(label: np.ndarray, *, seed: int) -> Iterator[tuple[str, np.ndarray]]:
    """(kind, mask) in a fixed order; the same seed gives the same masks."""
    generator = np.random.default_rng(seed)
    mask = label > 0
    warped = elastic(mask, generator)
    yield "elastic", warped.astype(np.uint8)
    with_blob = warped.copy()
    with_blob[3:15, 3:15, 3:15] = True  # a false positive far from the atrium
    yield "elastic + blob", with_blob.astype(np.uint8)
    yield "shift", np.roll(mask, (3, -2, 1), axis=(0, 1, 2)).astype(np.uint8)
    yield "far shift", np.roll(mask, 20, axis=0).astype(np.uint8)  # surfaces far apart: the hard case for our side
    yield "dilate", ndimage.binary_dilation(mask, iterations=2).astype(np.uint8)
    yield "erode", ndimage.binary_erosion(mask, iterations=2).astype(np.uint8)


def elastic(mask: np.ndarray, generator: np.random.Generator, *, step: int = 16, amount: float = 4.0) -> np.ndarray:
    """The mask moved by a smooth random field: normal with standard deviation `amount` voxels every `step` voxels."""
    grid = np.indices(mask.shape, dtype=np.float32)
    for axis in range(mask.ndim):
        coarse = generator.normal(scale=amount, size=[size // step + 2 for size in mask.shape])
        positions = np.indices(mask.shape, dtype=np.float32) / step
        grid[axis] += ndimage.map_coordinates(coarse, positions, order=1)
    return ndimage.map_coordinates(mask.astype(np.float32), grid, order=1) > 0.5


def compare(prediction: np.ndarray, reference: np.ndarray, repeats: int, case: str, kind: str) -> dict[str, object]:
    """One row: both sides timed in turns on the same arrays."""
    sides: dict[str, Callable[[np.ndarray, np.ndarray], Values]] = {"ours": ours, "medpy": theirs}
    seconds: dict[str, list[float]] = {"ours": [], "medpy": []}
    values: dict[str, Values] = {}
    for repeat in range(repeats):
        for side in sorted(sides, reverse=repeat % 2 == 0):
            start = perf_counter()
            values[side] = sides[side](prediction, reference)
            seconds[side].append(perf_counter() - start)
    ours_s, medpy_s = median(seconds["ours"]), median(seconds["medpy"])
    row: dict[str, object] = {
        "case": case,
        "perturbation": kind,
        "shape": "x".join(str(size) for size in reference.shape),
        "repeats": repeats,
        "ours_s": round(ours_s, 5),
        "medpy_s": round(medpy_s, 5),
        "ratio": round(medpy_s / ours_s, 2),
    }
    for name, a, b in zip(METRICS, values["ours"], values["medpy"], strict=True):
        row[name] = round(a, 6)
        row[f"{name}_difference"] = float(f"{abs(a - b):.3g}")
    return row


def summary(rows: list[dict[str, object]]) -> dict[str, object]:
    """The last row: means of seconds and metrics, the ratio of the sums, the largest differences."""

    def column(name: str) -> list[float]:
        return [float(str(row[name])) for row in rows]

    result: dict[str, object] = {"case": "all", "perturbation": "all", "shape": "", "repeats": rows[0]["repeats"]}
    result |= {"ours_s": round(mean(column("ours_s")), 5), "medpy_s": round(mean(column("medpy_s")), 5)}
    result["ratio"] = round(sum(column("medpy_s")) / sum(column("ours_s")), 2)
    for name in METRICS:
        result[name] = round(mean(column(name)), 6)
        result[f"{name}_difference"] = max(column(f"{name}_difference"))
    return result


def ours(prediction: np.ndarray, reference: np.ndarray) -> Values:
    scores = evaluate(prediction, reference)
    return scores.dice, scores.jaccard, scores.hd95, scores.asd


def theirs(prediction: np.ndarray, reference: np.ndarray) -> Values:
    from medpy.metric import binary

    measures = (binary.dc, binary.jc, binary.hd95, binary.asd)
    return tuple(float(measure(prediction, reference)) for measure in measures)


if __name__ == "__main__":
    sys.exit(main())
