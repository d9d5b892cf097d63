"""Train the samples that the project keeps: each of the four papers' methods and supervised, on LA and on the phantom.

    python benchmarks/train_samples.py --folder DIR --data-root LA_FOLDER

The quick preset (LA and the phantom at half resolution) with 5 filters, so that two networks stay below 5 MB, and 16
labels. Runs are kept in --folder and made as by compare.py: the same command goes on after a stop and trains nothing
twice. Each finished run is written to data/samples/<data set>/<method>/ (see `ssmis_core.samples`), unless the sample
there is of the same configuration.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from compare import Job, jobs, run_all
from compare import parse as compare_arguments
from machine import one_line, positive

from ssmis_core.methods import METHODS, method_class
from ssmis_core.runs import Run
from ssmis_core.samples import export_sample, open_sample, samples

WANTED = ("supervised", "ssnet", "ugmcl", "tracoco", "cpam_trcm")
FILTERS = "filters=5"


@one_line
def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    names = registered(options.methods)
    given = ["--folder", str(options.folder), "--methods", *names, "--datasets", *options.datasets]
    given += ["--labels", str(options.labeled), "--seeds", "0", "--baseline", "--device", options.device]
    for flag, values in (("--set", [FILTERS, *options.set]), ("--data-option", options.data_option)):
        given += [word for value in values for word in (flag, value)]
    for flag in ("data_root", "iterations"):
        value = getattr(options, flag)
        given += [] if value is None else [f"--{flag.replace('_', '-')}", str(value)]
    wanted = [job for job in jobs(compare_arguments(given)) if not kept(job, options.out)]
    code = run_all(wanted, count=options.jobs, threads=options.threads)
    for job in wanted:
        if job.done:
            export(job, options.out)
    missing = [f"{job.config.dataset}/{job.config.method}" for job in wanted if not job.done]
    if missing:
        print(f"not made: {', '.join(missing)}", file=sys.stderr)
    return code or (1 if missing else 0)


def registered(names: Iterable[str] | None) -> list[str]:
    """The methods asked for, which must be known; by default those of the wanted ones that are."""
    if names is not None:
        return [name for name in names if method_class(name)]
    lacking = [name for name in WANTED if name not in METHODS]
    if lacking:
        print(f"left out, not registered: {', '.join(lacking)}", file=sys.stderr)
    return [name for name in WANTED if name in METHODS]


def kept(job: Job, root: Path) -> bool:
    """Whether the sample of this configuration is there."""
    name = f"{job.config.dataset}/{job.config.method}"
    return name in samples(root) and not job.config.differences(open_sample(name, root).config)


def export(job: Job, root: Path) -> None:
    folder = root / job.config.dataset / job.config.method
    sample = export_sample(Run(job.folder), folder, data_root=job.data_root, device=job.device)
    size = (sample.path / "weights.safetensors").stat().st_size
    told = sample.info["stored"]["dice_in_full"], sample.summary["mean"]["dice"]
    print(f"{folder}: {size / 1e6:.2f} MB, Dice {told[0]:.4f} as trained and {told[1]:.4f} as stored", flush=True)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--folder", type=Path, required=True, help="folder for the run folders")
    add("--out", type=Path, default=Path(__file__).parents[1] / "data" / "samples", help="default: data/samples")
    add("--datasets", nargs="+", default=["phantom", "la"])
    add("--methods", nargs="+", help=f"default: {', '.join(WANTED)}")
    add("--labeled", type=positive, default=16)
    add("--iterations", type=positive, help="default: the preset's")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="option or setting of every run")
    add("--data-option", action="append", default=[], metavar="KEY=VALUE", help="option of the data sets")
    add("--data-root", type=Path, help="folder of the LA volumes")
    add("--device", default="auto")
    add("--jobs", type=positive, default=1, metavar="N", help="processes that train at once")
    add("--threads", type=positive, help="of each process")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
