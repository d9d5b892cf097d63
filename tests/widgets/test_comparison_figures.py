"""Figures of comparisons and of chance show the numbers of the library, and leave out what has none."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from ssmis_core.comparison import differences
from ssmis_core.comparison_report import make_report
from ssmis_core.errors import UserError
from ssmis_core.pages import Table
from ssmis_core.published import published
from ssmis_core.scored_runs import METRICS, Scored
from ssmis_core.statistics import bootstrap_interval, mean_interval
from widgets import style
from widgets.chance import drawn_anew, found_by_chance, what_p_counts
from widgets.comparison_figures import (
    agreement,
    as_frame,
    boxes,
    forest,
    score_and_seconds,
    seeds_and_cases,
    show,
    slopes,
)
from widgets.published import reported_beside

NAN = math.nan
A = {"x": 50.0, "y": 70.0, "z": NAN, "v": 60.0}
B = {"x": 60.0, "y": 65.0, "z": 90.0, "v": 80.0}
NAMES = ("a", "b")


def scored(name: str, seed: int, dice: list[float], *, dataset: str = "la", labeled: int = 8) -> Scored:
    row: dict[str, Any] = {"method": name, "variant": "paper", "seed": seed, "seconds": 10.0 + seed, "missed": 0}
    row |= {"dataset": dataset, "dims": 3, "preset": "full", "labeled": labeled, "protocol": "last", "cases": len(dice)}
    row |= {"run": f"{name}-{seed}", "status": "finished", "iterations": 5, "iterations_done": 5}
    row |= dict.fromkeys(METRICS, float(np.mean(dice)))
    return Scored(name, row, {f"case {k}": {"object": dict.fromkeys(METRICS, value)} for k, value in enumerate(dice)})


RUNS = [
    *(scored("supervised", seed, [0.5 + 0.01 * seed, 0.6, 0.7, 0.66]) for seed in range(3)),
    *(scored("ssnet", seed, [0.6 + 0.02 * seed, 0.61, 0.75, 0.68]) for seed in range(3)),
]


def test_boxes_have_a_point_for_every_case_with_a_score() -> None:
    figure = boxes({"a": A, "b": B}, title="t")
    assert [list(trace.text) for trace in figure.data] == [["x", "y", "v"], ["x", "y", "z", "v"]]
    assert list(figure.data[0].x) == [50.0, 70.0, 60.0] and figure.data[0].boxpoints == "all"


def test_slopes_pair_the_cases_that_have_two_scores() -> None:
    figure = slopes(A, B, names=NAMES, title="t")
    *lines, means = figure.data
    assert [(tuple(line.y), line.line.color) for line in lines] == [
        ((50.0, 60.0), style.BLUE),
        ((70.0, 65.0), style.VERMILLION),
        ((60.0, 80.0), style.BLUE),
    ]
    equal = slopes({"x": 1.0, "y": 2.0}, {"x": 1.0, "y": 3.0}, names=NAMES, title="t")
    assert equal.data[0].line.color == style.GREY
    assert list(means.y) == pytest.approx([60.0, 205 / 3])
    assert "of 3 test cases from a to b: it rises in 2 of them" in style.alt_text(figure)
    with pytest.raises(UserError, match="1 test cases have a score from both, expected two or more"):
        slopes({"x": 1.0, "y": NAN}, {"x": 2.0, "y": 3.0}, names=NAMES, title="t")


def test_agreement_draws_difference_against_mean_with_its_limits() -> None:
    figure = agreement(A, B, names=NAMES, title="t")
    assert list(figure.data[0].x) == [55.0, 67.5, 70.0] and list(figure.data[0].y) == [10.0, -5.0, 20.0]
    lines = [shape.y0 for shape in figure.layout.shapes]
    spread = 1.96 * np.std([10.0, -5.0, 20.0], ddof=1)
    assert lines == pytest.approx([0.0, 25 / 3 - spread, 25 / 3, 25 / 3 + spread])


def test_seeds_stand_apart_before_they_are_averaged() -> None:
    table = [[1.0, 2.0, NAN, 4.0], [3.0, 2.0, 5.0, NAN]]
    figure = seeds_and_cases(table, seeds=[0, 7], title="t")
    points = [list(trace.y) for trace in figure.data if trace.marker.size == 7]
    assert points == [[1.0, 2.0, 4.0], [3.0, 2.0, 5.0], [2.0, 2.0, 5.0, 4.0]]
    diamonds = [trace for trace in figure.data if trace.marker.symbol == "diamond"]
    assert [trace.y[0] for trace in diamonds] == pytest.approx([7 / 3, 10 / 3, 3.25, 3.25])
    over_cases, anew = diamonds[-2:]
    assert over_cases.error_y.array[0] == pytest.approx(mean_interval([2.0, 2.0, 5.0, 4.0])[1])
    low, high = bootstrap_interval(table)
    assert (anew.error_y.arrayminus[0], anew.error_y.array[0]) == pytest.approx((3.25 - low, high - 3.25))
    assert list(figure.layout.xaxis.ticktext) == ["seed 0", "seed 7", "averaged over seeds"]
    alone = [trace for trace in seeds_and_cases(table[:1], seeds=[0], title="t").data if trace.marker.size != 7]
    assert {trace.marker.color for trace in alone} == {style.BLACK}  # no interval over seeds of one seed


def test_the_forest_has_both_intervals_and_both_p_of_every_comparison() -> None:
    rows = [r for r in differences(RUNS, ["supervised"]) if r["metric"] == "dice" and r["over"] == "cases"]
    (row,) = rows
    figure = forest(rows, title="t")
    wide, narrow, mean = figure.data
    assert list(narrow.x) == pytest.approx([100 * row["low"], 100 * row["high"]])
    assert list(wide.x) == pytest.approx([100 * row["bootstrap_low"], 100 * row["bootstrap_high"]])
    assert mean.x[0] == pytest.approx(100 * row["mean"])
    assert figure.layout.annotations[0].text == f"p {row['p_value']:.3f}, Holm {row['p_holm']:.3f}"
    assert list(figure.layout.yaxis.ticktext) == ["ssnet"]
    assert figure.layout.xaxis.title.text == "difference from supervised in Dice, with 95 % intervals"
    both = forest([row, {**row, "comparison": "ssnet minus mean_teacher"}], title="t")
    assert list(both.layout.yaxis.ticktext) == ["ssnet minus supervised", "ssnet minus mean_teacher"]
    with pytest.raises(UserError, match="no comparison to draw"):
        forest([], title="t")


def test_scores_stand_over_the_seconds_that_they_took() -> None:
    figure = score_and_seconds(RUNS, title="t")
    assert [trace.x[0] for trace in figure.data] == [11.0, 11.0]
    assert figure.data[1].y[0] == pytest.approx(100 * np.mean([run.row["dice"] for run in RUNS[3:]]))


def test_many_contestants_are_told_apart_by_colour_and_sign_in_a_legend() -> None:
    few, many = ([scored(f"m{n}", 0, [0.5, 0.6]) for n in range(count)] for count in (2, 21))
    assert not score_and_seconds(few, title="t").layout.showlegend
    figure = score_and_seconds(many, title="t")
    assert figure.layout.showlegend and {trace.mode for trace in figure.data} == {"markers"}
    assert len({(trace.marker.color, trace.marker.symbol) for trace in figure.data}) == 21


def test_a_table_without_rows_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    show(Table("Published: la", "n", [("method", "Dice %")], left=1))
    assert capsys.readouterr().out == "Published: la: nothing to tell\n"


def test_a_table_of_a_report_has_its_first_column_for_an_index() -> None:
    shown = as_frame(Table("t", "n", [("method", "Dice %"), ("a", "1.0"), ("b", "2.0")], left=1))
    assert list(shown.index) == ["a", "b"] and list(shown["Dice %"]) == ["1.0", "2.0"]


@pytest.mark.parametrize("t", [-2.5, 0.3])
def test_the_shaded_share_is_p(t: float) -> None:
    figure = what_p_counts(t, 12, title="t")
    sides = [trace for trace in figure.data if trace.fill]
    shaded = sum(float(np.trapezoid(trace.y, trace.x)) for trace in sides)
    assert shaded == pytest.approx(2 * stats.t.sf(abs(t), 11), abs=0.02)
    assert f"{100 * 2 * stats.t.sf(abs(t), 11):.2g} %" in style.alt_text(figure)


def test_seeds_and_cases_drawn_anew_are_three_distributions() -> None:
    table = np.random.default_rng(0).normal(size=(4, 30)) + np.array([[0.0], [1.0], [2.0], [3.0]])
    both, trainings, patients = drawn_anew(table, title="t").data
    assert np.std(patients.x) < np.std(trainings.x) <= 1.1 * np.std(both.x)
    assert patients.name.startswith("other patients") and np.mean(both.x) == pytest.approx(table.mean(), abs=0.05)
    (alone,) = drawn_anew([[1.0, 2.0, NAN]], title="t").data  # one seed says nothing of others
    assert alone.name.startswith("other patients")


def test_equal_methods_look_better_by_chance_unless_corrected() -> None:
    plain, corrected = found_by_chance(12, title="t", trials=1500).data
    assert plain.y[0] == corrected.y[0] == pytest.approx(5.0, abs=2.0)
    assert plain.y[-1] > 25 and max(corrected.y) < 7.5


def test_own_means_stand_beside_what_was_reported_for_as_many_labels() -> None:
    report = make_report(RUNS, baseline=None, costs={})
    figure = reported_beside(report, report.settings[0], title="Reported?")
    assert figure.layout.title.text == "Reported? LA, 8 labels"
    (own,) = [trace for trace in figure.data if trace.name == "trained here"]
    assert list(own.text) == ["V-Net", "SS-Net"]
    assert own.x[1] == pytest.approx(100 * np.mean([run.row["dice"] for run in RUNS[3:]]))
    assert sum(len(trace.x) for trace in figure.data) == len(published(dataset="la", labeled=8)) + 2


def test_a_square_is_of_the_method_as_its_paper_has_it() -> None:
    others = [Scored(one.name, {**one.row, "variant": "released", "dice": 0.9}, one.cases) for one in RUNS[3:]]
    changed = [Scored("ssnet (weight=2.0)", {**one.row, "dice": 0.1}, one.cases) for one in RUNS[3:]]
    report = make_report([*RUNS, *others, *changed], baseline=None, costs={})
    figure = reported_beside(report, report.settings[0], title="Reported?")
    (own,) = [trace for trace in figure.data if trace.name == "trained here"]
    assert list(own.text) == ["V-Net", "SS-Net"]
    assert own.x[1] == pytest.approx(100 * np.mean([run.row["dice"] for run in RUNS[3:]]))


@pytest.mark.parametrize("where", [{"dataset": "phantom"}, {"labeled": 5}])
def test_what_nobody_reported_is_shown_without_own_means(where: dict[str, Any]) -> None:
    report = make_report([scored("supervised", 0, [0.5, 0.6], **where)], baseline=None, costs={})
    figure = reported_beside(report, report.settings[0], title="Reported?")
    assert "trained here" not in [trace.name for trace in figure.data]
    assert figure.layout.title.text == "Reported? LA, 8 labels"
