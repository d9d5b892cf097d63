"""Slices: which cuts are shown, what the slider moves, and units."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ssmis_core.errors import UserError
from widgets import style
from widgets.cuts import MOST_SLICES, spread
from widgets.pixels import best_slice, corners, grey, line_of
from widgets.slices import Outline, Panel, class_outlines, panels


def test_the_best_slice_is_the_fullest(ball: np.ndarray) -> None:
    assert best_slice(ball) == 8
    assert best_slice(np.zeros((4, 4, 9))) == 4
    assert best_slice(np.ones((4, 4))) == 0


@given(depth=st.integers(1, 40), low=st.integers(0, 39), count=st.sampled_from([1, 3, 5, 9]))
def test_cuts_lie_within_the_object_in_order(depth: int, low: int, count: int) -> None:
    low = min(low, depth - 1)
    focus = np.zeros((3, 3, depth))
    focus[1, 1, low:] = 1
    cuts = spread(Panel(focus, "", focus=focus), count)
    assert len(cuts) == count
    assert cuts == sorted(cuts)
    assert all(low <= z < depth for z in cuts)


def test_a_slider_step_shows_one_cut_of_each_panel(ball: np.ndarray) -> None:
    image = np.random.default_rng(0).normal(size=ball.shape)
    border = [Outline(ball, "border")]
    figure = panels([Panel(image, "a", outlines=border), Panel(image, "b", kind="distance")], title="t", alt="words")
    steps = figure.layout.sliders[0].steps
    assert 1 < len(steps) <= MOST_SLICES
    for step in steps:
        shown = [t for t, on in zip(figure.data, step.args[0]["visible"], strict=True) if on]
        assert sum(t.type == "heatmap" for t in shown) == 2
    assert style.alt_text(figure) == "words"


def test_of_large_volumes_every_second_pixel_is_drawn_at_its_own_place() -> None:
    image = np.random.default_rng(0).normal(size=(260, 211, 9)).astype(np.float32)
    mask = np.zeros(image.shape, bool)
    mask[50:101, 40:91] = True
    parts = [Panel(image, str(n), outlines=[Outline(mask, "border")]) for n in range(4)]
    figure = panels(parts, title="t", alt="a", spacing=(0.5, 2.0, 1.0), linked=False)
    assert len(figure.layout.sliders[0].steps) == 5
    drawn = [trace for trace in figure.data if trace.type == "heatmap"]
    assert {(trace.z.shape, trace.x0, trace.dx, trace.y0, trace.dy) for trace in drawn} == {((106, 130), 0, 1, 0, 4)}
    np.testing.assert_array_equal(drawn[2].z, grey(image)[::2, ::2, spread(parts[0], 5)[2]].T)
    border = next(trace for trace in figure.data if trace.type == "scatter" and trace.x[0] is not None)
    assert (np.nanmin(border.x), np.nanmax(border.x)) == (0.5 * 49.5, 0.5 * 100.5)  # outlines are drawn whole
    flat = panels([Panel(image[:, :, 0], str(n)) for n in range(4)], title="t", alt="a")
    assert flat.data[0].z.shape == (211, 260)
    chosen = panels(parts, title="t", alt="a", slices=[4])
    assert chosen.data[0].z.shape == (211, 260)


def test_axes_are_in_mm_where_the_spacing_is_known_and_in_voxels_where_not(ball: np.ndarray) -> None:
    known = panels([Panel(ball, "a")], title="t", alt="a", spacing=(0.5, 2.0, 1.0))
    unknown = panels([Panel(ball, "a")], title="t", alt="a")
    assert known.layout.xaxis.title.text == "x (mm)"
    assert known.data[0].dx == 0.5 and known.data[0].dy == 2.0
    assert unknown.layout.xaxis.title.text == "x (voxels)"


def test_two_dimensional_maps_have_no_slider() -> None:
    figure = panels([Panel(np.ones((8, 6)), "a"), Panel(np.zeros((8, 6)), "b")], title="t", alt="a")
    assert not figure.layout.sliders
    assert figure.data[0].z.shape == (6, 8)


def test_no_panel_is_an_error_that_says_so() -> None:
    with pytest.raises(UserError, match="expected at least one"):
        panels([], title="t", alt="a")


def test_images_become_bytes_over_their_whole_range() -> None:
    shades = grey(np.linspace(-3, 8, 1000).reshape(10, 100))
    assert shades.dtype == np.uint8
    assert shades.min() == 0 and shades.max() == 255
    assert np.all(grey(np.ones((4, 4))) == 0)


def test_a_border_lies_half_a_voxel_outside_of_the_voxels() -> None:
    mask = np.zeros((7, 7))
    mask[2:5, 3:5] = 1
    x, y = line_of(mask, (2.0, 1.0))
    assert np.nanmin(x) == 3.0 and np.nanmax(x) == 9.0
    assert np.nanmin(y) == 2.5 and np.nanmax(y) == 4.5
    assert np.isnan(line_of(np.zeros((4, 4)))[0]).all()


@given(arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)), fill=st.nothing()))
def test_a_border_without_the_points_on_its_straight_runs_is_the_same_line(mask: np.ndarray) -> None:
    from skimage.measure import find_contours

    for whole in find_contours(np.pad(mask.astype(np.float32), 1), 0.5):
        few = corners(whole)
        assert np.array_equal(few[[0, -1]], whole[[0, -1]])
        (x, y), (u, v) = np.diff(few, axis=0)[:-1].T, np.diff(few, axis=0)[1:].T
        assert (x * v != y * u).all()  # every point that is kept is a corner
        for length in (lambda line: np.hypot(*np.diff(line, axis=0).T).sum(), lambda line: area(*line.T)):
            assert length(few) == pytest.approx(length(whole))


def area(x: np.ndarray, y: np.ndarray) -> float:
    """Inside a closed polyline, by the shoelace formula."""
    return float(0.5 * (x[:-1] * y[1:] - x[1:] * y[:-1]).sum())


def test_the_border_of_a_square_has_its_eight_corners_whatever_its_size() -> None:
    for size in (3, 30):
        assert len(line_of(np.ones((size, size)))[0]) == len(line_of(np.ones((3, 3)))[0]) <= 10


def test_several_classes_get_several_colours() -> None:
    label = np.array([[0, 1], [2, 3]])
    outlines = class_outlines(label, ("background", "a", "b", "c"), role="reference")
    assert [o.name for o in outlines] == ["a, reference", "b, reference", "c, reference"]
    assert len({o.colour for o in outlines}) == 3
    (one,) = class_outlines(label, ("background", "a"), role="prediction")
    assert (one.name, one.colour) == ("prediction", style.PREDICTION)
