"""Explore copy-paste on one case: where the box lies and how large it is, what the mixes show and ask for, which
pseudo-labels are believed, and what counts in the loss."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import ipywidgets
import numpy as np
import torch

from ssmis_core.errors import UserError
from ssmis_core.methods.base import Step
from ssmis_core.methods.cpam import CPAM
from ssmis_core.methods.mixes import MIXES, PARTS
from ssmis_core.perturbations import copy_paste
from ssmis_core.pseudo_labels import hard_label
from ssmis_core.runs import Run
from ssmis_core.views import Views
from widgets import style
from widgets.case_controls import choosing
from widgets.copy_paste import WORDS, seen
from widgets.explorer import Explorer
from widgets.measures import mean_dice, percent
from widgets.replay import Example, changed
from widgets.scene import Scene, scene_of
from widgets.viewer import Viewer

NAMES = {name: name.replace("_", "–").upper() for name in MIXES}
OPTIONS = {"share": "box", "gamma": "gamma", "threshold": "threshold", "largest": "largest_component", "trcm": "trcm"}


def explore_copy_paste(
    run: Run | Scene | str | os.PathLike[str], case: str | None = None, *, data_root: str | None = None
) -> Explorer:
    """Two mixes of a case (default: the first one) with labeled and unlabeled ones, what is asked for and what counts.

    The case is unlabeled a; choose the labeled ones that it meets. Move the box, its share of each side, gamma, the
    threshold of the pseudo-labels, and switch the largest component and TRCM. Everything is in the frame of the patch,
    as the student sees it. The pictures are views of `CPAM.loss` in its second stage; dropout can be as in training,
    or off so that mixes differ by what they show alone. Raises UserError for a method that mixes no scans.
    """
    scene = scene_of(run, data_root=data_root)
    if not isinstance(scene.method, CPAM):
        raise UserError(f"method {scene.config.method} pastes no boxes of scans, expected cpam or cpam_trcm")
    shown = _Pictures(scene, scene.method, scene.known(case))
    asked, answer = ("Purple", "Orange is its answer")
    if scene.dataset.num_classes > 2:
        asked, answer = ("Dashed, in the colour of each class,", "Lines that are not dashed are its answer")
    return Explorer(
        f"What does the student see, and what does it learn from? {scene.config.method}, {scene.trained}",
        f"Green is the edge of the box. {asked} is what the student is asked for: a label, or on unlabeled sides the "
        f"teacher's pseudo-label. {answer}. Voxels inside the red-orange lines do not count.",
        shown.controls,
        shown.viewers,
        shown.compute,
    )


class _Pictures:
    """The controls, the two viewers, and what is drawn into them."""

    def __init__(self, scene: Scene, method: CPAM, case: str):
        self.scene, self.method, self.case = scene, method, ""
        self.seen: tuple[Any, Example, Step, Views] | None = None
        o, seed, row = method.options, scene.config.seed, {"continuous_update": False}
        self.labeled = scene.dataset.split(scene.config.labeled)[0]
        labeled, example = [one for known in self.labeled for one in scene.samples(known)], scene.example(case)
        chosen, self.compute = choosing(scene, case, self.compute_sample)
        chosen["case"].description = "unlabeled a"
        mixes = [(NAMES[name], name) for name in method.mixes]
        half = example.batch.num_labeled // 2
        corner = np.argwhere(method.box(example.batch, example.draws).numpy() == 0).min(0)
        self.box = [
            ipywidgets.IntSlider(int(c), min=0, max=places - 1, description=f"box from {axis}", **row)
            for axis, c, places in zip("xyz", corner, method.box_places(scene.config.patch), strict=False)
        ]
        self.controls: dict[str, Any] = {
            **chosen,
            "labeled_a": ipywidgets.Dropdown(options=labeled, value=example.batch.case[0], description="labeled a"),
            "labeled_b": ipywidgets.Dropdown(options=labeled, value=example.batch.case[half], description="labeled b"),
            "above": ipywidgets.Dropdown(options=mixes, value=mixes[0][1], description="mix above"),
            "below": ipywidgets.Dropdown(options=mixes, value=mixes[-1][1], description="mix below"),
            "share": ipywidgets.FloatSlider(
                o.box, min=min(0.1, o.box), max=max(0.95, o.box), step=0.05, description="box's share", **row
            ),
            **{f"box_{axis}": slider for axis, slider in zip("xyz", self.box, strict=False)},
            "gamma": ipywidgets.FloatSlider(o.gamma, min=0, max=max(1, o.gamma), step=0.05, description="γ", **row),
            "threshold": ipywidgets.FloatSlider(
                o.threshold, min=0.01, max=0.99, step=0.01, description="threshold", **row
            ),
            "seed": ipywidgets.IntSlider(seed, min=0, max=max(20, seed), description="seed of the rest", **row),
            "largest": ipywidgets.Checkbox(o.largest_component, description="largest component", indent=False),
            "trcm": ipywidgets.Checkbox(o.trcm, description="calibration (TRCM)", indent=False),
            "dropout": ipywidgets.Checkbox(False, description="dropout as in training", indent=False),
        }
        image = example.batch.image[0, 0].numpy()
        self.viewers = [Viewer(image, spacing=example.spacing, name="mix") for _ in range(2)]

    def compute_sample(self, **values: Any) -> dict[str, Any]:
        """Draw both mixes; the box, the believed regions, the pseudo-labels and the losses in numbers."""
        self.fit_box(values["share"])
        example, step, views = self.look(values)
        truth = self.truths(example)
        for viewer, name in zip(self.viewers, (values["above"], values["below"]), strict=True):
            self.draw(viewer, name, views, truth)
        if values["case"] != self.case:
            self.case = values["case"]
            self.viewers[0].look_at(self.viewers[0].layers["asked for"].values)
            self.viewers[1].cursor = self.viewers[0].cursor
        told = {**self.told_of_regions(views), **self.told_of_pseudo_labels(example, views, truth)}
        for name in dict.fromkeys((values["above"], values["below"])):
            told[f"mean weight in {NAMES[name]}"] = float(seen(views, f"weight_{name}", 0).mean(dtype=np.float64))
            told[f"loss of {NAMES[name]}, whole batch"] = float(step.terms[name])
        return {**told, "loss of all mixes": float(step.total)}

    def fit_box(self, share: float) -> None:
        """Let the sliders of the box go as far as a box of this share may."""
        with changed(self.method, {"box": share}):
            places = self.method.box_places(self.scene.config.patch)
        for slider, count in zip(self.box, places, strict=True):
            slider.max = count - 1

    def look(self, values: Mapping[str, Any]) -> tuple[Example, Step, Views]:
        """The loss and its views for these controls; the last ones where only the mixes to show are others."""
        corner = [slider.value for slider in self.box]
        key = (corner, {name: value for name, value in values.items() if name not in ("above", "below")})
        if self.seen is None or self.seen[0] != key:
            labeled = self.pairs(values["labeled_a"], values["labeled_b"])
            example = self.scene.example(values["case"], seed=values["seed"], labeled=labeled)
            example = example.fixed(box=np.array(corner))
            options = {option: values[name] for name, option in OPTIONS.items()}
            self.seen = (key, example, *self.scene.look(example, dropout=values["dropout"], **options))
        return self.seen[1:]

    def pairs(self, first: str, second: str) -> list[str]:
        """The labeled samples of the batch: these two as the first of labeled a and of labeled b, others beside them.

        Others are cases; of those that are seen slice by slice the batch has the slice that `Scene.sample` takes.
        """
        half, taken = self.method.sampling.labeled // 2, [self.scene.case_of(one) for one in (first, second)]
        others = [one for one in self.labeled if one not in taken] or [first]
        beside = [others[n % len(others)] for n in range(2 * (half - 1))]
        return [first, *beside[: half - 1], second, *beside[half - 1 :]]

    def rows(self, example: Example) -> dict[str, int]:
        """The row of the batch that holds the first image of each part."""
        half = example.batch.num_labeled // 2
        return {part: number * half for number, part in enumerate(PARTS)}

    def truths(self, example: Example) -> dict[str, np.ndarray | None]:
        """The label of each part of the first pair where it is known, in the frame of the patch."""
        return {part: self.scene.truth(example, row) for part, row in self.rows(example).items()}

    def draw(self, viewer: Viewer, name: str, views: Views, truth: Mapping[str, np.ndarray | None]) -> None:
        """A mix, what it is asked for and answers, and what counts."""
        (outside, inside), names = MIXES[name], self.scene.dataset.class_names
        several = style.class_colours(len(names)) if len(names) > 2 else None
        p = views[f"probability_{name}"].value[:1].cpu()
        asked, answer = seen(views, f"target_{name}", 0)[0], hard_label(p)[0].numpy()
        box, weight = seen(views, "box", 0)[0], seen(views, f"weight_{name}", 0)[0]
        viewer.show_image(seen(views, f"mix_{name}", 0)[0])
        viewer.show_map("weight", weight, "weight", opacity=0.0)
        viewer.show_map("foreground", 1.0 - p[0, 0].numpy(), "probability", opacity=0.0)
        viewer.show_labels("box", box == 0, ("outside", "edge of the box"), colours=[style.GREEN])
        viewer.show_labels("does not count", weight == 0, ("counts", "does not count"), colours=[style.VERMILLION])
        viewer.show_labels("asked for", asked, names, colours=several or [style.PURPLE], dashed=several is not None)
        viewer.show_labels("student's answer", answer, names, colours=several or [style.PREDICTION])
        whole = truth[outside], truth[inside]
        if whole[0] is None or whole[1] is None:
            viewer.remove("reference")
        else:
            mask = torch.from_numpy(box)
            known = copy_paste(torch.from_numpy(whole[0]), torch.from_numpy(whole[1]), mask).numpy()
            viewer.show_labels("reference", known, names, dashed=True, opacity=0.0 if several else 0.9)
        viewer.title = f"{NAMES[name]}: {WORDS[outside]} with a box of {WORDS[inside]}"

    def told_of_regions(self, views: Views) -> dict[str, Any]:
        """How much of the patch the box takes, and of either side is reliable."""
        box = seen(views, "box", 0)[0] == 0
        told: dict[str, Any] = {"share of the box (%)": 100.0 * float(box.mean())}
        if "reliable_a" in views:
            told["reliable outside the box (%)"] = percent(seen(views, "reliable_a", 0)[0] > 0, ~box)
            told["reliable inside (%)"] = percent(seen(views, "reliable_b", 0)[0] > 0, box)
        return told

    def told_of_pseudo_labels(
        self, example: Example, views: Views, truth: Mapping[str, np.ndarray | None]
    ) -> dict[str, Any]:
        """Dice of both pseudo-labels, and how often they are right where they are believed and where not."""
        classes, half = self.scene.dataset.num_classes, example.batch.num_labeled // 2
        told: dict[str, Any] = {}
        right: list[np.ndarray] = []
        for number, part in enumerate(("u_a", "u_b")):
            label, guess = truth[part], seen(views, "pseudo_label", number * half)[0].astype(np.uint8)
            if label is not None:
                told[f"Dice of pseudo-label {part[-1]}"] = mean_dice(guess, label, classes)
                right.append(guess == label)
        if right and "reliable_a" in views:
            believed = (seen(views, "reliable_a", 0) + seen(views, "reliable_b", 0))[0] > 0
            where = np.stack([believed] * len(right))
            told["pseudo-labels right where reliable (%)"] = percent(np.stack(right), where)
            told["where not reliable (%)"] = percent(np.stack(right), ~where)
        return told
