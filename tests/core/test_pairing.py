"""Pairs are of the same seed, case and object; an object that one side misses is left out on both, and counted."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ssmis_core.comparison import differences
from ssmis_core.pairing import by_seed, differences_of_cases, over_cases, over_seeds, without_pair
from ssmis_core.scored_runs import METRICS, Scored, case_means

NAN = math.nan
Objects = dict[str, dict[str, float]]  # case -> class -> value of every metric


def scored(name: str, seed: int, cases: Objects) -> Scored:
    row: dict[str, Any] = {"variant": "paper", "seed": seed, "seconds": 1.0, "missed": 0}
    row |= {"dataset": "acdc", "dims": 2, "preset": "quick", "labeled": 7, **dict.fromkeys(METRICS, 0.0)}
    values = {case: {k: dict.fromkeys(METRICS, v) for k, v in objects.items()} for case, objects in cases.items()}
    return Scored(name, row, values, f"{name}-{seed}")


A = [
    scored("a", 0, {"x": {"RV": NAN, "LV": 2.0}, "y": {"RV": 8.0, "LV": 4.0}}),
    scored("a", 1, {"x": {"RV": 6.0, "LV": 4.0}, "y": {"RV": 8.0, "LV": 4.0}}),
]
B = [
    scored("b", 1, {"x": {"RV": 5.0, "LV": 1.0}, "y": {"RV": 5.0, "LV": NAN}}),
    scored("b", 0, {"x": {"RV": 9.0, "LV": 1.0}, "y": {"RV": 5.0, "LV": 1.0}}),
    scored("b", 2, {"x": {"RV": 0.0, "LV": 0.0}, "y": {"RV": 0.0, "LV": 0.0}}),
]


def test_runs_are_paired_by_seed_and_those_without_a_partner_are_left_out() -> None:
    assert [(a.folder, b.folder) for a, b in by_seed(A, B)] == [("a-0", "b-0"), ("a-1", "b-1")]
    assert by_seed(A, B[2:]) == []


def test_an_object_that_one_side_misses_is_left_out_on_both() -> None:
    runs = by_seed(A, B)
    # x: the left ventricle alone with seed 0 (2, 1), both with seed 1 (5, 3); y: both (6, 3), then the right one (8, 5)
    assert over_cases(runs, "hd95") == {"x": (3.5, 2.0), "y": (7.0, 4.0)}
    assert over_seeds(runs, "hd95") == {0: (4.0, 2.0), 1: (6.5, 4.0)}
    assert differences_of_cases(runs, "hd95") == [[1.0, 3.0], [2.0, 3.0]]
    assert without_pair(runs, "hd95") == 2


def test_a_network_that_never_finds_an_object_is_not_better_for_it() -> None:
    """Of means over what each has found, b, without its hard right ventricles, would look three times as near."""
    cases = [f"case {k}" for k in range(5)]
    a = scored("a", 0, {case: {"RV": 20.0 + k, "LV": 2.0 + 0.1 * k} for k, case in enumerate(cases)})
    b = scored("b", 0, {case: {"RV": NAN, "LV": 4.0} for case in cases})
    (row,) = (r for r in differences([a, b], ["a"]) if (r["metric"], r["over"]) == ("hd95", "cases"))
    assert row["mean"] == pytest.approx(1.8) and row["left_out"] == 5
    assert case_means([b], "hd95")["case 0"] < case_means([a], "hd95")["case 0"]  # which is why they are not compared


def test_cases_and_objects_that_one_side_has_alone_are_no_pairs() -> None:
    other = scored("b", 0, {"y": {"LV": 1.0, "myocardium": 3.0}, "z": {"LV": 1.0}})
    runs = by_seed(A, [other])
    assert over_cases(runs, "dice") == {"y": (4.0, 1.0)}
    assert without_pair(runs, "dice") == 2 + 2 + 1  # of x both, of y RV and myocardium, of z one
    table = differences_of_cases(runs, "dice")
    assert [math.isnan(value) for value in table[0]] == [True, False, True]


def test_what_nobody_has_found_is_no_pair_at_all() -> None:
    nothing = [scored(name, 0, {"x": {"RV": NAN}}) for name in "ab"]
    runs = by_seed(nothing[:1], nothing[1:])
    assert over_cases(runs, "hd95") == over_seeds(runs, "hd95") == {} and without_pair(runs, "hd95") == 1
