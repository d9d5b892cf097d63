"""SS-Net's figures: drawn from the method's own views, in 2D and 3D, with two classes and with four."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ssmis_core.configuration import configure
from ssmis_core.datasets import open_dataset
from ssmis_core.methods import create_method
from ssmis_core.methods.base import Method
from widgets import style
from widgets.adversarial import looks, noise_curve, noise_slider
from widgets.diagrams import smoothness_and_separation
from widgets.prototypes import distance_histogram, prototype_distances, who_enters
from widgets.replay import Example, example_batch, look

NAMES = ("background", "a", "b", "c")


def replayed(dims: int, classes: int) -> tuple[Method, Example]:
    """A small untrained SS-Net, and a batch for it."""
    size = {2: (32, 32), 3: (32, 32, 16)}[dims]
    given = {"dims": dims, "num_classes": classes, "size": size}
    shape = {"patch": size, "stride": size, "iterations": 20, "filters": 2}
    config = configure("ssnet", labeled=4, dataset_options=given, **shape)
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        method = create_method("ssnet", num_classes=classes, dims=dims, **config.options)
    return method, example_batch(config, method, open_dataset("phantom", **given))


@pytest.mark.parametrize(("dims", "classes"), [(2, 2), (2, 4), (3, 2)])
def test_what_ssnet_saw_can_be_drawn(dims: int, classes: int) -> None:
    method, example = replayed(dims, classes)
    _, views = look(method, example)
    for figure in (
        noise_slider(looks(method, example, "epsilon", [0.0, 10.0]), example, sample=2, start=10.0),
        who_enters(looks(method, example, "prototypes", ["highest", "lowest"]), example),
        prototype_distances(views, views, example, sample=2),
    ):
        assert style.alt_text(figure) and figure.layout.title.text
        assert figure.layout.xaxis.title.text == "x (mm)"
    histogram = distance_histogram(views, views, NAMES[:classes])
    assert [trace.name for trace in histogram.data] == 2 * list(NAMES[:classes])


def test_a_step_of_the_noise_slider_shows_one_length_and_opens_at_the_methods() -> None:
    method, example = replayed(2, 2)
    figure = noise_slider(looks(method, example, "epsilon", [0.0, 10.0, 40.0]), example, sample=2, start=10.0)
    (slider,) = figure.layout.sliders
    assert [step.label for step in slider.steps] == ["0", "10", "40"] and slider.active == 1
    for number, step in enumerate(slider.steps):
        visible = step.args[0]["visible"]
        shown = [n for n, trace in enumerate(figure.data) if visible[n] and trace.type == "heatmap"]
        assert shown == list(range(4 * number, 4 * number + 4))
    assert not np.any(figure.data[1].z) and np.any(figure.data[5].z)  # no noise at length 0


def test_looking_with_another_option_is_the_methods_own_loss_and_leaves_its_options() -> None:
    method, example = replayed(2, 2)
    own, before = method.options, {name: value.clone() for name, value in method.state_dict().items()}
    seen = looks(method, example, "epsilon", [own.epsilon, 1.0])
    assert method.options is own
    assert all(torch.equal(before[name], value) for name, value in method.state_dict().items())
    _, views = look(method, example)
    assert torch.equal(views["adversarial_noise"].value, seen[own.epsilon]["adversarial_noise"].value)
    ratio = seen[own.epsilon]["adversarial_noise"].value / own.epsilon
    torch.testing.assert_close(seen[1.0]["adversarial_noise"].value, ratio)


def test_the_curve_has_a_line_a_kind_of_noise_and_the_idea_is_told_in_words() -> None:
    curve = noise_curve([0, 1], {"random": [0.0, 0.1], "adversarial": [0.0, 0.5]})
    assert [list(trace.y) for trace in curve.data] == [[0.0, 0.1], [0.0, 0.5]]
    assert "prototypes" in style.alt_text(smoothness_and_separation())
