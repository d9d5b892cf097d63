"""Fetching a data set from a real HTTP server: the plain case, what is asked for, and the parts."""

from __future__ import annotations

import hashlib
import re
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from ssmis_core.datasets import byte_bar, download, manifest, transfer
from ssmis_core.errors import UserError
from tests.core.datasets.download_helpers import Site, assert_whole, fetch, publish

# --- the plain case --------------------------------------------------------------------------------------------------


def test_many_files_with_spaces_in_their_names_arrive_in_parallel_and_whole(site: Site, data: Path) -> None:
    paths = publish(site, data, count=24, size=5_000)
    gate = threading.Barrier(3, timeout=10)

    def together(path: str, count: int) -> None:
        if path in paths[:3]:  # these answers wait for each other: all three requests must be open at once
            gate.wait()

    site.cut_after = together
    report = fetch(workers=3)
    assert report.fetched == tuple(paths) and report.skipped == () and report.continued == ()
    assert report.bytes_received == 24 * 5_000 and report.destination == data / "la"
    assert site.most_at_once >= 3
    assert_whole(site, data / "la")
    assert "24 files whole" in str(report) and "\n" not in str(report)


def test_what_is_already_there_and_right_costs_no_request(site: Site, data: Path) -> None:
    paths = publish(site, data, count=5)
    fetch()
    site.requests.clear()
    report = fetch()
    assert site.requests == []
    assert report.skipped == tuple(paths) and report.fetched == () and report.bytes_received == 0


def test_a_file_that_was_damaged_on_disk_is_fetched_again_and_the_others_are_not(site: Site, data: Path) -> None:
    paths = publish(site, data, count=3)
    fetch()
    victim = data / "la" / paths[1]
    victim.write_bytes(b"x" + victim.read_bytes()[1:])
    site.requests.clear()
    assert fetch().fetched == (paths[1],)
    assert {path for path, _, _ in site.requests} == {paths[1]}
    assert_whole(site, data / "la")


def test_a_complete_folder_that_may_not_be_written_is_left_alone(site: Site, data: Path) -> None:
    publish(site, data, count=2)
    fetch()
    (data / "la").chmod(0o555)
    try:
        assert len(fetch().skipped) == 2
    finally:
        (data / "la").chmod(0o755)


def test_files_can_be_sent_elsewhere_and_from_a_mirror(
    site: Site, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(site, data, count=2)
    text = (data / "la" / "manifest.json").read_text().replace(site.url, "http://127.0.0.1:9/nowhere/")
    (data / "la" / "manifest.json").write_text(text)
    fetch(destination=tmp_path / "first", base_url=site.url.rstrip("/"))
    monkeypatch.setenv("SSMIS_DOWNLOAD_BASE", site.url)
    fetch(destination=tmp_path / "second")
    assert_whole(site, tmp_path / "first")
    assert_whole(site, tmp_path / "second")


@pytest.mark.parametrize("only", ["CASE01", ["CASE01"], "*/CASE01/*", ["CASE0[1]"]])
def test_only_the_chosen_cases_are_fetched(site: Site, data: Path, only: str | list[str]) -> None:
    paths = publish(site, data, count=4)
    assert fetch(only=only).fetched == (paths[1],)


# --- what was asked --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers=0"),
        ({"only": "CASE99"}, "only='CASE99': matches none of the 2 files"),
        ({"base_url": "ftp://example.org"}, "expected an address that starts with http"),
    ],
)
def test_a_wrong_option_is_one_line(site: Site, data: Path, options: dict[str, object], message: str) -> None:
    publish(site, data, count=2)
    with pytest.raises(UserError, match=re.escape(message)):
        fetch(**options)


def test_a_destination_that_is_a_file_is_one_line(site: Site, data: Path) -> None:
    publish(site, data)
    with pytest.raises(UserError, match="the folder cannot be made"):
        fetch(destination=data / "la" / "manifest.json")


def test_unknown_names_list_what_can_be_fetched_and_generated_data_needs_nothing(site: Site, data: Path) -> None:
    publish(site, data)
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
        fetch()
    assert "\n" not in str(error.value)


def test_the_published_manifest_names_one_file_for_each_listed_case(repository: Path) -> None:
    base, files = manifest.read_manifest("la")
    listed = [(repository / "data/la" / name).read_text().split() for name in ("train.list", "test.list")]
    assert Counter(f.path for f in files) == Counter(
        f"2018LA_Seg_Training Set/{case}/mri_norm2.h5" for cases in listed for case in cases
    )
    assert base.startswith("https://") and all(re.fullmatch("[0-9a-f]{64}", f.sha256) and f.bytes > 0 for f in files)


# --- the parts -------------------------------------------------------------------------------------------------------


def test_the_downloader_serves_pooch(site: Site, data: Path, tmp_path: Path) -> None:
    import pooch
    import requests

    (path,) = publish(site, data)
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
    publish(site, data, count=3)
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
