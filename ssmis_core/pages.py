"""Reports as one web page that fetches nothing from anywhere, and the tables that pages and terminals share.

All texts of a report come from names and files of others, so each is escaped; a policy in the page forbids scripts and
requests.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from ssmis_core import __version__

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
WIDTH = 900  # of a chart, in pixels
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1100px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.2em; margin-top: 2em; }
table { border-collapse: collapse; margin: .5em 0; } caption { text-align: left; font-weight: 600; }
td, th { padding: .2em .8em; border-bottom: 1px solid #ddd; text-align: left; white-space: nowrap; }
th.number, td.number { text-align: right; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; } .quiet { color: #666; font-size: .9em; }
"""


@dataclass(frozen=True)
class Table:
    """title; note: how to read it; rows: the head first; left: so many columns of text, the others are numbers."""

    title: str
    note: str
    rows: list[tuple[str, ...]]
    left: int


def document(title: str, body: Iterable[str], *, command: str, style: str = "", note: str = "") -> str:
    """The whole page as HTML: a heading, the parts that are not empty, and which command of which version made it."""
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
        f"<style>{STYLE}{style}</style>"
    )
    made = f'<p class="quiet">SSMIS Workbench {escape(__version__)}, <code>{escape(command)}</code>. {note}</p>'
    parts = "\n".join(part for part in (f"<h1>{escape(title)}</h1>", *body, made) if part)
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n{parts}\n</body></html>\n'


def table_html(table: Table) -> str:
    """A table with its title and note."""
    head, *rows = table.rows
    number = ["" if at < table.left else " class=number" for at in range(len(head))]
    cells = "".join(f"<th{kind}>{escape(cell)}</th>" for kind, cell in zip(number, head, strict=True))
    lines = "".join(
        "<tr>" + "".join(f"<td{kind}>{escape(cell)}</td>" for kind, cell in zip(number, row, strict=True)) + "</tr>"
        for row in rows
    )
    return (
        f'<h2>{escape(table.title)}</h2><div class="wide"><table><tr>{cells}</tr>{lines}</table></div>'
        f'<p class="quiet">{escape(table.note)}</p>'
    )


def table_latex(table: Table) -> str:
    """A table as LaTeX with booktabs' rules, to be put into a document by hand or by \\input."""
    head, *rows = table.rows
    lines = [" & ".join(map(latex, row)) + r" \\" for row in (head, *rows)]
    columns = "l" * table.left + "r" * (len(head) - table.left)
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{latex(table.title)}. {latex(table.note)}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )


def latex(text: str) -> str:
    """Text whose signs LaTeX would take for its own, made plain."""
    plain = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
    plain |= {"<": r"$<$", ">": r"$>$", "–": "--", **{sign: f"\\{sign}" for sign in "&%$#_{}"}}
    return "".join(plain.get(character, character) for character in text)


def svg(marks: str, height: float, title: str, *, width: float = WIDTH) -> str:
    """A chart under its title."""
    words = escape(title)
    return (
        f'<p>{words}</p><svg role="img" aria-label="{words}" width="{width}" height="{height:.0f}" '
        f'viewBox="0 0 {width} {height:.0f}">{marks}</svg>'
    )


def svg_text(x: float, y: float, text: str, anchor: str = "start") -> str:
    """Words in a chart; anchor: "start", "middle" or "end"."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="12">{escape(text)}</text>'


def svg_dot(x: float, y: float, colour: str, told: str, *, radius: float = 5) -> str:
    """A see-through dot that says something under the pointer."""
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{colour}" fill-opacity=".45">'
        f"<title>{escape(told)}</title></circle>"
    )


def svg_line(x1: float, y1: float, x2: float, y2: float, colour: str = "#222", *, wide: float = 1) -> str:
    """A straight line in a chart."""
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{wide:g}"/>'
