"""Figures of metrics and of scores: the numbers drawn are those of the core, and each shows what it is about."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from ssmis_core.datasets import open_dataset
from ssmis_core.errors import UserError
from ssmis_core.metrics import evaluate, surface_distances
from ssmis_core.statistics import expected_best, paired_difference, paired_power
from widgets import style
from widgets.metric_figures import all_four, scored_cases, surface_histogram
from widgets.mistakes import Anatomy, Mistake, grown, make
from widgets.score_figures import (
    best_of_looks,
    cases_and_certainty,
    missed_cases,
    same_mean,
    size_and_dice,
    with_a_miss,
)

DICE, FAR = [90.0, 80.0, 85.0, 60.0, 75.0], [3.0, 6.0, 4.0, 20.0, 9.0]


def told(figure: go.Figure) -> go.Figure:
    """The figure, which has a title and a description in words."""
    assert figure.layout.title.text and style.alt_text(figure)
    return figure


def named(figure: go.Figure, start: str) -> Any:
    return next(trace for trace in figure.data if (trace.name or "").startswith(start))


def test_bars_show_the_four_metrics_and_a_distance_that_is_not_there(ball: np.ndarray) -> None:
    label = ball > 0
    scores = {"shifted": evaluate(np.roll(label, 2, 0), label), "missed": evaluate(np.zeros_like(label), label)}
    figure = told(all_four(scores, title="t"))
    one = scores["shifted"]
    drawn = [bar.x[0] for bar in figure.data]
    assert drawn == pytest.approx([100 * one.dice, 100 * one.jaccard, one.hd95, one.asd])
    assert [bar.text[1] for bar in figure.data] == ["0.0", "0.0", "none", "none"]
    assert [note.text for note in figure.layout.annotations][2] == "95HD (voxels)"


@pytest.mark.parametrize("spacing", [None, (1.0, 1.0, 4.0)])
def test_the_histograms_hold_every_surface_voxel_and_the_marks_are_the_metrics(ball: np.ndarray, spacing: Any) -> None:
    label = ball > 0
    made = make(Anatomy.of(label), Mistake(cut=0.4, blob=2, place=(0, 0, 0)))
    figure = told(surface_histogram(made, label, title="t", spacing=spacing))
    sides = surface_distances(made, label, spacing)
    assert [sum(bar.y) for bar in figure.data] == [side.size for side in sides]
    scores = evaluate(made, label, spacing)
    lines = [shape.x0 for shape in figure.layout.shapes]
    assert lines == pytest.approx([f(side) for side in sides for f in (np.mean, percentile, lambda _: scores.hd95)])
    assert f"mean {scores.asd:.1f}" in figure.layout.annotations[0].text
    assert ("mm" if spacing else "voxels") in figure.layout.xaxis2.title.text


def percentile(values: np.ndarray) -> float:
    return float(np.percentile(values, 95))


def test_cases_have_their_scores_over_them() -> None:
    data = open_dataset("phantom", dims=2, size=48, num_classes=4)
    case = data.load(data.test[0])
    assert case.label is not None
    wrong = np.where(np.roll(case.label, 1, 0) == 1, 1, 0).astype(np.uint8)
    figure = told(scored_cases({"worst: x": wrong}, {"worst: x": case}, data.class_names, title="t"))
    scores = evaluate(wrong == 1, case.label == 1)
    heading = figure.layout.annotations[0].text
    assert f"Dice {100 * scores.dice:.1f} %, 95HD {scores.hd95:.1f}" in heading


def test_a_missed_case_costs_dice_and_makes_mean_distances_better() -> None:
    figure = told(missed_cases(DICE, FAR, title="t", most=2))
    assert list(named(figure, "either").y) == pytest.approx([78.0, 66.0, 51.0])  # 60, then 75 is lost
    assert list(named(figure, '"nan"').y) == pytest.approx([8.4, 5.5, 13 / 3])
    assert list(named(figure, '"zero"').y) == pytest.approx([8.4, 4.4, 2.6])


def test_scores_with_a_miss_have_the_same_mean_and_stay_below_100() -> None:
    for values in (DICE, [99.0, 98.0, 50.0]):
        made = with_a_miss(values)
        assert min(made) == 0 and max(made) <= 100 and len(made) == len(values)
        reachable = min(sum(values), 100.0 * (len(values) - 1))
        assert sum(made) == pytest.approx(reachable)
    figure = told(same_mean({"a": DICE, "b": with_a_miss(DICE)}, title="t"))
    assert [trace.y[0] for trace in figure.data if len(trace.y) == 1] == pytest.approx([78.0, 78.0])
    assert "worst 0.0" in figure.layout.annotations[1].text


@pytest.mark.parametrize("dims", [2, 3])
def test_the_same_mistake_costs_a_small_object_more(ball: np.ndarray, dims: int) -> None:
    mask = (ball if dims == 3 else ball[:, :, 8]) > 0
    figure = told(size_and_dice({"mine": mask}, title="t"))
    layer, mine = named(figure, "one layer off all round, balls"), named(figure, "one layer off all round, objects")
    assert list(layer.x) == sorted(layer.x) and (np.diff(layer.y) > 0).all()
    assert mine.x[0] == mask.sum() and mine.y[0] == pytest.approx(100 * evaluate(grown(mask, -1), mask).dice)
    assert named(figure, "shifted by one voxel, balls").y[0] > layer.y[0]
    with pytest.raises(UserError, match="expected at least one"):
        size_and_dice({}, title="t")


def test_interval_and_power_are_those_of_the_paired_test() -> None:
    a, b = np.array(DICE), np.array([88.0, 79.0, 80.0, 61.0, 70.0])
    found = paired_difference(a, b)
    figure = told(cases_and_certainty(a, b, names=("a", "b"), title="t"))
    paired, here = named(figure, "paired"), named(figure, "here")
    assert here.x[0] == 5 and here.y[0] == pytest.approx(found.high - found.mean)
    assert paired.y[list(paired.x).index(5)] == pytest.approx(here.y[0])
    assert all(x < y for x, y in zip(paired.y, named(figure, "not paired").y, strict=True))
    power, std = named(figure, "true difference of 2"), float(np.std(a - b, ddof=1))
    assert power.y[list(power.x).index(20)] == pytest.approx(100 * paired_power(2.0, std, 20))


def test_more_looks_gain_more_and_more_cases_gain_less() -> None:
    figure = told(best_of_looks(4.0, title="t"))
    few, many = named(figure, "5 test cases"), named(figure, "80 test cases")
    assert few.x[0] == 1 and few.y[0] == pytest.approx(0, abs=1e-6)
    assert few.y[-1] == pytest.approx(expected_best(4 / math.sqrt(5), 100))
    assert (np.diff(few.y) > 0).all() and (np.array(few.y)[1:] > np.array(many.y)[1:]).all()
