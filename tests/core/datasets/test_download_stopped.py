"""Downloads that are killed, interrupted, started twice or run out of room."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ssmis_core.datasets import transfer
from ssmis_core.errors import UserError
from ssmis_core.files import alone
from tests.core.datasets.download_helpers import SIZE, Site, assert_whole, fetch, publish

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
    (path,) = publish(site, data)
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
    report = fetch()
    assert report.continued == (path,) and report.bytes_received == SIZE - kept
    assert site.requests[-1] == (path, f"bytes={kept}-", 206)
    assert_whole(site, data / "la")


def test_a_second_fetch_into_the_same_folder_is_refused_while_the_first_runs(site: Site, data: Path) -> None:
    pytest.importorskip("fcntl")
    publish(site, data)
    first = alone(data / "la", what="fetch")
    with first, pytest.raises(UserError, match="another fetch is writing here"):
        fetch()
    fetch()
    assert_whole(site, data / "la")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_full_disk_is_one_line_that_names_the_file(site: Site, data: Path) -> None:
    (path,) = publish(site, data)
    part = data / "la" / (path + ".part")
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")
    with pytest.raises(UserError, match="disk is full") as error:
        fetch()
    assert path in str(error.value) and "\n" not in str(error.value)
    assert not (data / "la" / path).exists()


def test_what_cannot_fit_is_refused_before_the_first_request(
    site: Site, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(site, data)
    usage = type("Usage", (), {"free": SIZE - 1})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UserError, match=r"0\.2 MiB are still to come"):
        fetch()
    assert site.requests == []
