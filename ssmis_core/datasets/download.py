"""Download a data set by its manifest: checked, several files at once, continued where it stopped."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from ssmis_core.datasets import data_directory
from ssmis_core.datasets.byte_bar import ByteBar
from ssmis_core.datasets.manifest import RemoteFile, choose, read_manifest
from ssmis_core.datasets.transfer import FileFailed, RangeDownloader, Stopped, WrongContent, size_of
from ssmis_core.errors import UserError
from ssmis_core.files import alone

__all__ = ["FetchReport", "FileFailed", "fetch"]

MIB = 1 << 20


@dataclass(frozen=True)
class FetchReport:
    """What `fetch` did: the manifest's paths, and the bytes that came over the network (discarded ones included)."""

    name: str
    destination: Path
    fetched: tuple[str, ...]
    continued: tuple[str, ...]
    skipped: tuple[str, ...]
    bytes_received: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.name}: {len(self.fetched) + len(self.skipped)} files whole in {self.destination} "
            f"({len(self.fetched)} fetched, {len(self.continued)} of them continued, "
            f"{len(self.skipped)} there already; {self.bytes_received / MIB:.1f} MiB in {self.seconds:.0f} s)"
        )


def fetch(
    name: str,
    destination: str | os.PathLike[str] | None = None,
    *,
    workers: int = 4,
    base_url: str | None = None,
    progress: bool = True,
    only: str | Sequence[str] | None = None,
) -> FetchReport:
    """Download the files of a data set that are not there yet; a file has its name only when it is whole.

    destination: a folder (default data/<name>, where `open_dataset` looks). workers: files fetched at once.
    base_url: a mirror to fetch from (default $SSMIS_DOWNLOAD_BASE, then the manifest's own address).
    only: names or patterns (* and ?); a file is fetched when a folder of its path, or its own name, matches one.
    Files already there with the right SHA-256 cost no request. A transfer that broke, in this call or an earlier one,
    continues from its `.part` file where the server supports it. Wrong bytes are fetched once more, then reported.
    Raises UserError: an unknown name, wrong bytes, a 404 (the others still come), no connection, no room.
    """
    started = time.monotonic()
    if not isinstance(workers, int) or workers < 1:
        raise UserError(f"workers={workers!r}: expected a whole number of at least 1")
    published, files = read_manifest(name)
    base = _base(base_url or os.environ.get("SSMIS_DOWNLOAD_BASE") or published)
    files = choose(name, files, only)
    target = _folder(Path(destination).expanduser() if destination is not None else data_directory() / name)
    _need_room(target, files)
    total = sum(file.bytes for file in files)
    with (
        alone(target, what="fetch"),
        _session(workers) as session,
        ByteBar(name, total, shown=progress) as bar,
    ):
        job = _Job(target, base, session, bar)
        try:
            how = _run(job, files, workers)
        finally:
            _drop_empty_folders(target, files)
    return FetchReport(
        name,
        target,
        fetched=tuple(path for path in how if how[path] != "skipped"),
        continued=tuple(path for path in how if how[path] == "continued"),
        skipped=tuple(path for path in how if how[path] == "skipped"),
        bytes_received=job.received,
        seconds=time.monotonic() - started,
    )


@dataclass
class _Job:
    """Fetches one file after another into `target`; shared by the worker threads."""

    target: Path
    base: str
    session: Any
    bar: ByteBar
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    received: int = 0

    def __call__(self, file: RemoteFile) -> str:
        """'skipped', 'fetched' or 'continued'."""
        if self.stop.is_set():
            raise Stopped
        final = self.target / file.path
        part = _part(final)
        try:
            if size_of(final) == file.bytes and final.is_file() and _sha256(final) == file.sha256:
                self.bar.at(file.path, file.bytes)
                return "skipped"
            final.parent.mkdir(parents=True, exist_ok=True)
            continued = 0 < size_of(part) <= file.bytes
            self._download(file, part)
            os.replace(part, final)
        except OSError as error:
            raise _disk_error(error, final, file) from error
        return "continued" if continued else "fetched"

    def _download(self, file: RemoteFile, part: Path) -> None:
        """Fill `part` and check it; wrong bytes are deleted and fetched once more."""
        url = f"{self.base}/{quote(file.path)}"
        found = ""
        for _ in range(2):
            get = RangeDownloader(self.session, file.bytes, self.stop, lambda size: self.bar.at(file.path, size))
            try:
                get(url, part)
                sha256 = _sha256(part)
                if sha256 == file.sha256:
                    return
                found = f"sha256 {sha256}"
            except WrongContent as wrong:
                found = str(wrong)
            finally:
                with self.lock:
                    self.received += get.received
            part.unlink(missing_ok=True)
            self.bar.at(file.path, 0)
        raise FileFailed(
            f"{self.target / file.path}: {url} gave {found} twice, expected sha256 {file.sha256} "
            f"and {file.bytes} bytes; nothing of it is kept"
        )


def _run(job: _Job, files: Sequence[RemoteFile], workers: int) -> dict[str, str]:
    """{path: how it went}, in the manifest's order; an error that would befall every file stops the others."""
    how: dict[str, str] = {}
    failed: list[FileFailed] = []
    with ThreadPoolExecutor(workers, thread_name_prefix="fetch") as pool:
        futures = {pool.submit(job, file): file for file in files}
        try:
            for future in as_completed(futures):
                try:
                    how[futures[future].path] = future.result()
                except FileFailed as error:
                    failed.append(error)
        except BaseException:  # Ctrl-C as well: the threads end by themselves, and their .part files stay
            job.stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    if failed:
        more = f" (and {len(failed) - 1} more files failed; {len(how)} are whole)" if len(failed) > 1 else ""
        raise FileFailed(f"{failed[0]}{more}")
    return {file.path: how[file.path] for file in files}


def _base(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise UserError(f"base URL {url!r}: expected an address that starts with http:// or https://")
    return url.rstrip("/")


def _folder(target: Path) -> Path:
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{target}: the folder cannot be made ({error.strerror})") from error
    return target


def _drop_empty_folders(target: Path, files: Sequence[RemoteFile]) -> None:
    """Folders made for files that did not come would look like a data set that is here."""
    folders = {target / folder for file in files for folder in PurePosixPath(file.path).parents[:-1]}
    for folder in sorted(folders, key=lambda path: len(path.parts), reverse=True):
        with suppress(OSError):  # not empty, or not there
            folder.rmdir()


def _part(final: Path) -> Path:
    return final.with_name(final.name + ".part")


def _need_room(target: Path, files: Sequence[RemoteFile]) -> None:
    """Refuse to start what cannot end: the bytes still missing must fit on the disk."""
    missing = 0
    for file in files:
        final = target / file.path
        if size_of(final) != file.bytes:
            missing += max(file.bytes - size_of(_part(final)), 0)
    free = shutil.disk_usage(target).free
    if missing > free:
        raise UserError(f"{target}: {missing / MIB:.1f} MiB are still to come, but only {free / MIB:.1f} MiB are free")


def _disk_error(error: OSError, final: Path, file: RemoteFile) -> UserError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        size = f"the file has {file.bytes / MIB:.1f} MiB"
        return UserError(f"{final}: the disk is full ({size}); make room and run it again, it continues")
    return UserError(f"{final}: cannot be written ({error.strerror or error})")


def _sha256(path: Path) -> str:
    import pooch

    return pooch.file_hash(str(path), alg="sha256")


@contextmanager
def _session(workers: int) -> Iterator[Any]:
    """A requests session that keeps one connection a worker open: a new one for each file costs a handshake."""
    import requests
    from requests.adapters import HTTPAdapter

    with requests.Session() as session:
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(pool_maxsize=workers))
        yield session
