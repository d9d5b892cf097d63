"""How far intensity alone goes on the phantom: the best threshold, or window of intensities, over its test set.

    python benchmarks/phantom_difficulty.py --out benchmarks/results/phantom_threshold.csv

Every window [low, high] between the levels of a grid is tried on every test case: its voxels, of these the largest
component, and the Dice of that with the atrium. The window is chosen on the test set itself, for the whole set, so
that the number is an upper bound for such a method. One row for the best threshold (no upper end) and one for the best
window, in 2D and 3D.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy import ndimage

from ssmis_core.datasets import open_dataset
from ssmis_core.files import write_csv

LEVELS = (*np.linspace(-1.5, 4.5, 25).round(2).tolist(), float("inf"))  # z-scores


def main() -> int:
    from machine import machine

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the CSV to write")
    options = parser.parse_args()
    here, rows = machine(("numpy", "scipy"), threads=1), []
    for dims in (2, 3):
        dice = window_dice(dims=dims)
        for kind, best in (("threshold", best_threshold(dice)), ("window", best_window(dice))):
            low, high = best
            scores = dice[best]
            rows.append(
                {
                    **here,
                    "dims": dims,
                    "cases": len(scores),
                    "baseline": kind,
                    "low": low,
                    "high": high,
                    "windows_tried": len(dice),
                    "mean_dice": round(float(scores.mean()), 4),
                    "highest_dice": round(float(scores.max()), 4),
                }
            )
            print(rows[-1])
    write_csv(options.out, rows)
    return 0


def window_dice(
    *, dims: int, size: Sequence[int] | None = None, levels: Sequence[float] = LEVELS
) -> dict[tuple[float, float], np.ndarray]:
    """Dice of every test case for every window (low, high) between two of the levels, which must rise."""
    data = open_dataset("phantom", dims=dims, size=size)
    cases = [data.load(case_id) for case_id in data.test]
    return {
        (low, high): np.array([_dice(case.image[0], case.label == 1, low, high) for case in cases])
        for low, high in combinations(levels, 2)
    }


def best_window(dice: dict[tuple[float, float], np.ndarray]) -> tuple[float, float]:
    """The window with the highest mean Dice over the cases."""
    return max(dice, key=lambda window: float(dice[window].mean()))


def best_threshold(dice: dict[tuple[float, float], np.ndarray]) -> tuple[float, float]:
    """The best of the windows without an upper end."""
    return best_window({window: scores for window, scores in dice.items() if window[1] == float("inf")})


def _dice(image: np.ndarray, target: np.ndarray, low: float, high: float) -> float:
    components, count = ndimage.label((image >= low) & (image <= high))
    if count == 0:
        return 0.0
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    largest = int(sizes.argmax())
    return float(2 * np.count_nonzero(target & (components == largest)) / (sizes[largest] + np.count_nonzero(target)))


if __name__ == "__main__":
    raise SystemExit(main())
