"""Small charts of a check as SVG text: the volume of every structure, the grey values of every case."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from ssmis_core.datasets.check import Survey
from ssmis_core.datasets.check.facts import CaseFacts
from ssmis_core.datasets.check.rules import number
from ssmis_core.pages import WIDTH, svg, svg_dot, svg_text

LEFT, ROW = 110, 26
LIST_COLOURS = {"train": "#0072B2", "validation": "#009E73", "test": "#D55E00"}
OTHER_COLOUR = "#0072B2"


def volume_charts(survey: Survey) -> Iterator[str]:
    """A chart a structure: a dot a case at its volume (logarithmic), a line a list."""
    for value, name in enumerate(survey.class_names):
        having = [case for case in survey.cases if value and (case.volume(value) or 0) > 0]
        if not having:
            continue
        ml = all(case.in_ml for case in having)
        sizes = {case.id: (case.volume(value) if ml else (case.voxels or {}).get(value)) or 1.0 for case in having}
        low, high = min(sizes.values()), max(sizes.values())
        ends = math.log(low * 0.9), math.log(high * 1.1)
        marks = ""
        splits = [split for split in survey.counted if any(case.split == split for case in having)]
        for line, split in enumerate(splits):
            y = ROW * (line + 1)
            marks += svg_text(LEFT - 10, y + 4, split, "end")
            for case in having:
                if case.split == split:
                    x = _at(math.log(sizes[case.id]), ends)
                    told = f"{case.id}: {number(sizes[case.id])} {'ml' if ml else 'voxels'}"
                    marks += svg_dot(x, y, LIST_COLOURS.get(split, OTHER_COLOUR), told)
        bottom = ROW * (len(splits) + 1)
        for tick in (low, math.sqrt(low * high), high):
            marks += svg_text(_at(math.log(tick), ends), bottom + 14, number(tick), "middle")
        unit = "ml" if ml else "voxels"
        yield svg(marks, bottom + 24, f"Volume of {name} in {unit}, a dot a case")


def grey_chart(survey: Survey) -> str:
    """A bar a case from its 0.5th to its 99.5th percentile (first channel), with a dot at its median."""
    cases = [case for case in survey.cases if case.intensities]
    if not cases:
        return ""
    values = [case.intensities[0] for case in cases]
    low, high = min(one.dark for one in values), max(one.bright for one in values)
    height, step = 160, (WIDTH - LEFT - 20) / len(cases)
    wide = low >= 0 and high > 50 * min(one.bright for one in values)  # then the many are a line at the bottom

    def y(value: float) -> float:
        at, first, last = (math.log1p(one) for one in (value, low, high)) if wide else (value, low, high)
        return 10 + (height - 20) * (1 - (at - first) / max(last - first, 1e-12))

    marks = "".join(svg_text(LEFT - 10, y(tick) + 4, number(tick), "end") for tick in (low, high))
    for place, (case, one) in enumerate(zip(cases, values, strict=True)):
        x = LEFT + (place + 0.5) * step
        told = f"{case.id}: {one.dark:.4g} to {one.bright:.4g}, median {one.middle:.4g}"
        colour = LIST_COLOURS.get(case.split, OTHER_COLOUR)
        marks += (
            f'<g stroke="{colour}" fill="{colour}"><title>{escape(told)}</title>'
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y(one.dark):.1f}" y2="{y(one.bright):.1f}" '
            f'stroke-width="{max(1.0, min(6.0, 0.6 * step)):.1f}" opacity=".5"/>'
            f'<circle cx="{x:.1f}" cy="{y(one.middle):.1f}" r="{max(1.0, min(3.0, 0.4 * step)):.1f}"/></g>'
        )
    return svg(
        marks, height, f"Grey values a case, first channel{', logarithmic' if wide else ''}{_lists(survey, cases)}"
    )


def _lists(survey: Survey, cases: Sequence[CaseFacts]) -> str:
    splits = [split for split in survey.counted if any(case.split == split for case in cases)]
    return f"; from the left: {', '.join(splits)}" if len(splits) > 1 else ""


def _at(value: float, ends: tuple[float, float]) -> float:
    return LEFT + (WIDTH - LEFT - 20) * (value - ends[0]) / max(ends[1] - ends[0], 1e-12)
