"""Work beside the caller's: in order, a few calls at a time, and an error where its result is due."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial

import pytest

from ssmis_core.background import in_background


def test_results_come_in_order_and_the_next_call_is_made_while_one_runs() -> None:
    made = threading.Event()

    def first() -> int:
        assert made.wait(30), "the next call was not made beside the first"
        return 0

    def calls() -> Iterator[Callable[[], int]]:
        yield first
        made.set()
        yield from (partial(int, number) for number in range(1, 6))

    assert list(in_background(calls(), 2)) == list(range(6))


def test_an_error_is_raised_where_its_result_is_due_and_the_calls_after_it_are_not_begun() -> None:
    begun, seen = [], []

    def work(number: int) -> int:
        begun.append(number)
        if number == 2:
            raise ValueError("two")
        return number

    with pytest.raises(ValueError, match="two"), closing(in_background((partial(work, n) for n in range(9)), 1)) as got:
        for result in got:
            seen.append(result)
    assert seen == [0, 1]
    assert begun[:3] == [0, 1, 2] and len(begun) <= 4
    assert not any(one.name.startswith("background") for one in threading.enumerate())
