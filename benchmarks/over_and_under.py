"""Do networks mark too much, or too little? Volume, precision and recall of runs on their test cases.

    python benchmarks/over_and_under.py RUN... --out over_and_under.csv

A row a run: means over the test cases of marked / true voxels (all foreground classes as one), of the share of marked
voxels that are right (precision), and of the share of true voxels that are marked (recall).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from machine import one_line

from ssmis_core.contestants import read_runs
from ssmis_core.files import write_csv
from ssmis_core.inference import predict_labels
from ssmis_core.runs import Run


@one_line
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="evaluated run folders")
    parser.add_argument("--out", type=Path, required=True, help="the CSV to write")
    options = parser.parse_args()
    rows = [row(one.name, Run(one.folder)) for one in read_runs(options.runs)]
    write_csv(options.out, rows)
    return 0


def row(name: str, run: Run) -> dict[str, str | float]:
    data, method, config = run.dataset(), run.method(), run.config
    found = np.array([shares(predict_labels(method, c.image, config) > 0, c.label > 0) for c in data.stream(data.test)])
    means = dict(zip(("volume", "precision", "recall"), np.nanmean(found, axis=0).round(4), strict=True))
    return {"name": name, "seed": config.seed, "cases": len(found), **means}


def shares(marked: np.ndarray, true: np.ndarray) -> tuple[float, float, float]:
    """Marked / true voxels, precision and recall; NaN for what would divide by none."""
    both, m, t = (float(np.count_nonzero(one)) for one in (marked & true, marked, true))
    return m / t if t else np.nan, both / m if m else np.nan, both / t if t else np.nan


if __name__ == "__main__":
    sys.exit(main())
