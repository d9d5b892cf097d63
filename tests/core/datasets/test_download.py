"""Downloads against a real HTTP server on the loopback address that can misbehave on purpose."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ssmis_core.datasets import byte_bar, download, manifest, transfer
from ssmis_core.errors import UserError

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


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
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


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a client that was killed is part of the tests


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    site = Site()
    server = _Server(("127.0.0.1", 0), _handler(site))
    site.url = f"http://127.0.0.1:{server.server_address[1]}/data/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("SSMIS_DOWNLOAD_BASE", raising=False)
    monkeypatch.setattr(transfer, "BACKOFF_S", 0.001)
    yield site
    site.hold.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def data(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data/ folder of its own, to which `publish` adds a manifest."""
    folder = tmp_path / "data"
    monkeypatch.setattr(manifest, "data_directory", lambda: folder)
    monkeypatch.setattr(download, "data_directory", lambda: folder)
    return folder


def _content(seed: int, size: int = SIZE) -> bytes:
    block = b"".join(hashlib.sha256(f"{seed}/{i}".encode()).digest() for i in range(64))
    return (block * (size // len(block) + 1))[:size]


def _publish(site: Site, data: Path, count: int = 1, size: int = SIZE) -> list[str]:
    """Put `count` files on the server under the LA layout and write their manifest as data set 'la'."""
    paths = [f"2018LA_Seg_Training Set/CASE{i:02d}/mri_norm2.h5" for i in range(count)]
    site.files = {path: _content(i, size) for i, path in enumerate(paths)}
    entries = {
        path: {"sha256": hashlib.sha256(body).hexdigest(), "bytes": len(body)} for path, body in site.files.items()
    }
    (data / "la").mkdir(parents=True, exist_ok=True)
    (data / "la" / "manifest.json").write_text(json.dumps({"raw": site.url, "files": entries}))
    return paths


def _fetch(**options: object) -> download.FetchReport:
    return download.fetch("la", progress=False, **options)  # type: ignore[arg-type]


def _left(data: Path) -> list[str]:
    return sorted(str(p.relative_to(data / "la")) for p in (data / "la").rglob("*") if p.is_file())


def _assert_whole(site: Site, folder: Path) -> None:
    for path, body in site.files.items():
        assert (folder / path).read_bytes() == body
    assert not list(folder.rglob("*.part"))


# --- the plain case -------------------------------------------------------------------------------------------------


def test_many_files_with_spaces_in_their_names_arrive_in_parallel_and_whole(site: Site, data: Path) -> None:
    paths = _publish(site, data, count=24, size=5_000)
    gate = threading.Barrier(3, timeout=10)

    def together(path: str, count: int) -> None:
        if path in paths[:3]:  # these answers wait for each other: all three requests must be open at once
            gate.wait()

    site.cut_after = together
    report = _fetch(workers=3)
    assert report.fetched == tuple(paths) and report.skipped == () and report.continued == ()
    assert report.bytes_received == 24 * 5_000 and report.destination == data / "la"
    assert site.most_at_once >= 3
    _assert_whole(site, data / "la")
    assert "24 files whole" in str(report) and "\n" not in str(report)


def test_what_is_already_there_and_right_costs_no_request(site: Site, data: Path) -> None:
    paths = _publish(site, data, count=5)
    _fetch()
    site.requests.clear()
    report = _fetch()
    assert site.requests == []
    assert report.skipped == tuple(paths) and report.fetched == () and report.bytes_received == 0


def test_a_file_that_was_damaged_on_disk_is_fetched_again_and_the_others_are_not(site: Site, data: Path) -> None:
    paths = _publish(site, data, count=3)
    _fetch()
    victim = data / "la" / paths[1]
    victim.write_bytes(b"x" + victim.read_bytes()[1:])
    site.requests.clear()
    assert _fetch().fetched == (paths[1],)
    assert {path for path, _, _ in site.requests} == {paths[1]}
    _assert_whole(site, data / "la")


def test_a_complete_folder_that_may_not_be_written_is_left_alone(site: Site, data: Path) -> None:
    _publish(site, data, count=2)
    _fetch()
    (data / "la").chmod(0o555)
    try:
        assert len(_fetch().skipped) == 2
    finally:
        (data / "la").chmod(0o755)


def test_files_can_be_sent_elsewhere_and_from_a_mirror(
    site: Site, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _publish(site, data, count=2)
    text = (data / "la" / "manifest.json").read_text().replace(site.url, "http://127.0.0.1:9/nowhere/")
    (data / "la" / "manifest.json").write_text(text)
    _fetch(destination=tmp_path / "first", base_url=site.url.rstrip("/"))
    monkeypatch.setenv("SSMIS_DOWNLOAD_BASE", site.url)
    _fetch(destination=tmp_path / "second")
    _assert_whole(site, tmp_path / "first")
    _assert_whole(site, tmp_path / "second")


@pytest.mark.parametrize("only", ["CASE01", ["CASE01"], "*/CASE01/*", ["CASE0[1]"]])
def test_only_the_chosen_cases_are_fetched(site: Site, data: Path, only: str | list[str]) -> None:
    paths = _publish(site, data, count=4)
    assert _fetch(only=only).fetched == (paths[1],)


# --- broken connections ---------------------------------------------------------------------------------------------


def test_a_cut_connection_continues_by_range_where_it_broke(site: Site, data: Path) -> None:
    _publish(site, data)
    site.cut_after = lambda path, count: 90_000 if count < 2 else None
    report = _fetch()
    _assert_whole(site, data / "la")
    starts = [int(asked.removeprefix("bytes=")[:-1]) for _, asked, _ in site.requests if asked]
    assert [status for _, _, status in site.requests] == [200, 206, 206]
    assert starts == sorted(starts) and starts[0] > 0 and starts[1] > starts[0]
    assert report.bytes_received == SIZE, "nothing came twice"


def test_a_line_that_is_cut_more_often_than_the_tries_still_gets_there_while_it_progresses(
    site: Site, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "CHUNK", 1 << 10)
    monkeypatch.setattr(transfer, "WORTHWHILE", 1 << 13)
    _publish(site, data)
    site.cut_after = lambda path, count: 10_000
    _fetch()
    _assert_whole(site, data / "la")
    assert len(site.requests) > 2 * transfer.TRIES


def test_without_range_support_a_cut_file_starts_over(site: Site, data: Path) -> None:
    _publish(site, data)
    site.ranges = False
    site.cut_after = lambda path, count: 150_000 if count < 2 else None
    _fetch()
    _assert_whole(site, data / "la")
    assert [status for _, _, status in site.requests] == [200, 200, 200]


def test_a_cut_is_noticed_when_the_server_does_not_say_how_long_the_file_is(site: Site, data: Path) -> None:
    _publish(site, data)
    site.lengths = False
    site.cut_after = lambda path, count: 60_000 if count < 3 else None
    assert _fetch().bytes_received == SIZE
    _assert_whole(site, data / "la")


def test_a_server_that_always_cuts_is_given_up_in_one_line_and_the_part_is_kept(site: Site, data: Path) -> None:
    (path,) = _publish(site, data)
    site.ranges = False
    site.cut_after = lambda path, count: 150_000
    with pytest.raises(UserError, match="broke off 5 times") as error:
        _fetch()
    assert "\n" not in str(error.value) and "run it again" in str(error.value)
    assert _left(data) == [path + ".part", "manifest.json"]
    site.ranges, site.cut_after = True, lambda path, count: None
    assert _fetch().continued == (path,)
    _assert_whole(site, data / "la")


def test_no_server_at_all_is_one_line_that_names_the_address(site: Site, data: Path) -> None:
    paths = _publish(site, data, count=6)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound and not listening: refused
        address = f"http://127.0.0.1:{free.getsockname()[1]}/data"
        with pytest.raises(UserError, match=re.escape(address)) as error:
            _fetch(base_url=address)
    assert "\n" not in str(error.value) and "refused" in str(error.value)
    assert not any((data / "la" / path).exists() for path in paths)


def test_a_busy_server_is_asked_again_after_the_time_it_names(site: Site, data: Path, tmp_path: Path) -> None:
    import requests

    class Clock(threading.Event):
        waits: ClassVar[list[float | None]] = []

        def wait(self, timeout: float | None = None) -> bool:
            self.waits.append(timeout)
            return False

    (path,) = _publish(site, data)
    answers = {0: (503, {}), 1: (429, {"Retry-After": "7"}), 2: (429, {"Retry-After": "86400"})}
    site.before = lambda path, count: answers.get(count)
    with requests.Session() as session:
        transfer.RangeDownloader(session, SIZE, Clock())(site.url + path, tmp_path / "a.part")
    assert (tmp_path / "a.part").read_bytes() == site.files[path]
    assert Clock.waits == [transfer.BACKOFF_S, 7, transfer.LONGEST_WAIT_S]


def test_waits_grow_from_try_to_try_and_a_stop_ends_them(site: Site, data: Path, tmp_path: Path) -> None:
    import requests

    class Clock(threading.Event):
        waits: ClassVar[list[float | None]] = []

        def wait(self, timeout: float | None = None) -> bool:
            self.waits.append(timeout)
            return len(self.waits) == 3

    (path,) = _publish(site, data)
    site.before = lambda path, count: (500, {})
    with requests.Session() as session, pytest.raises(transfer.Stopped):
        transfer.RangeDownloader(session, SIZE, Clock())(site.url + path, tmp_path / "a.part")
    assert Clock.waits == [transfer.BACKOFF_S * factor for factor in (1, 2, 4)]


def test_answers_are_asked_for_uncompressed_so_that_offsets_mean_the_files_bytes(site: Site, data: Path) -> None:
    _publish(site, data)
    _fetch()
    assert site.encodings == ["identity"]


def test_a_server_that_continues_elsewhere_than_asked_does_not_spoil_the_file(site: Site, data: Path) -> None:
    (path,) = _publish(site, data)
    part = data / "la" / (path + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(site.files[path][:1_000])
    site.before = lambda path, count: (206, {"Content-Range": f"bytes 5-9/{SIZE}"}) if count == 0 else None
    _fetch()
    _assert_whole(site, data / "la")
    assert [asked for _, asked, _ in site.requests] == ["bytes=1000-", None], "the second time from the start"


# --- wrong content --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [b"x" * SIZE, b"<html>sign in first</html>", b"y" * (SIZE + 10), b""])
def test_wrong_bytes_once_are_fetched_again(site: Site, data: Path, wrong: bytes) -> None:
    _publish(site, data)
    site.body = lambda path, count, body: wrong if count == 0 else body
    _fetch()
    _assert_whole(site, data / "la")


@pytest.mark.parametrize("wrong", [b"x" * SIZE, b"<html>sign in first</html>", b"y" * (SIZE + 10)])
def test_wrong_bytes_always_name_file_found_and_expected_and_leave_nothing(
    site: Site, data: Path, wrong: bytes
) -> None:
    paths = _publish(site, data, count=3)
    site.body = lambda path, count, body: wrong if path == paths[1] else body
    with pytest.raises(UserError) as error:
        _fetch()
    line = str(error.value)
    found = hashlib.sha256(wrong).hexdigest() if len(wrong) == SIZE else f"{len(wrong)} bytes"
    assert paths[1] in line and found in line and "\n" not in line
    assert hashlib.sha256(site.files[paths[1]]).hexdigest() in line
    assert _left(data) == [paths[0], paths[2], "manifest.json"], "the others came, of this one nothing stays"
    assert site.count(paths[1]) == 2


def test_a_stale_part_that_is_no_beginning_of_the_file_is_thrown_away(site: Site, data: Path) -> None:
    paths = _publish(site, data, count=3)
    for path, stale in zip(paths, (b"z" * 1_000, b"z" * SIZE, b"z" * (SIZE + 5)), strict=True):
        part = data / "la" / (path + ".part")
        part.parent.mkdir(parents=True)
        part.write_bytes(stale)
    _fetch()
    assert [request for request in site.requests if request[0] == paths[2]] == [(paths[2], None, 200)]
    _assert_whole(site, data / "la")


def test_a_file_that_is_not_on_the_server_is_named_and_the_others_still_come(site: Site, data: Path) -> None:
    paths = _publish(site, data, count=4)
    del site.files[paths[2]]
    with pytest.raises(UserError, match=r"CASE02/mri_norm2\.h5: the server answered 404 Not Found"):
        _fetch()
    assert site.count(paths[2]) == 1, "a 404 is not tried again"
    assert _left(data) == [paths[0], paths[1], paths[3], "manifest.json"]


def test_an_empty_file_is_made_without_a_request(site: Site, data: Path) -> None:
    _publish(site, data, size=0)
    _fetch()
    _assert_whole(site, data / "la")
    assert site.requests == []


@given(cuts=st.lists(st.integers(0, 3_000), max_size=4), start=st.integers(0, 3_000), ranges=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
def test_any_pattern_of_cuts_and_any_beginning_end_in_the_published_bytes(
    site: Site, data: Path, cuts: list[int], start: int, ranges: bool
) -> None:
    shutil.rmtree(data, ignore_errors=True)
    (path,) = _publish(site, data, size=3_000)
    site.requests.clear()
    site.ranges = ranges
    site.cut_after = lambda path, count: cuts[count] if count < len(cuts) else None
    part = data / "la" / (path + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(site.files[path][:start])
    _fetch()
    _assert_whole(site, data / "la")


# --- stopped, killed, no room ---------------------------------------------------------------------------------------

CHILD = """
import sys
from pathlib import Path
from ssmis_core.datasets import download, manifest
manifest.data_directory = download.data_directory = lambda: Path(sys.argv[1])
download.fetch("la", progress=False)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals are sent as on POSIX")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_or_interrupted_fetch_continues_where_it_was(
    site: Site, data: Path, repository: Path, how: signal.Signals
) -> None:
    (path,) = _publish(site, data)
    site.stall, site.cut_after = True, lambda path, count: 150_000 if count == 0 else None
    site.before = lambda path, count: (503, {}) if count else None  # the child must not get further by itself
    part = data / "la" / (path + ".part")
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(data)], cwd=repository, stderr=subprocess.PIPE)
    try:
        for _ in range(3_000):
            if part.exists() and part.stat().st_size >= 2 * transfer.CHUNK:
                break
            assert child.poll() is None, child.stderr.read().decode()
            time.sleep(0.01)
        child.send_signal(how)
        site.hold.set()
        _, messages = child.communicate(timeout=30)
    finally:
        child.kill()
    assert child.returncode != 0 and (how == signal.SIGKILL or b"KeyboardInterrupt" in messages)
    assert not (data / "la" / path).exists() and 0 < part.stat().st_size < SIZE
    assert site.count(path) <= transfer.TRIES, "the interrupt ended the tries"
    kept = part.stat().st_size
    site.before = lambda path, count: None
    report = _fetch()
    assert report.continued == (path,) and report.bytes_received == SIZE - kept
    assert site.requests[-1] == (path, f"bytes={kept}-", 206)
    _assert_whole(site, data / "la")


def test_a_second_fetch_into_the_same_folder_is_refused_while_the_first_runs(site: Site, data: Path) -> None:
    pytest.importorskip("fcntl")
    _publish(site, data)
    with download._alone(data / "la"), pytest.raises(UserError, match="another fetch is writing here"):
        _fetch()
    _fetch()
    _assert_whole(site, data / "la")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_full_disk_is_one_line_that_names_the_file(site: Site, data: Path) -> None:
    (path,) = _publish(site, data)
    part = data / "la" / (path + ".part")
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")
    with pytest.raises(UserError, match="disk is full") as error:
        _fetch()
    assert path in str(error.value) and "\n" not in str(error.value)
    assert not (data / "la" / path).exists()


def test_what_cannot_fit_is_refused_before_the_first_request(
    site: Site, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _publish(site, data)
    usage = type("Usage", (), {"free": SIZE - 1})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UserError, match=r"0\.2 MiB are still to come"):
        _fetch()
    assert site.requests == []


# --- what was asked -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers=0"),
        ({"only": "CASE99"}, "only='CASE99': matches none of the 2 files"),
        ({"base_url": "ftp://example.org"}, "expected an address that starts with http"),
    ],
)
def test_a_wrong_option_is_one_line(site: Site, data: Path, options: dict[str, object], message: str) -> None:
    _publish(site, data, count=2)
    with pytest.raises(UserError, match=re.escape(message)):
        _fetch(**options)


def test_a_destination_that_is_a_file_is_one_line(site: Site, data: Path) -> None:
    _publish(site, data)
    with pytest.raises(UserError, match="the folder cannot be made"):
        _fetch(destination=data / "la" / "manifest.json")


def test_unknown_names_list_what_can_be_fetched_and_generated_data_needs_nothing(site: Site, data: Path) -> None:
    _publish(site, data)
    with pytest.raises(UserError, match=r"unknown data set to fetch 'laa'; did you mean 'la'\? \(known: la\)"):
        download.fetch("laa")
    with pytest.raises(UserError, match="made on the fly"):
        download.fetch("phantom")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"files": {}}',
        '{"raw": "http://x/", "files": {"a": {"bytes": 3}}}',
        '{"raw": "http://x/", "files": {"../a": {"sha256": "0", "bytes": 3}}}',
        '{"raw": "http://x/", "files": {"/etc/a": {"sha256": "0", "bytes": 3}}}',
    ],
)
def test_a_bad_manifest_is_one_line_that_names_it(data: Path, text: str) -> None:
    (data / "la").mkdir(parents=True)
    (data / "la" / "manifest.json").write_text(text)
    with pytest.raises(UserError, match=r"manifest\.json: .*expected") as error:
        _fetch()
    assert "\n" not in str(error.value)


def test_the_published_manifest_names_one_file_for_each_listed_case(repository: Path) -> None:
    base, files = manifest.read_manifest("la")
    listed = [(repository / "data/la" / name).read_text().split() for name in ("train.list", "test.list")]
    assert Counter(f.path for f in files) == Counter(
        f"2018LA_Seg_Training Set/{case}/mri_norm2.h5" for cases in listed for case in cases
    )
    assert base.startswith("https://") and all(re.fullmatch("[0-9a-f]{64}", f.sha256) and f.bytes > 0 for f in files)


# --- the parts ------------------------------------------------------------------------------------------------------


def test_the_downloader_serves_pooch(site: Site, data: Path, tmp_path: Path) -> None:
    import pooch
    import requests

    (path,) = _publish(site, data)
    site.cut_after = lambda path, count: 100_000 if count == 0 else None
    url = site.url + path.replace(" ", "%20")
    with requests.Session() as session:
        get = transfer.RangeDownloader(session)
        sha256 = hashlib.sha256(site.files[path]).hexdigest()
        got = pooch.retrieve(url, f"sha256:{sha256}", fname="a.h5", path=tmp_path, downloader=get)
        assert Path(got).read_bytes() == site.files[path]
        assert get(url, "unused", None, check_only=True) is True
        assert get(url + "x", "unused", None, check_only=True) is False


@pytest.mark.parametrize("with_tqdm", [True, False])
def test_progress_is_shown_with_and_without_tqdm(
    site: Site, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], with_tqdm: bool
) -> None:
    if not with_tqdm:
        monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    _publish(site, data, count=3)
    download.fetch("la")
    shown = capsys.readouterr().err
    assert "la" in shown and ("100%" if with_tqdm else "100 %") in shown


def test_progress_goes_back_when_a_file_starts_over(capsys: pytest.CaptureFixture[str]) -> None:
    with byte_bar.ByteBar("la", 100, shown=False) as bar:
        bar.at("a", 40)
        bar.at("b", 30)
        bar.at("a", 0)
        assert bar.done == 30
    assert capsys.readouterr().err == ""
