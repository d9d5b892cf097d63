"""How long a notebook takes from its command, and what its trainings reach: one row for each run that it leaves.

    python benchmarks/walkthrough.py notebooks/02_ugmcl.ipynb --folder DIR --out benchmarks/results/walkthrough.csv \\
        -p labeled 16

Runs papermill with these parameters and the run folder DIR/run, which must not exist yet. Dice is over the test cases.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from machine import machine, one_line

from ssmis_core.errors import UserError
from ssmis_core.files import write_csv
from ssmis_core.runs import Run


@one_line
def main() -> int:
    arguments = parse()
    run, executed = arguments.folder / "run", arguments.folder / "out.ipynb"
    if not arguments.notebook.is_file():
        raise UserError(f"{arguments.notebook}: no such file, expected a notebook")
    if run.exists():
        raise UserError(f"{run}: exists already; choose another --folder")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    given = [word for name, value in arguments.parameter for word in ("-p", name, value)]
    papermill = [sys.executable, "-m", "papermill", "--no-progress-bar", str(arguments.notebook), str(executed)]
    began = time.perf_counter()
    done = subprocess.run([*papermill, *given, "-p", "run_dir", str(run)], check=False)
    if done.returncode:
        raise UserError(f"{arguments.notebook}: did not run to its end; papermill's message stands above")
    wall = time.perf_counter() - began
    here = {
        **machine(("torch",)),
        "notebook": arguments.notebook.name,
        "parameters": " ".join(f"{name}={value}" for name, value in arguments.parameter if name != "data_root"),
        "notebook_seconds": round(wall, 1),
        "notebook_megabytes": round(executed.stat().st_size / 1e6, 2),
    }
    folders = [run, *sorted(path.parent for path in run.glob("extra/*/run.json"))]
    write_csv(arguments.out, [{**here, **row(folder)} for folder in folders])
    print(arguments.out.read_text(encoding="utf-8"))
    return 0


def row(folder: Path) -> dict[str, Any]:
    """What one run folder says of its training and its evaluation."""
    run = Run(folder)
    summary, config = run.summary, run.info["configuration"]
    return {
        "threads": run.info["threads"],  # of the kernel that trained it
        "run": "main" if folder.name == "run" else folder.name,
        "method": config["method"],
        "labeled": config["labeled"],
        "seed": config["seed"],
        "iterations": run.info["iterations_done"],
        "train_seconds": run.info["seconds"],
        "cases": summary["cases"],
        **{metric: round(value, 4) for metric, value in summary["mean"].items()},
    }


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--folder", type=Path, required=True, help="for the executed notebook and its run")
    parser.add_argument("--out", type=Path, required=True, help="the CSV to write")
    parser.add_argument("-p", dest="parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
