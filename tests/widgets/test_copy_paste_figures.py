"""Figures of what CPAM saw, in 2D and 3D, with two classes and with four; and the truth that only onlookers get."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ssmis_core.configuration import Configuration, configure
from ssmis_core.datasets import Dataset, open_dataset
from ssmis_core.methods import create_method
from ssmis_core.views import Views
from widgets import copy_paste, style
from widgets.replay import Example, example_batch, look

SIZES = {2: (32, 32), 3: (32, 32, 16)}


def replayed(dims: int, classes: int, **options: object) -> tuple[Views, Example, Dataset, Configuration]:
    """What a small untrained CPAM+TRCM saw of a batch."""
    given = {"dims": dims, "num_classes": classes, "size": SIZES[dims]}
    size = {"patch": SIZES[dims], "stride": SIZES[dims], "factor": 1, "iterations": 20, "filters": 2}
    config = configure("cpam_trcm", labeled=4, dataset_options=given, **size, **options)
    data = open_dataset("phantom", **given)
    method = create_method("cpam_trcm", num_classes=classes, dims=dims, variant=config.variant, **config.options)
    example = example_batch(config, method, data)
    return look(method, example)[1], example, data, config


@pytest.mark.parametrize(("dims", "classes", "variant"), [(2, 4, "paper"), (3, 2, "paper"), (3, 2, "released")])
def test_what_cpam_saw_can_be_drawn(dims: int, classes: int, variant: str) -> None:
    views, example, _, config = replayed(dims, classes, variant=variant)
    pair = copy_paste.pair_with_most(views)
    share, frame = config.options["box"], config.options["box_frame"]
    for figure, panels in (
        (copy_paste.moving_box(views, example, share=share, frame=frame), 1),
        (copy_paste.four_mixes(views, example, pair=pair), 4),
        (copy_paste.pseudo_labels(views, example, pair=pair), 4),
        (copy_paste.reliable_regions(views, example, pair=pair), 8),
        (copy_paste.what_counts(views, example, pair=pair), 4),
    ):
        assert style.alt_text(figure) and figure.layout.title.text
        assert figure.layout.xaxis.title.text == "x (mm)"
        assert len([axis for axis in figure.layout if axis.startswith("xaxis")]) == panels


def test_the_slider_of_the_box_goes_through_its_places() -> None:
    views, example, *_ = replayed(2, 2)
    figure = copy_paste.moving_box(views, example, share=2 / 3)
    labels = [step.label for step in figure.layout.sliders[0].steps]
    assert labels[0] == "0 x 0" and labels[-1] == "10 x 10" and len(set(labels)) == copy_paste.BOX_STEPS


@pytest.mark.parametrize("off", ["labeled_labeled", "unlabeled_unlabeled", "labeled_unlabeled"])
def test_mixes_that_are_switched_off_are_not_drawn(off: str) -> None:
    views, example, *_ = replayed(2, 2, **{off: False})
    left = 2 if off == "labeled_unlabeled" else 3
    for figure in (copy_paste.four_mixes(views, example), copy_paste.what_counts(views, example)):
        assert len([axis for axis in figure.layout if axis.startswith("xaxis")]) == left
    assert copy_paste.reliable_regions(views, example).data


def test_mistakes_of_pseudo_labels_are_counted_against_the_truth_of_their_place() -> None:
    """With pseudo-labels that are the truth turned like their patch nothing is wrong; upside down all of it is."""
    views, example, data, config = replayed(2, 2, augmentations=("rot_flip",))
    view = views["pseudo_label"]
    for row, case_id in enumerate(view.case):
        truth = torch.from_numpy(data.load(case_id).label).long()
        x, y = (int(c) + 9 for c in view.corner[row])  # a corner may lie in the padding
        there = torch.nn.functional.pad(truth, (9, 9, 9, 9))[x : x + 32, y : y + 32]
        view.value[row, 0] = view.turn[row].apply(there, 2)
    views["reliable_a"].value[:, :, :16] = 1.0
    assert copy_paste.trusted_and_true(views, example, data, config) == {"trusted": 0.0, "others": 0.0}
    view.value.copy_(1 - view.value)
    assert copy_paste.trusted_and_true(views, example, data, config) == {"trusted": 100.0, "others": 100.0}
    views["reliable_a"].value.zero_()
    views["reliable_b"].value.zero_()
    share = copy_paste.trusted_and_true(views, example, data, config)
    assert math.isnan(share["trusted"]) and share["others"] == 100.0


def test_the_diagram_says_in_words_who_is_pasted_into_whom() -> None:
    alt = style.alt_text(copy_paste.mix_diagram())
    assert "labeled a with a box of unlabeled a" in alt and "unlabeled b with a box of labeled b" in alt


def test_a_view_is_shown_in_the_frame_of_the_patch() -> None:
    views, example, *_ = replayed(2, 2, augmentations=("rot_flip",))
    np.testing.assert_array_equal(copy_paste.seen(views, "image", 1), example.batch.image[1].numpy())
