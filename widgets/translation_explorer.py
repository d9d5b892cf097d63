"""Explore TraCoCo's two crops on one case: move them, see what both answer on the voxels that they share, and which
answers are sure enough to teach the other network."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets
import numpy as np
import torch

from ssmis_core.errors import UserError
from ssmis_core.losses import confident_regions
from ssmis_core.runs import Run
from ssmis_core.views import Views
from widgets import style
from widgets.boxes import Box, boxes
from widgets.case_controls import choosing
from widgets.chart import Chart
from widgets.explorer import Explorer
from widgets.measures import mean_dice, percent
from widgets.replay import array
from widgets.scene import Scene, scene_of
from widgets.translation import placed
from widgets.viewer import Viewer

FIRST, SECOND, SHARED = style.GREEN, style.PURPLE, style.YELLOW
REGIONS = ("outside", "first alone", "second alone", "shared")


def explore_translation(
    run: Run | Scene | str | os.PathLike[str], case: str | None = None, *, data_root: str | None = None
) -> Explorer:
    """Two crops of a case (default: the first one), the answers on the voxels that they share, and who may teach.

    Move the corner of each crop along each axis, also to where no training puts it; choose the network, the noise that
    it sees, the thresholds gamma and beta of the confident regions, and the seed of all other draws. The pictures are
    views of `TraCoCo.loss`; dropout can be as in training, or off so that only surroundings and noise make a
    difference. Nothing is pasted into the crops. Raises UserError for a method that compares no two crops.
    """
    scene = scene_of(run, data_root=data_root)
    if not getattr(scene.method.options, "translation", False):
        raise UserError(f"method {scene.config.method} compares no two crops, expected tracoco with translation on")
    shown = _Pictures(scene, scene.known(case))
    lines = "orange as the first crop has them, red-orange dashed as the second"
    if scene.dataset.num_classes > 2:
        lines = "in the colour of each class, dashed as the second crop has them"
    return Explorer(
        f"Does the answer depend on the surroundings? {scene.config.method}, {scene.trained}",
        f"Above: the answers of one network to the voxels that both crops show, {lines}. Below: what the other network "
        "answers to the first crop; inside the red-orange lines it is too unsure to teach.",
        shown.controls,
        [shown.crops, shown.teaching],
        shown.compute,
        shown.space,
    )


class _Pictures:
    """The controls, the two viewers, the boxes in 3D, and what is drawn."""

    def __init__(self, scene: Scene, case: str):
        self.scene, self.case = scene, ""
        self.seen: tuple[Any, Views] | None = None
        o: Any = scene.method.options
        axes, row = "xyz"[: scene.config.dims], {"continuous_update": False}
        self.corners = [
            [ipywidgets.IntSlider(description=f"{which} crop, {axis}", **row) for axis in axes]
            for which in ("first", "second")
        ]
        chosen, self.compute = choosing(scene, case, self.compute_sample)
        self.controls: dict[str, Any] = {
            **chosen,
            **{f"{which}_{axis}": one for which, each in zip(("first", "second"), self.corners, strict=True)
               for axis, one in zip(axes, each, strict=True)},
            "network": ipywidgets.Dropdown(options=("1", "2"), value="1", description="network"),
            "positive": ipywidgets.FloatSlider(o.positive, min=0, max=1, step=0.01, description="sure from γ", **row),
            "negative": ipywidgets.FloatSlider(
                o.negative, min=0, max=1, step=0.01, description="ruled out below β", **row
            ),
            "noise": ipywidgets.FloatSlider(
                o.noise, min=0, max=max(0.5, o.noise), step=0.05, description="noise", **row
            ),
            "seed": ipywidgets.IntSlider(
                scene.config.seed, min=0, max=max(20, scene.config.seed), description="seed of the rest", **row
            ),
            "dropout": ipywidgets.Checkbox(False, description="dropout as in training", indent=False),
        }  # fmt: skip
        image = scene.whole(case)[0]
        self.crops, self.teaching = Viewer(image, name="scan"), Viewer(image, name="scan")
        self.space = [Chart()] if scene.config.dims == 3 else []

    def begin(self, case: str) -> None:
        """Take up another case: its scan, and crops as training might draw them."""
        (low, high), spacing, scan = self.scene.room(case), self.scene.grid(case), self.scene.whole(case)[0]
        for viewer in (self.crops, self.teaching):
            viewer.show_volume(scan, spacing=spacing)
        example = self.scene.example(case)
        for crop, sliders in enumerate(self.corners):
            start = example.batch.corners(crop)[example.batch.num_labeled].tolist()
            for slider, *places in zip(sliders, low.tolist(), high.tolist(), start, strict=True):
                with slider.hold_trait_notifications():
                    slider.min, slider.max, slider.value = places
        self.crops.title = f"{case}: two crops"

    def compute_sample(self, **values: Any) -> dict[str, Any]:
        """Draw crops, answers and regions; how far the answers are apart, and how right the sure ones are."""
        case, network, moved = values["case"], values["network"], values["case"] != self.case
        if moved:
            self.begin(case)
        corners = [[slider.value for slider in sliders] for sliders in self.corners]
        views = self.look(values, corners)
        told = self.draw_crops(case, network, corners, views)
        told |= self.draw_teaching(case, network, corners[0], views, values["positive"], values["negative"])
        if moved:
            self.case = case
            answer = self.crops.layers["first answer"].values
            self.crops.look_at(answer if answer.any() else self.crops.layers["crops"].values == 3)
            self.teaching.cursor = self.crops.cursor
        return told

    def look(self, values: Mapping[str, Any], corners: list[list[int]]) -> Views:
        """The views of the loss for these controls; the last ones where nothing moved that the networks know of."""
        key = (corners, {name: value for name, value in values.items() if name in ("case", "noise", "seed", "dropout")})
        if self.seen is None or self.seen[0] != key:
            example = self.scene.example(values["case"], seed=values["seed"], corners=corners)
            looked = self.scene.look(example, dropout=values["dropout"], noise=values["noise"], cutmix="none")[1]
            self.seen, self.row = (key, looked), example.batch.num_labeled
        return self.seen[1]

    def draw_crops(self, case: str, network: str, corners: list[list[int]], views: Views) -> dict[str, Any]:
        """Both crops on the scan, both answers to what they share, and the two parts of the translation term."""
        scene, (scan, label) = self.scene, self.scene.whole(case)
        low, names, classes = scene.room(case)[0], scene.dataset.class_names, scene.dataset.num_classes
        first, second = (_On(scan.shape, corner - low, views, self.row) for corner in np.array(corners))
        p, q = ("probability", "probability_2")[network == "2"], f"second_probability_{network}"
        here, there = first.mask("overlap"), second.mask("second_overlap")
        answers = first.answer(p) * here, second.answer(q) * there
        region = first.everywhere() + 2 * second.everywhere()
        divergence, entropy = (first.map(f"{name}_{network}") for name in ("divergence", "overlap_entropy"))
        viewer = self.crops
        viewer.show_image(first.over(second.over(scan, "second_image"), "image"))
        kind = "divergence" if scene.method.options.kl_over == "classes" else "part of a divergence"
        viewer.show_map("KL", divergence, kind)
        viewer.show_map("entropy", entropy, "uncertainty", top=math.log(classes), opacity=0.0)
        viewer.show_labels("crops", region, REGIONS, colours=[FIRST, SECOND, SHARED])
        same = style.class_colours(classes) if classes > 2 else None
        for name, answer, colour, dashed in zip(
            ("first answer", "second answer"), answers, (style.PREDICTION, style.VERMILLION), (False, True), strict=True
        ):
            viewer.show_labels(name, answer, names, colours=same or [colour], dashed=dashed)
        _show_reference(viewer, label, names)
        shared = int(here.sum())
        self.draw_boxes(corners, region == 3, answers[0])
        return {
            "voxels shared": shared,
            "share of a crop (%)": 100.0 * shared / math.prod(scene.config.patch),
            "training draws such crops": "yes" if self.drawn(corners, low) else "no",
            "Dice of the two answers": mean_dice(answers[1], answers[0], classes),
            "voxels that differ": int((answers[0] != answers[1]).sum()),
            "mean KL (nats)": float(divergence.sum(dtype=np.float64)) / max(1, shared),
            "mean entropy (nats)": float(entropy.sum(dtype=np.float64)) / max(1, shared),
        }

    def draw_teaching(
        self, case: str, network: str, corner: list[int], views: Views, positive: float, negative: float
    ) -> dict[str, Any]:
        """What the other network answers to the first crop, and where it is sure or rules a class out."""
        scene, (scan, label) = self.scene, self.scene.whole(case)
        names, classes = scene.dataset.class_names, scene.dataset.num_classes
        first = _On(scan.shape, np.array(corner) - scene.room(case)[0], views, self.row)
        q = array(views[f"teacher_probability_{network}"], self.row)
        sure, ruled_out = (
            one[0].numpy() > 0
            for one in confident_regions(torch.from_numpy(q)[None], positive=positive, negative=negative)
        )
        viewer, chosen = self.teaching, q.argmax(0)
        viewer.show_image(first.over(scan, "image"))
        viewer.show_map("confidence", first.put(q.max(0)), "probability", opacity=0.0)
        viewer.show_labels("first crop", first.everywhere(), ("outside", "first crop"), colours=[FIRST])
        viewer.show_labels("unsure", first.put(~sure[0]), ("sure", "unsure"), colours=[style.VERMILLION])
        out = first.put(ruled_out.max(0))
        viewer.show_labels("rules a class out", out, ("rules none out", "rules a class out"), colours=[style.PURPLE])
        viewer.show_labels("teacher", first.put(chosen), names, colours=style.class_colours(classes, predicted=True))
        _show_reference(viewer, label, names)
        viewer.title = f"{case}: network {'2' if network == '1' else '1'} teaches {network}"
        told = {"sure voxels (%)": 100.0 * float(sure.mean()), "ruled out (%)": 100.0 * float(ruled_out.any(0).mean())}
        if label is None:
            return told
        truth = label[first.box]
        right, wrong_to = chosen == truth, np.arange(classes).reshape(-1, *[1] * truth.ndim) == truth
        return told | {
            "teacher right where sure (%)": percent(right, sure[0]),
            "where unsure (%)": percent(right, ~sure[0]),
            "right to rule out (%)": percent(~wrong_to, ruled_out),
        }

    def draw_boxes(self, corners: list[list[int]], shared: np.ndarray, answer: np.ndarray) -> None:
        """The scan, the crops and the voxels that they share as boxes in 3D, with the answer to those."""
        if not self.space:
            return
        low, size = self.scene.room(self.controls["case"].value)[0], self.scene.config.patch
        places = np.argwhere(shared) if shared.any() else np.zeros((1, 3), int)
        common = places.max(0) - places.min(0) + bool(shared.any())
        parts = [
            Box("scan", (0, 0, 0), shared.shape, style.GREY, "dot"),
            Box("first crop", np.array(corners[0]) - low, size, FIRST),
            Box("second crop", np.array(corners[1]) - low, size, SECOND),
            Box("shared", places.min(0), common, SHARED, filled=True),
        ]
        case = self.controls["case"].value
        alt = f"Two crops of {case} and the {int(shared.sum())} voxels that they share, as boxes in 3D."
        spacing = self.scene.grid(case)
        answered: dict[str, Any] = {"mask": answer > 0, "mask_name": "first answer"}
        figure = boxes(parts, title="Where the crops lie", alt=alt, spacing=spacing, size=310, **answered)
        self.space[0].show(figure)

    def drawn(self, corners: list[list[int]], low: np.ndarray) -> bool:
        """Whether training may draw these crops: the second at or before the first, with the least overlap or more."""
        back, size = np.array(corners[0]) - corners[1], np.array(self.scene.config.patch)
        reach = np.maximum(0, size - self.scene.method.sampling.min_overlap)
        return bool(((back >= 0) & (back <= np.minimum(np.array(corners[0]) - low, reach))).all())


class _On:
    """Views of one crop, put where the crop lies in its scan."""

    def __init__(self, shape: tuple[int, ...], at: np.ndarray, views: Views, row: int):
        self.shape, self.at, self.views, self.row = shape, at, views, row
        size = views["image"].value.shape[2:]
        self.box = tuple(slice(int(a), int(a) + n) for a, n in zip(at, size, strict=True))

    def put(self, values: np.ndarray) -> np.ndarray:
        """Values [*patch] in an array of the scan's shape, zero elsewhere."""
        return placed(values, self.at, self.shape)

    def map(self, name: str) -> np.ndarray:
        return self.put(array(self.views[name], self.row)[0])

    def mask(self, name: str) -> np.ndarray:
        return self.map(name) > 0

    def answer(self, name: str) -> np.ndarray:
        return self.put(array(self.views[name], self.row).argmax(0))

    def everywhere(self) -> np.ndarray:
        return self.put(np.ones(self.views["image"].value.shape[2:], np.uint8))

    def over(self, scan: np.ndarray, name: str) -> np.ndarray:
        """The scan with the crop's own values where it lies."""
        drawn = scan.copy()
        drawn[self.box] = array(self.views[name], self.row)[0]
        return drawn


def _show_reference(viewer: Viewer, label: np.ndarray | None, names: Sequence[str]) -> None:
    """The label, where it is known; with several classes it is clear at first, as answers have the same colours."""
    if label is None:
        viewer.remove("reference")
    else:
        viewer.show_labels("reference", label, names, dashed=True, opacity=0.9 if len(names) == 2 else 0.0)
