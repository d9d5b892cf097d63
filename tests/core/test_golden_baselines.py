"""The baselines against their published code: losses by way of the methods' own, networks by their weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ssmis_core.batches import Batch, Patches, Turn
from ssmis_core.draws import Clock, Draws
from ssmis_core.losses import confident_dice, probabilities, sharpen
from ssmis_core.methods import create_method, dtc
from ssmis_core.networks import Output, VNet
from ssmis_core.networks.critic import Critic
from ssmis_core.networks.published_keys import load_published, several_decoders_key
from ssmis_core.views import Views

Load = Callable[[str], dict[str, np.ndarray]]
FORWARD = {"rtol": 1e-4, "atol": 1e-5}


def tensors(stored: dict[str, np.ndarray]) -> dict[str, Tensor]:
    return {key: torch.from_numpy(np.asarray(value)) for key, value in stored.items()}


def weights(stored: dict[str, np.ndarray]) -> dict[str, Tensor]:
    return {key.removeprefix("w."): torch.from_numpy(value) for key, value in stored.items() if key.startswith("w.")}


def close(actual: Tensor | float, stored: Any, **tolerance: float) -> None:
    expected = torch.as_tensor(np.asarray(stored), dtype=torch.float32)
    actual = torch.as_tensor(actual, dtype=torch.float32).detach()
    torch.testing.assert_close(actual, expected, **{"rtol": 1e-5, "atol": 0.0, **tolerance})


def critic_key(key: str) -> str | None:
    """Our name of a parameter of SASSNet's discriminator."""
    places = {"conv0": "of_map", "conv1": "of_image", **{f"conv{i + 2}": f"deeper.{i}" for i in range(3)}}
    name, _, rest = key.partition(".")
    return f"{places.get(name, name)}.{rest}" if name in (*places, "classifier") else None


class Script(nn.Module):
    """A network that answers what was written down, one answer a call."""

    def __init__(self, *answers: Output):
        super().__init__()
        self.answers: Iterator[Output] = iter(answers)

    def forward(self, x: Tensor) -> Output:
        return next(self.answers)


def batch_of(count: int, labeled: int, shape: tuple[int, ...], label: Tensor | None = None) -> Batch:
    """Empty images; the first of them labeled."""

    def patches(rows: int, truth: Tensor | None) -> Patches:
        corner = torch.zeros(rows, 1, len(shape)).long()
        return Patches(torch.zeros(rows, 1, 1, *shape), truth, corner, (Turn(),) * rows, ("a",) * rows)

    truth = torch.zeros(labeled, *shape) if label is None else label[:labeled]
    return Batch(patches(labeled, truth[:, None].byte()), (patches(count - labeled, None),))


def test_ua_mt_asks_certain_voxels_alone_as_its_code_does(golden: Load) -> None:
    t = tensors(golden("uamt_consistency"))
    count, _, *shape = t["student_logits"].shape
    method = create_method("uamt", filters=2)
    student = torch.cat([torch.zeros_like(t["student_logits"]), t["student_logits"]])
    method.student = Script(Output(student, student))
    method.teacher = Script(*[Output(one, one) for one in (*t["mc_logits"], t["teacher_logits"])])
    views = Views()
    clock = Clock("main", int(t["iteration"]), int(t["max_iterations"]))
    step = method.loss(batch_of(2 * count, count, tuple(shape)), clock, Draws(0), views)
    with pytest.raises(StopIteration):  # eight Monte-Carlo passes and the ninth
        method.teacher(torch.zeros(1))
    close(step.terms["consistency"], t["loss"])
    close(views["uncertainty"].value, t["uncertainty"], atol=1e-6)
    assert torch.equal(views["certainty"].value, t["mask"]) and 0 < float(t["mask"].mean()) < 1


def test_every_term_of_dtc_is_the_released_one(golden: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    t = tensors(golden("dtc_released_step"))
    n, (count, _, *shape) = int(t["labeled"]), t["logits"].shape
    monkeypatch.setattr(dtc, "signed_distance_per_class", lambda label, num_classes: t["sdf_target"][:, None])
    weight = float(t["weight"])
    method = create_method("dtc", filters=2, weight=weight, ramp="none", distance_weight=float(t["beta"]))
    method.network = Script(Output(t["logits"], t["logits"], t["sdf"]))
    step = method.loss(batch_of(count, n, tuple(shape), t["label"]), Clock("main", 0, 1), Draws(0))
    for ours, theirs in (("dice", "dice"), ("distance", "sdf_loss"), ("cross_task", "consistency")):
        close(step.terms[ours], t[theirs])
    close(step.total, t["total"])


def test_the_consistency_of_urpc_is_the_released_one(golden: Load) -> None:
    t = tensors(golden("urpc_consistency"))
    n, scales = int(t["labeled"]), [t[f"logits_{i}"] for i in range(1, 5)]
    method = create_method("urpc", filters=2)
    method.network = Script(Output(scales[0], scales[0], None, tuple(scales[1:])))
    step = method.loss(batch_of(len(scales[0]), n, scales[0].shape[2:]), Clock("main", 0, 1), Draws(0))
    close(step.terms["consistency"], t["loss"])


def test_the_consistency_and_sharpening_of_mc_net_are_the_released_ones(golden: Load) -> None:
    t = tensors(golden("mcnet_consistency"))
    temperature = float(t["temperature"])
    close(sharpen(probabilities(t["logits_1"]), temperature), t["sharp_1"], atol=1e-7)
    method = create_method("mcnet", filters=2, temperature=temperature)
    method.network = Script(Output(t["logits_1"], t["logits_1"], None, (t["logits_2"],)))
    step = method.loss(batch_of(2, 1, t["logits_1"].shape[2:]), Clock("main", 0, 1), Draws(0))
    close(step.terms["consistency"], t["loss"])


def test_the_dice_of_unimatch_is_the_released_one(golden: Load) -> None:
    t = tensors(golden("unimatch_dice"))
    close(confident_dice(t["prob"], t["target"], 1.0 - t["ignore"][:, None]), t["loss"])
    assert 0 < float(t["ignore"].mean()) < 1


@pytest.mark.parametrize(("name", "decoders"), [("mcnet_forward", 2), ("mcnet_plus_forward", 3)])
def test_several_decoders_with_published_weights_give_the_published_answers(
    golden: Load, name: str, decoders: int
) -> None:
    stored = golden(name)
    network = VNet(filters=2, decoders=decoders).eval()
    load_published(network, weights(stored), several_decoders_key)
    with torch.no_grad():
        output = network(torch.from_numpy(stored["x"]))
    assert len(output.others) == decoders - 1
    for i, logits in enumerate((output.logits, *output.others), start=1):
        close(logits, stored[f"logits_{i}"], **FORWARD)


def test_the_critic_of_sassnet_with_published_weights_gives_the_published_verdict(golden: Load) -> None:
    stored = golden("sassnet_discriminator")
    generator = torch.Generator().manual_seed(int(stored["seed"]))
    maps = torch.tanh(torch.randn(2, 1, 112, 112, 80, generator=generator))
    image = torch.randn(2, 1, 112, 112, 80, generator=generator)
    critic = Critic(shapes=1, filters=2).eval()
    load_published(critic, weights(stored), critic_key)
    with torch.no_grad():
        close(critic(maps, image), stored["output"], **FORWARD)
