"""A check as one web page: findings, tables, charts and a picture of every case."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from ssmis_core.datasets.check import CaseFacts, Survey
from ssmis_core.datasets.check.charts import grey_chart, volume_charts
from ssmis_core.datasets.check.findings import KINDS, SEVERITIES, Finding
from ssmis_core.datasets.check.pictures import COLOURS
from ssmis_core.datasets.check.tables import tables
from ssmis_core.files import write_text
from ssmis_core.pages import document, table_html

MOST_CASES = 1000  # with pictures; more would be a page too large to open
STYLE = """
.finding { border-left: 5px solid; padding: .1em 1em; margin: 1em 0; background: #fafafa; }
.error { border-color: #D55E00; } .warning { border-color: #E69F00; } .note { border-color: #56B4E9; }
.finding h3 { margin: .4em 0; font-size: 1em; } .finding ul { max-height: 16em; overflow-y: auto; }
.finding li { overflow-wrap: anywhere; }
.cases { display: flex; flex-wrap: wrap; gap: 10px; }
.case { width: 150px; margin: 0; font-size: .8em; line-height: 1.3; padding: 4px; border: 2px solid transparent; }
.case figcaption { overflow-wrap: anywhere; } .case img { max-width: 112px; background: #000; display: block; }
.case:target { border-color: #0072B2; }
.key span { display: inline-block; width: .9em; height: .9em; margin: 0 .3em 0 .9em; vertical-align: -1px; }
"""


def write_page(path: Path, survey: Survey) -> None:
    """Write the page, whole or not at all."""
    write_text(path, page(survey))


def page(survey: Survey) -> str:
    """The whole page as HTML."""
    body = [
        _verdict(survey),
        "<h2>Findings</h2>",
        *(_kind(key, findings, survey) for key, findings in survey.by_kind().items()),
        "" if survey.findings else "<p>None.</p>",
        *(table_html(table) for table in tables(survey)),
        "<h2>Volumes of the structures</h2>" if any(case.voxels for case in survey.cases) else "",
        *volume_charts(survey),
        "<h2>Grey values of every case</h2>" if survey.cases else "",
        grey_chart(survey),
        "<h2>Pictures</h2>" if survey.cases else "",
        *_cases(survey),
    ]
    note = "This page shows scans of people: protect it as you protect the scans."
    title = f"Data check: {survey.title or survey.name}"
    return document(title, body, command="ssmis data check", style=STYLE, note=note)


def _verdict(survey: Survey) -> str:
    counts = {severity: sum(one.severity == severity for one in survey.findings) for severity in SEVERITIES}
    rows = "".join(
        f"<li><b>{count} {severity}{'' if count == 1 else 's'}</b>: {escape(SEVERITIES[severity])}</li>"
        for severity, count in counts.items()
    )
    listed = sum(survey.counted.values())
    return f"<p>{len(survey.cases)} of {listed} cases can be used.</p><ul>{rows}</ul>"


def _kind(key: str, findings: Sequence[Finding], survey: Survey) -> str:
    """All findings of a kind: what, why, how to mend, and each one."""
    kind = KINDS[key]
    drawn = {case.id for case in survey.cases[:MOST_CASES]}
    lines = "".join(f"<li>{escape(one.text)}{_links(one, drawn)}</li>" for one in findings)
    return (
        f'<section class="finding {kind.severity}"><h3>{kind.severity}: {escape(kind.title)} ({len(findings)})</h3>'
        f"<p><b>What would go wrong.</b> {escape(kind.why)}<br><b>How to mend it.</b> "
        f"{escape(findings[0].mend or kind.mend)}</p><ul>{lines}</ul></section>"
    )


def _links(finding: Finding, drawn: set[str]) -> str:
    """Links to the pictures of a finding's cases."""
    there = [case_id for case_id in finding.cases if case_id in drawn]
    links = " ".join(f'<a href="#{_anchor(case_id)}">{escape(case_id)}</a>' for case_id in there[:20])
    return f' <span class="quiet">see {links}</span>' if links else ""


def _cases(survey: Survey) -> Iterator[str]:
    """Every usable case: its picture and its facts."""
    shown = survey.cases[:MOST_CASES]
    if len(shown) < len(survey.cases):
        yield f"<p>The first {len(shown)} of {len(survey.cases)}.</p>"
    names = list(survey.class_names)[1:]
    if names:
        key = "".join(
            f'<span style="background:{COLOURS[place % len(COLOURS)]}"></span>{escape(name)}'
            for place, name in enumerate(names)
        )
        yield f'<p class="key">Outlines of the labels:{key}. The slice with most label, else the middle one.</p>'
    for split in survey.counted:
        cases = [case for case in shown if case.split == split]
        if cases:
            yield f'<h3>{escape(split)}</h3><div class="cases">{"".join(map(_case, cases))}</div>'


def _case(case: CaseFacts) -> str:
    data = base64.b64encode(case.picture).decode()
    drawn = f'<img alt="a slice of {escape(case.id)}" src="data:image/png;base64,{data}">' if data else ""
    size = " x ".join(map(str, case.shape))
    mm = "" if case.spacing is None else "<br>" + " x ".join(f"{step:.3g}" for step in case.spacing) + " mm"
    label = "no label" if case.label_share is None else f"label {100 * case.label_share:.1f} %"
    way = f", {escape(case.orientation)}" if case.orientation else ""
    told = f"<b>{escape(case.id)}</b><br>{size}{way}{mm}<br>{label}"
    return f'<figure class="case" id="{_anchor(case.id)}">{drawn}<figcaption>{told}</figcaption></figure>'


def _anchor(case_id: str) -> str:
    """A name for a link that no case's name can break out of."""
    return "case-" + case_id.encode("utf-8", "surrogateescape").hex()
