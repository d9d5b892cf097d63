"""Against the published code: what its functions gave for fixed inputs is what ours give."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ssmis_core.batches import Batch, Patches, Turn
from ssmis_core.draws import Clock, Draws
from ssmis_core.errors import UserError
from ssmis_core.geometry import signed_distance
from ssmis_core.losses import one_hot
from ssmis_core.methods import create_method
from ssmis_core.methods.base import Step
from ssmis_core.networks import Output, UNet2D, UNet3D, VNet
from ssmis_core.networks.published_keys import load_published, unet2d_key, unet3d_key, vnet_key
from ssmis_core.schedules import cosine_rampdown, linear_rampup, sigmoid_rampup
from ssmis_core.uncertainty import certainty_threshold
from ssmis_core.views import Views

Load = Callable[[str], dict[str, np.ndarray]]
FORWARD = {"rtol": 1e-4, "atol": 1e-5}
VALUE = {"rtol": 1e-5, "atol": 1e-6}


def weights(stored: dict[str, np.ndarray]) -> dict[str, Tensor]:
    return {key.removeprefix("w."): torch.from_numpy(value) for key, value in stored.items() if key.startswith("w.")}


def same(actual: Tensor, stored: np.ndarray, **tolerance: Any) -> None:
    expected = torch.as_tensor(np.asarray(stored))
    torch.testing.assert_close(actual.detach().to(expected.dtype), expected, **tolerance)


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("sigmoid", lambda t: sigmoid_rampup(t, 40)),
        ("linear", lambda t: linear_rampup(t, 40)),
        ("cosine", lambda t: cosine_rampdown(t, 40)),
    ],
)
def test_ramps_are_the_published_ones(golden: Load, name: str, ours: Callable[[int], float]) -> None:
    stored = golden("ramps")[name]
    np.testing.assert_allclose([ours(t) for t in range(len(stored))], stored, rtol=1e-12, atol=1e-15)


def test_signed_distance_is_the_published_one_an_empty_mask_included(golden: Load) -> None:
    stored = golden("signed_distance")
    assert not stored["mask"][1].any()
    same(signed_distance(stored["mask"]).double(), stored["sdf"], **VALUE)


def test_vnet_with_published_weights_gives_the_published_answer(golden: Load) -> None:
    stored = golden("ssnet_vnet_forward")
    network = VNet(filters=2).eval()
    load_published(network, weights(stored), vnet_key)
    with torch.no_grad():
        output = network(torch.from_numpy(stored["x"]))
    same(output.logits, stored["logits"], **FORWARD)
    same(output.features, stored["features"], **FORWARD)


def test_two_headed_vnet_with_published_weights_gives_the_published_answer(golden: Load) -> None:
    stored = golden("dtc_forward")
    network = VNet(filters=2, num_classes=1, distance_channels=1).eval()
    load_published(network, weights(stored), lambda key: vnet_key(key, two_heads=True))
    with torch.no_grad():
        output = network(torch.from_numpy(stored["x"]))
    same(output.logits, stored["logits"], **FORWARD)
    same(output.distance, stored["sdf"], **FORWARD)


def test_unet3d_with_published_weights_gives_the_published_answer(golden: Load) -> None:
    stored = golden("ugmcl_unet3d_dt_forward")
    network = UNet3D(filters=2, shared_distance=True).eval()
    load_published(network, weights(stored), unet3d_key)
    with torch.no_grad():
        output = network(torch.from_numpy(stored["x"]))
    same(output.logits, stored["logits"], **FORWARD)
    same(output.distance, stored["sdf"], **FORWARD)


def test_unet2d_with_published_weights_gives_the_published_answer(golden: Load) -> None:
    stored = golden("unet2d_forward")
    network = UNet2D(num_classes=4).eval()
    load_published(network, weights(stored), unet2d_key)
    with torch.no_grad():
        output = network(torch.from_numpy(stored["x"]))
    same(output.logits, stored["output_0"], **FORWARD)
    same(output.features, stored["output_1"], **FORWARD)


def test_only_heads_and_selectors_of_the_published_unet2d_have_no_place_in_the_backbone(golden: Load) -> None:
    keys = list(weights(golden("unet2d_forward")))
    left_out = {key.partition(".")[0].rstrip("0123456789_") for key in keys if unet2d_key(key) is None}
    assert left_out == {
        "projection_head",
        "prediction_head",
        "contrastive_class_selector",
        "contrastive_class_selector_memory",
    }
    assert all(unet2d_key(key) for key in keys if key.startswith(("encoder.", "decoder.")))


def test_published_weights_of_another_network_are_a_user_error_that_names_what_is_missing(golden: Load) -> None:
    state = weights(golden("ssnet_vnet_forward"))
    with pytest.raises(UserError, match=r"fit: missing distance_head.weight, distance_head.bias$"):
        load_published(VNet(filters=2, distance_channels=1), state, vnet_key)
    with pytest.raises(UserError, match=r"fit: other shape encoder.block_one.conv.0.weight, .* and \d+ more$"):
        load_published(VNet(filters=4), state, vnet_key)


class Script(nn.Module):
    """A network that answers what was written down, one answer a call."""

    def __init__(self, answers: list[Output]):
        super().__init__()
        self.answers: Iterator[Output] = iter(answers)

    def forward(self, x: Tensor) -> Output:
        return next(self.answers)


@pytest.fixture
def released_step(golden: Load) -> tuple[dict[str, np.ndarray], Step, Views]:
    """UG-MCL's released step: the real loss, with the networks' answers of the stored run."""
    stored = golden("ugmcl_released_step")
    tensors = {key: torch.from_numpy(np.asarray(value)) for key, value in stored.items()}
    method = create_method("ugmcl", variant="released", num_classes=2, dims=3, filters=2)

    def answer(logits: Tensor) -> Output:
        return Output(logits, logits, tensors["sdf"])

    method.student = Script([answer(tensors["logits"].clone().requires_grad_())])
    method.teacher = Script([answer(logits) for logits in (*tensors["mc_logits"], tensors["teacher_logits"])])
    n, shape = int(stored["labeled"]), tensors["label"].shape[1:]

    def patches(rows: slice, label: Tensor | None) -> Patches:
        return Patches(torch.zeros(2, 1, 1, *shape), label, torch.zeros(2, 1, 3).long(), (Turn(),) * 2, ("a", "b"))

    batch = Batch(patches(slice(n), tensors["label"][:n, None].byte()), (patches(slice(n, None), None),))
    clock = Clock("main", int(stored["iteration"]), int(stored["max_iterations"]))
    views = Views()
    step = method.loss(batch, clock, Draws(0), views)
    with pytest.raises(StopIteration):  # eight Monte-Carlo passes and the ninth, no more and no fewer
        method.teacher(None)
    return stored, step, views


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("cross_entropy", "ce"),
        ("dice", "dice"),
        ("distance", "sdf_dice"),
        ("intra_task", "intra"),
        ("cross_task", "cross"),
        ("consistency_weight", "weight"),
    ],
)
def test_every_term_of_ugmcl_is_the_released_one(released_step: Any, ours: str, theirs: str) -> None:
    stored, step, _ = released_step
    same(torch.as_tensor(step.terms[ours]), stored[theirs], rtol=1e-5, atol=0.0)


def test_ugmcl_has_no_term_that_the_released_step_lacks(released_step: Any) -> None:
    _, step, _ = released_step
    assert len(step.terms) == 6


def test_total_of_ugmcl_is_the_released_one(released_step: Any) -> None:
    stored, step, _ = released_step
    same(step.total, stored["total"], rtol=1e-5, atol=0.0)


def test_uncertainty_and_certainty_mask_of_ugmcl_are_the_released_ones(released_step: Any) -> None:
    stored, _, views = released_step
    same(views["uncertainty"].value, stored["uncertainty"], **VALUE)
    assert torch.equal(views["certainty"].value, torch.from_numpy(stored["mask"]))
    assert 0 < stored["mask"].mean() < 1
    threshold = certainty_threshold(int(stored["iteration"]), int(stored["max_iterations"]), 2)
    np.testing.assert_allclose(threshold, float(stored["threshold"]), rtol=1e-12)


CPAM_MIXES = {"l_u": "l", "u_l": "u", "l_l": "ll", "u_u": "uu"}


@pytest.fixture(params=["cpam", "cpam_trcm"])
def copy_paste_step(golden: Load, request: pytest.FixtureRequest) -> tuple[str, dict[str, np.ndarray], Step, Views]:
    """The released step of CPAM without and with TRCM: the real loss, with the networks' answers of the stored run."""
    stored = golden("cpam_trcm_released_step")
    tensors = {key: torch.from_numpy(np.asarray(value)) for key, value in stored.items()}
    method = create_method(request.param, variant="released", filters=2, largest_component=False)
    logits = [tensors[f"logits_{theirs}"].clone().requires_grad_() for theirs in CPAM_MIXES.values()]
    method.student = Script([Output(one, one) for one in logits])
    pseudo = [one_hot(tensors[f"pseudo_{half}"], 2) for half in "ab"]  # a teacher that is sure of what is stored
    method.teacher = Script([Output(20.0 * one, one) for one in pseudo])

    def patches(image: str, label: str | None) -> Patches:
        x = torch.cat([tensors[f"{image}_a"], tensors[f"{image}_b"]])
        truth = torch.cat([tensors[f"{label}_a"], tensors[f"{label}_b"]])[:, None].byte() if label else None
        return Patches(x[:, None], truth, torch.zeros(len(x), 1, 3).long(), (Turn(),) * len(x), tuple("wxyz"))

    batch = Batch(patches("labeled", "label"), (patches("unlabeled", None),))
    hidden = np.argwhere(stored["image_mask"] == 0)
    views = Views()
    step = method.loss(batch, Clock("main", 0, 10), Draws(0).fixed(box=hidden.min(0)), views)
    step.total.backward()
    assert all(one.grad is not None and bool(one.grad.any()) for one in logits)
    return request.param, stored, step, views


def test_box_and_mixes_of_cpam_are_the_released_ones(copy_paste_step: Any) -> None:
    _, stored, _, views = copy_paste_step
    assert all(torch.equal(one[0], torch.from_numpy(stored["image_mask"]).float()) for one in views["box"].value)
    for ours, theirs in CPAM_MIXES.items():
        assert torch.equal(views[f"mix_{ours}"].value, torch.from_numpy(stored[f"mix_{theirs}"]))


def test_losses_of_cpam_with_and_without_trcm_are_the_released_ones(copy_paste_step: Any) -> None:
    name, stored, step, _ = copy_paste_step
    prefix = {"cpam": "cpam", "cpam_trcm": "loss"}[name]
    released = {ours: stored[f"{prefix}_{theirs}"] for ours, theirs in CPAM_MIXES.items()}
    for ours, value in released.items():
        same(step.terms[ours], value, rtol=1e-5, atol=0.0)
    same(step.total, np.sum(list(released.values())), rtol=1e-5, atol=0.0)


def test_reliable_regions_of_trcm_are_the_released_ones(copy_paste_step: Any) -> None:
    name, stored, step, views = copy_paste_step
    if name == "cpam":
        assert "reliable_a" not in views and "trusted" not in step.terms
        return
    for half in "ab":
        released = torch.from_numpy(stored[f"reliable_{half}"])
        assert torch.equal(views[f"reliable_{half}"].value[:, 0], released) and 0 < released.mean() < 0.5
    share = (stored["reliable_a"] + stored["reliable_b"]).mean()
    same(step.terms["trusted"], share, rtol=1e-5, atol=0.0)
