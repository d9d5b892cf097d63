"""Several benchmarks' CSV files as one, with every column of all: `benchmark` says which file a row is from.

python benchmarks/one_table.py OUT.csv FILE.csv...
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from machine import one_line

from ssmis_core.files import read_csv, write_csv


@one_line
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="the CSV to write")
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="a CSV of one topic")
    options = parser.parse_args()
    write_csv(options.out, [{"benchmark": file.stem, **row} for file in options.files for row in read_csv(file)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
