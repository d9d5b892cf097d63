"""A run folder as it grows: what a training wrote so far, read anew whenever a file changed."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from ssmis_core.errors import UserError
from ssmis_core.files import is_taken, read_json
from ssmis_core.interrupts import STOP
from ssmis_core.progress import duration
from ssmis_core.runs import INFO, read_rows

FILES = ("run.json", "history.csv", "quality.csv")
SILENT = 15.0  # seconds without a word after which to ask whether anybody is still there


class Tail:
    """The end of a run folder, which need not exist yet. Files are written atomically, so what is read is whole.

    info: run.json, empty before there is one; history, quality: rows of those tables.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        self.folder = Path(folder).absolute()
        self.info: dict[str, Any] = {}
        self.history: list[dict[str, Any]] = []
        self.quality: list[dict[str, Any]] = []
        self.trouble = ""
        self._seen: dict[str, tuple[int, int] | None] = dict.fromkeys(FILES)

    def look(self) -> bool:
        """Read what changed since the last look; whether anything did."""
        now = {name: _stamp(self.folder / name) for name in FILES}
        if now == self._seen:
            return False
        self._seen, self.trouble = now, ""
        try:
            self.info = {}
            if now["run.json"]:
                told = "what training writes"
                self.info = read_json(self.folder / "run.json", keys=INFO, expected=told)
        except UserError as error:
            self.trouble = str(error)
        self.history, self.quality = (self._rows(name) for name in FILES[1:])
        return True

    def _rows(self, name: str) -> list[dict[str, Any]]:
        """Rows of a table; none of one that is not there yet, or that no training wrote, which is the trouble then."""
        try:
            return read_rows(self.folder / name)
        except UserError as error:
            self.trouble = self.trouble or str(error)
            return []

    @property
    def status(self) -> str:
        """That of the run; "" before there is one."""
        return str(self.info.get("status", ""))

    @property
    def stopping(self) -> bool:
        """Whether a stop was asked for and not heard yet."""
        return self.status == "running" and (self.folder / STOP).exists()

    @property
    def done(self) -> int:
        """Iterations that are known to be done."""
        last = self.history[-1]["iteration"] if self.history else 0
        return max(int(last), int(self.info.get("iterations_done", 0) if self.status != "running" else 0))

    def caption(self) -> str:
        """Where the training is, in one line."""
        if self.trouble:
            return self.trouble
        if not self.info:
            there = "it has no run.json yet" if self.folder.is_dir() else "it does not exist yet"
            return f"waiting for a training in {self.folder}: {there}"
        total = int(self.info["configuration"].get("iterations", 0))
        spent = float(self.history[-1]["seconds"]) if self.history else 0.0
        spent = spent if math.isfinite(spent) else 0.0
        told = f"{self.status}: {self.done} of {total} iterations in {duration(spent)}"
        if self.status == "failed" and self.info.get("error"):
            return f"{told}; {self.info['error']}"
        return f"{told}{self._outlook(total, spent)}" if self.status == "running" else told

    def seconds_at(self, iterations: np.ndarray) -> np.ndarray:
        """The seconds of training at some iterations, between the rows of the history by their share."""
        known = [(row["iteration"], row["seconds"]) for row in self.history]
        places, seconds = np.array(known, dtype=float).T if known else np.zeros((2, 1))
        return np.interp(iterations, [0, *places], [0, *seconds])

    def _outlook(self, total: int, spent: float) -> str:
        """What is to be expected of a training in progress."""
        if self.stopping:
            every = self.info["configuration"].get("log_every", 1)
            return f"; a stop is asked for, and comes with the next row (every {every} iterations)"
        written = max((stamp[0] for stamp in self._seen.values() if stamp), default=0)
        silent = time.time() - written / 1e9
        if silent > SILENT and is_taken(self.folder) is False:
            return "; its process has ended without a word. The same call goes on from there"
        if silent > 4 * SILENT:
            return f"; nothing new for {duration(silent)}"
        return f", about {duration(spent / self.done * (total - self.done))} left" if self.done else ""


def _stamp(path: Path) -> tuple[int, int] | None:
    """When a file was written and how long it is; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
