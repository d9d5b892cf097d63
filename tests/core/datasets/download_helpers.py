"""A real HTTP server on the loopback address that can misbehave on purpose, and a data set on it to fetch."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from ssmis_core.datasets import download

SIZE = 200_000


class Site:
    """What the server holds and how it behaves; every request is kept as (path, Range header, status sent)."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.requests: list[tuple[str, str | None, int]] = []
        self.encodings: list[str | None] = []
        self.ranges = True
        self.lengths = True  # whether answers say how long they are
        self.before: Callable[[str, int], tuple[int, dict[str, str]] | None] = lambda path, count: None
        self.body: Callable[[str, int, bytes], bytes] = lambda path, count, body: body
        self.cut_after: Callable[[str, int], int | None] = lambda path, count: None
        self.hold = threading.Event()  # when a transfer is to stall, it waits here after its cut
        self.stall = False
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        self.url = ""

    def count(self, path: str) -> int:
        return sum(path == asked for asked, _, _ in self.requests)


def handler(site: Site) -> type[BaseHTTPRequestHandler]:
    """What answers requests as `site` says."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            with site.lock:
                site.at_once += 1
                site.most_at_once = max(site.most_at_once, site.at_once)
            try:
                self.answer()
            finally:
                with site.lock:
                    site.at_once -= 1

        def answer(self) -> None:
            path, asked = unquote(self.path).removeprefix("/data/"), self.headers.get("Range")
            with site.lock:
                count = site.count(path)
                refused = site.before(path, count) or (None if path in site.files else (404, {}))
                whole = b"" if refused else site.body(path, count, site.files[path])
                start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and site.ranges else 0
                status = refused[0] if refused else 416 if start >= len(whole) > 0 else 206 if start else 200
                site.requests.append((path, asked, status))
                site.encodings.append(self.headers.get("Accept-Encoding"))
            body = whole[start:] if status in (200, 206) else b""
            self.send_response(status)
            for key, value in (refused[1] if refused else {}).items():
                self.send_header(key, value)
            if status == 206:
                self.send_header("Content-Range", f"bytes {start}-{len(whole) - 1}/{len(whole)}")
            if site.lengths:
                self.send_header("Content-Length", str(len(body)))
            else:
                self.close_connection = True  # the end of the connection is the end of the file
            self.end_headers()
            cut = site.cut_after(path, count)
            self.wfile.write(body if cut is None else body[:cut])
            if cut is not None:
                self.wfile.flush()
                if site.stall:
                    site.hold.wait(30)
                self.close_connection = True

        def do_HEAD(self) -> None:
            self.send_response(200 if unquote(self.path).removeprefix("/data/") in site.files else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

    return Handler


class Server(ThreadingHTTPServer):
    """One thread a request, and no word about clients that go away."""

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a client that was killed is part of the tests


def content(seed: int, size: int = SIZE) -> bytes:
    block = b"".join(hashlib.sha256(f"{seed}/{i}".encode()).digest() for i in range(64))
    return (block * (size // len(block) + 1))[:size]


def publish(site: Site, data: Path, count: int = 1, size: int = SIZE) -> list[str]:
    """Put `count` files on the server under the LA layout and write their manifest as data set 'la'."""
    paths = [f"2018LA_Seg_Training Set/CASE{i:02d}/mri_norm2.h5" for i in range(count)]
    site.files = {path: content(i, size) for i, path in enumerate(paths)}
    entries = {
        path: {"sha256": hashlib.sha256(body).hexdigest(), "bytes": len(body)} for path, body in site.files.items()
    }
    (data / "la").mkdir(parents=True, exist_ok=True)
    (data / "la" / "manifest.json").write_text(json.dumps({"raw": site.url, "files": entries}))
    return paths


def fetch(**options: object) -> download.FetchReport:
    """`download.fetch` of LA, without a word."""
    return download.fetch("la", progress=False, **options)  # type: ignore[arg-type]


def left(data: Path) -> list[str]:
    """Every file that is in the folder of LA."""
    return sorted(str(p.relative_to(data / "la")) for p in (data / "la").rglob("*") if p.is_file())


def assert_whole(site: Site, folder: Path) -> None:
    """Every published file is there, byte for byte, and no part of one."""
    for path, body in site.files.items():
        assert (folder / path).read_bytes() == body
    assert not list(folder.rglob("*.part"))
