"""Reading many cases: in order, a few ahead, and a bad one is told where it stands."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import closing

import numpy as np
import pytest

from ssmis_core.datasets import Case, Dataset, open_dataset
from ssmis_core.datasets.phantom import generate
from ssmis_core.errors import UserError


class Slow(Dataset):
    """Ten small cases; the first waits until a later one was read. Counts what was read."""

    name, title, dims, num_classes, class_names = "slow", "Slow", 2, 2, ("background", "object")
    train: Sequence[str] = tuple(f"case-{n}" for n in range(10))
    test: Sequence[str] = ()

    def __init__(self, bad: str = "") -> None:
        self.bad, self.begun, self.later = bad, [], threading.Event()

    def read(self, case_id: str) -> Case:
        self.begun.append(case_id)
        if case_id == "case-0":
            assert self.later.wait(30), "nothing was read beside the first case"
        else:
            self.later.set()
        image = np.full((1, 4, 4), float(case_id[-1]), dtype=np.float32)
        image[0, 0, 0] = np.nan if case_id == self.bad else -1.0
        return Case(case_id, image, np.zeros((4, 4), np.uint8), np.eye(4), None, "synthetic")


def test_cases_come_in_order_though_the_first_takes_longest() -> None:
    dataset = Slow()
    assert [case.id for case in dataset.stream(dataset.train)] == list(dataset.train)


def test_only_a_few_are_read_before_they_are_wanted() -> None:
    dataset = Slow()
    with closing(dataset.stream(dataset.train)) as cases:
        assert next(cases).id == "case-0"
    assert len(dataset.begun) <= 4  # closing waits for those that are being read, and begins no other


def test_a_bad_case_is_told_after_those_before_it() -> None:
    dataset, seen = Slow(bad="case-3"), []
    with pytest.raises(UserError, match="slow:case-3: image has 1 NaN"):
        for case in dataset.stream(dataset.train):
            seen.append(case.id)
    assert seen == ["case-0", "case-1", "case-2"]
    assert "case-9" not in dataset.begun


def test_no_cases() -> None:
    assert list(Slow().stream([])) == []


def test_phantom_cases_made_side_by_side_are_those_made_alone() -> None:
    dataset = open_dataset("phantom", size=(17, 20, 23))
    for number, case in enumerate(dataset.stream(dataset.train[:6])):
        image, label = generate(number, dims=3, num_classes=2, size=(17, 20, 23))
        assert np.array_equal(case.image[0], image)
        assert np.array_equal(case.label, label)
