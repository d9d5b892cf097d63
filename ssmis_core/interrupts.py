"""Stopping between two iterations: Ctrl-C, a kernel interrupt or a scheduler's SIGTERM."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Truthy once a stop was asked for."""

    def __init__(self) -> None:
        self.asked = False

    def __bool__(self) -> bool:
        return self.asked

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        if self.asked and signum == signal.SIGINT:
            raise KeyboardInterrupt  # a second Ctrl-C does not wait
        self.asked = True


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """While the block runs, SIGINT and SIGTERM set a flag instead of raising in the middle of an update.

    Outside the main thread signals cannot be caught: the flag then stays unset.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
