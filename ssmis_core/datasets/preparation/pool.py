"""Jobs by several processes, each started afresh, so that it works wherever it is called from."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from ssmis_core.datasets.byte_bar import ByteBar
from ssmis_core.datasets.preparation.case_files import Outcome
from ssmis_core.errors import UserError

Job = TypeVar("Job")


def outcomes(
    name: str,
    run_job: Callable[[Job], Outcome],
    jobs: Mapping[str, Job],
    sizes: Mapping[str, int],
    workers: int,
    *,
    progress: bool,
) -> list[Outcome]:
    """The outcome of each job {case: job}, in their order; name and sizes (bytes of each case): of the progress bar.

    run_job: a function of a module, for it is called by other processes where workers is more than 1.
    """
    found: dict[str, Outcome] = {}
    with ByteBar(name, sum(sizes.values()), shown=progress) as bar:
        for outcome in _as_they_end(run_job, list(jobs.values()), workers):
            found[outcome.id] = outcome
            bar.at(outcome.id, sizes[outcome.id])
    return [found[case_id] for case_id in jobs]


def check_workers(workers: int) -> None:
    """UserError unless it is a number of processes."""
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
        raise UserError(f"workers={workers!r}: expected a whole number of at least 1")


def _as_they_end(run_job: Callable[[Job], Outcome], jobs: Sequence[Job], workers: int) -> Iterator[Outcome]:
    """By this process alone where workers is 1."""
    workers = min(workers, len(jobs))
    if workers <= 1:
        yield from map(run_job, jobs)
        return
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from concurrent.futures.process import BrokenProcessPool

    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start)
    try:
        for future in as_completed([pool.submit(run_job, job) for job in jobs]):
            yield future.result()
    except BrokenProcessPool as error:
        raise UserError(
            "a worker was ended from outside, or had too little memory; what is done is kept: run it again with fewer "
            "--workers"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start() -> None:
    """Ctrl-C ends the parent, which lets its workers end their case; libraries stay at one thread each."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        import SimpleITK

        SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    except ImportError:
        pass


def _end_with_parent() -> None:
    """A parent that is killed cannot end its workers, which would wait for jobs for good and write beside the next."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
