"""Several benchmarks' CSV files as one: a column says which file a row is from, and has every column of all.

python benchmarks/one_table.py OUT.csv FILE.csv...
"""

from __future__ import annotations

import sys
from pathlib import Path

from ssmis_core.files import read_csv, write_csv


def main(out: str, *files: str) -> int:
    write_csv(Path(out), [{"topic": Path(file).stem, **row} for file in files for row in read_csv(Path(file))])
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
