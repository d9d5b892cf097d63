"""Charts of a comparison as SVG text: every case of every contestant, pair by pair, and difference against mean."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap

import numpy as np

from ssmis_core.pages import WIDTH, svg, svg_dot, svg_line, svg_text
from ssmis_core.statistics import limits_of_agreement

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
GREY = "#8A8A8A"
LEFT, TOP, HEIGHT = 60.0, 14.0, 300.0
NAMED, ROW = 240.0, 44.0  # of boxes: room for the names at the left, and the least height of each
LETTERS, LINE = 34, 13.0  # of a name's lines
LEAST = 1e-6  # share of its numbers that an axis spans at least: nearer ones are the same but for their last digits
Cases = Mapping[str, float]  # case -> value in the units of the axis


def box_chart(contestants: Mapping[str, Cases], title: str) -> str:
    """A box a contestant (quartiles, whiskers to the last case within 1.5 of the box), and every case as a dot."""
    known = {name: [v for v in cases.values() if not math.isnan(v)] for name, cases in contestants.items()}
    ends = _ends([value for values in known.values() for value in values])
    across, lines = (NAMED, WIDTH - 20), max((len(wrap(name, LETTERS)) for name in known), default=1)
    row = max(ROW, LINE * lines + 8)
    bottom = TOP + row * max(1, len(known))
    marks = ""
    for tick in _ticks(ends):
        x = _x(tick, ends, across)
        marks += svg_line(x, TOP, x, bottom, "#eee") + svg_text(x, bottom + 18, f"{tick:g}", "middle")
    for place, (name, values) in enumerate(known.items()):
        colour, y = COLOURS[place % len(COLOURS)], TOP + row * (place + 0.5)
        marks += _named(NAMED - 12, y + 4, name, "end", centred=True)
        if not values:
            continue
        low, middle, high = np.percentile(values, [25, 50, 75])
        reach, half = 1.5 * (high - low), 0.3 * ROW
        foot, head = min(v for v in values if v >= low - reach), max(v for v in values if v <= high + reach)
        left, right = _x(low, ends, across), _x(high, ends, across)
        marks += svg_line(_x(foot, ends, across), y, _x(head, ends, across), y)
        marks += (
            f'<rect x="{left:.1f}" y="{y - half:.1f}" width="{right - left:.1f}" height="{2 * half:.1f}" '
            f'fill="white" stroke="{colour}" stroke-width="2"/>'
        )
        marks += svg_line(_x(middle, ends, across), y - half, _x(middle, ends, across), y + half, colour, wide=3)
        for number, (case, value) in enumerate(contestants[name].items()):
            if not math.isnan(value):
                aside = half * (((number * 7) % 11) / 11 - 0.45)  # the same place for a case in every box
                marks += svg_dot(_x(value, ends, across), y + aside, colour, f"{case}: {value:.2f}", radius=3)
    return svg(marks, bottom + 30, title)


def slope_chart(a: Cases, b: Cases, names: tuple[str, str], title: str, *, more_is_better: bool) -> str:
    """A line a case from the first contestant to the second: blue for better, red-orange for worse, grey for equal."""
    both = [case for case in a if case in b and not math.isnan(a[case] + b[case])]
    ends, (left, right) = _ends([side[case] for case in both for side in (a, b)]), (LEFT + 120, WIDTH - 140.0)
    below = TOP + HEIGHT + 24
    marks = _scale(ends) + _named(left, below, names[0], "middle") + _named(right, below, names[1], "middle")
    better = 0
    for case in both:
        gains = (b[case] > a[case]) == more_is_better and a[case] != b[case]
        better += gains
        colour = GREY if a[case] == b[case] else COLOURS[0 if gains else 1]
        line = svg_line(left, _y(a[case], ends), right, _y(b[case], ends), colour, wide=1.2)
        told = f"{case}: {a[case]:.2f} to {b[case]:.2f}"
        marks += line + svg_dot(left, _y(a[case], ends), "#222", told, radius=3)
        marks += svg_dot(right, _y(b[case], ends), "#222", told, radius=3)
    room = 16 + LINE * (max(len(wrap(name, LETTERS)) for name in names) - 1)
    return svg(marks, below + room, f"{title}: {names[1]} is better in {better} of {len(both)} cases")


def bland_altman(a: Cases, b: Cases, names: tuple[str, str], title: str) -> str:
    """Difference b - a against the mean of both, a dot a case, with their `limits_of_agreement`."""
    both = [case for case in a if case in b and not math.isnan(a[case] + b[case])]
    if len(both) < 2:
        return ""
    difference = {case: b[case] - a[case] for case in both}
    limits = limits_of_agreement([b[case] for case in both], [a[case] for case in both])
    ends = _ends([*difference.values(), *limits, 0.0])
    along, across = _ends([0.5 * (a[case] + b[case]) for case in both]), (LEFT, WIDTH - 110)
    marks = _scale(ends)
    for value, wide in zip(limits, (1, 2, 1), strict=True):
        marks += svg_line(LEFT, _y(value, ends), WIDTH - 110, _y(value, ends), COLOURS[0], wide=wide)
        marks += svg_text(WIDTH - 105, _y(value, ends) + 4, f"{value:+.2f}")
    marks += svg_line(LEFT, _y(0.0, ends), WIDTH - 110, _y(0.0, ends), "#999")
    for case in both:
        middle = 0.5 * (a[case] + b[case])
        x = _x(middle, along, across)
        marks += svg_dot(x, _y(difference[case], ends), COLOURS[1], f"{case}: {difference[case]:+.2f} at {middle:.2f}")
    for tick in _ticks(along):
        x = _x(tick, along, across)
        marks += svg_text(x, TOP + HEIGHT + 18, f"{tick:g}", "middle")
    return svg(marks, TOP + HEIGHT + 30, f"{title}: {names[1]} minus {names[0]} against the mean of both")


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """Lowest and highest with a little room; never so near that the numbers between them run out of digits."""
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    size = max(abs(low), abs(high), 1.0)
    room = 0.05 * (high - low) if high - low > LEAST * size else 0.5 * size
    return low - room, high + room


def _y(value: float, ends: tuple[float, float]) -> float:
    return TOP + HEIGHT * (1 - (value - ends[0]) / (ends[1] - ends[0]))


def _x(value: float, ends: tuple[float, float], across: tuple[float, float]) -> float:
    return across[0] + (across[1] - across[0]) * (value - ends[0]) / (ends[1] - ends[0])


def _ticks(ends: tuple[float, float]) -> Iterator[float]:
    """Round numbers within the ends, about five of them."""
    raw = (ends[1] - ends[0]) / 5
    base = 10 ** math.floor(math.log10(raw))
    step = next(base * factor for factor in (1, 2, 5, 10) if base * factor >= raw)
    for count in range(math.ceil(ends[0] / step), math.floor(ends[1] / step) + 1):  # a sum of steps might never grow
        yield round(count * step, 10)


def _scale(ends: tuple[float, float]) -> str:
    """Lines at round values, with their numbers at the left."""
    marks = ""
    for tick in _ticks(ends):
        y = _y(tick, ends)
        marks += svg_line(LEFT, y, WIDTH - 20, y, "#eee") + svg_text(LEFT - 8, y + 4, f"{tick:g}", "end")
    return marks


def _named(x: float, y: float, name: str, anchor: str, *, centred: bool = False) -> str:
    """A contestant's name in lines, the first at a height or all around it."""
    lines = wrap(name, LETTERS)
    first = y - 0.5 * LINE * (len(lines) - 1) if centred else y
    return "".join(svg_text(x, first + LINE * number, line, anchor) for number, line in enumerate(lines))
