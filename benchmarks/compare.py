"""Methods x labels x seeds x variants (and data sets, presets, dimensions) in one command that can be run again.

    python benchmarks/compare.py --folder DIR --methods supervised ugmcl --labels 4 8 --seeds 0 1 2 \\
        --variants paper released --dims 2 --out benchmarks/results/phantom_2d.csv

Every run has a folder under --folder, named after its whole configuration. A run that is finished and evaluated is not
made again, one that was stopped goes on; so the same command continues after a Ctrl-C or --max-seconds, and one with
more seeds adds them. After a change of the code, give another folder; the table names the git revision of each run.

A method without one of the variants is trained as in the paper. --entries FILE adds changed methods, such as the parts
that a paper ablates, as contestants of their own:

    [[entry]]
    name = "without intra-task"
    method = "ugmcl"
    options = { intra_task = false }

On ACDC, with its files in DIR: --datasets acdc --data-root DIR --labels 7 (patients).

Written next to --out, which has a row a run: _means (over seeds), _classes (the same for each structure, of sets with
several) and _pairs (each contestant minus each --baseline, and each method's paper variant minus its others; see
`ssmis_core.comparison`).
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import signal
import time
import tomllib
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from machine import duration, machine, one_line, positive

from ssmis_core import comparison, scored_runs
from ssmis_core.cli_tables import comparisons
from ssmis_core.cli_values import data_options, run_settings
from ssmis_core.configuration import Configuration, configure
from ssmis_core.datasets import DATASETS
from ssmis_core.errors import NonFiniteLoss, UserError, unknown
from ssmis_core.files import write_csv
from ssmis_core.methods import METHODS, method_class
from ssmis_core.progress import silent
from ssmis_core.runs import Run, default_run_dir

INTERRUPTED = 130
SHARED = ("dataset", "dataset_options", "data_root", "preset", "labeled", "seed", "variant", "iterations")
stopped = False  # of a worker process


@dataclass(frozen=True)
class Entry:
    """A contestant: a method by the name that the tables have for it, with options changed or not."""

    name: str
    method: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """A run to be made, or made already."""

    name: str
    config: Configuration
    folder: Path
    data_root: Path | None = None
    device: str = "auto"
    until: float = math.inf  # of time.monotonic(): when it is to stop

    @property
    def done(self) -> bool:
        """Whether it is finished, and evaluated since."""
        if not (self.folder / "summary.json").is_file():
            return False
        run = Run.create(self.folder, self.config)
        return run.status == "finished" and run.summary["conventions"]["status"] == "finished"


@one_line
def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    work = list(jobs(options))
    code = run_all(work, count=options.jobs, threads=options.threads)
    write_tables(work, options.out or options.folder / "runs.csv", options.baseline)
    return code


def entries(methods: Sequence[str], file: Path | None) -> list[Entry]:
    """The methods as they are, then the entries of a file."""
    found = [Entry(name, name) for name in methods]
    if file is not None:
        try:
            found += [Entry(**one) for one in tomllib.loads(file.read_text(encoding="utf-8")).get("entry", [])]
        except (OSError, tomllib.TOMLDecodeError, TypeError) as error:
            raise UserError(f"{file}: {error}; expected [[entry]] tables of name, method, options") from error
    for one in found:
        if not (isinstance(one.name, str) and isinstance(one.method, str) and isinstance(one.options, dict)):
            raise UserError(f"{file}: entry {one.name!r}: expected name and method as text, options as a table")
        for key in one.options:
            if key in SHARED:
                raise UserError(f"{file}: entry {one.name!r} sets {key}, expected it of the command, for all alike")
    names = [one.name for one in found]
    if not found or len(set(names)) < len(names):
        raise UserError(f"contestants {', '.join(names) or 'none'}: expected one or more, each of a name of its own")
    return found


def jobs(options: argparse.Namespace) -> Iterator[Job]:
    """Every run asked for, configured; UserError for what cannot be, before anything is trained."""
    until = time.monotonic() + options.max_seconds
    contestants = entries(options.methods, options.entries)
    known = {variant for one in contestants for variant in method_class(one.method).VARIANTS}
    for variant in options.variants:
        if variant not in known:
            raise unknown("variant", variant, known)
    for name in options.baseline:
        if name not in [one.name for one in contestants]:
            raise unknown("baseline", name, [one.name for one in contestants])
    # seeds last: what is done when it is stopped compares all methods
    for seed, dataset, preset, labeled in product(options.seeds, options.datasets, options.presets, options.labels):
        for dims, one in product(dimensions(dataset, options.dims), contestants):
            data = {**dims, **data_options(options.data_option)}
            own = method_class(one.method).VARIANTS
            for variant in [asked for asked in options.variants if asked in own] or ["paper"]:
                config = configure(
                    one.method,
                    dataset=dataset,
                    dataset_options=data,
                    data_root=options.data_root,
                    preset=preset,
                    labeled=labeled,
                    seed=seed,
                    variant=variant,
                    iterations=options.iterations,
                    **{**run_settings(one.method, options.set), **one.options},
                )
                folder = default_run_dir(config, root=options.folder / f"{dataset}-{len(config.patch)}d")
                yield Job(one.name, config, folder, options.data_root, options.device, until)


def dimensions(dataset: str, dims: Sequence[int]) -> list[dict[str, int]]:
    """Options of a data set that can be had in several dimensions; other data sets have their own."""
    if dataset not in DATASETS:
        raise unknown("data set", dataset, DATASETS)
    return [{"dims": one} for one in dims] if "dims" in DATASETS[dataset].options and dims else [{}]


def run_all(work: Sequence[Job], *, count: int, threads: int | None) -> int:
    """Train and evaluate what is not done, in `count` processes; 0, or 130 when it was stopped."""
    left = list({job.folder: job for job in work if not job.done}.values())
    print(f"{len(work)} runs, {len(left)} of them to do", flush=True)
    results = in_turn(left, threads) if count == 1 else at_once(left, count, threads or 1)
    for number, (job, status) in enumerate(results, start=1):
        print(f"{number} of {len(left)}  {job.name}  {job.folder.name}: {status}", flush=True)
        if status == "interrupted":
            print("stopped; the same command goes on from here", flush=True)
            results.close()
            return INTERRUPTED
    return 0


def in_turn(work: Sequence[Job], threads: int | None) -> Generator[tuple[Job, str]]:
    """One after the other, in this process."""
    prepare(threads)
    for job in work:
        try:
            status = run_job(job)
        except KeyboardInterrupt:
            status = "interrupted"
        yield job, status


def at_once(work: Sequence[Job], count: int, threads: int) -> Generator[tuple[Job, str]]:
    """In processes of their own. When this one is told to stop, those save where they are, and no more are begun."""
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read when torch is imported
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=spawn, initializer=prepare_worker, initargs=(threads,)) as pool:
        futures = {pool.submit(run_in_worker, job): job for job in work}
        try:
            with stop_raises():
                for future in as_completed(futures):
                    yield futures[future], future.result()
        except KeyboardInterrupt:
            yield work[-1], "interrupted"
        except BrokenProcessPool as error:
            raise UserError(f"a process that trained was killed (no memory? --jobs {count} is now): {error}") from error
        finally:  # and then the pool waits for what still runs, so that the tables find it saved
            if any([not future.done() for future in futures if not future.cancel()]):
                for child in multiprocessing.active_children():
                    child.terminate()  # a training takes it as a request to stop


@contextmanager
def stop_raises() -> Iterator[None]:
    """SIGTERM, as a scheduler sends it, ends this process as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def prepare(threads: int | None) -> None:
    import torch

    if threads is not None:
        torch.set_num_threads(threads)


def prepare_worker(threads: int) -> None:
    """Ctrl-C goes to all processes; while a worker trains it stops by it, else it leaves the end to the first one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    prepare(threads)


def run_in_worker(job: Job) -> str:
    """As `run_job`; once a worker has been stopped it begins nothing more, such as the job that waits in its queue."""
    global stopped
    status = "interrupted" if stopped else run_job(job)
    stopped = status == "interrupted"
    return status


def run_job(job: Job) -> str:
    """Train and evaluate: the status that the run ends in."""
    from ssmis_core.evaluation import evaluate_run
    from ssmis_core.training import train

    left = job.until - time.monotonic()
    if left <= 0:
        return "not begun: the time is over"
    where: dict[str, Any] = {"data_root": job.data_root, "device": job.device}
    try:
        run = train(job.config, run_dir=job.folder, max_seconds=left, report=silent, **where)
    except NonFiniteLoss as error:
        return f"failed: {error}"
    run.update(measured_on=machine()["machine"])
    if run.status == "finished":
        evaluate_run(run, save_predictions=False, **where)
    return run.status


def write_tables(work: Sequence[Job], out: Path, baselines: Sequence[str]) -> None:
    """The CSV files, and a table to read."""
    begun = [job for job in work if (job.folder / "run.json").is_file()]
    done = [(job.name, Run(job.folder)) for job in begun if job.done]
    scored = [scored_runs.score(*one) for one in done]
    pairs, classes = comparison.differences(scored, baselines), comparison.class_means(done)
    tables = {"": [scored_runs.run_row(job.name, Run(job.folder)) for job in begun]}
    tables |= {"_means": comparison.means(scored), "_pairs": pairs, **({"_classes": classes} if classes else {})}
    for ending, rows in tables.items():
        write_csv(out.with_name(f"{out.stem}{ending}.csv"), rows)
    print(f"\n{comparisons(pairs)}\n\n{out}: {len(scored)} of {len(work)} runs are finished")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--folder", type=Path, required=True, help="folder for the run folders")
    add("--out", type=Path, help="the CSV of runs (default: runs.csv in --folder)")
    add("--methods", nargs="*", default=list(METHODS), help="default: all that are registered")
    add("--entries", type=Path, metavar="FILE", help="TOML with changed methods")
    add("--labels", type=positive, nargs="+", default=[4])
    add("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add("--variants", nargs="+", default=["paper"])
    add("--datasets", nargs="+", default=["phantom"])
    add("--presets", nargs="+", default=["quick"])
    add("--dims", type=int, nargs="+", default=[], choices=(2, 3), help="of data sets that have both")
    add("--baseline", nargs="*", default=["supervised"], help="what the others are compared with")
    add("--iterations", type=positive, help="default: the preset's")
    add("--set", action="append", metavar="KEY=VALUE", help="option or setting of every run; may be given again")
    add("--data-option", action="append", metavar="KEY=VALUE", help="option of the data sets, such as size=32")
    add("--data-root", type=Path, help="folder of the data set's files")
    add("--device", default="auto")
    add("--max-seconds", type=duration, default=math.inf, help="for all (default: until they are done)")
    add("--jobs", type=positive, default=1, metavar="N", help="processes that train at once (default: 1)")
    add("--threads", type=positive, help="of each process (default: 1 of several, torch's own of one)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
