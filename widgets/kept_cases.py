"""Cases that explorers opened last, kept in memory up to a bound, and memory handed back when another one is opened."""

from __future__ import annotations

import ctypes
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakKeyDictionary

from ssmis_core.configuration import Configuration
from ssmis_core.datasets import Case, Dataset
from ssmis_core.volume_bank import VolumeBank

# Kept of a data set, in bytes: a handful of the largest volumes. An explorer of one batch needs a bank of its cases
# and a bank of the one that is looked at, so both must fit at once, or each move would read files again.
CASES_BYTES, BANKS_BYTES = 64 << 20, 96 << 20


class LastUsed:
    """What was made last of each data set, up to so many bytes, as long as somebody holds that data set."""

    def __init__(self, most: int):
        self.most, self.made = most, 0
        self.of: WeakKeyDictionary[Dataset, OrderedDict[Hashable, Any]] = WeakKeyDictionary()

    def get(self, dataset: Dataset, key: Hashable, make: Callable[[], Any]) -> Any:
        """What is kept under the key, or else made; it has `nbytes`, and must not hold the data set.

        The one asked for stays, however large: an explorer that is moved asks for it again.
        """
        kept = self.of.setdefault(dataset, OrderedDict())
        if key in kept:
            kept.move_to_end(key)
        else:
            kept[key], self.made = make(), self.made + 1
        held = sum(one.nbytes for one in kept.values())
        while held > self.most and len(kept) > 1:
            held -= kept.popitem(last=False)[1].nbytes
        return kept[key]


_cases, _banks = LastUsed(CASES_BYTES), LastUsed(BANKS_BYTES)


def load(dataset: Dataset, case_id: str) -> Case:
    """A case of a data set, the last ones kept in memory: an explorer that is moved asks again and again."""
    case: Case = _cases.get(dataset, case_id, lambda: dataset.load(case_id))
    return case


@contextmanager
def tidied() -> Iterator[None]:
    """Hand freed memory to the system after a block that read a case from its file.

    glibc keeps hundreds of MB of a network's answers to the cases before, and kernels are many. Not after each block:
    taking the memory again costs the next answer time.
    """
    before = _cases.made
    yield
    if _cases.made != before:
        with suppress(OSError, AttributeError, TypeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)


def bank_of(dataset: Dataset, wanted: tuple[str, ...], config: Configuration) -> VolumeBank:
    """The cases on the grid that a run works on, the last ones kept as in `load`."""
    grid = config.grid

    def make() -> VolumeBank:
        return VolumeBank([load(dataset, one) for one in wanted], num_classes=dataset.num_classes, **vars(grid))

    bank: VolumeBank = _banks.get(dataset, (wanted, grid), make)
    return bank
