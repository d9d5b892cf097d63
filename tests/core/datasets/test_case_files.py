"""Prepared files of single cases: what is written, and what is told where nothing can be read or written."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import numpy as np
import pytest

from ssmis_core.datasets.preparation.case_files import Content, Outcome, make_file


def made(folder: Path) -> Outcome:
    """A case of about half a megabyte, made of a file that is not looked into."""
    (folder / "scan").write_bytes(b"scan")
    arrays = {"image": np.zeros((40, 40, 40)), "label": np.zeros((40, 40, 40), np.uint8)}
    content = Content(arrays, {}, packed=["label"])
    return make_file("a", folder / "a.h5", [folder / "scan"], folder, "recipe", lambda: content)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_disk_that_fills_up_on_the_way_is_one_line_and_leaves_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # writing goes well for a while
    try:
        done = made(tmp_path)
        gc.collect()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (done.state, done.record) == ("failed", None)
    assert done.reason == f"{tmp_path / 'a.h5'}: cannot be written or read (File too large)"
    assert capfd.readouterr().err == "" and [path.name for path in tmp_path.iterdir()] == ["scan"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_full_disk_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / ".a.h5.part").symlink_to("/dev/full")
    assert made(tmp_path).reason == (
        f"{tmp_path / 'a.h5'}: cannot be written, no space left on the disk; what was there before is unchanged"
    )
