"""Explore the certainty of a teacher on one case: how it is measured, what the threshold keeps, and how right it is."""

from __future__ import annotations

import math
import os
from typing import Any

import ipywidgets
import numpy as np

from ssmis_core.errors import UserError
from ssmis_core.runs import Run
from ssmis_core.uncertainty import THRESHOLD_POLICIES, certainty_threshold
from widgets import style
from widgets.case_controls import choosing
from widgets.explorer import Explorer
from widgets.replay import array, first_unlabeled
from widgets.scene import Scene, scene_of
from widgets.viewer import Viewer


def explore_uncertainty(
    run: Run | Scene | str | os.PathLike[str], case: str | None = None, *, data_root: str | None = None
) -> Explorer:
    """The teacher's entropy on a case (default: the first one), the voxels that are certain enough, and their worth.

    Move the number of Monte-Carlo passes, their noise, the iteration (which sets the threshold), the policy and the
    seed. The pictures are views of `UGMCL.loss`. Raises UserError for a method without a certainty mask.
    """
    scene = scene_of(run, data_root=data_root)
    o: Any = scene.method.options
    if not (getattr(o, "uncertainty", False) and o.intra_task):
        name = scene.config.method
        raise UserError(f"method {name} has no certainty mask, expected ugmcl with intra_task and uncertainty on")
    case = scene.known(case)
    shown = _Pictures(scene, case)
    chosen, compute = choosing(scene, case, shown.compute)
    length = scene.method.stages(scene.config.iterations)[-1].iterations
    row = {"continuous_update": False}
    controls = {
        **chosen,
        "passes": ipywidgets.IntSlider(o.passes, min=1, max=max(16, o.passes), description="passes", **row),
        "noise": ipywidgets.FloatSlider(o.noise, min=0, max=max(0.5, o.noise), step=0.05, description="noise", **row),
        "t": ipywidgets.IntSlider(length - 1, min=0, max=length - 1, description="iteration t", **row),
        "policy": ipywidgets.Dropdown(options=THRESHOLD_POLICIES, value=o.threshold_policy, description="threshold"),
        "seed": ipywidgets.IntSlider(
            scene.config.seed, min=0, max=max(20, scene.config.seed), description="seed of the noise", **row
        ),
    }
    return Explorer(
        f"Which voxels is the teacher sure of? {scene.config.method}, {scene.trained}",
        "Bright voxels have a high entropy. Those inside the red-orange line are left out of the intra-task term.",
        controls,
        [shown.viewer],
        compute,
    )


class _Pictures:
    """The viewer, and what is drawn into it."""

    def __init__(self, scene: Scene, case: str):
        self.scene, self.case = scene, ""
        example = scene.example(case)
        self.viewer = Viewer(first_unlabeled(example), spacing=example.spacing, title="teacher's uncertainty")

    def compute(self, case: str, passes: int, noise: float, t: int, policy: str, seed: int) -> dict[str, Any]:
        """Draw entropy, answer and mask; the threshold, the share that it keeps, and how right those voxels are."""
        scene, classes = self.scene, self.scene.dataset.num_classes
        example = scene.example(case, t=t, seed=seed)
        sample = example.batch.num_labeled
        o: Any = scene.method.options
        clip = o.noise_clip * noise / o.noise if o.noise else o.noise_clip  # cut off at the same share of the normal
        _, views = scene.look(example, passes=passes, noise=noise, noise_clip=clip, threshold_policy=policy)
        entropy, kept = array(views["uncertainty"], sample)[0], array(views["certainty"], sample)[0] > 0
        answer = array(views["teacher_probability"], sample).argmax(0)
        label = scene.reference(case, example)
        names = scene.dataset.class_names
        self.viewer.show_image(array(views["image"], sample)[0])
        self.viewer.show_map("entropy", entropy, "uncertainty", top=math.log(classes))
        self.viewer.show_labels("left out", ~kept, ("kept", "left out"), colours=[style.VERMILLION])
        self.viewer.show_labels("teacher", answer, names, colours=style.class_colours(classes, predicted=True))
        if label is not None:
            self.viewer.show_labels("reference", label, names, dashed=True)
        else:
            self.viewer.remove("reference")
        self.viewer.title = f"teacher's uncertainty on {case}"
        if case != self.case:
            self.case = case
            self.viewer.look_at(answer)
        limit = certainty_threshold(t, example.clock.T, classes, policy=policy, start=o.threshold_start)
        told: dict[str, Any] = {
            "threshold (nats)": limit,
            "mean entropy (nats)": float(entropy.mean()),
            "voxels kept (%)": 100.0 * float(kept.mean()),
        }
        if label is not None:
            told["teacher right where kept (%)"] = _percent_right(answer, label, kept)
            told["where left out (%)"] = _percent_right(answer, label, ~kept)
        return told


def _percent_right(answer: np.ndarray, label: np.ndarray, where: np.ndarray) -> float:
    """How many of these voxels have the class of the label, in percent; NaN where there are none."""
    return 100.0 * float((answer == label)[where].mean()) if where.any() else math.nan
