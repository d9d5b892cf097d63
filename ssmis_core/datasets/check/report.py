"""A check as plain text, for the terminal and for notebooks."""

from __future__ import annotations

import textwrap

from ssmis_core.cli_tables import table
from ssmis_core.datasets.check import Survey
from ssmis_core.datasets.check.findings import ERROR, KINDS, SEVERITIES
from ssmis_core.datasets.check.tables import tables

WIDTH = 110
MOST = 8  # lines of one kind of warning or note; errors are all told


def report(survey: Survey) -> str:
    """A survey as plain text: its tables, then every kind of finding with what would go wrong and how to mend it."""
    parts = [survey.title]
    parts += [f"{one.title}\n{table(one.rows, left=one.left)}\n{one.note}" for one in tables(survey)]
    for key, findings in survey.by_kind().items():
        kind = KINDS[key]
        shown = findings if kind.severity == ERROR else findings[:MOST]
        lines = [f"{kind.severity.upper()}: {kind.title} ({len(findings)})"]
        lines += [f"  {finding.text}" for finding in shown]
        if len(shown) < len(findings):
            lines.append(f"  ... and {len(findings) - len(shown)} more; --html FILE lists all")
        lines += [_wrapped("why", kind.why), _wrapped("mend", findings[0].mend or kind.mend)]
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, verdict(survey)])


def verdict(survey: Survey) -> str:
    """How many findings of each severity there are, in a line."""
    if not survey.findings:
        return "no problems"
    counts = {severity: sum(one.severity == severity for one in survey.findings) for severity in SEVERITIES}
    told = ", ".join(f"{count} {severity}{'s' if count > 1 else ''}" for severity, count in counts.items() if count)
    return told if survey.problems else f"no problems that stop a training; {told}"


def _wrapped(word: str, text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent=f"  {word}: ", subsequent_indent=" " * (len(word) + 4))
