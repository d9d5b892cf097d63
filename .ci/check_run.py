"""Say whether a run folder is complete: `python .ci/check_run.py RUN_DIR [--cases N]` (exit code 1 when it is not)."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path

TABLES = {
    "history.csv": {"iteration"},
    "evaluations.csv": {"iteration", "split", "case", "class"},
    "cases.csv": {"case", "class", "dice", "jaccard", "hd95", "asd"},
}


def problems(run: Path, cases: int) -> list[str]:
    """One line for each thing that is missing, unreadable or half-written in the run folder."""
    if not run.is_dir():
        return [f"{run}: no such folder"]
    found = []
    for name in ("run.json", "summary.json"):
        try:
            json.loads((run / name).read_text())
        except (OSError, ValueError) as error:
            found.append(f"{name}: {error}")
    scored: set[str] = set()
    for name, columns in TABLES.items():
        try:
            with (run / name).open(newline="") as file:
                rows = list(csv.DictReader(file))
        except OSError as error:
            found.append(f"{name}: {error}")
            continue
        if not rows:
            found.append(f"{name}: no rows")
        elif missing := columns - rows[0].keys():
            found.append(f"{name}: no column {', '.join(sorted(missing))} (has {', '.join(rows[0])})")
        elif name == "cases.csv":
            scored = {row["case"] for row in rows}
    weights = run / "weights.safetensors"
    if not weights.is_file() or not weights.stat().st_size:
        found.append("weights.safetensors: missing or empty")
    written = list((run / "predictions").glob("*.nii.gz"))
    if len(written) != cases or (scored and len(scored) != cases):
        found.append(f"expected {cases} cases, found {len(written)} predictions and {len(scored)} cases in cases.csv")
    found += [f"{path.relative_to(run)}: left over from an interrupted write" for path in sorted(run.rglob("*.part"))]
    return found


def main() -> None:
    """Print what is wrong, or one line that says nothing is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--cases", type=int, default=20, help="test cases that must be scored and predicted")
    arguments = parser.parse_args()
    found = problems(arguments.run, arguments.cases)
    if found:
        sys.exit("the run folder is not complete:\n  " + "\n  ".join(found))
    print(f"the run folder is complete: {arguments.cases} cases scored and predicted")


if __name__ == "__main__":
    main()
