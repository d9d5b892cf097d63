"""Comparing runs: means over seeds, and differences between methods, paired over seeds and over cases.

Two questions are kept apart. Over seeds: would the difference hold if both were trained again? Each pair is one seed,
its value the mean over the test cases. Over cases: would it hold on other patients? Each pair is one test case, its
value the mean over the seeds that both have. p-values are those of the paired t-test and of Wilcoxon's signed-rank
test, each beside its value after Holm for all comparisons with the same baseline, metric, setting and pairing.
bootstrap_low and _high answer both questions at once: seeds and cases are drawn anew (`statistics.bootstrap_interval`).
With one seed they draw cases alone. An object that one side misses has no distance: it is left out of its pair, on both
sides, and `left_out` counts how many were, over all seeds (`pairing`). Every comparison has its rows: where fewer than
two pairs have a number they are without interval and tests, and `note` says why. It also tells of seeds that one side
alone has; `seeds` are those that were paired.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ssmis_core.errors import UserError
from ssmis_core.pairing import PAIRINGS, Runs, by_seed, differences_of_cases, over_cases, without_pair
from ssmis_core.runs import Run
from ssmis_core.scored_runs import METRICS, SETTING, Contestant, Scored, Setting, label, mean, rounded, run_row
from ssmis_core.statistics import bootstrap_interval, holm, mean_interval, paired_difference, wilcoxon

Found = Mapping[Contestant, Mapping[int, Scored]]


def means(scored: Sequence[Scored]) -> list[dict[str, Any]]:
    """A row a setting and contestant: mean over seeds of each metric, half the width of its 95 % interval, missed."""
    rows = []
    for setting, contestants in _grouped(scored).items():
        for (name, variant), seeds in contestants.items():
            row: dict[str, Any] = {**dict(zip(SETTING, setting, strict=True)), "name": name, "variant": variant}
            row["seeds"] = len(seeds)
            for metric in METRICS:
                middle, half = mean_interval([one.row[metric] for one in seeds.values()])
                row.update({metric: rounded(middle), f"{metric}_half_width": rounded(half)})
            row["missed"] = sum(one.row["missed"] for one in seeds.values())
            row["seconds"] = round(mean([one.row["seconds"] for one in seeds.values()]), 1)
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
            middle, half = mean_interval([rounded(one[metric]["mean"]) for one in seeds])
            told.update({metric: rounded(middle), f"{metric}_half_width": rounded(half)})
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


def differences_from(scored: Sequence[Scored], baselines: Mapping[Setting, Contestant]) -> list[dict[str, Any]]:
    """Rows of every other contestant of a setting minus the one that is its baseline."""
    rows: list[dict[str, Any]] = []
    for setting, found in _grouped(scored).items():
        if setting in baselines:
            pairs = [(one, baselines[setting]) for one in found if one != baselines[setting]]
            rows += _family(pairs, found, {**dict(zip(SETTING, setting, strict=True)), "against": "baseline"})
    return rows


def _like(one: Contestant, baseline: str, found: Mapping[Contestant, Any]) -> Contestant:
    own = (baseline, one[1])
    return own if own in found else (baseline, "paper")


def _grouped(scored: Sequence[Scored]) -> dict[Setting, dict[Contestant, dict[int, Scored]]]:
    """{setting: {contestant: {seed: run}}}, in the order in which they came; UserError for two runs of one place."""
    groups: dict[Setting, dict[Contestant, dict[int, Scored]]] = {}
    for one in scored:
        seeds = groups.setdefault(one.setting, {}).setdefault(one.contestant, {})
        other = seeds.setdefault(one.row["seed"], one)
        if other is not one:
            told = f"both {label(one.contestant)} with seed {one.row['seed']}"
            raise UserError(f"{other.folder} and {one.folder}: are {told}, expected one of them")
    return groups


def _family(
    pairs: Sequence[tuple[Contestant, Contestant]], found: Found, where: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Rows of a family of comparisons; p is corrected by Holm within it, for each metric and pairing by itself."""
    rows = []
    runs = {(a, b): by_seed(found[a].values(), found[b].values()) for a, b in pairs}
    alone = {(a, b): _seeds_alone(len(runs[a, b]), len(found[a]), len(found[b])) for a, b in pairs}
    drawn = {(*pair, metric): _drawn(runs[pair], metric) for pair in pairs for metric in METRICS}
    for over in PAIRINGS:
        for metric in METRICS:
            told = [_compare(*pair, runs[pair], metric, over) for pair in pairs]
            corrected = [holm([row[test] for row in told]) for test in ("p_value", "p_wilcoxon")]
            for pair, row, p, p_wilcoxon in zip(pairs, told, *corrected, strict=True):
                note = "; ".join(one for one in (row["note"], alone[pair]) if one)
                row |= {"p_holm": rounded(p), "p_wilcoxon_holm": rounded(p_wilcoxon), "note": note}
                rows.append({**where, **row, **drawn[*pair, metric]})
    return rows


def _seeds_alone(paired: int, *have: int) -> str:
    """Says it where a side has seeds that were not paired, since scores over all seeds then tell another difference."""
    return f"seeds paired: {paired}, of {have[0]} and {have[1]}" if paired < max(have) else ""


def _drawn(runs: Runs, metric: str) -> dict[str, Any]:
    """The bootstrap's interval over seeds and cases, and how many objects of them had no pair; NaN where none is."""
    low, high = math.nan, math.nan
    if len(over_cases(runs, metric)) > 1:  # of one case it would have no width
        low, high = bootstrap_interval(differences_of_cases(runs, metric))
    left_out = without_pair(runs, metric) if runs else math.nan
    return {"bootstrap_low": rounded(low), "bootstrap_high": rounded(high), "left_out": left_out}


def _compare(a: Contestant, b: Contestant, runs: Runs, metric: str, over: str) -> dict[str, Any]:
    """The row of a minus b; its `note` says why there is no interval, of fewer than two pairs that have a number."""
    pairs = list(PAIRINGS[over](runs, metric).values())
    both = [x for x, _ in pairs], [y for _, y in pairs]
    seconds = [sum(run.row["seconds"] for run in side) for side in zip(*runs, strict=True)] if runs else [math.nan] * 2
    row = {"comparison": f"{label(a)} minus {label(b)}", "metric": metric, "over": over, "seeds": len(runs)}
    row |= _tested(*both) if len(pairs) > 1 else _untested(*both, _why_not(runs, len(pairs)))
    return {**row, "seconds_ratio": round(seconds[0] / seconds[1], 2) if seconds[1] else math.nan}


def _tested(a: Sequence[float], b: Sequence[float]) -> dict[str, Any]:
    """Mean, interval and both tests of two pairs or more."""
    difference = paired_difference(a, b)
    told = {key: rounded(value) for key, value in difference.as_dict().items()}
    note = "all differences are equal, so that there is no t-test and no d" if math.isnan(difference.p_value) else ""
    holds = difference.holds_zero
    return {**told, "p_wilcoxon": rounded(wilcoxon(a, b)), "interval_holds_zero": holds, "note": note}


def _untested(a: Sequence[float], b: Sequence[float], note: str) -> dict[str, Any]:
    """The same of one pair or none, whose tests are NaN: a comparison that cannot be made is told, not left out."""
    told = dict.fromkeys(("mean", "low", "high", "n", "p_value", "effect_size", "p_wilcoxon"), math.nan)
    told |= {"mean": rounded(a[0] - b[0]) if a else math.nan, "n": len(a)}
    return {**told, "interval_holds_zero": None, "note": note}


def _why_not(runs: Runs, pairs: int) -> str:
    """Why there is one pair or none."""
    if not runs:
        return "no seed in common"
    if not any(a.cases.keys() & b.cases.keys() for a, b in runs):
        return "no test case in common"
    return "one pair alone, which has no interval" if pairs else "no object has a number on both sides"
