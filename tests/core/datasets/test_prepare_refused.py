"""What `ssmis data prepare` refuses: in one line, before any work or case by case."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from ssmis_core import cli
from ssmis_core.datasets.preparation import prepare_folder
from ssmis_core.errors import UserError
from tests.core.cli_helpers import refused
from tests.core.datasets.own_helpers import OBLIQUE, blocks, scan, write_image, write_source


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_source(tmp_path / "scans")


def test_a_spacing_that_makes_too_many_voxels_is_refused_before_memory_is_taken(source: Path, tmp_path: Path) -> None:
    done = prepare_folder("own", source, tmp_path / "out", spacing=(0.01,))
    assert len(done.problems) == 8 and not list((tmp_path / "out" / "cases").iterdir())
    assert all("case_" in line and "GB in memory), expected at most 1.6 GB" in line for line in done.problems)


def test_cases_that_cannot_be_used_are_told_one_by_one_and_nothing_is_half_written(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, labels, out = source / "images", source / "labels", tmp_path / "out"
    good = scan((12, 10, 8)).astype(np.float32)
    elsewhere = np.array(OBLIQUE)
    elsewhere[0, 3] += 30
    write_image(images / "case_0.nii.gz", np.where(good > 800, np.nan, good), OBLIQUE)
    write_image(images / "case_1.nii.gz", np.ones((13, 10, 9), np.int16), OBLIQUE)
    (images / "case_2.nii.gz").write_bytes((images / "case_2.nii.gz").read_bytes()[:-40])
    write_image(labels / "case_3.nii.gz", blocks((12, 10, 8)), OBLIQUE)  # its image has 9 slices
    write_image(labels / "case_4.nii.gz", blocks((13, 10, 8)), elsewhere)
    write_image(labels / "case_5.nii.gz", blocks((14, 10, 9)) * np.float32(0.5), OBLIQUE)
    swapped = scan((10, 12, 8))
    write_image(images / "case_6.nii.gz", np.stack([swapped, swapped], -1), OBLIQUE)
    write_image(images / "case_7.nii.gz", scan((12, 10, 1)), OBLIQUE)
    command = ["data", "prepare", "own", "--source", str(source), "--out", str(out), "--workers", "1", "--quiet"]
    (images / "aaa.nii.gz").write_bytes(b"")
    assert "aaa.nii.gz: is empty" in refused(command, capsys)  # the first case tells what all must be
    (images / "aaa.nii.gz").unlink()
    write_image(images / "aaa.nii.gz", scan((12, 10, 8)), OBLIQUE)
    assert cli.run(command) == 1
    told = capsys.readouterr()
    assert "8 problem(s), so there is no data set yet" in told.err
    lines = [line for line in told.out.splitlines() if line.startswith(str(source))]
    expected = (
        "NaN or infinite",
        "image is constant (1",
        "cut short",
        "has 10 x 8 x 12 voxels (to the right",
        "mm off images/case_4",
    )
    expected += ("whole numbers", "2 channel(s), expected 1", "expected volumes as the first case")
    for number, (line, part) in enumerate(zip(lines, expected, strict=True)):
        assert f"case_{number}.nii.gz" in line and part in line, line
    assert sorted(p.name for p in (out / "cases").iterdir()) == ["aaa.h5"]
    assert not (out / "manifest.json").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"modality": "pet"}, "unknown modality 'pet'"),
        ({"spacing": (1, 2)}, "expected 3 numbers of mm above 0"),
        ({"spacing": (0,)}, "expected 3 numbers of mm above 0"),
        ({"window": (0, 100)}, "only CT has Hounsfield units"),
        ({"classes": ["a", "a"]}, "expected different names and values"),
        ({"classes": ["0=a"]}, "whole number above 0"),
        ({"classes": ["\u00b2=a"]}, "whole number above 0"),
        ({"workers": 0}, "workers=0"),
    ],
)
def test_wrong_requests_are_told_before_any_work(source: Path, tmp_path: Path, change: dict, told: str) -> None:
    with pytest.raises(UserError, match=told):
        prepare_folder("own", source, tmp_path / "out", **change)
    assert not (tmp_path / "out").exists()


def test_a_place_among_the_scans_is_refused_at_once(source: Path) -> None:
    for out in (source / "images", source / "images" / "own", source / "scan" / ".." / "labels" / "own"):
        with pytest.raises(UserError, match=r"lies among the scans of .*, expected a folder elsewhere"):
            prepare_folder("own", source, out)
    assert sorted(path.name for path in source.iterdir()) == ["images", "labels"]
    assert not (source / "images" / "own").exists() and not (source / "labels" / "own").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_links_to_nothing_and_pipes_are_a_problem_of_their_case_alone(tmp_path: Path) -> None:
    source = write_source(tmp_path / "scans", cases=4, unlabeled=0)
    images, labels = source / "images", source / "labels"
    (images / "aaa.nii.gz").symlink_to(tmp_path / "gone.nii.gz")
    (images / "aab.nii.gz").symlink_to(images / "aab.nii.gz")
    for name in ("aac.nii.gz", "aad.mha"):  # of the latter the header is read early
        os.mkfifo(images / name)
    (labels / "case_0.nii.gz").unlink()
    (labels / "case_0.nii.gz").symlink_to("case_9.nii.gz")
    done = prepare_folder("own", source, tmp_path / "out")
    nothing, pipe = "is a link to nothing, expected a file", "is no regular file but a pipe or the like, expected"
    expected = (("aaa.nii.gz", nothing), ("aab.nii.gz", nothing), ("aac.nii.gz", pipe), ("aad.mha", pipe))
    for line, (name, told) in zip(done.problems, (*expected, ("case_0.nii.gz", nothing)), strict=True):
        assert f"{name}: {told}" in line
    assert done.made == ("case_1", "case_2", "case_3")


def test_class_names_that_are_not_understood_are_told(source: Path, tmp_path: Path) -> None:
    (source / "dataset.json").write_text('{"labels": {"0": "air", "1": "head", "\u00b2": "tail"}}')
    shutil.rmtree(source / "labels")
    write_image(source / "labels" / "case_0.nii.gz", blocks((12, 10, 8)), OBLIQUE)
    done = prepare_folder("own", source, tmp_path / "out")
    assert done.classes == ("background", "class 1", "class 2") and "are not understood, so classes" in str(done)
    assert "understood" not in str(prepare_folder("own", source, tmp_path / "named", classes=["head", "tail"]))


def test_a_folder_of_another_layout_is_told(tmp_path: Path, source: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        prepare_folder("own", tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(UserError, match="has no folder of scans, expected images/"):
        prepare_folder("own", source / "images", tmp_path / "out")
    (source / "labels" / "cose_0.nii.gz").write_bytes(b"x")
    with pytest.raises(UserError, match=r"cose_0\.nii\.gz: no image has the name of this label"):
        prepare_folder("own", source, tmp_path / "out")
    (source / "labels" / "cose_0.nii.gz").unlink()
    (source / "images" / "case_0.mha").write_bytes(b"x")
    with pytest.raises(UserError, match="expected one file a case"):
        prepare_folder("own", source, tmp_path / "out")
