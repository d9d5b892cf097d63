"""Figures of what TraCoCo saw, in 2D and 3D, with two classes and with four."""

from __future__ import annotations

import numpy as np
import pytest

from ssmis_core.configuration import Configuration, configure
from ssmis_core.datasets import open_dataset
from ssmis_core.methods import create_method
from ssmis_core.methods.base import Method
from widgets import style, translation
from widgets.diagrams import translation_consistency
from widgets.replay import Example, array, example_batch, look

SIZES = {2: (48, 40), 3: (32, 24, 20)}
PATCH = {2: (32, 32), 3: (32, 16, 16)}


def replayed(dims: int, classes: int, **options: object) -> tuple[Configuration, Method, Example]:
    """A small untrained TraCoCo and a batch for it, with patches smaller than the scans."""
    given = {"dims": dims, "num_classes": classes, "size": SIZES[dims]}
    size = {"patch": PATCH[dims], "stride": PATCH[dims], "factor": (1,) * dims, "iterations": 20, "filters": 2}
    config = configure("tracoco", labeled=4, dataset_options=given, **size, **options)
    method = create_method("tracoco", num_classes=classes, dims=dims, variant=config.variant, **config.options)
    return config, method, example_batch(config, method, open_dataset("phantom", **given))


@pytest.mark.parametrize(
    ("dims", "classes", "options"),
    [(2, 4, {}), (3, 2, {"augmentations": ["rot_flip", "min_max", "brightness"]}), (3, 2, {"variant": "released"})],
    ids=["2d", "3d", "released"],
)
def test_what_the_method_saw_can_be_drawn(dims: int, classes: int, options: dict[str, object]) -> None:
    config, method, example = replayed(dims, classes, **options)
    _, views = look(method, example)
    data = open_dataset("phantom", **config.dataset_options)
    sample = example.batch.num_labeled
    scan = translation.whole_scan(data, config, method, example, sample=sample)
    for figure in (
        translation.two_crops(scan, views, example, sample=sample),
        translation.answers_on_the_overlap(views, views, example, sample=sample),
        translation.two_networks(views, example, sample=sample),
        translation.confident_voxels(views, example, sample=sample, positive=0.65, negative=0.1),
        translation.pasted_boxes(views, example, sample=sample),
    ):
        assert style.alt_text(figure) and figure.layout.title.text
        assert figure.layout.xaxis.title.text == "x (mm)"


@pytest.mark.parametrize("dims", [2, 3])
def test_crops_are_drawn_where_they_were_cut_from_the_scan(dims: int) -> None:
    config, method, example = replayed(dims, 2, augmentations=["rot_flip", "min_max"])
    _, views = look(method, example)
    data = open_dataset("phantom", **config.dataset_options)
    for sample in range(4):
        scan = translation.whole_scan(data, config, method, example, sample=sample)
        for name in ("image", "second_image"):
            crop, corner = array(views[name], sample)[0], views[name].corner[sample].tolist()
            low = [max(0, c) for c in corner]
            high = [min(s, c + n) for s, c, n in zip(scan.shape, corner, crop.shape, strict=True)]
            inside = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
            there = tuple(slice(a - c, b - c) for a, b, c in zip(low, high, corner, strict=True))
            np.testing.assert_array_equal(crop[there], scan[inside])


def test_the_slider_of_the_sure_voxels_opens_at_the_methods_gamma() -> None:
    _, method, example = replayed(2, 2)
    _, views = look(method, example)
    figure = translation.confident_voxels(views, example, sample=2, positive=0.72, negative=0.1)
    slider = figure.layout.sliders[0]
    assert slider.steps[slider.active].label == "0.72"
    curve = next(trace for trace in figure.data if trace.type == "scatter" and trace.mode == "lines")
    assert list(curve.y) == sorted(curve.y, reverse=True)  # fewer voxels are sure at a higher gamma


def test_without_boxes_the_figure_of_boxes_says_so() -> None:
    _, method, example = replayed(2, 2, cutmix="none")
    _, views = look(method, example)
    assert "Nothing is pasted" in translation.pasted_boxes(views, example, sample=2).layout.title.text


def test_the_diagram_says_in_words_what_it_shows() -> None:
    assert "voxels that the crops share" in style.alt_text(translation_consistency())
