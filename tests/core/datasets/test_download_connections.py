"""Downloads over connections that break, from servers that are busy or gone."""

from __future__ import annotations

import re
import socket
import threading
from pathlib import Path
from typing import ClassVar

import pytest

from ssmis_core.datasets import transfer
from ssmis_core.errors import UserError
from tests.core.datasets.download_helpers import SIZE, Site, assert_whole, fetch, left, publish


def test_a_cut_connection_continues_by_range_where_it_broke(site: Site, data: Path) -> None:
    publish(site, data)
    site.cut_after = lambda path, count: 90_000 if count < 2 else None
    report = fetch()
    assert_whole(site, data / "la")
    starts = [int(asked.removeprefix("bytes=")[:-1]) for _, asked, _ in site.requests if asked]
    assert [status for _, _, status in site.requests] == [200, 206, 206]
    assert starts == sorted(starts) and starts[0] > 0 and starts[1] > starts[0]
    assert report.bytes_received == SIZE, "nothing came twice"


def test_a_line_that_is_cut_more_often_than_the_tries_still_gets_there_while_it_progresses(
    site: Site, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "CHUNK", 1 << 10)
    monkeypatch.setattr(transfer, "WORTHWHILE", 1 << 13)
    publish(site, data)
    site.cut_after = lambda path, count: 10_000
    fetch()
    assert_whole(site, data / "la")
    assert len(site.requests) > 2 * transfer.TRIES


def test_without_range_support_a_cut_file_starts_over(site: Site, data: Path) -> None:
    publish(site, data)
    site.ranges = False
    site.cut_after = lambda path, count: 150_000 if count < 2 else None
    fetch()
    assert_whole(site, data / "la")
    assert [status for _, _, status in site.requests] == [200, 200, 200]


def test_a_cut_is_noticed_when_the_server_does_not_say_how_long_the_file_is(site: Site, data: Path) -> None:
    publish(site, data)
    site.lengths = False
    site.cut_after = lambda path, count: 60_000 if count < 3 else None
    assert fetch().bytes_received == SIZE
    assert_whole(site, data / "la")


def test_a_server_that_always_cuts_is_given_up_in_one_line_and_the_part_is_kept(site: Site, data: Path) -> None:
    (path,) = publish(site, data)
    site.ranges = False
    site.cut_after = lambda path, count: 150_000
    with pytest.raises(UserError, match="broke off 5 times") as error:
        fetch()
    assert "\n" not in str(error.value) and "run it again" in str(error.value)
    assert left(data) == [path + ".part", "manifest.json"]
    site.ranges, site.cut_after = True, lambda path, count: None
    assert fetch().continued == (path,)
    assert_whole(site, data / "la")


def test_no_server_at_all_is_one_line_that_names_the_address(site: Site, data: Path) -> None:
    paths = publish(site, data, count=6)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound and not listening: refused
        address = f"http://127.0.0.1:{free.getsockname()[1]}/data"
        with pytest.raises(UserError, match=re.escape(address)) as error:
            fetch(base_url=address)
    assert "\n" not in str(error.value) and "refused" in str(error.value)
    assert not any((data / "la" / path).exists() for path in paths)


def test_a_busy_server_is_asked_again_after_the_time_it_names(site: Site, data: Path, tmp_path: Path) -> None:
    import requests

    class Clock(threading.Event):
        waits: ClassVar[list[float | None]] = []

        def wait(self, timeout: float | None = None) -> bool:
            self.waits.append(timeout)
            return False

    (path,) = publish(site, data)
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

    (path,) = publish(site, data)
    site.before = lambda path, count: (500, {})
    with requests.Session() as session, pytest.raises(transfer.Stopped):
        transfer.RangeDownloader(session, SIZE, Clock())(site.url + path, tmp_path / "a.part")
    assert Clock.waits == [transfer.BACKOFF_S * factor for factor in (1, 2, 4)]


def test_answers_are_asked_for_uncompressed_so_that_offsets_mean_the_files_bytes(site: Site, data: Path) -> None:
    publish(site, data)
    fetch()
    assert site.encodings == ["identity"]


def test_a_server_that_continues_elsewhere_than_asked_does_not_spoil_the_file(site: Site, data: Path) -> None:
    (path,) = publish(site, data)
    part = data / "la" / (path + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(site.files[path][:1_000])
    site.before = lambda path, count: (206, {"Content-Range": f"bytes 5-9/{SIZE}"}) if count == 0 else None
    fetch()
    assert_whole(site, data / "la")
    assert [asked for _, asked, _ in site.requests] == ["bytes=1000-", None], "the second time from the start"
