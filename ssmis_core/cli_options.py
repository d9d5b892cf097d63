"""Arguments that several commands share, and how a count is shown while it grows."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

DatasetName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the data set; see `ssmis data list`.")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
DataRoot = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder of the data set's files (default: $SSMIS_DATA, then data/NAME)."),
]
DataOptions = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=VALUE", help="Option of the data set, such as dims=2; may be given again."),
]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda or cuda:N.")]
Precision = Annotated[
    str, typer.Option(metavar="float32|bf16", help="Of the network's passes: bf16 is faster on a GPU, and coarser.")
]
LargestComponent = Annotated[
    bool, typer.Option("--largest-component", help="Keep only the largest component of each class.")
]


class Counter:
    """Shows `done of total` on stderr: one line rewritten on a terminal, a line every `every` seconds elsewhere."""

    def __init__(self, what: str, every: float = 10.0):
        self.what, self.every, self._last = what, every, time.monotonic()

    def __call__(self, done: int, total: int, case: str = "") -> None:
        """Call after each case."""
        line, ended, now = f"{self.what} {done} of {total}  {case}".rstrip(), done == total, time.monotonic()
        if sys.stderr.isatty():
            print(f"\r{line:<60}", end="\n" if ended else "", file=sys.stderr, flush=True)
        elif ended or now - self._last >= self.every:
            self._last = now
            print(line, file=sys.stderr, flush=True)
