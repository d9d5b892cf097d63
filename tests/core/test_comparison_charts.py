"""Charts of a comparison: boxes are of the quartiles, slopes count the better cases, and every axis ends."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from ssmis_core.comparison_charts import bland_altman, box_chart, slope_chart

NAN = math.nan


def test_the_box_is_that_of_the_quartiles() -> None:
    values = dict(zip("abcdefgh", np.random.default_rng(0).normal(70, 10, 8), strict=True))
    chart = box_chart({"x": {**values, "missed": NAN}}, "t")
    left, width = (float(one) for one in re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', chart)[0])
    dots = {told: float(x) for x, told in re.findall(r'cx="([\d.]+)"[^>]*><title>(\w+):', chart)}
    assert set(dots) == set(values)  # a missed case has no dot
    (a, b), (xa, xb) = (values["a"], values["b"]), (dots["a"], dots["b"])
    edges = [a + (x - xa) * (b - a) / (xb - xa) for x in (left, left + width)]
    assert edges == pytest.approx(np.percentile(list(values.values()), [25, 75]), abs=0.3)


def test_long_names_stand_in_lines_beside_their_boxes() -> None:
    names = ["supervised", "supervised (patch=64,64, stride=32,32, augmentations=min_max,brightness)"]
    chart = box_chart({name: {"x": 1.0, "y": 2.0 + place} for place, name in enumerate(names)}, "t")
    words = [(float(y), word) for y, word in re.findall(r'y="([\d.]+)" text-anchor="end"[^>]*>([^<]+)<', chart)]
    assert [word for _, word in words] == ["supervised", "supervised (patch=64,64,", *names[1].split(" ")[2:]]
    middle = sum(y for y, _ in words[1:]) / len(words[1:])
    assert middle - words[0][0] == pytest.approx(47.0)  # a row lower
    longer = box_chart({f"{'long ' * 30}{place}": {"x": 1.0, "y": 2.0} for place in range(2)}, "t")
    heights = [float(y) for y in re.findall(r'y="([\d.]+)" text-anchor="end"', longer)]
    assert len(heights) == 10 and np.diff(heights).min() >= 13.0  # five lines each, none on another


def test_slopes_count_the_better_cases_and_differences_need_two() -> None:
    a, b = {"x": 1.0, "y": 2.0, "z": NAN}, {"x": 2.0, "y": 1.0, "z": 3.0, "w": 9.0}
    assert "b is better in 1 of 2 cases" in slope_chart(a, b, ("a", "b"), "Dice", more_is_better=True)
    text = bland_altman(a, b, ("a", "b"), "Dice")
    assert "+0.00" in text and f"{1.96 * math.sqrt(2):+.2f}" in text and text.count("<circle") == 2
    assert bland_altman({"x": 1.0}, {"x": 2.0}, ("a", "b"), "Dice") == ""
    assert "<svg" in box_chart({"nothing": {}}, "t") and "<svg" in box_chart({"same": {"x": 1.0, "y": 1.0}}, "t")


def test_values_that_differ_in_their_last_digits_have_an_axis() -> None:
    near = {"x": 100 * (0.1 + 0.2 + 0.3) / 3}, {"x": 100 * (0.3 + 0.2 + 0.1) / 3}
    assert near[0]["x"] != near[1]["x"]
    for a, b in (near, ({"x": 1e9}, {"x": 1e9 + 1e-6})):
        chart = slope_chart(a, b, ("a", "b"), "Dice", more_is_better=True)
        assert 3 <= chart.count("#eee") <= 12  # lines at round values
    assert 3 <= box_chart({"x": {"a": 70.0, "b": 71.0}}, "t").count("#eee") <= 12
