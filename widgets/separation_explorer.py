"""Explore SS-Net's class separation on one case: where voxels lie in feature space, and how far from the prototypes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import ipywidgets
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ssmis_core.errors import UserError
from ssmis_core.methods.ssnet import PROTOTYPE_ORDERS
from ssmis_core.runs import Run
from ssmis_core.separation import class_distances, feature_axes, separation_ratio, silhouette, spread_shown
from widgets import style
from widgets.case_controls import choosing
from widgets.chart import Chart
from widgets.explorer import Explorer
from widgets.feature_plane import Cloud, feature_plane
from widgets.replay import array, first_unlabeled
from widgets.scene import Scene, scene_of
from widgets.viewer import Viewer

BY = ("reference", "answer")
TOWARDS, PRINCIPAL = "to the prototypes", "largest spread"


def explore_separation(
    run: Run | Scene | str | os.PathLike[str], case: str | None = None, *, data_root: str | None = None
) -> Explorer:
    """Feature vectors of a case's voxels (default: the first case) in a plane, beside a map of how far each is.

    Move the class whose prototypes are measured to (where several have some), what classes voxels are told apart by,
    the axes of the plane, how many voxels are drawn (as many of each class), which voxels become prototypes, and the
    seed. A click on a point puts the crosshair on its voxel. The pictures are views of `SSNet.loss`; dropout can be as
    in training, or off. Raises UserError for a method without prototypes.
    """
    scene = scene_of(run, data_root=data_root)
    o: Any = scene.method.options
    if not getattr(o, "separation", False):
        raise UserError(f"method {scene.config.method} has no prototypes, expected ssnet with separation on")
    case = scene.known(case)
    shown = _Pictures(scene, case)
    chosen, compute = choosing(scene, case, shown.compute)
    row = {"continuous_update": False}
    names = list(scene.dataset.class_names)
    known = [(name, k) for k, name in enumerate(names) if k or o.background]
    first = known[min(1, len(known) - 1)][1] if o.background else known[0][1]
    labelled = scene.reference(case, scene.example(case)) is not None
    controls = {
        **chosen,
        "which": ipywidgets.Dropdown(options=known, value=first, description="prototypes of"),
        "by": ipywidgets.Dropdown(options=BY, value=BY[0 if labelled else 1], description="classes by"),
        "axes": ipywidgets.Dropdown(options=(TOWARDS, PRINCIPAL), description="axes"),
        "order": ipywidgets.Dropdown(options=PROTOTYPE_ORDERS, value=o.prototypes, description="scores that enter"),
        "voxels": ipywidgets.IntSlider(1000, min=100, max=4000, step=100, description="voxels drawn", **row),
        "seed": ipywidgets.IntSlider(
            scene.config.seed, min=0, max=max(20, scene.config.seed), description="seed", **row
        ),
        "dropout": ipywidgets.Checkbox(False, description="dropout as in training", indent=False),
    }
    return Explorer(
        f"Do the classes lie apart in feature space? {scene.config.method}, {scene.trained}",
        "Each point is a voxel, each diamond a prototype, each cross a voxel that is answered wrong. In the map, dark "
        "is near to the prototypes.",
        controls,
        [shown.viewer],
        compute,
        [shown.chart],
    )


class _Pictures:
    """The viewer and the plane beside it, and what is drawn into them."""

    def __init__(self, scene: Scene, case: str):
        self.scene, self.case = scene, ""
        self.names = list(scene.dataset.class_names)
        self.colours = (style.GREY, *style.class_colours(len(self.names)))
        example = scene.example(case)
        self.viewer = Viewer(first_unlabeled(example), spacing=example.spacing)
        self.chart = Chart()
        self.chart.on_pick(self.pick)
        self.places: list[np.ndarray] = []  # of the voxels of each cloud

    def compute(
        self, case: str, which: int, by: str, axes: str, order: str, voxels: int, seed: int, dropout: bool
    ) -> dict[str, Any]:
        """Draw the plane and the map; distances of the classes to the prototypes and to each other, over all voxels."""
        scene = self.scene
        example = scene.example(case, seed=seed)
        label, sample = scene.reference(case, example), example.batch.num_labeled
        if label is None and by == "reference":
            raise UserError(f"case {case} has no reference, expected classes by 'answer'")
        _, views = scene.look(example, dropout=dropout, large=True, smoothness=False, prototypes=order)
        answer = array(views["probability"], sample).argmax(0)
        rows = torch.from_numpy(array(views["embedded"], sample)).flatten(1).T.contiguous()
        rows = F.normalize(rows, dim=1)
        k = which - (len(self.names) - views["prototype_centres"].value.shape[0])
        centre, distance = views["prototype_centres"].value[k].cpu(), array(views["prototype_distance"], sample)[k]
        classes = answer if by == "answer" or label is None else label
        self._show(array(views["image"], sample)[0], distance, answer, label, case, which)
        drawn = _as_many_of_each(classes, len(self.names), voxels, seed)
        prototypes = [F.normalize(one[one.norm(dim=1) > 0].cpu(), dim=1) for one in views["prototypes"].value]
        both = torch.cat([rows[drawn], *prototypes])
        plane = feature_axes(both, centre if axes == TOWARDS else None)
        clouds = self._clouds(rows @ plane.T, drawn, classes, answer, label, distance)
        clouds += self._marks(prototypes, plane)
        shares = [100 * spread_shown(both, one[None]) for one in plane]
        aimed = axes == TOWARDS and bool(centre.norm() > 0)
        names = self._axes(which, shares, aimed)
        count = sum(map(len, prototypes))
        title = f"{len(drawn)} voxels and {count or 'no'} prototypes{'' if count else ' yet'}"
        along = " and ".join(names).replace("<br>", " ")
        alt = f"Feature vectors of voxels of {case} in a plane, by class, with the prototypes; {along}."
        self.chart.show(feature_plane(clouds, names, title=title, alt=alt))
        told = self._told(rows, distance, torch.from_numpy(np.ascontiguousarray(classes)).flatten(), which)
        return {**told, "spread that the plane shows (%)": 100 * spread_shown(both, plane)}

    def pick(self, trace: int, point: int) -> None:
        """Put the crosshair on the voxel of a point of the plane; prototypes lie in other patches."""
        if trace < len(self.places) and point < len(self.places[trace]):
            place = np.unravel_index(self.places[trace][point], self.viewer.shape)
            self.viewer.cursor = [int(n) for n in place]

    def _show(
        self, image: np.ndarray, distance: np.ndarray, answer: np.ndarray, label: np.ndarray | None, case: str, k: int
    ) -> None:
        viewer, names = self.viewer, self.names
        viewer.show_image(image)
        viewer.show_map("distance", distance, "cosine")
        viewer.show_labels("answer", answer, names, colours=style.class_colours(len(names), predicted=True))
        if label is not None:
            viewer.show_labels("reference", label, names, dashed=True)
        else:
            viewer.remove("reference")
        viewer.title = f"{case}, distance to the prototypes of {names[k]}"
        if case != self.case:
            self.case = case
            viewer.look_at(answer if answer.any() or label is None else label)

    def _clouds(
        self,
        points: Tensor,
        drawn: np.ndarray,
        classes: np.ndarray,
        answer: np.ndarray,
        label: np.ndarray | None,
        distance: np.ndarray,
    ) -> list[Cloud]:
        """Two clouds a class: voxels that are answered right (or of which nobody knows), and wrong."""
        given, said = classes.ravel()[drawn], answer.ravel()[drawn]
        true = None if label is None else label.ravel()[drawn]
        wrong = np.zeros(len(drawn), bool) if true is None else said != true
        texts = []
        for place in drawn:
            at = np.unravel_index(place, answer.shape)
            told = f"voxel {tuple(int(n) for n in at)}<br>answer {self.names[answer[at]]}"
            told += "" if label is None else f", reference {self.names[label[at]]}"
            texts.append(f"{told}<br>distance {distance[at]:.3f}")
        clouds: list[Cloud] = []
        self.places = []
        for k, (name, colour) in enumerate(zip(self.names, self.colours, strict=True)):
            for mark, called, inside in (("voxel", "", ~wrong), ("wrong", "answered wrong", wrong)):
                numbers = np.flatnonzero((given == k) & inside)
                spots = points[drawn[numbers]].numpy()
                clouds.append(Cloud(name, colour, spots, mark, called, [texts[n] for n in numbers]))
                self.places.append(drawn[numbers])
        return clouds

    def _marks(self, prototypes: Sequence[Tensor], plane: Tensor) -> list[Cloud]:
        """One cloud a class that has prototypes."""
        first = len(self.names) - len(prototypes)
        return [
            Cloud(self.names[k], self.colours[k], (one @ plane.T).numpy(), "prototype", "prototype")
            for k, one in enumerate(prototypes, start=first)
        ]

    def _axes(self, which: int, shares: Sequence[float], aimed: bool) -> tuple[str, str]:
        first = f"cosine with the mean prototype of {self.names[which]}" if aimed else "along the largest spread"
        second = "along the largest spread across it" if aimed else "along the second largest spread"
        return f"{first}<br>({shares[0]:.0f} % of the spread)", f"{second} ({shares[1]:.0f} %)"

    def _told(self, rows: Tensor, distance: np.ndarray, classes: Tensor, which: int) -> dict[str, float]:
        names, count = self.names, len(self.names)
        far, own = torch.from_numpy(np.ascontiguousarray(distance)).flatten(), classes == which
        between, score = class_distances(rows, classes, count), silhouette(rows, classes, count)
        told = {
            f"to the prototypes, from {names[which]}": float(far[own].mean()),
            "to the prototypes, from elsewhere": float(far[~own].mean()),
        }
        told |= {f"within {name}": float(between[k, k]) for k, name in enumerate(names)}
        told |= {
            f"between {names[which]} and {name}": float(between[which, k]) for k, name in enumerate(names) if k != which
        }
        return told | {
            "between / within": separation_ratio(between),
            f"silhouette of {names[which]}": float(score[own].nanmean()),
            "silhouette of all voxels": float(score.nanmean()),
        }


def _as_many_of_each(classes: np.ndarray, count: int, voxels: int, seed: int) -> np.ndarray:
    """Voxels to draw, as places in the flat array: an equal share of each class, or all that it has."""
    generator = np.random.default_rng(seed)
    flat = classes.ravel()
    there = [np.flatnonzero(flat == k) for k in range(count)]
    there = [one for one in there if len(one)]
    share = voxels // len(there)
    return np.concatenate([generator.permutation(one)[:share] for one in there])
