"""An evaluated run as a row and as the scores of its test cases, object by object: what comparisons are made of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ssmis_core.errors import UserError
from ssmis_core.runs import Run

METRICS = ("dice", "jaccard", "hd95", "asd")
# What two runs must share to be compared. data: which scans of the data set, and which classes (`data_in_words`).
SETTING = ("dataset", "dims", "preset", "labeled", "data")
Setting = tuple[Any, ...]
Contestant = tuple[str, str]  # name, variant
Scores = Mapping[str, Mapping[str, Mapping[str, float]]]  # case -> class -> metric -> value, NaN where there is none


@dataclass(frozen=True)
class Scored:
    """A finished run and its scores. name: of the method, or of the change to it that is compared; row: of the run."""

    name: str
    row: Mapping[str, Any]
    cases: Scores
    folder: str = ""

    @property
    def setting(self) -> Setting:
        return tuple(self.row.get(key, "") for key in SETTING)

    @property
    def contestant(self) -> Contestant:
        return self.name, self.row["variant"]


def run_row(name: str, run: Run) -> dict[str, Any]:
    """What one run folder says: what was trained, its scores over the test cases, its seconds, machine and versions.

    Distances in voxels. A run that is not finished or not evaluated has its status, and NaN for what is not known.
    """
    info, config = run.info, run.config
    summary = run.summary if (run.path / "summary.json").is_file() else {}
    environment = info.get("environment", {})
    versions, machine = environment.get("versions", {}), environment.get("machine", {})
    return {
        "name": name,
        "method": config.method,
        "variant": config.variant,
        "dataset": config.dataset,
        "dims": len(config.patch),
        "preset": config.preset,
        "labeled": config.labeled,
        "data": data_in_words(config.dataset_options),
        "seed": config.seed,
        "iterations": config.iterations,
        "iterations_done": info.get("iterations_done", 0),
        "protocol": config.protocol,
        "status": info["status"],
        "error": info.get("error") or "",
        "cases": summary.get("cases", 0),
        **{metric: rounded(summary.get("mean", {}).get(metric)) for metric in METRICS},
        "missed": summary.get("missed", math.nan),
        "false_alarms": summary.get("false_alarms", math.nan),
        "seconds": info.get("seconds", math.nan),
        "machine": info.get("measured_on") or machine.get("system", ""),
        "cpu": machine.get("cpu", ""),
        "device": info.get("device", ""),
        "threads": info.get("threads", math.nan),
        **{name: versions.get(name, "") for name in ("python", "torch", "numpy")},
        "git": environment.get("git") or "",
        "run": run.path.name,
    }


def score(name: str, run: Run) -> Scored:
    """A finished run with the scores of every object of its test cases; UserError where some of them are not there."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for row in run.rows("cases"):
        found.setdefault(row["case"], {})[row["class"]] = {metric: row[metric] for metric in METRICS}
    _check_whole(found, run)
    return Scored(name, run_row(name, run), found, str(run.path))


def _check_whole(cases: Scores, run: Run) -> None:
    """UserError where cases.csv has not what its summary was made of: a mean of less would pass for the whole."""
    summary = run.summary
    classes = max(1, len(summary.get("classes", ())))
    wanted, there = summary["cases"] * classes, sum(map(len, cases.values()))
    if len(cases) != summary["cases"] or there != wanted:
        found = f"has {len(cases)} test cases with {there} objects"
        expected = f"expected {summary['cases']} with {wanted} as in summary.json"
        raise UserError(f"{run.path / 'cases.csv'}: {found}, {expected}; run `ssmis evaluate {run.path}` again")


def data_in_words(options: Mapping[str, Any]) -> str:
    """Which data a run is about, by the options of its data set: "num_classes=2, size=32x32, version=3"; "" for none.

    They are what opens the same data again: the phantom's size, classes and version, the fingerprint of a prepared
    folder (its scans, lists and recipe, wherever it lies). Sets without options have published lists. run.json's
    data_fingerprint would not do: it is of the cases that training used, which differ between methods on the same data.
    """
    told = {key: value for key, value in options.items() if key not in ("dims", "recipe")}  # told by others of these
    if "fingerprint" in told:
        told["fingerprint"] = str(told["fingerprint"])[:12]
    return ", ".join(f"{key}={_joined(value)}" for key, value in sorted(told.items()))


def _joined(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def case_means(runs: Iterable[Scored], metric: str) -> dict[str, float]:
    """{case: mean over the runs that have a number for it}; a case's is that of its classes with one, NaN for none."""
    found: dict[str, list[float]] = {}
    for run in runs:
        for case, classes in run.cases.items():
            found.setdefault(case, []).append(mean([scores[metric] for scores in classes.values()]))
    return {case: mean(found[case]) for case in sorted(found)}


def label(contestant: Contestant) -> str:
    """A contestant in words: "ugmcl", "ugmcl (released)"."""
    name, variant = contestant
    return name if variant == "paper" else f"{name} ({variant})"


def mean(values: Sequence[float]) -> float:
    """Of the values that are numbers; NaN where none is."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def rounded(value: float | None) -> float:
    """Five digits; NaN for None."""
    return math.nan if value is None else value if isinstance(value, int) else float(f"{value:.5g}")
