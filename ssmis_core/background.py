"""Work that threads do beside the work of the caller."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def in_background(calls: Iterable[Callable[[], T]], threads: int) -> Generator[T]:
    """What each call returns, in turn. So many calls run in threads while the caller, or `calls`, works on.

    A call that raises does so where its result is due. Whoever may stop early closes it (`contextlib.closing`): calls
    that run are waited for, the others are not begun.
    """
    waiting: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="background")
    try:
        for call in calls:
            waiting.append(pool.submit(call))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
