"""Figures of distance maps, metrics, cases and of what a method saw, in 2D and 3D, with two classes and with four."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ssmis_core.configuration import configure
from ssmis_core.datasets import open_dataset
from ssmis_core.errors import UserError
from ssmis_core.geometry import signed_distance
from ssmis_core.methods import create_method
from ssmis_core.methods.base import Method
from widgets import consistency, style
from widgets.cases import case_grid, read_prediction
from widgets.diagrams import mutual_consistency
from widgets.distance import distance_map, level_sets, steepness_slider
from widgets.meshes import mask_mesh, step_of, surface
from widgets.metric_figures import mistakes, score_of_mistakes
from widgets.replay import Example, array, example_batch, foreground, look

SIZES = {2: (32, 32), 3: (32, 32, 16)}


def replayed(dims: int, classes: int, **options: object) -> tuple[Method, Example]:
    """A small untrained UG-MCL and a batch for it."""
    given = {"dims": dims, "num_classes": classes, "size": SIZES[dims]}
    size = {"patch": SIZES[dims], "stride": SIZES[dims], "iterations": 20, "filters": 2}
    config = configure("ugmcl", labeled=4, dataset_options=given, **size, **options)
    data = open_dataset("phantom", **given)
    method = create_method("ugmcl", num_classes=classes, dims=dims, variant=config.variant, **config.options)
    return method, example_batch(config, method, data)


@pytest.mark.parametrize(("dims", "classes", "variant"), [(2, 4, "paper"), (3, 2, "paper"), (3, 2, "released")])
def test_what_a_method_saw_can_be_drawn(dims: int, classes: int, variant: str) -> None:
    method, example = replayed(dims, classes, variant=variant)
    _, views = look(method, example)
    sample = {"sample": example.batch.num_labeled}
    for figure in (
        consistency.uncertainty_contrast(views, views, example, num_classes=classes, **sample),
        consistency.certainty_ramp(views, example, num_classes=classes, **sample),
        consistency.student_and_teacher(views, example, **sample),
        consistency.two_tasks(views, example, num_classes=classes, **sample),
    ):
        assert style.alt_text(figure) and figure.layout.title.text
        assert figure.layout.xaxis.title.text == "x (mm)"


def test_looking_gives_the_loss_of_training_and_leaves_the_method_as_it_was() -> None:
    method, example = replayed(2, 2, norm="batch")
    method.eval()
    before = {name: value.clone() for name, value in method.state_dict().items()}
    first, views = look(method, example)
    second, _ = look(method, example)
    assert float(first.total) == float(second.total)
    assert not method.training
    assert all(torch.equal(before[name], value) for name, value in method.state_dict().items())
    assert set(views) >= {"image", "probability", "uncertainty", "certainty", "teacher_probability", "distance"}


def test_views_are_drawn_in_the_orientation_of_their_volume() -> None:
    method, example = replayed(2, 2)
    _, views = look(method, example)
    data = open_dataset("phantom", dims=2, size=32)
    for sample, case_id in enumerate(example.batch.case):
        corner = example.batch.corner[sample]
        low = [max(0, int(c)) for c in corner]
        whole = data.load(case_id).image[0][low[0] :, low[1] :]
        shown = array(views["image"], sample)[0][max(0, -int(corner[0])) :, max(0, -int(corner[1])) :]
        both = tuple(slice(0, min(a, b)) for a, b in zip(whole.shape, shown.shape, strict=True))
        np.testing.assert_array_equal(shown[both], whole[both])
        assert foreground(views["probability"], sample).max() <= 1


@pytest.mark.parametrize("dims", [2, 3])
def test_distance_figures_open_at_the_methods_steepness(dims: int, ball: np.ndarray) -> None:
    mask = ball if dims == 3 else ball[:, :, 8]
    distance = signed_distance(mask[None])[0].numpy()
    figure = steepness_slider(distance, spacing=(1.0,) * dims, steepness=200.0)
    slider = figure.layout.sliders[0]
    assert slider.steps[slider.active].label == "200"
    assert [trace.visible for trace in figure.data].count(
        True
    ) == 2  # the picture and its curve; the border has no switch
    assert len(distance_map(mask.astype(float), mask, distance).layout.sliders) == (dims == 3)
    assert level_sets(distance, title="t").data


def test_a_surface_lies_on_the_border_in_mm_and_is_small(ball: np.ndarray) -> None:
    distance = signed_distance(ball[None])[0].numpy()
    points, triangles = surface(distance, 1e-3, spacing=(1.0, 2.0, 1.0))
    assert points.dtype == np.float32 and triangles.dtype == np.int32
    radius = np.linalg.norm(points / (1, 2, 1) - (12, 10, 8), axis=1)
    assert abs(float(radius.mean()) - 5.5) < step_of(ball.shape)
    assert (step_of((64, 64, 48)), step_of((240, 160, 88))) == (2, 6)
    assert len(mask_mesh(np.zeros((8, 8, 8)), colour="red").x) == 0
    with pytest.raises(UserError, match=r"expected \[X, Y, Z\]"):
        surface(distance[0], 0.0)


def test_a_level_that_is_crossed_between_the_corners_of_all_cubes_has_no_surface() -> None:
    field = np.ones((9, 9, 9), np.float32)
    field[3, 3, 3] = -1.0  # padded by 2, corners are at even places
    points, triangles = surface(field, 0.0, step=2)
    assert points.shape == (0, 3) and triangles.shape == (0, 3)
    assert len(surface(field, 0.0, step=1)[0]) > 0


def test_known_mistakes_score_as_they_should(ball: np.ndarray) -> None:
    made = mistakes(ball)
    assert (made["perfect"] == (ball != 0)).all()
    assert made["shrunk by 1"].sum() < ball.sum() < made["swollen by 1"].sum()
    figure = score_of_mistakes(ball.astype(float), ball, spacing=(1.0, 1.0, 1.0), title="t")
    dice = next(trace for trace in figure.data if trace.type == "bar")
    assert dice.y[0] == 100.0
    assert dice.y[1] > dice.y[2] > dice.y[3]
    assert len(figure.layout.sliders[0].steps) == len(made)


def test_labels_are_drawn_only_where_they_are_to_be_shown() -> None:
    data = open_dataset("phantom", dims=2, size=32)
    cases = [data.load(case_id) for case_id in data.train[:3]]
    shown = case_grid(cases, data.class_names, title="t", show_label=True)
    hidden = case_grid(cases, data.class_names, title="t", show_label=False)
    assert sum(trace.type == "scatter" for trace in shown.data) == 3 + 1  # and the entry of the legend
    assert not any(trace.type == "scatter" for trace in hidden.data)


def test_a_prediction_that_is_not_there_is_an_error_that_names_the_file(make_run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"phantom-080\.nii\.gz"):
        read_prediction(make_run("a", [0.5]), open_dataset("phantom", dims=2, size=32).load("phantom-080"))


def test_the_diagram_says_in_words_what_it_shows() -> None:
    figure = mutual_consistency()
    assert "teacher" in style.alt_text(figure)
    assert not figure.layout.xaxis.visible
