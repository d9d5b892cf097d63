"""Shared by the tests of the data sets: a server to download from, and a folder of LA files."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssmis_core.datasets import download, manifest, transfer
from tests.core.datasets.download_helpers import Server, Site, handler
from tests.core.datasets.la_helpers import FOLDER, write


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server that is up, with no files yet; waits between tries are short."""
    site = Site()
    server = Server(("127.0.0.1", 0), handler(site))
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


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one good case of LA; SSMIS_DATA is not set."""
    monkeypatch.delenv("SSMIS_DATA", raising=False)
    write(tmp_path / FOLDER)
    return tmp_path
