"""Differences between runs: what is paired with what, which baseline counts, and what is left out."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ssmis_core import cli_tables
from ssmis_core.comparison import differences, means
from ssmis_core.scored_runs import METRICS, Scored
from ssmis_core.statistics import bootstrap_interval, paired_difference, wilcoxon

NAN = math.nan


def scored(name: str, seed: int, dice: dict[str, float], *, variant: str = "paper", labeled: int = 4) -> Scored:
    """A run whose every metric is that of its cases."""
    known = [value for value in dice.values() if not math.isnan(value)]
    row: dict[str, Any] = {"variant": variant, "seed": seed, "seconds": 10.0 if name == "base" else 25.0, "missed": 0}
    row |= {"dataset": "phantom", "dims": 2, "preset": "quick", "labeled": labeled}
    row |= dict.fromkeys(METRICS, sum(known) / max(1, len(known)))
    return Scored(name, row, {case: {"object": dict.fromkeys(METRICS, value)} for case, value in dice.items()})


def of(rows: list[dict[str, Any]], comparison: str, over: str, metric: str = "dice", **where: Any) -> dict[str, Any]:
    wanted = {"comparison": comparison, "over": over, "metric": metric, **where}
    (row,) = (row for row in rows if all(row[key] == value for key, value in wanted.items()))
    return row


BASE = [scored("base", 0, {"a": 0.5, "b": 0.7, "c": 0.6}), scored("base", 1, {"a": 0.6, "b": 0.8, "c": 0.4})]
OURS = [scored("ours", 0, {"a": 0.7, "b": 0.7, "c": 0.7}), scored("ours", 1, {"a": 0.6, "b": 0.9, "c": 0.9})]


def test_seeds_are_paired_by_their_means_and_cases_by_their_means_over_seeds() -> None:
    rows = differences([*OURS, *reversed(BASE)], ["base"])
    seeds, cases = (of(rows, "ours minus base", over) for over in ("seeds", "cases"))
    for row, expected in (
        (seeds, paired_difference([0.7, 0.8], [0.6, 0.6])),
        (cases, paired_difference([0.65, 0.8, 0.8], [0.55, 0.75, 0.5])),
    ):
        for key in ("mean", "low", "high", "p_value", "effect_size"):
            assert row[key] == pytest.approx(getattr(expected, key), rel=1e-4)
    assert (seeds["n"], cases["n"], seeds["seconds_ratio"]) == (2, 3, 2.5)


def test_a_case_counts_in_the_seeds_where_both_have_a_number() -> None:
    ours = [scored("ours", 0, {"a": 0.9, "b": 0.8, "c": NAN}), scored("ours", 1, {"a": NAN, "b": 1.0, "c": NAN})]
    row = of(differences([*BASE, *ours], ["base"]), "ours minus base", "cases", "hd95")
    expected = paired_difference([0.9, 0.9], [0.5, 0.75])  # of c nothing is known
    assert (row["n"], row["mean"]) == (2, pytest.approx(expected.mean, rel=1e-4))


def test_pairs_with_a_missed_case_are_counted_and_both_tests_are_told() -> None:
    ours = [scored("ours", 0, {"a": 0.9, "b": 0.8, "c": NAN}), scored("ours", 1, {"a": NAN, "b": 1.0, "c": NAN})]
    rows = differences([*BASE, *ours], ["base"])
    row = of(rows, "ours minus base", "cases", "hd95")
    assert row["left_out"] == of(rows, "ours minus base", "seeds")["left_out"] == 3  # c twice, and a once
    seeds = of(rows, "ours minus base", "seeds")
    expected = paired_difference([0.85, 1.0], [0.6, 0.8])  # over the cases that both have: a and b, then b alone
    assert (seeds["mean"], seeds["low"]) == pytest.approx((expected.mean, expected.low), rel=1e-3)
    assert row["p_wilcoxon"] == pytest.approx(wilcoxon([0.9, 0.9], [0.5, 0.75]))
    table = [[0.4, 0.1, NAN], [NAN, 0.2, NAN]]
    assert (row["bootstrap_low"], row["bootstrap_high"]) == pytest.approx(bootstrap_interval(table), rel=1e-4)
    assert row["p_wilcoxon_holm"] == row["p_wilcoxon"]  # one comparison


def test_only_seeds_that_both_have_are_paired_and_those_of_one_alone_are_told() -> None:
    third = scored("base", 2, {"a": 0.1, "b": 0.1, "c": 0.1})
    alone, more = (differences([*OURS, *BASE, *some], ["base"]) for some in ([], [third]))
    assert [{**row, "note": ""} for row in more] == alone
    assert {(row["seeds"], row["note"]) for row in more} == {(2, "seeds paired: 2, of 2 and 3")}


@pytest.mark.parametrize(
    ("ours", "over", "n", "mean", "left_out", "note"),
    [
        (scored("ours", 0, {"a": 0.7, "b": 0.7}), "seeds", 1, 0.1, 1, "one pair alone, which has no interval"),
        (scored("ours", 5, {"a": 0.7, "b": 0.7}), "cases", 0, NAN, NAN, "no seed in common"),
        (scored("ours", 0, {"z": 0.7}), "cases", 0, NAN, 4, "no test case in common"),
        (scored("ours", 0, {"a": 0.7, "b": NAN, "c": NAN}), "cases", 1, 0.2, 2, "one pair alone"),
        (scored("ours", 0, {"a": NAN, "b": NAN, "c": NAN}), "cases", 0, NAN, 3, "no object has a number on both sides"),
    ],
)
def test_a_comparison_that_cannot_be_tested_has_a_row_that_says_why(
    ours: Scored, over: str, n: int, mean: float, left_out: float, note: str
) -> None:
    row = of(differences([ours, BASE[0]], ["base"]), "ours minus base", over, "hd95")
    assert row["n"] == n and row["note"].startswith(note)
    assert [row["mean"], row["left_out"]] == pytest.approx([mean, left_out], nan_ok=True)
    assert all(math.isnan(row[key]) for key in ("low", "high", "p_value", "p_holm", "p_wilcoxon", "effect_size"))
    assert "nan" not in cli_tables.comparisons([row])


def test_what_cannot_be_tested_does_not_count_for_holm() -> None:
    tested = of(differences([*OURS, *BASE], ["base"]), "ours minus base", "cases")
    other = scored("other", 7, {"a": 0.5, "b": 0.8})  # a seed that base has not
    assert of(differences([*OURS, *BASE, other], ["base"]), "ours minus base", "cases") == tested


def test_differences_that_are_all_equal_have_no_t_test_and_no_effect_size() -> None:
    better = scored("ours", 0, {"a": 0.6, "b": 0.8, "c": 0.7})  # each by a tenth
    row = of(differences([better, BASE[0]], ["base"]), "ours minus base", "cases")
    assert (row["mean"], row["low"], row["high"]) == pytest.approx((0.1, 0.1, 0.1))
    assert math.isnan(row["effect_size"]) and math.isnan(row["p_value"]) and math.isnan(row["p_holm"])
    assert row["note"].startswith("all differences are equal") and row["p_wilcoxon"] == 0.25


def test_settings_are_never_mixed() -> None:
    many = [scored(one.name, one.row["seed"], {"a": 0.9, "b": 0.95}, labeled=16) for one in (*OURS, *BASE)]
    rows = differences([*many, *OURS, *BASE], ["base"])
    few = {**of(rows, "ours minus base", "seeds", labeled=4)}
    assert few == of(differences([*OURS, *BASE], ["base"]), "ours minus base", "seeds")
    assert of(rows, "ours minus base", "seeds", labeled=16)["mean"] == 0.0


def test_a_baseline_in_the_same_variant_comes_first_and_variants_are_compared_with_the_paper() -> None:
    released = [scored("ours", s, {"a": 0.1 * s, "b": 0.3, "c": 0.2}, variant="released") for s in (0, 1)]
    changed = [scored("changed", s, {"a": 0.2 * s, "b": 0.5, "c": 0.1}, variant="released") for s in (0, 1)]
    rows = differences([*BASE, *OURS, *released, *changed], ["base", "ours"])
    told = {(row["against"], row["comparison"]) for row in rows}
    assert told == {
        ("baseline", "ours minus base"),
        ("baseline", "ours (released) minus base"),
        ("baseline", "changed (released) minus base"),
        ("baseline", "base minus ours"),
        ("baseline", "changed (released) minus ours (released)"),
        ("variant", "ours minus ours (released)"),
    }
    assert of(rows, "ours minus ours (released)", "seeds")["mean"] == pytest.approx(0.75 - 0.55 / 3, rel=1e-4)


def test_holm_corrects_over_the_contestants_of_one_baseline_metric_and_pairing() -> None:
    other = [scored("other", 0, {"a": 0.5, "b": 0.8, "c": 0.7}), scored("other", 1, {"a": 0.6, "b": 0.8, "c": 0.5})]
    alone = of(differences([*BASE, *OURS], ["base"]), "ours minus base", "cases")
    assert alone["p_holm"] == alone["p_value"]
    rows = differences([*BASE, *OURS, *other], ["base"])
    some = [of(rows, f"{name} minus base", "cases") for name in ("ours", "other")]
    assert min(row["p_holm"] for row in some) == pytest.approx(2 * min(row["p_value"] for row in some), rel=1e-3)


def test_means_are_over_seeds_and_the_text_has_a_line_a_difference() -> None:
    (base, ours) = means([*BASE, *OURS])
    assert (base["name"], base["seeds"], base["dice"]) == ("base", 2, pytest.approx(0.6))
    assert ours["dice"] == pytest.approx(0.75) and ours["dice_half_width"] == pytest.approx(12.706 * 0.05, rel=1e-3)
    text = cli_tables.comparisons(differences([*BASE, *OURS], ["base"]))
    line = next(line for line in text.splitlines() if line.startswith("ours minus base"))
    assert line.split()[:8] == ["ours", "minus", "base", "phantom", "2D", "quick", "4", "2"] and "+15.00" in line
    assert "95 % intervals" in cli_tables.comparisons([])  # of runs too few to compare
