"""Our four metrics against medpy, MONAI and surface-distance, on the 20 left atrium test labels and changed copies.

    python benchmarks/metrics.py --la DIR --out benchmarks/results/metrics.csv

DIR is the folder of the data set "la". Each label is changed in several fixed ways. Ours and one of the others score
the same arrays in the same run, in turns, and which of them goes first alternates. medpy pools the distances of both
directions for 95HD, MONAI takes the larger of the two directions; ours does either, and the numbers are the same.
surface-distance measures between weighted surface elements rather than voxels, so its distances are others. What should
be equal is checked, and what is not ends the run.

The CSV has one row an opponent, case and change (median seconds of each side, their ratio, the absolute differences);
in the last row of an opponent, case and perturbation are "all", seconds are means, the ratio is that of the sums and
the differences are the largest. An opponent that is not installed is named and left out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import mean, median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from machine import machine, one_line, positive
from scipy import ndimage

from ssmis_core.datasets import open_dataset
from ssmis_core.errors import UserError
from ssmis_core.files import write_csv
from ssmis_core.metrics import evaluate

METRICS = ("dice", "jaccard", "hd95", "asd")

LIMIT = 1e-4  # of a difference: MONAI computes in float32

Values = tuple[float, ...]  # dice, jaccard, hd95, asd
Side = Callable[[np.ndarray, np.ndarray], Values]


@one_line
def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    data = open_dataset("la", options.la)
    pairs = []
    for index, case_id in enumerate(data.test[: options.cases]):
        reference = (data.load(case_id).label > 0).astype(np.uint8)
        pairs += [(case_id, kind, made, reference) for kind, made in perturbed(reference, seed=index)]
    rows: list[dict[str, object]] = []
    for name in options.against:
        try:
            theirs, rule, equal = OTHERS[name]()
        except ImportError as error:
            print(f"{name}: left out, {error}", file=sys.stderr)
            continue
        here = {**machine(("numpy", "scipy", name), threads=options.threads), "other": name}
        here["other_version"] = here.pop(name)
        ours = partial(scores, rule)
        theirs(*pairs[0][2:])  # what is loaded when it is first called is loaded before the clock runs
        found = []
        for case_id, kind, prediction, reference in pairs:
            sides = {"ours": ours, "other": theirs}
            found.append({**here, **compare(sides, prediction, reference, options.repeats, case_id, kind)})
            if apart := [metric for metric in equal if found[-1][f"{metric}_difference"] > LIMIT]:
                raise UserError(f"{case_id}, {kind}: {name} has another {', '.join(apart)}")
        rows += [*found, {**here, **summary(found)}]
        write_csv(options.out, rows)
        print({key: value for key, value in rows[-1].items() if key not in here or key == "other"})
        print("smallest ratio", min(float(str(row["ratio"])) for row in found), flush=True)
    return 0


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


def compare(
    sides: Mapping[str, Side], prediction: np.ndarray, reference: np.ndarray, repeats: int, case: str, kind: str
) -> dict[str, Any]:
    """One row: both sides timed in turns on the same arrays."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    values: dict[str, Values] = {}
    for repeat in range(repeats):
        for side in sorted(sides, reverse=repeat % 2 == 0):
            start = perf_counter()
            values[side] = sides[side](prediction, reference)
            seconds[side].append(perf_counter() - start)
    ours_s, other_s = median(seconds["ours"]), median(seconds["other"])
    row: dict[str, Any] = {
        "case": case,
        "perturbation": kind,
        "shape": "x".join(str(size) for size in reference.shape),
        "repeats": repeats,
        "ours_s": round(ours_s, 5),
        "other_s": round(other_s, 5),
        "ratio": round(other_s / ours_s, 2),
    }
    for name, a, b in zip(METRICS, values["ours"], values["other"], strict=True):
        row[name] = round(a, 6)
        row[f"{name}_difference"] = float(f"{abs(a - b):.3g}")
    return row


def summary(rows: list[dict[str, object]]) -> dict[str, object]:
    """The last row: means of seconds and metrics, the ratio of the sums, the largest differences."""

    def column(name: str) -> list[float]:
        return [float(str(row[name])) for row in rows]

    result: dict[str, object] = {"case": "all", "perturbation": "all", "shape": "", "repeats": rows[0]["repeats"]}
    result |= {"ours_s": round(mean(column("ours_s")), 5), "other_s": round(mean(column("other_s")), 5)}
    result["ratio"] = round(sum(column("other_s")) / sum(column("ours_s")), 2)
    for name in METRICS:
        result[name] = round(mean(column(name)), 6)
        result[f"{name}_difference"] = max(column(f"{name}_difference"))
    return result


def scores(hd95: str, prediction: np.ndarray, reference: np.ndarray) -> Values:
    """Ours. hd95: which rule."""
    found = evaluate(prediction, reference, hd95=hd95)
    return found.dice, found.jaccard, found.hd95, found.asd


Other = tuple[Side, str, Sequence[str]]  # the rule of 95HD, and the metrics that are to be equal


def medpys() -> Other:
    from medpy.metric import binary

    measures = (binary.dc, binary.jc, binary.hd95, binary.asd)
    return lambda prediction, reference: tuple(float(one(prediction, reference)) for one in measures), "pooled", METRICS


def monais() -> Other:
    from monai import metrics

    def side(prediction: np.ndarray, reference: np.ndarray) -> Values:
        both = [torch.from_numpy(mask)[None, None] for mask in (prediction, reference)]
        how: dict[str, Any] = {"include_background": True}
        found = (
            metrics.compute_dice(*both, **how),
            metrics.compute_iou(*both, **how),
            metrics.compute_hausdorff_distance(*both, percentile=95, **how),
            metrics.compute_average_surface_distance(*both, **how),
        )
        return tuple(float(one) for one in found)

    return side, "max", METRICS


def surface_distances() -> Other:
    import surface_distance as library

    def side(prediction: np.ndarray, reference: np.ndarray) -> Values:
        predicted, true = prediction.astype(bool), reference.astype(bool)
        surfaces = library.compute_surface_distances(true, predicted, spacing_mm=(1.0,) * true.ndim)
        dice = float(library.compute_dice_coefficient(true, predicted))
        asd = library.compute_average_surface_distance(surfaces)[1]  # from the prediction to the reference
        return dice, dice / (2 - dice), float(library.compute_robust_hausdorff(surfaces, 95)), float(asd)

    return side, "max", ("dice", "jaccard")


OTHERS: dict[str, Callable[[], Other]] = {
    "medpy": medpys,
    "monai": monais,
    "surface-distance": surface_distances,
}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--la", type=Path, required=True, help="the folder of the data set la")
    parser.add_argument("--out", type=Path, required=True, help="the CSV to write")
    parser.add_argument("--against", nargs="+", default=list(OTHERS), choices=list(OTHERS))
    parser.add_argument(
        "--repeats", type=positive, default=3, help="timed runs of each side for one row (median is kept)"
    )
    parser.add_argument("--cases", type=positive, help="only the first cases of the list")
    parser.add_argument("--threads", type=positive, default=1, help="of torch, which MONAI computes with")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
