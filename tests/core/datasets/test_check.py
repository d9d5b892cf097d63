"""The integrity check of a data set: every case once, a table, and a line for each problem."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssmis_core.datasets import la
from ssmis_core.datasets.check import survey
from tests.core.datasets.la_helpers import CASE, FOLDER, HOLED, IMAGE, LABEL, TEST, TRAIN, volume, write


def test_a_whole_data_set_has_no_problems_and_a_table(root: Path) -> None:
    for number, case in enumerate((*TRAIN[:3], *TEST[:2])):
        image, label = volume(number, (12, 10 + number, 8))
        write(root / FOLDER, case, image=image, label=label)
    dataset = la.open(root)
    chosen = {"train": TRAIN[:3], "test": TEST[:2]}
    steps: list[tuple[int, int]] = []
    outcome = survey(dataset, chosen, progress=lambda done, total: steps.append((done, total)))
    assert outcome.problems == []
    assert steps == [(done, 5) for done in range(1, 6)]
    train, test = (line.split() for line in outcome.table().splitlines()[1:])
    assert train[:5] == ["train", "3/3", "12x10x8", "12x11x8", "12x12x8"]
    assert test[:5] == ["test", "2/2", "12x13x8", "12x13.5x8", "12x14x8"]
    assert train[5:] == [f"{100 * 64 / voxels:.1f}" for voxels in (12 * 12 * 8, 12 * 11 * 8, 12 * 10 * 8)]


def test_each_bad_case_is_one_line_and_the_rest_is_still_read(root: Path) -> None:
    good, cut, holed, labels, shape, gone = TRAIN[:6]
    path = write(root / FOLDER, cut)
    path.write_bytes(path.read_bytes()[:1000])
    write(root / FOLDER, holed, image=HOLED, label=LABEL)
    write(root / FOLDER, labels, image=IMAGE, label=LABEL * 7)
    write(root / FOLDER, shape, image=IMAGE, label=LABEL[1:])
    problems = survey(la.open(root), TRAIN[:6]).problems
    wanted = {cut: "HDF5", holed: "NaN", labels: "values up to 7", shape: "differ in shape", gone: "no such file"}
    assert len(problems) == len(wanted) and not any("\n" in line for line in problems)
    for (case, word), line in zip(wanted.items(), problems, strict=True):
        assert case in line and word in line
    assert [case.id for case in survey(la.open(root), TRAIN[:6]).cases] == [good]


def test_by_default_every_listed_case_is_opened_and_empty_splits_tabulate(root: Path) -> None:
    outcome = survey(la.open(root))
    assert outcome.counted == {"train": 80, "test": 20} and len(outcome.problems) == 99
    assert outcome.table().splitlines()[2].split() == ["test", "0/20"] + ["-"] * 6


def test_a_case_in_two_lists_is_a_problem(root: Path) -> None:
    problems = survey(la.open(root), {"train": [CASE], "test": [CASE]}).problems
    assert problems == [f"la: case {CASE!r} is listed 2 times (train, test), expected once"]


def test_a_reader_that_breaks_is_reported_and_not_raised(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = la.open(root)

    def broken(case_id: str) -> None:
        raise OSError("stale\nfile handle")

    monkeypatch.setattr(dataset, "read", broken)
    (line,) = survey(dataset, [CASE]).problems
    assert line == f"{dataset.source(CASE)}: cannot be read (OSError: stale file handle)"
