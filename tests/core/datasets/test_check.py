"""The integrity check of a data set: every case once, a table, and a line for each problem."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ssmis_core.datasets import la
from ssmis_core.datasets.cases import Case, faults_of
from ssmis_core.datasets.check import survey
from ssmis_core.datasets.check.tables import tables
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
    shapes, greys, labels = tables(outcome)
    train, test = shapes.rows[1:]
    assert train[:5] == ("train", "3/3", "12x10x8", "12x11x8", "12x12x8")
    assert test[:5] == ("test", "2/2", "12x13x8", "12x13.5x8", "12x14x8")
    assert list(train[5:8]) == [f"{100 * 64 / voxels:.1f}" for voxels in (12 * 12 * 8, 12 * 11 * 8, 12 * 10 * 8)]
    assert train[8:] == ("0.625 x 0.625 x 0.625", "RAS")
    millilitres = f"{64 * 0.625**3 / 1000:.4g}"
    assert labels.rows[1] == ("train", "1", "left atrium", "3/3", *[millilitres] * 3, "ml")
    image = volume(0, (12, 10, 8))[0]
    assert float(greys.rows[1][2]) <= image.min() + 1e-3 and float(greys.rows[1][6]) >= image.max() - 1e-3


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
    for case, word in wanted.items():
        assert word in next(line for line in problems if case in line)
    assert [case.id for case in survey(la.open(root), TRAIN[:6]).cases] == [good]


def test_by_default_every_listed_case_is_opened_and_empty_splits_tabulate(root: Path) -> None:
    outcome = survey(la.open(root))
    assert outcome.counted == {"train": 80, "test": 20} and len(outcome.problems) == 99
    assert tables(outcome)[0].rows[2] == ("test", "0/20", *["-"] * 6, "unknown", "unknown")
    assert {finding.kind for finding in outcome.findings} == {"missing"}


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


def test_what_stops_a_training_is_told_by_kind_all_at_once() -> None:
    image = np.random.default_rng(0).normal(size=(1, 6, 5)).astype(np.float32)
    holed = np.where(np.arange(30).reshape(1, 6, 5) == 3, np.nan, image)

    def kinds(image: np.ndarray, label: np.ndarray | None) -> list[str]:
        case = Case("a", image, label, np.eye(4), None, "")
        return [kind for kind, _ in faults_of(case, num_classes=2, dims=2, channels=1)]

    good = np.zeros((6, 5), np.uint8)
    assert kinds(image, good) == kinds(image, None) == []
    assert kinds(holed, np.full((6, 4), 2, np.uint8)) == ["label-shape", "nan", "label-values"]
    assert kinds(np.ones_like(image), good) == ["constant"]
    assert kinds(image[0], good) == ["axes"]
    assert kinds(image[:, :0], good) == ["empty"]


def test_two_volumes_with_one_content_in_training_and_test_are_a_leak(root: Path) -> None:
    for case in (TRAIN[0], TRAIN[1], TEST[0]):
        write(root / FOLDER, case, image=IMAGE, label=LABEL)
    write(root / FOLDER, TRAIN[2], image=2 * IMAGE, label=LABEL)
    outcome = survey(la.open(root), {"train": TRAIN[:3], "test": TEST[:1]})
    assert [finding.kind for finding in outcome.findings] == ["leak", "same-label"]
    (leak,) = outcome.problems
    assert f"{TRAIN[0]} (train)" in leak and f"{TEST[0]} (test)" in leak and TRAIN[2] not in leak


def test_pictures_are_drawn_only_when_asked_for(root: Path) -> None:
    (drawn,) = survey(la.open(root), [CASE], pictures=True).cases
    (plain,) = survey(la.open(root), [CASE]).cases
    assert drawn.picture.startswith(b"\x89PNG") and plain.picture == b""
