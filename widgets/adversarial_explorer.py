"""Explore SS-Net's adversarial noise on one case: how long it is, how it is searched for, and what it does."""

from __future__ import annotations

import os
from typing import Any

import ipywidgets
import numpy as np
import torch

from ssmis_core.errors import UserError
from ssmis_core.metrics import evaluate
from ssmis_core.perturbations import virtual_adversarial
from ssmis_core.runs import Run
from widgets import style
from widgets.explorer import Explorer
from widgets.replay import Example, array, as_in_training, first_unlabeled, foreground
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
    row = {"continuous_update": False}
    controls = {
        "case": ipywidgets.Dropdown(options=scene.cases, value=case, description="case"),
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
    shown = _Pictures(scene, case)
    return Explorer(
        f"What does the worst small noise do? {scene.config.method}, {scene.trained}",
        "Orange is the answer to the scan, red-orange the answer to the scan with noise. Above, the noise was searched "
        "for; below, it is random and of the same length.",
        controls,
        [shown.worst, shown.random],
        shown.compute,
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
        before = foreground(views["clean_probability"], sample)
        after = foreground(views["perturbed_probability"], sample)
        random_noise, random_before, random_after = random_like(self.scene, example, epsilon, dropout=dropout)
        image, moved = array(views["image"], sample)[0], case != self.case
        top = max(float(np.abs(noise).max()), 1e-6)
        for viewer, noise_map, first, second in (
            (self.worst, noise, before, after),
            (self.random, random_noise, random_before, random_after),
        ):
            viewer.show_image(image + noise_map)
            viewer.show_map("noise", noise_map, "noise", top=top)
            viewer.show_map("change of p(foreground)", second - first, "change", opacity=0.0)
            viewer.show_labels(BEFORE, first > 0.5, ("outside", BEFORE), colours=[style.PREDICTION])
            viewer.show_labels(AFTER, second > 0.5, ("outside", AFTER), colours=[style.VERMILLION])
        self.worst.title, self.random.title = f"{case}, adversarial noise", f"{case}, random noise of the same length"
        if moved:
            self.worst.look_at(before > 0.5)
            self.random.cursor, self.case = self.worst.cursor, case
        return {
            "norm of the noise": float(np.sqrt((noise.astype(np.float64) ** 2).sum())),
            "Dice of the two answers": evaluate(after > 0.5, before > 0.5).dice,
            "with random noise": evaluate(random_after > 0.5, random_before > 0.5).dice,
            "voxels that flipped": int(((before > 0.5) != (after > 0.5)).sum()),
            "flipped with random noise": int(((random_before > 0.5) != (random_after > 0.5)).sum()),
        }


def random_like(
    scene: Scene, example: Example, epsilon: float, *, dropout: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(noise, p(foreground) before, and after) for noise of length epsilon that was not searched for: no power step."""
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
    return maps[0][0], 1.0 - maps[1][0], 1.0 - maps[2][0]
