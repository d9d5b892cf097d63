"""The widgets' scripts: each is one text that a page can load, made of files that several widgets share."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from widgets.boxes import Box, boxes
from widgets.case_table import CaseTable
from widgets.chart import Chart
from widgets.scripts import module
from widgets.viewer import Viewer

WIDGETS = [CaseTable, Chart, Viewer]
TOP_LEVEL = re.compile(r"^(?:const|let|class|function|async function) (\w+)", re.MULTILINE)


def test_files_are_joined_in_the_order_that_is_asked_for() -> None:
    text = module("elements.js", "chart.js")
    assert text.index("function make(") < text.index("class View") < text.index("export default")


@pytest.mark.parametrize("widget", WIDGETS)
def test_a_script_declares_each_name_once_and_needs_no_other_file(widget: Any) -> None:
    text = str(widget._esm)
    names = TOP_LEVEL.findall(text)
    assert "make" in names and len(names) == len(set(names))
    assert text.count("export default") == 1 and not re.search(r"^import ", text, re.MULTILINE)


@pytest.mark.parametrize("widget", WIDGETS)
def test_a_script_can_be_read(widget: Any, require: Callable[[str, str], None], tmp_path: Path) -> None:
    require("node", "apt-get install nodejs")
    (tmp_path / "widget.mjs").write_text(str(widget._esm), encoding="utf-8")
    done = subprocess.run(["node", "--check", str(tmp_path / "widget.mjs")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_sides_of_a_box_close_it() -> None:
    """A still can be drawn of triangles alone: every edge belongs to two of them, and each side is flat."""
    box = Box("shared", (1, 2, 3), (4, 5, 6), "#000000", filled=True)
    (side,) = [one for one in boxes([box], title="t", alt="a").data if one.type == "mesh3d"]
    corners = list(zip(side.x, side.y, side.z, strict=True))
    triangles = list(zip(side.i, side.j, side.k, strict=True))
    edges = [frozenset(pair) for a, b, c in triangles for pair in ((a, b), (b, c), (c, a))]
    assert len(triangles) == 12 and all(edges.count(edge) == 2 for edge in edges)
    for triangle in triangles:
        assert any(len({corners[n][axis] for n in triangle}) == 1 for axis in range(3))
