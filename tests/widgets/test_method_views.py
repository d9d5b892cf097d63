"""Every method's views can be drawn by one function that knows none of them."""

from __future__ import annotations

import numpy as np
import pytest

from ssmis_core.configuration import configure
from ssmis_core.datasets import open_dataset
from ssmis_core.errors import UserError
from ssmis_core.methods import METHODS
from ssmis_core.views import Views
from widgets import style
from widgets.method_views import every_view, under
from widgets.replay import Example, array, example_batch, fresh, look

SIZES = {2: (32, 32), 3: (32, 32, 16)}


def seen(name: str, dims: int = 2, classes: int = 3) -> tuple[Example, Views]:
    """A batch of an untrained method, and its views."""
    given = {"dims": dims, "num_classes": classes, "size": SIZES[dims]}
    size = {"patch": SIZES[dims], "stride": SIZES[dims], "iterations": 20, "filters": 2, "factor": 1}
    smaller = {"patch": 16, "stride": 16, "min_overlap": 8, "norm": "batch"} if name == "tracoco" else {}
    config = configure(name, labeled=4, dataset_options=given, **{**size, **smaller})
    data = open_dataset("phantom", **given)
    method = fresh(config, {"num_classes": classes, "dims": dims, "channels": 1})
    example = example_batch(config, method, data)
    return example, look(method, example)[1]


@pytest.mark.parametrize("name", METHODS)
def test_every_view_on_a_sample_has_a_panel(name: str) -> None:
    example, views = seen(name)
    batch = example.batch
    for sample in {0, len(batch.image) - 1}:
        figure = every_view(views, example, sample=sample)
        titles = {note.text for note in figure.layout.annotations}
        drawn = {
            view.name.replace("_", " ") for view in views.values() if sample in view.rows and view.kind != "features"
        }
        assert titles == drawn and "image" in titles
        assert style.alt_text(figure) and figure.layout.title.text


def test_what_lies_on_a_mix_is_drawn_on_the_mix() -> None:
    _, views = seen("bcp")
    mix, image = (under(name, views, 0) for name in ("target_l_u", "label"))
    assert mix is not None and image is not None
    np.testing.assert_array_equal(mix, array(views["mix_l_u"], 0)[0])
    np.testing.assert_array_equal(image, array(views["image"], 0)[0])
    assert not np.array_equal(mix, image)


def test_volumes_are_drawn_slice_by_slice() -> None:
    example, views = seen("dtc", dims=3, classes=2)
    figure = every_view(views, example, sample=0)
    assert figure.layout.sliders and "distance target" in {note.text for note in figure.layout.annotations}


def test_a_sample_that_is_not_there_is_one_line() -> None:
    example, views = seen("supervised")
    with pytest.raises(UserError, match="every_view: nothing to draw lies on sample 9 of"):
        every_view(views, example, sample=9)
