"""Downloads that bring other bytes than those published."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ssmis_core.errors import UserError
from tests.core.datasets.download_helpers import SIZE, Site, assert_whole, fetch, left, publish


@pytest.mark.parametrize("wrong", [b"x" * SIZE, b"<html>sign in first</html>", b"y" * (SIZE + 10), b""])
def test_wrong_bytes_once_are_fetched_again(site: Site, data: Path, wrong: bytes) -> None:
    publish(site, data)
    site.body = lambda path, count, body: wrong if count == 0 else body
    fetch()
    assert_whole(site, data / "la")


@pytest.mark.parametrize("wrong", [b"x" * SIZE, b"<html>sign in first</html>", b"y" * (SIZE + 10)])
def test_wrong_bytes_always_name_file_found_and_expected_and_leave_nothing(
    site: Site, data: Path, wrong: bytes
) -> None:
    paths = publish(site, data, count=3)
    site.body = lambda path, count, body: wrong if path == paths[1] else body
    with pytest.raises(UserError) as error:
        fetch()
    line = str(error.value)
    found = hashlib.sha256(wrong).hexdigest() if len(wrong) == SIZE else f"{len(wrong)} bytes"
    assert paths[1] in line and found in line and "\n" not in line
    assert hashlib.sha256(site.files[paths[1]]).hexdigest() in line
    assert left(data) == [paths[0], paths[2], "manifest.json"], "the others came, of this one nothing stays"
    assert site.count(paths[1]) == 2


def test_a_stale_part_that_is_no_beginning_of_the_file_is_thrown_away(site: Site, data: Path) -> None:
    paths = publish(site, data, count=3)
    for path, stale in zip(paths, (b"z" * 1_000, b"z" * SIZE, b"z" * (SIZE + 5)), strict=True):
        part = data / "la" / (path + ".part")
        part.parent.mkdir(parents=True)
        part.write_bytes(stale)
    fetch()
    assert [request for request in site.requests if request[0] == paths[2]] == [(paths[2], None, 200)]
    assert_whole(site, data / "la")


def test_a_file_that_is_not_on_the_server_is_named_and_the_others_still_come(site: Site, data: Path) -> None:
    paths = publish(site, data, count=4)
    del site.files[paths[2]]
    with pytest.raises(UserError, match=r"CASE02/mri_norm2\.h5: the server answered 404 Not Found"):
        fetch()
    assert site.count(paths[2]) == 1, "a 404 is not tried again"
    assert left(data) == [paths[0], paths[1], paths[3], "manifest.json"]
    assert not (data / "la" / paths[2]).parent.exists()


def test_a_fetch_that_brings_nothing_leaves_no_folder_that_looks_like_the_data_set(site: Site, data: Path) -> None:
    publish(site, data, count=2)
    site.files.clear()
    with pytest.raises(UserError, match="404 Not Found"):
        fetch()
    assert [path.name for path in (data / "la").iterdir() if path.is_dir()] == []


def test_an_empty_file_is_made_without_a_request(site: Site, data: Path) -> None:
    publish(site, data, size=0)
    fetch()
    assert_whole(site, data / "la")
    assert site.requests == []


@given(cuts=st.lists(st.integers(0, 3_000), max_size=4), start=st.integers(0, 3_000), ranges=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
def test_any_pattern_of_cuts_and_any_beginning_end_in_the_published_bytes(
    site: Site, data: Path, cuts: list[int], start: int, ranges: bool
) -> None:
    shutil.rmtree(data, ignore_errors=True)
    (path,) = publish(site, data, size=3_000)
    site.requests.clear()
    site.ranges = ranges
    site.cut_after = lambda path, count: cuts[count] if count < len(cuts) else None
    part = data / "la" / (path + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(site.files[path][:start])
    fetch()
    assert_whole(site, data / "la")
