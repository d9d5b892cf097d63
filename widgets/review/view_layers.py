"""What a method's loss saw of one case, as napari layers that lie where the patch lies; made without napari or Qt.

A layer is a tuple (array, settings, type), as in `widgets.review.layers`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ssmis_core.datasets import Case
from ssmis_core.errors import UserError, unknown
from ssmis_core.views import View, Views
from ssmis_core.working_grid import WorkingGrid
from widgets.review.layers import REFERENCE, LayerData, image_layers, label_layer, line_width, voxel_size
from widgets.review.placing import Place


@dataclass(frozen=True)
class Topic:
    """One of the views that a method can show: the view that it is about, those beside it, and how to read it.

    shown: views by name, or by the start of their name with a "*", lowest layer first, each with how it is drawn:
    "image", "answer" (the most probable class as a line), "line" (the border of a mask or a label), "hole" (the border
    of where a mask is 0), "fill" (a mask), "left out" (where a mask is 0), "map" (the numbers in colours).
    hidden: the same, for layers that start switched off.
    """

    about: str
    reading: str
    shown: Mapping[str, str]
    hidden: Mapping[str, str] = field(default_factory=dict)


TOPICS: dict[str, Topic] = {
    "adversarial noise": Topic(
        "adversarial_noise",
        "Orange line: the answer to the scan. Red-orange line: with the noise (brown to purple).",
        {
            "image": "image",
            "adversarial_noise": "map",
            "clean_probability": "answer",
            "perturbed_probability": "answer",
        },
    ),
    "signed distance map": Topic(
        "distance",
        "What the distance head says: negative inside (brown), positive outside (purple). Orange line: the mask head.",
        {"image": "image", "distance": "map", "probability": "answer"},
        {"distance_target": "map", "teacher_distance": "map", "inverse_transform": "map"},
    ),
    "uncertainty mask": Topic(
        "certainty",
        "The teacher's entropy, dark to bright. Red-orange: voxels that are left out. Orange line: its answer.",
        {"image": "image", "uncertainty": "map", "certainty": "left out", "teacher_probability": "answer"},
    ),
    "translation overlap": Topic(
        "overlap",
        "Two crops of one scan. Green: what both see. Orange and red-orange lines: the two answers to it.",
        {
            "image": "image",
            "second_image": "image",
            "overlap": "fill",
            "probability": "answer",
            "second_probability_1": "answer",
        },
        {"confident_1": "fill", "ruled_out_1": "map"},
    ),
    "copy-paste mix": Topic(
        "box",
        "The patch with a box of another scan pasted in (green line). Blue line: what is asked for, orange: answered.",
        {"image": "image", "mix_*": "image", "box": "hole", "target_*": "line", "probability_*": "answer"},
        {"weight_*": "map", "pseudo_label": "line"},
    ),
}


def topics_of(views: Views) -> list[str]:
    """The topics that a method's views cover."""
    return [name for name, topic in TOPICS.items() if topic.about in views]


def cases_of(views: Views, topic: str) -> list[str]:
    """Cases of the batch that the topic's view is known of, each once."""
    return list(dict.fromkeys(views[covered(views, topic).about].case))


def covered(views: Views, topic: str) -> Topic:
    """A topic by name; UserError where it does not exist, or where the method shows nothing of it."""
    if topic not in TOPICS:
        raise unknown("view", topic, TOPICS)
    if TOPICS[topic].about not in views:
        known = ", ".join(topics_of(views)) or "none of these views"
        raise UserError(f"this method does not show {topic!r}, it shows: {known}")
    return TOPICS[topic]


def view_layers(
    views: Views, topic: str, scan: Case, *, grid: WorkingGrid, class_names: Sequence[str], sample: str | None = None
) -> list[LayerData]:
    """The whole scan and its reference, and on them the views of a topic where the scan's patch lies.

    views: of a batch that holds the scan, or the slice of it that `sample` names; grid: that the method works on.
    Raises UserError for a topic that the views do not cover, and for a scan that they do not show.
    """
    chosen, sample = covered(views, topic), sample or scan.id
    shown = cases_of(views, topic)
    if sample not in shown:
        raise UserError(f"case {sample}: has no part in this batch, expected one of {', '.join(shown)}")
    layers = [as_part(one, "scan", "scan") for one in image_layers(scan)]
    place = Place(scan, sample, grid, class_names)
    for wanted, visible in ((chosen.shown, True), (chosen.hidden, False)):
        for pattern, how in wanted.items():
            for view in matching(views, pattern):
                if sample in view.case:
                    layers += place.draw(view, view.case.index(sample), how, visible=visible)
    if scan.label is not None:
        look: dict[str, Any] = {"contour": line_width(scan.shape), "visible": False}
        drawn = label_layer(scan.label, REFERENCE, scan, len(class_names), **look)
        layers.append(as_part(drawn, REFERENCE, "scan reference"))
    return [*layers, *place.frames()]


def clearest_slice(
    views: Views, topic: str, scan: Case, *, grid: WorkingGrid, sample: str | None = None
) -> float | None:
    """Where along z to look first, in mm or voxels; None in 2D.

    Of the slices that the topic's view covers (a mask: where it is not empty), the one with most of the scan's label;
    the middle one where it has none.
    """
    if len(scan.shape) == 2:
        return None
    view, sample = views[covered(views, topic).about], sample or scan.id
    (maps, *_), corner = Place(scan, sample, grid, ()).cut(view, view.case.index(sample))
    meant = maps == 0 if covered(views, topic).shown[view.name] == "hole" else maps != 0
    there = meant.any(axis=(0, 1)) if view.kind == "mask" and meant.any() else np.ones(maps.shape[2], bool)
    first, step = (one[2] for one in grid.lattice(scan.shape))
    middles = first + step * (np.flatnonzero(there) + corner[2])
    places = np.clip(np.floor(middles + 1e-6).astype(int), 0, scan.shape[2] - 1)
    counts = np.zeros(len(places)) if scan.label is None else (scan.label != 0).sum((0, 1))[places]
    best = int(places[counts.argmax()] if counts.any() else places[len(places) // 2])
    return best * voxel_size(scan)[2]


def as_part(layer: LayerData, name: str, role: str) -> LayerData:
    """A layer of a scan, as a part of a view: under another name and in another role."""
    data, look, kind = layer
    return data, {**look, "name": name, "metadata": {"ssmis": {**look["metadata"]["ssmis"], "role": role}}}, kind


def matching(views: Views, pattern: str) -> list[View]:
    """Views of that name, or whose names start so."""
    if not pattern.endswith("*"):
        return [views[pattern]] if pattern in views else []
    return [view for name, view in views.items() if name.startswith(pattern[:-1])]
