"""How long the command line and the package take to start, each in a fresh process.

    python benchmarks/startup.py --out benchmarks/results/startup.csv

The bare interpreter is measured beside them, in turns, in the same run, and so is the import of torch: a script of this
field waits for it before it reads its options. Seconds are wall time, the best and the median of the repeats.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

from machine import machine, one_line, positive

from ssmis_core.errors import UserError
from ssmis_core.files import write_csv

SSMIS = Path(sys.executable).with_name("ssmis")
COMMANDS = {
    "python": [sys.executable, "-c", "pass"],
    "import ssmis_core": [sys.executable, "-c", "import ssmis_core"],
    "ssmis --help": [str(SSMIS), "--help"],
    "ssmis methods": [str(SSMIS), "methods"],
    "import torch": [sys.executable, "-c", "import torch"],
}


@one_line
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the CSV to write")
    parser.add_argument("--repeats", type=positive, default=7)
    options = parser.parse_args()
    if not SSMIS.is_file():
        raise UserError(f"{SSMIS}: no such file, expected the installed command; run `make install` first")
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(options.repeats + 1):
        for name, command in COMMANDS.items():
            start = perf_counter()
            if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode:
                raise UserError(f"{name}: did not run; what it says stands above")
            seconds[name].append(perf_counter() - start)
    here = machine(("typer", "torch"))
    rows = []
    for name, measured in seconds.items():
        warm = measured[1:]  # the first fills the disk cache
        rows.append({**here, "command": name, "best_s": round(min(warm), 3), "median_s": round(median(warm), 3)})
        print(name, rows[-1]["best_s"], rows[-1]["median_s"])
    write_csv(options.out, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
