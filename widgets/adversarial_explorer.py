"""Explore SS-Net's adversarial noise on one case: how long it is, how it is searched for, and what it does."""

from __future__ import annotations

import os
from typing import Any

import ipywidgets
import numpy as np
import torch

from ssmis_core.errors import UserError
from ssmis_core.perturbations import virtual_adversarial
from ssmis_core.runs import Run
from widgets import style
from widgets.case_controls import choosing
from widgets.explorer import Explorer
from widgets.measures import mean_dice
from widgets.replay import Example, array, as_in_training, first_unlabeled
from widgets.scene import Scene, dropout_as, scene_of
from widgets.viewer import Viewer

BEFORE, AFTER = "answer to the scan", "answer to scan + noise"


def explore_adversarial(
    run: Run | Scene | str | os.PathLike[str], case: str | None = None, *, data_root: str | None = None
) -> Explorer:
    """Noise that moves the answer most, beside random noise of the same length, on a case (default: the first one).

    Move epsilon (its length), xi (length of the trial), the power steps of the search, and the seed of its start. The
    pictures are views of `SSNet.loss`; dropout can be as in training, or off so that the noise is all that differs.
    Raises UserError for a method without adversarial noise.
    """
    scene = scene_of(run, data_root=data_root)
    o: Any = scene.method.options
    if not getattr(o, "smoothness", False):
        raise UserError(f"method {scene.config.method} makes no adversarial noise, expected ssnet with smoothness on")
    case = scene.known(case)
    shown = _Pictures(scene, case)
    chosen, compute = choosing(scene, case, shown.compute)
    row = {"continuous_update": False}
    controls = {
        **chosen,
        "epsilon": ipywidgets.FloatSlider(
            o.epsilon, min=0, max=max(4 * o.epsilon, 10), step=0.5, description="length ε", **row
        ),
        "xi": ipywidgets.FloatLogSlider(o.xi, min=-6, max=2, step=0.25, description="trial length ξ", **row),
        "power_iterations": ipywidgets.IntSlider(
            o.power_iterations, min=1, max=max(5, o.power_iterations), description="power steps", **row
        ),
        "seed": ipywidgets.IntSlider(
            scene.config.seed, min=0, max=max(20, scene.config.seed), description="seed of the start", **row
        ),
        "dropout": ipywidgets.Checkbox(False, description="dropout as in training", indent=False),
    }
    reading = "Orange is the answer to the scan, red-orange the answer to the scan with noise."
    if scene.dataset.num_classes > 2:
        reading = "Lines in the colour of each class are the answer to the scan, dashed ones to the scan with noise."
    return Explorer(
        f"What does the worst small noise do? {scene.config.method}, {scene.trained}",
        f"{reading} Above, the noise was searched for; below, it is random and of the same length.",
        controls,
        [shown.worst, shown.random],
        compute,
    )


class _Pictures:
    """The two viewers, and what is drawn into them."""

    def __init__(self, scene: Scene, case: str):
        self.scene, self.case = scene, ""
        example = scene.example(case)
        image = first_unlabeled(example)
        frame: dict[str, Any] = {"spacing": example.spacing, "name": "scan + noise"}
        self.worst = Viewer(image, title="adversarial noise", **frame)
        self.random = Viewer(image, title="random noise of the same length", **frame)

    def compute(
        self, case: str, epsilon: float, xi: float, power_iterations: int, seed: int, dropout: bool
    ) -> dict[str, Any]:
        """Draw both noises and the answers to them; what they did, in numbers."""
        example = self.scene.example(case, seed=seed)
        sample = example.batch.num_labeled
        options: dict[str, Any] = {"epsilon": epsilon, "xi": xi, "power_iterations": power_iterations}
        _, views = self.scene.look(example, dropout=dropout, **options)
        noise = array(views["adversarial_noise"], sample)[0]
        before, after = (array(views[name], sample) for name in ("clean_probability", "perturbed_probability"))
        random_noise, random_before, random_after = random_like(self.scene, example, epsilon, dropout=dropout)
        image, moved = array(views["image"], sample)[0], case != self.case
        top = max(float(np.abs(noise).max()), 1e-6)
        for viewer, noise_map, first, second in (
            (self.worst, noise, before, after),
            (self.random, random_noise, random_before, random_after),
        ):
            viewer.show_image(image + noise_map)
            viewer.show_map("noise", noise_map, "noise", top=top)
            viewer.show_map("change of p(foreground)", first[0] - second[0], "change", opacity=0.0)
            self._show_answers(viewer, first.argmax(0), second.argmax(0))
        self.worst.title, self.random.title = f"{case}, adversarial noise", f"{case}, random noise of the same length"
        if moved:
            self.worst.look_at(before.argmax(0))
            self.random.cursor, self.case = self.worst.cursor, case
        answers = [one.argmax(0) for one in (before, after, random_before, random_after)]
        classes = self.scene.dataset.num_classes
        return {
            "norm of the noise": float(np.sqrt((noise.astype(np.float64) ** 2).sum())),
            "Dice of the two answers": mean_dice(answers[1], answers[0], classes),
            "with random noise": mean_dice(answers[3], answers[2], classes),
            "voxels that flipped": int((answers[0] != answers[1]).sum()),
            "flipped with random noise": int((answers[2] != answers[3]).sum()),
        }

    def _show_answers(self, viewer: Viewer, before: np.ndarray, after: np.ndarray) -> None:
        """Both answers; several classes have their own colours, so the second answer is dashed there."""
        names, classes = self.scene.dataset.class_names, self.scene.dataset.num_classes
        same = style.class_colours(classes) if classes > 2 else None
        told = names if same else ("outside", "inside")
        viewer.show_labels(BEFORE, before, told, colours=same or [style.PREDICTION])
        viewer.show_labels(AFTER, after, told, colours=same or [style.VERMILLION], dashed=same is not None)


def random_like(
    scene: Scene, example: Example, epsilon: float, *, dropout: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(noise [*box], p [K, *box] before, and after) for noise of length epsilon that was not searched for."""
    method: Any = scene.method
    batch, sample = example.batch, example.batch.num_labeled
    start = example.draws.uniform_like("adversarial_start", batch.image)
    with as_in_training(method), dropout_as(method, dropout), torch.no_grad():
        example.draws.seed_dropout()
        found = virtual_adversarial(
            method.network, batch.image, start, distance=method.distance, epsilon=epsilon, iterations=0
        )
    turn, dims = batch.turn[sample], batch.image.ndim - 2
    maps = [turn.undo(one[sample], dims).float().cpu().numpy() for one in found[1:]]
    return maps[0][0], maps[1], maps[2]
