"""Comparing runs: a row a run, means over seeds, and differences between methods, paired over seeds and over cases.

Two questions are kept apart. Over seeds: would the difference hold if both were trained again? Each pair is one seed,
its value the mean over the test cases. Over cases: would it hold on other patients? Each pair is one test case, its
value the mean over the seeds that both have. p-values are those of the paired t-test and of Wilcoxon's signed-rank
test, each beside its value after Holm for all comparisons with the same baseline, metric, setting and pairing.
bootstrap_low and _high answer both questions at once: seeds and cases are drawn anew (`statistics.bootstrap_interval`).
With one seed they draw cases alone. A case that one side misses has no distance: it is left out of its seed's pair, and
`left_out` counts how many were, over all seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ssmis_core.runs import Run
from ssmis_core.statistics import bootstrap_interval, holm, mean_interval, paired_difference, wilcoxon

METRICS = ("dice", "jaccard", "hd95", "asd")
SETTING = ("dataset", "dims", "preset", "labeled")  # what two runs must share to be compared
Contestant = tuple[str, str]  # name, variant
Scores = Mapping[str, Mapping[str, float]]  # case -> metric -> value
Pairs = list[tuple[float, float]]


@dataclass(frozen=True)
class Scored:
    """A finished run and its scores. name: of the method, or of the change to it that is compared; row: of the run."""

    name: str
    row: Mapping[str, Any]
    cases: Scores
    folder: str = ""

    @property
    def setting(self) -> tuple[Any, ...]:
        return tuple(self.row[key] for key in SETTING)

    @property
    def contestant(self) -> Contestant:
        return self.name, self.row["variant"]


Runs = Sequence[tuple[Scored, Scored]]  # a and b, a pair a seed


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
        "seed": config.seed,
        "iterations": config.iterations,
        "iterations_done": info.get("iterations_done", 0),
        "protocol": config.protocol,
        "status": info["status"],
        "error": info.get("error") or "",
        "cases": summary.get("cases", 0),
        **{metric: _rounded(summary.get("mean", {}).get(metric)) for metric in METRICS},
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
    """A finished run with the scores of every test case: means over the classes that have a number."""
    found: dict[str, dict[str, list[float]]] = {}
    for row in run.rows("cases"):
        case = found.setdefault(row["case"], {metric: [] for metric in METRICS})
        for metric in METRICS:
            case[metric].append(row[metric])
    cases = {case: {m: _mean(v) for m, v in values.items()} for case, values in found.items()}
    return Scored(name, run_row(name, run), cases, str(run.path))


def means(scored: Sequence[Scored]) -> list[dict[str, Any]]:
    """A row a setting and contestant: mean over seeds of each metric, half the width of its 95 % interval, missed."""
    rows = []
    for setting, contestants in _grouped(scored).items():
        for (name, variant), seeds in contestants.items():
            row: dict[str, Any] = {**dict(zip(SETTING, setting, strict=True)), "name": name, "variant": variant}
            row["seeds"] = len(seeds)
            for metric in METRICS:
                mean, half = mean_interval([one.row[metric] for one in seeds.values()])
                row.update({metric: _rounded(mean), f"{metric}_half_width": _rounded(half)})
            row["missed"] = sum(one.row["missed"] for one in seeds.values())
            row["seconds"] = round(_mean([one.row["seconds"] for one in seeds.values()]), 1)
            rows.append(row)
    return rows


def class_means(runs: Iterable[tuple[str, Run]]) -> list[dict[str, Any]]:
    """A row a setting, contestant and class: mean over seeds of each metric, half the width of its interval, missed.

    runs: finished and evaluated ones by name. Those with one class have no row: `means` says all of them.
    """
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for name, run in runs:
        row, classes = run_row(name, run), run.summary["classes"]
        for title, of_class in classes.items() if len(classes) > 1 else ():
            key = (*(row[one] for one in (*SETTING, "name", "variant")), title)
            found.setdefault(key, []).append(of_class)
    rows = []
    for key, seeds in found.items():
        told: dict[str, Any] = dict(zip((*SETTING, "name", "variant", "class"), key, strict=True))
        told["seeds"] = len(seeds)
        for metric in METRICS:
            mean, half = mean_interval([_number(one[metric]["mean"]) for one in seeds])
            told.update({metric: _rounded(mean), f"{metric}_half_width": _rounded(half)})
        rows.append({**told, "missed": sum(one["missed"] for one in seeds)})
    return rows


def differences(scored: Sequence[Scored], baselines: Iterable[str]) -> list[dict[str, Any]]:
    """Rows of every contestant minus each baseline, and of every method's paper variant minus its other ones.

    A baseline is taken in the contestant's own variant where it has been trained in it, else as in the paper.
    """
    rows: list[dict[str, Any]] = []
    for setting, found in _grouped(scored).items():
        where = dict(zip(SETTING, setting, strict=True))
        for baseline in baselines:
            family = [(one, _like(one, baseline, found)) for one in found if one[0] != baseline]
            rows += _family([pair for pair in family if pair[1] in found], found, {**where, "against": "baseline"})
        others = [((name, "paper"), (name, variant)) for name, variant in found if variant != "paper"]
        rows += _family([pair for pair in others if pair[0] in found], found, {**where, "against": "variant"})
    return rows


def label(contestant: Contestant) -> str:
    """A contestant in words: "ugmcl", "ugmcl (released)"."""
    name, variant = contestant
    return name if variant == "paper" else f"{name} ({variant})"


def _like(one: Contestant, baseline: str, found: Mapping[Contestant, Any]) -> Contestant:
    own = (baseline, one[1])
    return own if own in found else (baseline, "paper")


def _grouped(scored: Sequence[Scored]) -> dict[tuple[Any, ...], dict[Contestant, dict[int, Scored]]]:
    """{setting: {contestant: {seed: run}}}, in the order in which they came."""
    groups: dict[tuple[Any, ...], dict[Contestant, dict[int, Scored]]] = {}
    for one in scored:
        groups.setdefault(one.setting, {}).setdefault(one.contestant, {})[one.row["seed"]] = one
    return groups


def _family(
    pairs: Sequence[tuple[Contestant, Contestant]],
    found: Mapping[Contestant, Mapping[int, Scored]],
    where: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Rows of a family of comparisons; p is corrected by Holm within it, for each metric and pairing by itself."""
    rows = []
    intervals = {(*pair, metric): _bootstrap(*pair, found, metric) for pair in pairs for metric in METRICS}
    for over in PAIRINGS:
        for metric in METRICS:
            told = [_compare(a, b, found, metric, over, intervals[a, b, metric]) for a, b in pairs]
            some = [row for row in told if row is not None]
            corrected = [holm([row[test] for row in some]) for test in ("p_value", "p_wilcoxon")]
            for row, p, p_wilcoxon in zip(some, *corrected, strict=True):
                rows.append({**where, **row, "p_holm": _rounded(p), "p_wilcoxon_holm": _rounded(p_wilcoxon)})
    return rows


def _bootstrap(
    a: Contestant, b: Contestant, found: Mapping[Contestant, Mapping[int, Scored]], metric: str
) -> tuple[float, float, int]:
    """The interval of a - b over seeds and cases, and how many cases of a seed had no number on one side."""
    table = differences_of_cases(_both(a, b, found), metric)
    return *bootstrap_interval(table), sum(math.isnan(value) for row in table for value in row)


def _both(a: Contestant, b: Contestant, found: Mapping[Contestant, Mapping[int, Scored]]) -> Runs:
    return by_seed(found[a].values(), found[b].values())


def _compare(
    a: Contestant,
    b: Contestant,
    found: Mapping[Contestant, Mapping[int, Scored]],
    metric: str,
    over: str,
    bootstrap: tuple[float, float, int],
) -> dict[str, Any] | None:
    """The row of a minus b; None where fewer than two pairs have a number, so that there is no interval."""
    runs = _both(a, b, found)
    pairs = [(x, y) for x, y in PAIRINGS[over](runs, metric) if not math.isnan(x - y)]
    if len(pairs) < 2:
        return None
    both = [x for x, _ in pairs], [y for _, y in pairs]
    difference = paired_difference(*both)
    low, high, left_out = bootstrap
    seconds = [sum(run.row["seconds"] for run in side) for side in zip(*runs, strict=True)]
    return {
        "comparison": f"{label(a)} minus {label(b)}",
        "metric": metric,
        "over": over,
        **{key: _rounded(value) for key, value in difference.as_dict().items()},
        "p_wilcoxon": _rounded(wilcoxon(*both)),
        "bootstrap_low": _rounded(low),
        "bootstrap_high": _rounded(high),
        "left_out": left_out,
        "interval_holds_zero": difference.holds_zero,
        "seconds_ratio": round(seconds[0] / seconds[1], 2),
    }


def _over_seeds(runs: Runs, metric: str) -> Pairs:
    """The two means of every seed, over the cases for which both have a number."""
    pairs = []
    for a, b in runs:
        both = [(a.cases[case][metric], b.cases[case][metric]) for case in a.cases.keys() & b.cases.keys()]
        known = [(x, y) for x, y in both if not math.isnan(x + y)]
        pairs.append((_mean([x for x, _ in known]), _mean([y for _, y in known])))
    return pairs


def _over_cases(runs: Runs, metric: str) -> Pairs:
    """The two means of every case over the seeds in which both have a number for it."""
    found: dict[str, Pairs] = {}
    for a, b in runs:
        for case in a.cases.keys() & b.cases.keys():
            pair = (a.cases[case][metric], b.cases[case][metric])
            found.setdefault(case, []).extend([] if math.isnan(sum(pair)) else [pair])
    return [(_mean([x for x, _ in found[case]]), _mean([y for _, y in found[case]])) for case in sorted(found)]


def by_seed(a: Iterable[Scored], b: Iterable[Scored]) -> Runs:
    """The runs of two contestants in pairs, one for each seed that both have."""
    others = {one.row["seed"]: one for one in b}
    pairs = [(one, others[one.row["seed"]]) for one in a if one.row["seed"] in others]
    return sorted(pairs, key=lambda pair: pair[0].row["seed"])


def case_means(runs: Iterable[Scored], metric: str) -> dict[str, float]:
    """{case: mean over the runs that have a number for it}; NaN where none has."""
    found: dict[str, list[float]] = {}
    for run in runs:
        for case, scores in run.cases.items():
            found.setdefault(case, []).append(scores[metric])
    return {case: _mean(found[case]) for case in sorted(found)}


def differences_of_cases(runs: Runs, metric: str) -> list[list[float]]:
    """a - b of every case, [seeds, cases]; NaN where one of the two has no number, or not the case."""
    cases = sorted({case for pair in runs for one in pair for case in one.cases})
    nothing = {metric: math.nan}
    return [
        [a.cases.get(case, nothing)[metric] - b.cases.get(case, nothing)[metric] for case in cases] for a, b in runs
    ]


PAIRINGS: dict[str, Callable[[Runs, str], Pairs]] = {"seeds": _over_seeds, "cases": _over_cases}


def _number(value: float | None) -> float:
    """NaN for None, as a summary has it where no case has a number."""
    return math.nan if value is None else value


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _rounded(value: float | None) -> float:
    """Five digits; NaN for None."""
    return math.nan if value is None else value if isinstance(value, int) else float(f"{value:.5g}")
