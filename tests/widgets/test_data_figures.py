"""Figures of a data set before and after it is prepared, and of scores by structure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssmis_core.datasets.check import Finding, Survey, survey_source
from ssmis_core.datasets.nifti_folder import open as open_prepared
from ssmis_core.datasets.preparation import prepare_folder
from ssmis_core.datasets.preparation.layout import find_cases
from ssmis_core.errors import UserError
from tests.core.datasets.check_helpers import fact, grey, usual
from tests.core.datasets.own_helpers import write_image, write_source
from widgets import style
from widgets.data_figures import grey_ranges, overlay, structure_scores, structure_volumes


def test_volumes_are_in_ml_and_unusual_ones_are_marked() -> None:
    cases = [*usual(), fact("flood", label=7000), fact("bare", label=None), fact("empty", label=0)]
    odd = [Finding("volume", "flood.nii: large", ("flood",))]
    figure = structure_volumes(Survey("s", cases=cases, class_names=("background", "organ"), findings=odd), title="t?")
    usual_dots, marked = figure.data
    assert list(marked.text) == ["flood"] and marked.y[0] == pytest.approx(7.0) and marked.marker.symbol == "x"
    assert len(usual_dots.x) == 6 and figure.layout.yaxis.title.text == "volume (ml)"
    assert "organ" in style.alt_text(figure) and "1 unusual" in style.alt_text(figure)
    unknown = [fact("a", spacing=None)]
    figure = structure_volumes(Survey("s", cases=unknown, class_names=("background", "organ")), title="t?")
    assert figure.layout.yaxis.title.text == "volume (voxels)" and figure.data[0].y[0] == 1000


def test_grey_ranges_show_the_same_cases_before_and_after() -> None:
    before = Survey("s", cases=[fact(f"c{n}", intensities=(grey(0, 10 * n, 20 * n, 30 * n),)) for n in range(1, 9)])
    after = Survey("s", cases=[fact(f"c{n}", intensities=(grey(-2, -1, 0.5, 3),)) for n in range(2, 9)])
    figure = grey_ranges({"in the files": before, "prepared": after}, title="t?", most=4)
    bars, dots, _, others = figure.data
    assert list(dots.text) == list(others.text) == ["c2", "c4", "c6", "c8"]
    assert list(dots.y) == [40, 80, 120, 160] and list(bars.y[:3]) == [20, 60, None] and list(others.y) == [0.5] * 4


def test_scans_on_very_different_scales_are_all_seen() -> None:
    wide = Survey("s", cases=[fact(f"c{n}", intensities=(grey(0, 0, 5 * 10**n, 9 * 10**n),)) for n in range(4)])
    figure = grey_ranges({"in the files": wide}, title="t?")
    assert figure.layout.yaxis.type == "log" and min(end for end in figure.data[0].y if end is not None) > 0


def test_scores_by_structure_have_a_mean_a_run(make_run: Any) -> None:
    runs = {"one": make_run("one", [0.5, 0.7]), "two": make_run("two", [0.8, 0.6])}
    figure = structure_scores(runs, title="t?")
    means = {trace.name: trace.y[0] for trace in figure.data if trace.name}
    assert means == {"one": pytest.approx(60), "two": pytest.approx(70)}
    assert [trace.name for trace in figure.data if trace.showlegend] == ["one", "two"]


def test_an_overlay_is_in_the_files_own_axes_and_refuses_another_grid(tmp_path: Path) -> None:
    source = write_source(tmp_path / "scans", cases=3, unlabeled=1)
    prepare_folder("own", source, tmp_path / "out")
    data = open_prepared(tmp_path / "out")
    labeled, *_, bare = find_cases(source)
    assert labeled.label is not None
    assert survey_source(source).problems == []
    figure = overlay(labeled, labeled.label, data, title="t?")
    assert [note.text for note in figure.layout.annotations] == ["the scan", "predicted", "the label"]
    first = next(trace for trace in figure.data if trace.type == "heatmap")
    assert np.shape(first.z) == (10, 12)  # rows are the file's second axis
    import nibabel

    moved = np.array(nibabel.load(bare.images[0]).affine)
    answer = np.zeros(nibabel.load(bare.images[0]).shape, np.uint8)
    assert (
        len(overlay(bare, write_image(tmp_path / "a.nii.gz", answer, moved), data, title="t?").layout.annotations) == 2
    )
    moved[0, 3] += 1
    with pytest.raises(UserError, match="another grid"):
        overlay(bare, write_image(tmp_path / "b.nii.gz", answer, moved), data, title="t?")
