"""The explorers that are driven in a browser, and what their controls make of an arrow key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ssmis_core import open_dataset
from widgets.adversarial_explorer import explore_adversarial
from widgets.copy_paste_explorer import explore_copy_paste
from widgets.distance_explorer import explore_distance
from widgets.explorer import Explorer
from widgets.metric_explorer import explore_metrics
from widgets.scene import Scene
from widgets.separation_explorer import explore_separation
from widgets.translation_explorer import explore_translation
from widgets.uncertainty_explorer import explore_uncertainty

SMALL: dict[str, Any] = {"patch": (32, 32, 32), "stride": (32, 32, 32), "factor": 1, "filters": 4, "iterations": 20}
SETTINGS = {"labeled": 4, "dataset_options": {"size": 32}, **SMALL}
CASE = "phantom-090"


@dataclass(frozen=True)
class Subject:
    """An explorer: its function, the method that it looks at, its viewers, and what an arrow key makes of each slider.

    method: None for one that looks at the data alone. overlay: a map of its first viewer; charts: how many it has;
    still: sliders that leave all slices as they are. settings: of the method, beside those that all have.
    """

    function: Callable[..., Explorer]
    method: str | None
    viewers: int
    sliders: dict[str, float]
    overlay: str
    charts: int = 0
    still: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def all_settings(self) -> dict[str, Any]:
        return {**SETTINGS, **self.settings}

    def subject(self) -> str:
        """Python for what the explorer is given first."""
        if self.method is None:
            return f"open_dataset('phantom', **{self.all_settings['dataset_options']!r})"
        return f"Scene.untrained({self.method!r}, **{self.all_settings!r})"

    def cells(self) -> list[str]:
        name = self.function.__name__
        return [
            f"from {self.function.__module__} import {name}",
            "from ssmis_core import open_dataset\nfrom widgets.scene import Scene",
            f"shown = {name}({self.subject()}, {CASE!r})\nshown",
            "import json\nprint(json.dumps({name: one.value for name, one in shown.controls.items()}))",
            "print([one.cursor for one in shown.viewers], shown.viewers[0].window)",
        ]

    def direct(self) -> Explorer:
        """The same explorer here, without a browser."""
        given = eval(self.subject(), {"Scene": Scene, "open_dataset": open_dataset})  # the text that the notebook runs
        return self.function(given, CASE)


SUBJECTS = {
    "noise": Subject(
        explore_adversarial, "ssnet", 2, {"epsilon": 10.5, "xi": 10**1.25, "power_iterations": 2, "seed": 1}, "noise"
    ),
    "certainty": Subject(explore_uncertainty, "ugmcl", 1, {"passes": 3, "noise": 0.15, "t": 18, "seed": 1}, "entropy"),
    "separation": Subject(
        explore_separation,
        "ssnet",
        1,
        {"voxels": 1100, "seed": 1},
        "distance",
        charts=1,
        still=("voxels",),
    ),
    "distance": Subject(explore_distance, "ugmcl", 2, {"level": 0.02, "k": 2000.0}, "distance", charts=2, still=("k",)),
    "overlap": Subject(
        explore_translation,
        "tracoco",
        2,
        {
            **{"first_x": 8, "first_y": 7, "first_z": 8, "second_x": 5, "second_y": 3, "second_z": 8},
            **{"positive": 0.66, "negative": 0.11, "noise": 0.1, "seed": 1},
        },
        "KL",
        charts=1,
        still=("negative",),
        settings={"patch": (16, 16, 16), "stride": (16, 16, 16), "min_overlap": 4},
    ),
    "mixes": Subject(
        explore_copy_paste,
        "cpam_trcm",
        2,
        {"share": 0.7, "box_x": 9, "box_y": 5, "box_z": 8, "gamma": 0.55, "threshold": 0.51, "seed": 1},
        "box",
        still=("gamma", "threshold"),
        settings={"box": 0.65},
    ),
    "metrics": Subject(
        explore_metrics,
        None,
        1,
        {
            **{"shift_x": 1, "shift_y": 1, "shift_z": 1, "grow": 1, "blob": 3},
            **{"place_x": 95, "place_y": 95, "place_z": 55, "hole": 1, "branches": 1, "cut": 5},
            **{"spacing_x": 2.625, "spacing_y": 2.625, "spacing_z": 2.625},
        },
        "error",
        charts=1,
    ),
}
