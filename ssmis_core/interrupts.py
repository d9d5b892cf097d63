"""Stopping between two iterations: Ctrl-C, a kernel interrupt, a scheduler's SIGTERM, or a file in the run folder."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from ssmis_core.errors import UserError
from ssmis_core.files import is_taken, read_json

STOP = "stop"  # the name of the file


class StopRequest:
    """Truthy once a stop was asked for; `status` then says what becomes of the run: "interrupted" or "stopped"."""

    def __init__(self, file: Path) -> None:
        self.file, self.status = file, ""

    def __bool__(self) -> bool:
        return bool(self.status)

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        if self.status == "interrupted" and signum == signal.SIGINT:
            raise KeyboardInterrupt  # a second Ctrl-C does not wait
        self.status = "interrupted"

    def look(self) -> None:
        """See whether the file is there."""
        if not self.status and self.file.exists():
            self.status = "stopped"


@contextmanager
def stop_requests(folder: Path) -> Iterator[StopRequest]:
    """While the block runs, SIGINT and SIGTERM set a flag instead of raising in the middle of an update.

    Outside the main thread signals cannot be caught. A file named `stop` in the folder asks for a stop too, from any
    process: one from before the block is deleted unheard, and none is left after it.
    """
    request = StopRequest(folder / STOP)
    caught = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    request.file.unlink(missing_ok=True)
    before = {number: signal.signal(number, request) for number in caught}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        request.file.unlink(missing_ok=True)


def ask_to_stop(folder: str | os.PathLike[str]) -> Path:
    """Write the stop file of a training in progress, wherever it runs; it ends at its next logged iteration.

    Returns the file. Raises UserError where nothing is being trained.
    """
    folder = Path(folder)
    if not (folder / "run.json").is_file():
        raise UserError(f"{folder}: not a run folder (it has no run.json)")
    status = read_json(folder / "run.json", keys={"status": str}, expected="what training writes")["status"]
    if status != "running":
        raise UserError(f"{folder}: is {status}, expected a training in progress")
    if is_taken(folder) is False:
        raise UserError(f"{folder}: its training ended without a word (killed?); the same command goes on from there")
    file = folder / STOP
    try:
        file.touch()
    except OSError as error:
        raise UserError(f"{file}: cannot be written ({error.strerror})") from error
    return file
