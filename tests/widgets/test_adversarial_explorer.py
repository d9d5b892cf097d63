"""The frame of explorers and the adversarial one: numbers are those of the core, and nothing stays behind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from ipywidgets.widgets.widget import _instances

from ssmis_core.errors import UserError
from ssmis_core.metrics import evaluate
from ssmis_core.perturbations import virtual_adversarial
from tests.widgets.explorer_scenes import scene
from widgets import style
from widgets.adversarial_explorer import AFTER, BEFORE, explore_adversarial
from widgets.explorer import Explorer
from widgets.measures import mean_dice


@pytest.fixture
def explorer() -> Iterator[Explorer]:
    shown = explore_adversarial(scene(), "phantom-090")
    yield shown
    shown.close()


@pytest.mark.parametrize("dims", [2, 3])
def test_the_case_asked_for_is_the_first_unlabeled_sample_unturned(dims: int) -> None:
    one = scene(dims, augmentations=("rot_flip",))
    for t in (0, 7, None):
        example = one.example("phantom-090", t=t)
        first = example.batch.num_labeled
        assert example.batch.case[first] == "phantom-090" and example.batch.case.count("phantom-090") == 1
        assert example.batch.turn[first].quarters == 0


def test_a_patch_smaller_than_the_scan_lies_on_the_middle_of_the_label() -> None:
    one = scene(2, patch=(16, 16), stride=(16, 16))
    label = one.dataset.load("phantom-090").label
    assert label is not None
    middle = [int(np.median(axis)) for axis in np.nonzero(label)]
    example = one.example("phantom-090")
    corner = example.batch.corner[example.batch.num_labeled].tolist()
    assert corner == [min(max(m - 8, 0), 16) for m in middle]


def test_the_numbers_are_those_of_the_core(explorer: Explorer) -> None:
    explorer.controls["epsilon"].value = 25.0
    explorer.controls["seed"].value = 3
    one = scene()
    example, o = one.example("phantom-090", seed=3), one.method.options
    one.method.train()
    with torch.no_grad():
        one.method.apply(lambda layer: setattr(layer, "p", 0.0) if hasattr(layer, "p") else None)
        start = example.draws.uniform_like("adversarial_start", example.batch.image)
        found = virtual_adversarial(
            one.method.network, example.batch.image, start, distance=one.method.distance, xi=o.xi, epsilon=25.0
        )
    first = example.batch.num_labeled
    before, after = (1 - p[first, 0].numpy() > 0.5 for p in (found.clean, found.perturbed))
    assert explorer.numbers["norm of the noise"] == pytest.approx(25.0, rel=1e-4)
    assert explorer.numbers["Dice of the two answers"] == pytest.approx(evaluate(after, before).dice)
    assert explorer.numbers["voxels that flipped"] == int((after != before).sum())


@pytest.mark.parametrize("dims", [2, 3])
def test_of_several_classes_a_voxel_that_goes_over_to_another_one_has_flipped(dims: int) -> None:
    one = scene(dims, classes=4)
    views = one.look(one.example("phantom-090"), dropout=False)[1]
    p = views["clean_probability"].value[views["clean_probability"].case.index("phantom-090")]
    bias = [weights for weights in one.method.network.parameters() if weights.shape == (4,)][-1]
    with torch.no_grad():  # two objects, half of the voxels each, and nothing else
        bias[2] += (p[1] / p[2]).log().median()
        bias[[0, 3]] -= 50.0
    shown = explore_adversarial(one, "phantom-090")
    shown.controls["epsilon"].value = 40.0
    before, after = (shown.viewers[0].layers[name].values for name in (BEFORE, AFTER))
    assert set(np.unique(before)) == {1, 2} and shown.viewers[0].layers[BEFORE].classes[2] == "left ventricle"
    assert shown.numbers["voxels that flipped"] == int((before != after).sum()) > 0
    assert shown.numbers["Dice of the two answers"] == pytest.approx(mean_dice(after, before, 4))
    assert shown.numbers["Dice of the two answers"] < 1
    shown.close()


def test_each_control_changes_the_pictures_and_the_method_keeps_its_options(explorer: Explorer) -> None:
    seen = {explorer.viewers[0].layers["noise"].values.tobytes()}
    for name, value in (("epsilon", 5.0), ("xi", 0.1), ("power_iterations", 3), ("seed", 4), ("case", "phantom-084")):
        explorer.controls[name].value = value
        seen.add(explorer.viewers[0].layers["scan + noise"].values.tobytes())
    assert len(seen) == 6


def test_looking_leaves_the_method_as_it_was() -> None:
    one = scene()
    before = {name: value.clone() for name, value in one.method.state_dict().items()}
    options = one.method.options
    shown = explore_adversarial(one)
    shown.controls["dropout"].value = True
    assert one.method.options is options and not one.method.training
    assert all(torch.equal(value, before[name]) for name, value in one.method.state_dict().items())
    assert {layer.p for layer in one.method.modules() if isinstance(layer, torch.nn.Dropout2d)} == {options.dropout}


def test_a_still_stands_in_where_a_notebook_runs_without_a_reader(
    explorer: Explorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    figure = explorer.still()
    assert figure.layout.title.text == explorer.title and "voxels that flipped" in style.alt_text(figure)
    assert figure.layout.xaxis.title.text == "x (mm)"
    assert "application/vnd.jupyter.widget-view+json" not in explorer._repr_mimebundle_()
    monkeypatch.setenv("JPY_SESSION_NAME", "notebook.ipynb")
    told = explorer._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in (told[0] if isinstance(told, tuple) else told)


def test_opening_and_closing_leaves_no_widget_behind() -> None:
    one, counts = scene(), []
    for _ in range(3):
        explore_adversarial(one).close()
        counts.append(len(_instances))
    assert counts[0] == counts[-1]


def test_a_mistake_is_shown_in_a_line_and_the_pictures_stay(
    explorer: Explorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_values: Any) -> None:
        raise UserError("case x: <broken>")

    numbers = dict(explorer.numbers)
    monkeypatch.setattr(explorer, "_compute", fail)
    explorer.controls["epsilon"].value = 1.0
    assert "case x: &lt;broken&gt;" in explorer.frame.line.value and explorer.numbers == numbers


def test_any_other_error_is_on_the_page_too(explorer: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_values: Any) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(explorer, "_compute", fail)
    with pytest.raises(RuntimeError):
        explorer.controls["epsilon"].value = 1.0
    assert "RuntimeError: out of memory" in explorer.frame.line.value


@pytest.mark.parametrize(("method", "options"), [("ugmcl", {}), ("ssnet", {"smoothness": False}), ("supervised", {})])
def test_a_method_without_such_noise_is_one_line(method: str, options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="makes no adversarial noise"):
        explore_adversarial(scene(method=method, **options))


def test_a_labeled_or_unknown_case_is_one_line() -> None:
    with pytest.raises(UserError, match="expected one that is not labeled"):
        explore_adversarial(scene(), "phantom-000")
