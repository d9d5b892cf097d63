"""Pairs of scores of two contestants: the same seed, the same test case and the same object on both sides.

An object that one side misses has no distance. It is left out on both sides, so that both means are of the same
objects, and `without_pair` counts how often that was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from ssmis_core.scored_runs import Scored, mean

Runs = Sequence[tuple[Scored, Scored]]  # a and b, a pair a seed
Pair = tuple[float, float]


def by_seed(a: Iterable[Scored], b: Iterable[Scored]) -> Runs:
    """The runs of two contestants in pairs, one for each seed that both have."""
    others = {one.row["seed"]: one for one in b}
    pairs = [(one, others[one.row["seed"]]) for one in a if one.row["seed"] in others]
    return sorted(pairs, key=lambda pair: pair[0].row["seed"])


def over_cases(runs: Runs, metric: str) -> dict[str, Pair]:
    """{case: the two means over the seeds in which both have a number for it}; cases without one are left out."""
    found: dict[str, list[Pair]] = {}
    for a, b in runs:
        for case in a.cases.keys() & b.cases.keys():
            found.setdefault(case, []).append(_pair(a, b, case, metric))
    pairs = {case: _means(found[case]) for case in sorted(found)}
    return {case: pair for case, pair in pairs.items() if not math.isnan(sum(pair))}


def over_seeds(runs: Runs, metric: str) -> dict[int, Pair]:
    """{seed: the two means over the cases for which both have a number}; seeds without one are left out."""
    pairs = {}
    for a, b in runs:
        cases = sorted(a.cases.keys() & b.cases.keys())  # sums in one order: the same digits in every process
        pairs[a.row["seed"]] = _means([_pair(a, b, case, metric) for case in cases])
    return {seed: pair for seed, pair in pairs.items() if not math.isnan(sum(pair))}


def differences_of_cases(runs: Runs, metric: str) -> list[list[float]]:
    """a - b of every case, [seeds, cases in order]; NaN where one of the two has no number, or not the case."""
    cases = sorted({case for pair in runs for one in pair for case in one.cases})
    return [[one - other for one, other in (_pair(a, b, case, metric) for case in cases)] for a, b in runs]


def without_pair(runs: Runs, metric: str) -> int:
    """How many objects, over all seeds and cases, have no number on one side or on both."""
    return sum(
        math.isnan(_value(a, case, name, metric) + _value(b, case, name, metric))
        for a, b in runs
        for case in a.cases.keys() | b.cases.keys()
        for name in a.cases.get(case, {}).keys() | b.cases.get(case, {}).keys()
    )


PAIRINGS: dict[str, Callable[[Runs, str], dict[int, Pair] | dict[str, Pair]]] = {
    "seeds": over_seeds,
    "cases": over_cases,
}


def _pair(a: Scored, b: Scored, case: str, metric: str) -> Pair:
    """The two means over the objects of a case for which both have a number; NaN where there is none."""
    names = a.cases.get(case, {}).keys() & b.cases.get(case, {}).keys()
    return _means([(_value(a, case, name, metric), _value(b, case, name, metric)) for name in sorted(names)])


def _value(one: Scored, case: str, name: str, metric: str) -> float:
    return one.cases.get(case, {}).get(name, {}).get(metric, math.nan)


def _means(pairs: Sequence[Pair]) -> Pair:
    """The means of both sides over the pairs that have two numbers."""
    known = [pair for pair in pairs if not math.isnan(sum(pair))]
    return mean([a for a, _ in known]), mean([b for _, b in known])
