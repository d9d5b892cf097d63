"""The explorer of certainty: threshold, mask and shares are those of the core, whatever the number of classes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from ssmis_core.errors import UserError
from ssmis_core.uncertainty import certainty_threshold
from tests.widgets.explorer_scenes import scene
from widgets.explorer import values_of
from widgets.uncertainty_explorer import explore_uncertainty

CASE = "phantom-090"


@pytest.mark.parametrize(("dims", "classes"), [(2, 2), (2, 4), (3, 2)])
def test_the_numbers_are_those_of_the_core(dims: int, classes: int) -> None:
    one = scene(dims, "ugmcl", classes=classes)
    shown = explore_uncertainty(one, CASE)
    shown.controls["t"].value = 7
    shown.controls["policy"].value = "constant"
    example = one.example(CASE, t=7, seed=0)
    views = one.look(example, threshold_policy="constant")[1]
    first = example.batch.num_labeled
    entropy, kept = views["uncertainty"].value[first, 0].numpy(), views["certainty"].value[first, 0].numpy() > 0
    limit = certainty_threshold(7, 20, classes, policy="constant")
    assert shown.numbers["threshold (nats)"] == pytest.approx(limit) and (kept == (entropy < limit)).all()
    assert shown.numbers["mean entropy (nats)"] == pytest.approx(float(entropy.mean()))
    assert shown.numbers["voxels kept (%)"] == pytest.approx(100 * kept.mean())
    answer = views["teacher_probability"].value[first].argmax(0).numpy()
    right = answer == one.reference(CASE, example)
    for name, where in (("teacher right where kept (%)", kept), ("where left out (%)", ~kept)):
        wanted = 100 * right[where].mean() if where.any() else math.nan
        assert shown.numbers[name] == pytest.approx(wanted, nan_ok=True)
    drawn = values_of(shown.viewers[0].layers["entropy"])
    assert np.abs(drawn - entropy).max() <= 0.51 * math.log(classes) / 255
    shown.close()


def test_the_reference_is_the_label_where_the_patch_lies_and_empty_outside_of_the_scan() -> None:
    one = scene(2, "ugmcl", patch=(48, 48), stride=(48, 48))
    example = one.example(CASE)
    reference, label = one.reference(CASE, example), one.dataset.load(CASE).label
    assert reference is not None and label is not None and reference.shape == (48, 48)
    image = example.batch.image[example.batch.num_labeled, 0].numpy()
    assert reference.sum() == label.sum() and (image[reference > 0] != 0).all()


@pytest.mark.parametrize("t", [0, 3, 19])
@pytest.mark.parametrize(("labeled", "unlabeled"), [(78, 2), (77, 2), (79, 2), (4, 1), (4, 3)])
def test_the_case_comes_first_however_few_others_there_are(labeled: int, unlabeled: int, t: int) -> None:
    one = scene(2, "ugmcl", labeled=labeled, unlabeled_per_batch=unlabeled)
    batch = one.example(CASE, t=t).batch
    assert batch.case[batch.num_labeled] == CASE and len(batch.case) == batch.num_labeled + unlabeled


def test_a_patch_that_is_larger_along_one_axis_lies_on_the_label_along_the_other() -> None:
    one = scene(2, "ugmcl", patch=(48, 16), stride=(48, 16))
    label = one.dataset.load(CASE).label
    assert label is not None
    batch = one.example(CASE).batch
    assert batch.corner[batch.num_labeled].tolist() == [-8, min(max(int(np.median(np.nonzero(label)[1])) - 8, 0), 16)]


@pytest.mark.parametrize("option", [{"passes": 20}, {"noise": 0.9}, {"seed": 100}])
def test_controls_open_at_the_runs_own_options(option: dict[str, Any]) -> None:
    shown = explore_uncertainty(scene(2, "ugmcl", **option), CASE)
    assert {name: shown.controls[name].value for name in option} == option
    shown.close()


def test_each_control_changes_the_pictures() -> None:
    shown = explore_uncertainty(scene(2, "ugmcl"), CASE)
    seen = {shown.viewers[0].layers["entropy"].values.tobytes()}
    for name, value in (("passes", 3), ("noise", 0.5), ("seed", 4), ("case", "phantom-084")):
        shown.controls[name].value = value
        seen.add(shown.viewers[0].layers["entropy"].values.tobytes())
    assert len(seen) == 5
    shown.close()


@pytest.mark.parametrize(("method", "options"), [("ssnet", {}), ("ugmcl", {"uncertainty": False})])
def test_a_method_without_a_certainty_mask_is_one_line(method: str, options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="has no certainty mask, expected ugmcl"):
        explore_uncertainty(scene(method=method, **options))
