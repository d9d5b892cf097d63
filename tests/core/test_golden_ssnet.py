"""SS-Net against the published code: what its functions gave for fixed inputs is what ours give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ssmis_core.batches import Batch, Patches, Turn
from ssmis_core.draws import Clock, Draws
from ssmis_core.losses import dice_loss, one_hot, recipe_dice
from ssmis_core.methods import create_method
from ssmis_core.networks import Output
from ssmis_core.perturbations import unit_direction
from ssmis_core.prototypes import Selector, selector_scores
from ssmis_core.views import Views

Load = Callable[[str], dict[str, np.ndarray]]
VALUE = {"rtol": 1e-5, "atol": 1e-7}
GRADIENT = {"rtol": 1e-4, "atol": 1e-6}


def tensors(stored: dict[str, np.ndarray]) -> dict[str, Tensor]:
    return {key: torch.from_numpy(np.asarray(value)) for key, value in stored.items()}


def one_batch(image: Tensor, label: Tensor | None = None) -> Batch:
    """Every sample in the labeled half, so that a term over the whole batch meets no other image."""
    count, dims = len(image), image.ndim - 2
    label = torch.zeros((count, *image.shape[2:])) if label is None else label
    patches = Patches(
        image[:, None],
        label[:, None].byte(),
        torch.zeros(count, 1, dims).long(),
        (Turn(),) * count,
        tuple(map(str, range(count))),
    )
    return Batch(patches)


class Toy(nn.Module):
    """The stored two-layer network, answering as ours do."""

    def __init__(self, weights: dict[str, Tensor]):
        super().__init__()
        first, last = weights["net.0.weight"], weights["net.3.weight"]
        conv, norm = (nn.Conv2d, nn.BatchNorm2d) if first.ndim == 4 else (nn.Conv3d, nn.BatchNorm3d)
        layers = (conv(first.shape[1], len(first), 3, padding=1), norm(len(first)), nn.ReLU())
        self.net = nn.Sequential(*layers, conv(len(first), len(last), 3, padding=1))
        self.load_state_dict(weights)

    def forward(self, x: Tensor) -> Output:
        features = self.net[:3](x)
        return Output(self.net[3](features), features)


def test_plain_dice_is_the_published_one(golden: Load) -> None:
    stored = tensors(golden("ssnet_dice"))
    actual = dice_loss(stored["prob"], stored["label"], squared=False, eps=1e-8)
    torch.testing.assert_close(actual, stored["loss"], **VALUE)
    torch.testing.assert_close(recipe_dice(stored["prob"], stored["label"], plain=True), stored["loss"], **VALUE)


def test_squared_dice_of_two_maps_is_the_published_one(golden: Load) -> None:
    stored = tensors(golden("ssnet_soft_dice_multiclass"))
    actual = dice_loss(stored["prob"], stored["target_prob"], background=True, eps=1e-10)
    torch.testing.assert_close(actual, stored["loss"], **VALUE)
    method = create_method("ssnet", dims=2, num_classes=4, filters=2)
    torch.testing.assert_close(method.distance(stored["prob"], stored["target_prob"]), stored["loss"], **VALUE)


@pytest.fixture(params=["ssnet_vat_2d", "ssnet_vat_3d"])
def adversarial(request: pytest.FixtureRequest, golden: Load) -> tuple[dict[str, Tensor], nn.Module, Tensor, Views]:
    """The method's own smoothness term, with the stored network and start."""
    stored = tensors(golden(request.param))
    network = Toy({key.removeprefix("w."): value for key, value in stored.items() if key.startswith("w.")}).train()
    x, dims = stored["x"], stored["x"].ndim - 2
    method = create_method(
        "ssnet",
        dims=dims,
        num_classes=network.net[3].out_channels,
        filters=2,
        separation=False,
        xi=float(stored["xi"]),
        epsilon=float(stored["epsilon"]),
    )
    method.network, views = network, Views()
    draws = Draws(0).fixed(adversarial_start=stored["uniform"])
    term = method.smoothness(one_batch(x), draws, views)
    term.backward()
    return stored, network, term, views


def test_the_smoothness_term_is_the_published_one(adversarial: Any) -> None:
    stored, _, term, _ = adversarial
    torch.testing.assert_close(term.detach(), stored["loss"], **VALUE)


def test_the_adversarial_direction_is_the_published_one(adversarial: Any) -> None:
    stored, _, _, views = adversarial
    noise = views["adversarial_noise"].value
    torch.testing.assert_close(noise / float(stored["epsilon"]), stored["direction"], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(unit_direction(noise), stored["direction"], rtol=1e-4, atol=1e-6)


def test_the_gradient_of_the_smoothness_term_is_the_published_one(adversarial: Any) -> None:
    stored, network, _, _ = adversarial
    torch.testing.assert_close(network.net[0].weight.grad, stored["grad_first_weight"], **GRADIENT)


def test_running_statistics_are_updated_once_by_the_clean_pass(adversarial: Any) -> None:
    stored, network, _, _ = adversarial
    norm = network.net[1]
    torch.testing.assert_close(norm.running_mean, stored["after.net.1.running_mean"], **VALUE)
    torch.testing.assert_close(norm.running_var, stored["after.net.1.running_var"], **VALUE)
    assert int(norm.num_batches_tracked) == 1


class Untouched(nn.Identity):
    """A head that passes features on: the stored ones are already projected, and already predicted."""


@pytest.fixture
def separating(golden: Load) -> tuple[dict[str, Tensor], Any]:
    """SS-Net with the stored selectors and, as in the stored run, prototypes of the background too."""
    stored = tensors(golden("ssnet_separation"))
    method = create_method(
        "ssnet", variant="released", dims=2, filters=2, background=True, prototypes_per_class=len(stored["memory0"])
    )
    method.projection, method.prediction = Untouched(), Untouched()
    for k, selector in enumerate(method.selectors):
        selector.load_state_dict(named(stored, f"w.contrastive_class_selector_{k}."))
    return stored, method.eval()


def named(stored: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in stored.items() if key.startswith(prefix)}


def as_image(rows: Tensor) -> Tensor:
    """[N, C] as maps [1, C, N, 1]."""
    return rows.T[None, :, :, None]


def test_the_memory_keeps_the_published_prototypes(separating: Any) -> None:
    stored, method = separating
    entered, scores = method.remember(stored["features"], one_hot(stored["labels"], 2))
    for k in (0, 1):
        torch.testing.assert_close(method.memory.prototypes[k], stored[f"memory{k}"], **VALUE)
        kept = stored["features"][entered.bool() & (stored["labels"] == k)]
        assert sorted(kept.tolist()) == sorted(stored[f"memory{k}"].tolist())
        own = scores[stored["labels"] == k, k]
        assert sorted(scores[entered.bool() & (stored["labels"] == k), k].tolist()) == sorted(own.tolist())[:8]
    assert method.memory.count.tolist() == [8, 8]


def separate(method: Any, rows: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """The separation terms of voxels that are all labeled, and all predicted wrong, so none enters the memory."""
    features, label = as_image(rows), labels[None, :, None]
    wrong = one_hot(1 - label, 2)
    return method.separation(features, wrong, label, one_batch(features, label), None)


def test_the_separation_term_is_the_published_one(separating: Any) -> None:
    stored, method = separating
    method.remember(stored["features"], one_hot(stored["labels"], 2))
    terms = separate(method, stored["query"], stored["query_labels"])
    torch.testing.assert_close(terms["separation_labeled"].detach(), stored["loss"], **VALUE)
    assert terms.keys() == {"separation_labeled"}  # there is no other half


def test_prototypes_that_are_weighted_as_intended_change_the_term_a_little(separating: Any) -> None:
    stored, method = separating
    method.remember(stored["features"], one_hot(stored["labels"], 2))
    method.prototype_selectors = nn.ModuleList(Selector() for _ in range(2)).eval()
    for k, selector in enumerate(method.prototype_selectors):
        selector.load_state_dict(named(stored, f"w.contrastive_class_selector_memory{k}."))
    method.options = replace(method.options, prototype_selectors=True)
    terms = separate(method, stored["query"], stored["query_labels"])
    change = abs(float(terms["separation_labeled"].detach()) / float(stored["loss"]) - 1)
    assert 1e-4 < change < 1e-2


def test_the_paper_keeps_the_voxels_that_the_released_code_ranks_last(separating: Any) -> None:
    stored, method = separating
    method.options = replace(method.options, prototypes="highest")
    method.remember(stored["features"], one_hot(stored["labels"], 2))
    scores = selector_scores(method.selectors, stored["features"], one_hot(stored["labels"], 2))
    for k in (0, 1):
        of_class = scores[stored["labels"] == k, k].sort(descending=True).values
        kept = selector_scores(method.selectors, method.memory.prototypes[k], torch.ones(8, 2))[:, k]
        torch.testing.assert_close(kept, of_class[:8])
        assert not torch.equal(method.memory.prototypes[k], stored[f"memory{k}"])


def test_the_released_weight_is_held_for_150_iterations_and_full_at_6000() -> None:
    released = create_method("ssnet", variant="released", filters=2).options.consistency_weight
    paper = create_method("ssnet", filters=2).options.consistency_weight
    assert released(Clock("main", 1200, 15000)) == released(Clock("main", 1349, 15000)) == paper(Clock("main", 1200, 1))
    assert paper(Clock("main", 1349, 15000)) > released(Clock("main", 1349, 15000))
    assert released(Clock("main", 6000, 15000)) == 1.0
    np.testing.assert_allclose(released(Clock("main", 1234, 15000)), np.exp(-5 * (1 - 8 / 40) ** 2))
