"""Explore signed distances on one case: the label's map and the network's, their level sets, and the way back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import ipywidgets
import numpy as np
import torch

from ssmis_core.errors import UserError
from ssmis_core.geometry import inverse_transform, signed_distance
from ssmis_core.losses import dice_loss
from ssmis_core.metrics import evaluate
from ssmis_core.runs import Run
from widgets import style
from widgets.case_controls import choosing
from widgets.chart import Chart
from widgets.distance import level_set, transform_curve
from widgets.explorer import Explorer
from widgets.replay import array
from widgets.scene import Scene, scene_of
from widgets.viewer import Viewer

STEEPNESS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 1500, 2000, 5000, 10_000)
UNDECIDED = (0.1, 0.9)
NO_TEACHER = {"intra_task": False}  # saves its passes, which the student's answers do not depend on


def explore_distance(
    run: Run | Scene | str | os.PathLike[str], case: str | None = None, *, data_root: str | None = None
) -> Explorer:
    """A case's signed distance (default: the first case), by its label and by the network, and both soft masks.

    Move the level of the level set, the steepness k of the inverse transform, and the class where there are several
    (its distance to everything else). The network's map is the view `distance` of the method's own loss; dropout can be
    as in training, or off. Raises UserError for a method without it.
    """
    scene = scene_of(run, data_root=data_root)
    case = scene.known(case)
    shown = _Pictures(scene, case)
    chosen, compute = choosing(scene, case, shown.compute)
    row = {"continuous_update": False}
    own = float(getattr(scene.method.options, "steepness", 1500.0))
    steps = [(f"{k:g}", float(k)) for k in sorted({*STEEPNESS, own})]
    names = list(enumerate(scene.dataset.class_names))[1:]
    controls: dict[str, Any] = {
        "level": ipywidgets.FloatSlider(0.0, min=-1, max=1, step=0.02, description="level of s", **row),
        "k": ipywidgets.SelectionSlider(options=steps, value=own, description="steepness k", **row),
        "dropout": ipywidgets.Checkbox(False, description="dropout as in training", indent=False),
    }
    if len(names) > 1:
        which = ipywidgets.Dropdown(options=[(name, k) for k, name in names], description="class")
        controls = {"which": which, **controls}
    return Explorer(
        f"How far is it to the border? {scene.config.method}, {scene.trained}",
        "Above, what the label says; below, what the network's tanh says. Brown is inside, violet outside; green are "
        "voxels that the soft mask σ(−k s) leaves undecided.",
        {**chosen, **controls},
        [shown.by_label, shown.by_network],
        compute,
        [shown.level_set, shown.curve],
    )


@dataclass
class _Seen:
    """What does not change while the level or k moves: scan, label, answer [*box] and s of each foreground class."""

    key: tuple[str, bool]
    image: np.ndarray
    label: np.ndarray | None
    answer: np.ndarray
    distance: np.ndarray
    targets: dict[int, np.ndarray] = field(default_factory=dict)

    def target(self, which: int) -> np.ndarray | None:
        """The label's signed distance map of a class, as training makes it of a patch; None without a label."""
        if self.label is not None and which not in self.targets:
            self.targets[which] = signed_distance((self.label == which)[None])[0].numpy()
        return self.targets.get(which)


class _Pictures:
    """The two viewers and the two charts, and what is drawn into them."""

    def __init__(self, scene: Scene, case: str):
        self.scene, self.case = scene, ""
        self.seen = self._look(case, dropout=False)  # first: it refuses a method without such maps
        self.spacing = scene.example(case).spacing
        self.by_label = Viewer(self.seen.image, spacing=self.spacing, name="scan")
        self.by_network = Viewer(self.seen.image, spacing=self.spacing, name="scan")
        self.level_set, self.curve = Chart(), Chart()

    def compute(self, case: str, level: float, k: float, dropout: bool, which: int = 1) -> dict[str, Any]:
        """Draw both maps, their level sets and soft masks; how much of the label each soft mask gives back."""
        if self.seen.key != (case, dropout):
            self.seen = self._look(case, dropout=dropout)
        seen, name = self.seen, self.scene.dataset.class_names[which]
        target, distance = seen.target(which), seen.distance[which - 1]
        self._show(self.by_label, target, level, k, style.REFERENCE)
        self._show(self.by_network, distance, level, k, style.PREDICTION)
        whose = "the label" if target is not None else "no label"
        self.by_label.title = f"{case}, {name}: signed distance by {whose}"
        self.by_network.title = f"{case}, {name}: signed distance by the network"
        maps = {"network": (distance, style.PREDICTION)}
        if target is not None and seen.label is not None:
            self.by_network.show_map("difference", distance - target, "gap", opacity=0.0)
            self.by_network.show_labels("reference", seen.label == which, dashed=True)
            maps = {"label": (target, style.REFERENCE), **maps}
        else:
            self.by_network.remove("difference")
            self.by_network.remove("reference")
        self.level_set.show(level_set(maps, level, spacing=self.spacing))
        self.curve.show(transform_curve(k))
        if case != self.case:
            self.case = case
            self.by_label.look_at(distance < 0 if seen.label is None else seen.label == which)
            self.by_network.cursor = self.by_label.cursor
        return dict(self._told(seen, which, level, k))

    def _look(self, case: str, *, dropout: bool) -> _Seen:
        """One pass of the case's batch through the method's own loss."""
        scene = self.scene
        options = {name: off for name, off in NO_TEACHER.items() if hasattr(scene.method.options, name)}
        example = scene.example(case)
        sample, foreground = example.batch.num_labeled, scene.dataset.num_classes - 1
        _, views = scene.look(example, dropout=dropout, **options)
        if "distance" not in views:
            name = scene.config.method
            raise UserError(f"method {name} answers with no signed distance, expected one that does, such as ugmcl")
        answer = array(views["probability"], sample).argmax(0)
        distance = array(views["distance"], sample)[-foreground:]  # a head that the logits share has the background too
        image = array(views["image"], sample)[0]
        return _Seen((case, dropout), image, scene.reference(case, example), answer, distance)

    def _show(self, viewer: Viewer, distance: np.ndarray | None, level: float, k: float, colour: str) -> None:
        viewer.show_image(self.seen.image)
        if distance is None:
            for name in ("distance", "soft mask", "undecided", "level set"):
                viewer.remove(name)
            return
        soft = _soft(distance, k)
        viewer.show_map("distance", distance, "distance")
        viewer.show_map("soft mask", soft, "probability", opacity=0.0)
        filled: dict[str, Any] = {"colours": [style.GREEN], "outline": False, "opacity": 0.6}
        viewer.show_labels("undecided", _undecided(soft), ("decided", "undecided"), **filled)
        viewer.show_labels("level set", distance <= level, ("beyond", "s at the level"), colours=[colour])

    def _told(self, seen: _Seen, which: int, level: float, k: float) -> Iterator[tuple[str, float]]:
        maps = {"label": seen.target(which), "network": seen.distance[which - 1]}
        there = {whose: one for whose, one in maps.items() if one is not None}
        label = None if seen.label is None else seen.label == which
        if label is not None:
            mask = torch.from_numpy(label)[None, None]
            for whose, one in there.items():
                soft = torch.from_numpy(_soft(one, k))[None, None]
                yield f"soft Dice, {whose}'s map", 1.0 - float(dice_loss(soft, mask, background=True))
            yield "Dice, network's s ≤ 0", evaluate(there["network"] <= 0, label).dice
            yield "Dice, segmentation answer", evaluate(seen.answer == which, label).dice
            yield "mean |difference| of the maps", float(np.abs(there["network"] - there["label"]).mean())
        for whose, one in there.items():
            yield f"undecided, {whose}'s map (%)", 100.0 * float(_undecided(_soft(one, k)).mean())
        size, unit = self._unit(seen.image.ndim)
        for name, at in (("zero level", 0.0), ("chosen level", level)):
            for whose, one in there.items():
                yield f"{name}, {whose} ({unit})", size * float((one <= at).sum())

    def _unit(self, dims: int) -> tuple[float, str]:
        """What a voxel counts, and in which unit."""
        if self.spacing is None:
            return 1.0, "voxels"
        return float(np.prod(self.spacing)) / 10**dims, "cm²" if dims == 2 else "mL"


def _soft(distance: np.ndarray, k: float) -> np.ndarray:
    return inverse_transform(torch.from_numpy(np.ascontiguousarray(distance)), k).numpy()


def _undecided(soft: np.ndarray) -> np.ndarray:
    return (soft > UNDECIDED[0]) & (soft < UNDECIDED[1])
