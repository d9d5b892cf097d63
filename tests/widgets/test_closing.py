"""Explorers that are opened on a run folder and closed again: networks, scans and widgets go with them."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ipywidgets.widgets.widget import _instances

from ssmis_core.runs import Run
from tests.widgets.evaluated_runs import evaluated
from tests.widgets.explorer_scenes import EXPLORERS, scene
from widgets import rerun
from widgets.case_browser import browse_cases
from widgets.distance_explorer import explore_distance
from widgets.explorer import Explorer
from widgets.translation_explorer import explore_translation
from widgets.uncertainty_explorer import explore_uncertainty

OPENED: dict[Callable[..., Explorer], str] = {**EXPLORERS, browse_cases: "supervised"}
QUICK = (explore_translation,)  # two networks; the others when there is time
CYCLES = 10


def run_of(method: str, folder: Path) -> Run:
    """A run folder as training leaves it; of the supervised method with scores and predictions."""
    if method == "supervised":
        return evaluated(folder)
    one = scene(2, method)
    run = Run.create(folder, one.config)
    run.update(status="finished", shape={"num_classes": 2, "dims": 2, "channels": 1})
    run.save_weights(one.method.state_dict())
    return run


def live() -> tuple[int, int]:
    """(bytes of all tensors that are alive, widgets that are alive)."""
    gc.collect()
    real = (torch.Tensor, torch.nn.Parameter)  # and none that a compiler left, which has no memory
    tensors = [one for one in gc.get_objects() if type(one) in real]
    return sum({one.data_ptr(): one.untyped_storage().nbytes() for one in tensors}.values()), len(_instances)


@pytest.mark.parametrize(
    "function",
    [one if one in QUICK else pytest.param(one, marks=pytest.mark.slow) for one in OPENED],
    ids=lambda function: function.__name__,
)
def test_after_ten_cycles_as_much_is_alive_as_after_two(function: Callable[..., Explorer], tmp_path: Path) -> None:
    run, alive = run_of(OPENED[function], tmp_path / "run"), []
    for _ in range(CYCLES):
        shown = function(run)
        assert not shown.frame.line.value
        shown.close()
        del shown
        alive.append(live())
    assert alive[CYCLES - 1] == alive[1]


@pytest.mark.parametrize(
    ("function", "control", "value"),
    [(explore_distance, "case", "phantom-084"), (browse_cases, "against", "volume")],
    ids=["explore_distance", "browse_cases"],
)
def test_a_closed_explorer_that_still_has_a_name_holds_no_tensor_and_does_nothing(
    function: Callable[..., Explorer], control: str, value: str, tmp_path: Path
) -> None:
    run = run_of(OPENED[function], tmp_path / "run")
    function(run).close()
    before = live()
    shown = function(run)
    assert live() > before
    shown.close()
    numbers = dict(shown.numbers)
    shown.controls[control].value = value
    assert live() == before and shown.numbers == numbers
    shown.close()


class Shell:
    """A kernel that runs a cell."""

    def __init__(self) -> None:
        self.kernel, self.runs = self, 0
        self.told: dict[str, Any] = {}

    def begin(self, cell: str | None) -> None:
        self.runs += 1
        self.told = {"header": {"msg_id": str(self.runs)}, "metadata": {"cellId": cell} if cell else {}}

    def get_parent(self, _channel: str) -> dict[str, Any]:
        return self.told


def test_a_cell_that_runs_again_closes_what_it_made_before(monkeypatch: pytest.MonkeyPatch) -> None:
    shell, one = Shell(), scene(2, "ugmcl")
    monkeypatch.setattr("IPython.core.getipython.get_ipython", lambda: shell)
    shell.begin("a")
    first, beside = explore_uncertainty(one), explore_distance(one)
    shell.begin("b")
    other = explore_uncertainty(one)
    assert all(shown.comm is not None for shown in (first, beside, other))
    shell.begin("a")
    again = explore_uncertainty(one)
    assert first.comm is None and beside.comm is None and not first.viewers[0].layers
    assert other.comm is not None and again.comm is not None
    shell.begin(None)  # as from a console: nobody knows which cell
    explore_uncertainty(one).close()
    assert again.comm is not None
    for shown in (other, again):
        shown.close()
    monkeypatch.undo()
    assert rerun.running_cell() == ("", "")
