"""One file over HTTP, continued by Range requests where a transfer broke."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ssmis_core.errors import UserError

TRIES = 5
BACKOFF_S = 1.0
LONGEST_WAIT_S = 60.0
TIMEOUT_S = (10, 30)  # to connect; between two pieces of an answer
CHUNK = 1 << 16
# A connection that broke after bringing at least this much does not count as a failed try: a line that is cut
# every few hundred kilobytes still gets there, and one that brings a byte at a time still ends.
WORTHWHILE = 1 << 16


class FileFailed(UserError):
    """One file cannot be had from this server; the others can still be fetched."""


class WrongContent(Exception):
    """The server's bytes are not the file's; the text says what was found."""


class Stopped(Exception):
    """The download was told to stop; what has come so far is kept."""


class _Cut(Exception):
    """The transfer broke in a way that trying again may cure; wait: seconds that the server asked for."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


def size_of(path: Path) -> int:
    """Bytes of a file, 0 when there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


@dataclass
class RangeDownloader:
    """Downloads one URL to a file, continuing what is already in it; callable like pooch's downloaders.

    session: a requests.Session. expected: the file's size in bytes, when known; it tells a cut transfer from a whole
    one. stop: ends the transfer between two pieces. on_size: called with the file's size as it changes.
    A server without Range support is asked for the whole file again. Broken connections and answers 408, 425, 429 and
    5xx are tried TRIES times without progress, with waits of BACKOFF_S * 2**k seconds (or what Retry-After asks).
    Raises FileFailed for any other answer (such as 404), WrongContent when the size cannot be the file's, UserError
    when the tries are used up, Stopped when told to stop; the part that has come is kept in the last two cases.
    The content is not checked here: compare the checksum before the file is used.
    """

    session: Any
    expected: int | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    on_size: Callable[[int], None] = lambda size: None
    received: int = 0

    def __call__(
        self, url: str, output_file: str | os.PathLike[str], pooch: Any = None, *, check_only: bool = False
    ) -> Any:
        """Fetch url into output_file; with check_only, only say whether the server has it (pooch's convention)."""
        if check_only:
            return self.session.head(url, allow_redirects=True, timeout=TIMEOUT_S).status_code == 200
        part = Path(output_file)
        best, failures = size_of(part), 0
        while True:
            try:
                return self._continue(url, part)
            except _Cut as cut:
                have = size_of(part)
                failures = 0 if have - best >= WORTHWHILE else failures + 1
                best = max(best, have)
                if failures >= TRIES:
                    raise UserError(
                        f"{url}: broke off {TRIES} times ({cut}) after {have} of {self.expected or 'unknown'} bytes; "
                        "what has come is kept, run it again to continue"
                    ) from cut
                wait = min(max(cut.wait, BACKOFF_S * 2 ** max(failures - 1, 0)), LONGEST_WAIT_S)
                if self.stop.wait(wait):
                    raise Stopped from cut

    def _continue(self, url: str, part: Path) -> None:
        """One request for what is missing."""
        import requests

        have = size_of(part)
        if self.expected is not None and have > self.expected:
            have = 0  # not a beginning of this file; the answer below overwrites it
        if have == self.expected:
            part.touch()
            return
        # a compressed answer would make offsets and sizes mean something else
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        try:
            with self.session.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
                self._write(response, part, self._offset(response, url, part, have))
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            raise _Cut(_reason(error)) from error
        except requests.RequestException as error:
            raise FileFailed(f"{url}: cannot be fetched ({_reason(error)})") from error
        if self.expected is not None and size_of(part) < self.expected:
            raise _Cut("the connection closed early")

    def _offset(self, response: Any, url: str, part: Path, have: int) -> int:
        """Where the answer's bytes belong in the file: 0, or `have` when the server continues there."""
        status = response.status_code
        if status == 206:
            match = re.match(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
            if match is None or int(match[1]) != have:
                part.unlink(missing_ok=True)
                raise _Cut("the server continued at another place than asked")
            self._compare_size(match[2])
            return have
        if status == 200:
            self._compare_size(response.headers.get("Content-Length", "*"))
            return 0
        if status == 416:
            part.unlink(missing_ok=True)
            raise _Cut("the server cannot continue there")
        if status in (408, 425, 429) or status >= 500:
            after = response.headers.get("Retry-After", "")
            raise _Cut(f"the server answered {status}", wait=float(after) if after.isdigit() else 0.0)
        raise FileFailed(f"{url}: the server answered {status} {response.reason}, expected the file")

    def _compare_size(self, told: str) -> None:
        if self.expected is not None and told.isdigit() and int(told) != self.expected:
            raise WrongContent(f"{told} bytes")

    def _write(self, response: Any, part: Path, offset: int) -> None:
        size = offset
        self.on_size(size)
        with open(part, "ab" if offset else "wb") as out:
            for chunk in response.iter_content(CHUNK):
                if self.stop.is_set():
                    raise Stopped
                size += len(chunk)
                if self.expected is not None and size > self.expected:
                    raise WrongContent(f"more than {self.expected} bytes")
                out.write(chunk)
                out.flush()  # a killed process keeps what has come
                self.received += len(chunk)
                self.on_size(size)
            os.fsync(out.fileno())


def _reason(error: BaseException) -> str:
    """The innermost cause of a requests error, in one short line."""
    inner = error.args[0] if error.args else error
    inner = getattr(inner, "reason", inner)
    text = " ".join(str(inner).split()) or type(error).__name__
    return re.sub(r"<[^>]* object at 0x[0-9a-f]+>:? ?", "", text)[:200]
