"""Against TraCoCo's published code: its losses on fixed inputs, also by way of the method's own loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ssmis_core.batches import Batch, Patches
from ssmis_core.draws import Clock, Draws
from ssmis_core.geometry import Turn
from ssmis_core.losses import confident_regional_cross_entropy, negative_entropy, probabilities, translation_kl
from ssmis_core.methods import create_method
from ssmis_core.methods.base import Step
from ssmis_core.networks import Output

Load = Callable[[str], dict[str, np.ndarray]]


def close(actual: Tensor, stored: np.ndarray) -> None:
    expected = torch.as_tensor(np.asarray(stored), dtype=torch.float32).reshape(())
    torch.testing.assert_close(actual.detach(), expected, rtol=1e-5, atol=0.0)


def tensors(stored: dict[str, np.ndarray]) -> dict[str, Tensor]:
    return {key: torch.from_numpy(np.asarray(value)) for key, value in stored.items()}


def test_confident_regional_cross_entropy_is_the_published_one(golden: Load) -> None:
    stored = golden("tracoco_crc")
    t = tensors(stored)
    loss = confident_regional_cross_entropy(
        t["logits"],
        probabilities(t["target_logits"]),
        positive=float(t["threshold"]),
        negative=float(t["neg_threshold"]),
    )
    close(loss, stored["loss"])


@pytest.mark.parametrize(("over", "name"), [("space", "kl_released"), ("classes", "kl_over_classes")])
def test_translation_kl_is_the_published_one_and_the_one_over_classes(golden: Load, over: str, name: str) -> None:
    stored = golden("tracoco_translation")
    first, second = (torch.from_numpy(stored[key])[None] for key in ("logits_a", "logits_b"))
    if over == "space":
        first, second = first.clamp(1e-6, 1.0), second.clamp(1e-6, 1.0)
    close(translation_kl(first, second, over=over), stored[name])


def test_negative_entropy_of_the_clamped_pair_is_the_published_one(golden: Load) -> None:
    stored = golden("tracoco_translation")
    pair = torch.from_numpy(np.stack([stored["logits_a"], stored["logits_b"]]))
    close(negative_entropy(pair.clamp(1e-6, 1.0)), stored["neg_entropy_released"])


class Script(nn.Module):
    """A network that answers what was written down, one answer a call."""

    def __init__(self, answers: list[Tensor]):
        super().__init__()
        self.answers: Iterator[Tensor] = iter(answers)

    def forward(self, x: Tensor) -> Output:
        logits = next(self.answers)
        return Output(logits, logits, None)


def step_with(answers_1: list[Tensor], answers_2: list[Tensor], **options: Any) -> Step:
    """The method's loss on one labeled and unlabeled sample, with networks that give these answers.

    The second crop starts where the first does, so the whole patch is the overlap.
    """
    method = create_method("tracoco", num_classes=2, dims=3, filters=2, **{"cutmix": "none", **options})
    method.network_1, method.network_2 = Script(answers_1), Script(answers_2)
    count, shape = len(answers_1[0]), answers_1[0].shape[2:]
    n = count // 2

    def patches(rows: int, label: Tensor | None) -> Patches:
        image = torch.zeros(rows, 2, 1, *shape)
        corner = torch.zeros(rows, 2, 3, dtype=torch.int64)
        return Patches(image, label, corner, (Turn(),) * rows, ("a",) * rows)

    label = torch.zeros(n, 2, *shape, dtype=torch.uint8)
    batch = Batch(patches(n, label), (patches(count - n, None),))
    return method.loss(batch, Clock("main", 1000, 9000), Draws(0))


def test_the_translation_terms_of_the_released_variant_are_the_published_ones_summed_and_averaged(golden: Load) -> None:
    """Four samples with the stored pair in each, in both networks: KL is summed over samples, entropy averaged."""
    stored = golden("tracoco_translation")
    a, b = (torch.from_numpy(stored[key]).expand(4, -1, -1, -1, -1) for key in ("logits_a", "logits_b"))
    step = step_with([a, b, a, a], [a, a, b, a], variant="released")
    close(step.terms["translation_kl"] / 8, stored["kl_released"])
    close(step.terms["negative_entropy"] / 2, stored["neg_entropy_released"])
    paper = step_with([a, b, a, a], [a, a, b, a])
    close(paper.terms["translation_kl"] / 8, stored["kl_over_classes"])


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_the_co_training_term_is_the_published_one_on_the_unlabeled_half(golden: Load, variant: str) -> None:
    t = tensors(golden("tracoco_crc"))
    count, *shape = t["logits"].shape
    other = torch.randn((2 * count, *shape), generator=torch.Generator().manual_seed(0))
    taught, teaching = (torch.cat([other[:count], t[key]]) for key in ("logits", "target_logits"))
    # network 1 answers the first crop, the second, then the mixed one; then it teaches network 2, and the reverse
    step = step_with([other, other, taught, teaching], [teaching, other, other, taught], variant=variant)
    close(step.terms["co_training"] / 2, golden("tracoco_crc")["loss"])
