"""A byte counter that several threads feed: tqdm's bar where it is installed, plain lines where not."""

from __future__ import annotations

import sys
import threading
from types import TracebackType
from typing import Any

PLAIN_STEP = 10  # percent between two plain lines


class ByteBar:
    """Shows how much of `total` bytes is there; `at(key, size)` sets the share of one file. Thread-safe.

    Use as a context manager. shown: False keeps it silent.
    """

    def __init__(self, title: str, total: int, *, shown: bool) -> None:
        self.title, self.total, self.shown = title, total, shown
        self.sizes: dict[str, int] = {}
        self._lock = threading.Lock()
        self._told = 0
        self._bar: Any = None

    @property
    def done(self) -> int:
        """Bytes there so far."""
        return sum(self.sizes.values())

    def __enter__(self) -> ByteBar:
        if self.shown:
            try:
                from tqdm.auto import tqdm
            except ImportError:
                tqdm = None
            if tqdm is not None:
                self._bar = tqdm(total=self.total, desc=self.title, unit="B", unit_scale=True, unit_divisor=1024)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def at(self, key: str, size: int) -> None:
        """File `key` now has `size` bytes (fewer than before when it had to start over)."""
        with self._lock:
            change = size - self.sizes.get(key, 0)
            self.sizes[key] = size
            if self._bar is not None:
                self._bar.update(change)
            elif self.shown:
                self._tell()

    def _tell(self) -> None:
        percent = 100 * self.done // max(self.total, 1)
        if percent >= self._told + PLAIN_STEP:
            self._told = percent - percent % PLAIN_STEP
            print(f"{self.title}: {self._told} % of {self.total / (1 << 20):.1f} MiB", file=sys.stderr)
