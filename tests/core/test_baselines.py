"""The baselines: each part of their losses asks whom it should, teaches whom it should, and can be switched off."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch

from ssmis_core.batches import Batch
from ssmis_core.draws import Clock, Draws
from ssmis_core.errors import UserError
from ssmis_core.methods import create_method
from ssmis_core.methods.base import Method, Step
from ssmis_core.methods.sassnet import CRITIC
from ssmis_core.views import Views

CLOCK = Clock("main", 5, 10)
Make = Callable[..., Batch]


def make(name: str, *, dims: int = 2, num_classes: int = 3, **options: Any) -> Any:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return create_method(name, dims=dims, num_classes=num_classes, **{"filters": 2, "dropout": 0.0, **options})


def steps(method: Method, batch: Batch, views: Views | None = None) -> list[Step]:
    with torch.random.fork_rng([]):
        draws = Draws(0).at(CLOCK)
        draws.seed_dropout()
        return list(method.steps(batch, CLOCK, draws, views))


def value(step: Step, name: str) -> float:
    return float(torch.as_tensor(step.terms[name]).detach())


def learned(term: torch.Tensor, network: torch.nn.Module) -> bool:
    """Whether a term has a gradient for any weight of a network."""
    gradients = torch.autograd.grad(term, list(network.parameters()), retain_graph=True, allow_unused=True)
    return any(one is not None and bool(one.any()) for one in gradients)


def louder(batch: Batch, *, labeled: bool) -> Batch:
    """The batch with other grey values in one of its halves."""
    half = batch.labeled if labeled else batch.streams[0]
    half.image.mul_(1.5)
    return batch


@pytest.mark.parametrize(
    ("name", "term"), [("entropy_minimisation", "entropy"), ("cps", "co_training"), ("urpc", "consistency")]
)
def test_terms_on_the_unlabeled_half_do_not_ask_labeled_samples(name: str, term: str, make_batch: Make) -> None:
    only = {"cps": {"whole_batch": False}}.get(name, {})
    method = make(name, norm="none", **only)  # no statistics that samples share
    here = value(steps(method, make_batch(num_classes=3))[0], term)
    assert value(steps(method, louder(make_batch(num_classes=3), labeled=True))[0], term) == here
    assert value(steps(method, louder(make_batch(num_classes=3), labeled=False))[0], term) != here


@pytest.mark.parametrize(
    ("name", "term", "options"),
    [
        ("entropy_minimisation", "entropy", {"whole_batch": True}),
        ("cps", "co_training", {"whole_batch": True}),
        ("mcnet", "consistency", {}),
        ("dtc", "cross_task", {}),
    ],
)
def test_terms_on_the_whole_batch_ask_labeled_samples_too(
    name: str, term: str, options: dict[str, Any], make_batch: Make
) -> None:
    method = make(name, norm="none", **options)
    here = value(steps(method, make_batch(num_classes=3))[0], term)
    assert value(steps(method, louder(make_batch(num_classes=3), labeled=True))[0], term) != here


def test_the_entropy_is_a_share_of_the_largest(make_batch: Make) -> None:
    method = make("entropy_minimisation")
    for parameter in method.network.head.parameters():
        parameter.data.zero_()  # every class as likely as the others
    assert value(steps(method, make_batch(num_classes=3))[0], "entropy") == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("dims", [2, 3])
def test_vat_is_ss_net_without_class_separation(dims: int, make_batch: Make) -> None:
    batch = make_batch(dims=dims, num_classes=3, size={2: 32, 3: 16}[dims])
    vat, ssnet = (steps(make(name, dims=dims, **options), batch)[0] for name, options in
                  (("vat", {}), ("ssnet", {"separation": False})))  # fmt: skip
    assert torch.equal(vat.total, ssnet.total) and vat.terms.keys() == ssnet.terms.keys()


def test_bcp_is_cpam_with_the_mixes_of_labeled_with_unlabeled_images(make_batch: Make) -> None:
    batch = make_batch(num_classes=3)
    bcp = steps(make("bcp"), batch)[0]
    cpam = steps(make("cpam", labeled_labeled=False, unlabeled_unlabeled=False), batch)[0]
    assert torch.equal(bcp.total, cpam.total) and set(bcp.terms) == {"l_u", "u_l"}


def test_ua_mt_without_a_certain_voxel_teaches_nothing(make_batch: Make) -> None:
    batch = make_batch(num_classes=3)
    method = make("uamt", passes=1, threshold_policy="constant", threshold_start=1e-6)
    assert value(steps(method, batch)[0], "consistency") == 0.0
    assert value(steps(make("uamt", passes=1), batch)[0], "consistency") > 0.0


def test_each_network_of_cps_learns_from_the_class_that_the_other_says(make_batch: Make) -> None:
    batch, method, views = make_batch(num_classes=3), make("cps"), Views()
    step = steps(method, batch, views)[0]
    assert torch.equal(views["pseudo_label_1"].value[:, 0], views["probability_2"].value.argmax(1))
    assert torch.equal(views["pseudo_label_2"].value[:, 0], views["probability"].value.argmax(1))
    assert learned(step.terms["co_training"], method.network_1) and learned(step.terms["co_training"], method.network_2)
    method.network_2.load_state_dict(method.network_1.state_dict())
    alike = steps(method, batch, views)[0]
    assert torch.equal(views["pseudo_label_1"].value, views["pseudo_label_2"].value)
    assert value(alike, "co_training") != value(step, "co_training")


@pytest.mark.parametrize(("network", "dims"), [("vnet", 2), ("vnet", 3), ("unet2d", 2)])
@pytest.mark.parametrize(("name", "decoders"), [("mcnet", 2), ("mcnet_plus", 3)])
def test_decoders_of_mc_net_share_an_encoder_differ_and_teach_one_another(
    name: str, decoders: int, network: str, dims: int, make_batch: Make
) -> None:
    batch, views = make_batch(dims=dims, num_classes=3, size={2: 32, 3: 16}[dims]), Views()
    method = make(name, dims=dims, network=network, norm="batch")
    step = steps(method, batch, views)[0]
    answers = [views["probability"], *(views[f"decoder_probability_{i}"] for i in range(2, decoders + 1))]
    assert len(method.network.others) == decoders - 1
    assert all(not torch.equal(a.value, b.value) for a, b in pairwise(answers))
    for part in (method.network.down, method.network.up, *method.network.others):
        assert learned(step.terms["consistency"], part) and learned(step.terms["dice"], part)
    method.eval()
    torch.testing.assert_close(method.predict(batch.image), method.network(batch.image).logits.detach().softmax(1))


@pytest.mark.parametrize(("network", "dims"), [("vnet", 2), ("vnet", 3), ("unet2d", 2), ("unet3d", 2), ("unet3d", 3)])
@pytest.mark.parametrize("scales", [2, 4])
def test_every_scale_of_urpc_answers_at_full_size_and_learns(
    network: str, dims: int, scales: int, make_batch: Make
) -> None:
    batch = make_batch(dims=dims, num_classes=3, size=32)
    norm = "instance" if network == "unet3d" else "batch"
    method = make("urpc", dims=dims, network=network, scales=scales, norm=norm)
    output = method.network(batch.image)
    assert [one.shape for one in output.others] == [output.logits.shape] * (scales - 1)
    step = steps(method, batch)[0]
    for head in (method.network.head, *method.network.scale_heads.heads):
        assert learned(step.terms["dice"], head) and learned(step.terms["consistency"], head)


@pytest.mark.parametrize("name", ["dtc", "sassnet"])
@pytest.mark.parametrize(("network", "dims"), [("vnet", 2), ("vnet", 3), ("unet2d", 2), ("unet3d", 2), ("unet3d", 3)])
def test_every_network_has_a_distance_head_that_learns(name: str, network: str, dims: int, make_batch: Make) -> None:
    norm = "instance" if network == "unet3d" else "batch"
    method = make(name, dims=dims, network=network, norm=norm)
    step = steps(method, make_batch(dims=dims, num_classes=3, size=32))[0]
    assert learned(step.terms["distance"], method.network.distance_head)


@pytest.mark.parametrize("name", ["mean_teacher", "vat"])
def test_the_released_code_holds_the_ramp_for_150_iterations_at_a_time(name: str) -> None:
    paper, released = (create_method(name, dims=2, filters=2, variant=one).options for one in ("paper", "released"))
    weights = [released.consistency_weight(Clock("main", t, 6000)) for t in (150, 299, 300)]
    assert weights[0] == weights[1] < weights[2]
    assert paper.consistency_weight(Clock("main", 150, 6000)) < paper.consistency_weight(Clock("main", 299, 6000))


def test_dtc_answers_with_a_background_held_at_0(make_batch: Make) -> None:
    batch = make_batch()
    method = make("dtc", num_classes=2).eval()
    z = method.network(batch.image).logits.detach()
    assert z.shape[1] == 1
    torch.testing.assert_close(method.predict(batch.image), torch.cat([1 - z.sigmoid(), z.sigmoid()], 1))


def test_the_network_of_sassnet_and_its_critic_learn_in_turns(make_batch: Make) -> None:
    batch, method = make_batch(num_classes=3), make("sassnet", weight=1.0)
    main, critic = steps(method, batch)
    assert (main.updates, critic.updates) == ("main", CRITIC)
    assert learned(main.terms["adversarial"], method.network) and learned(main.total, method.network)
    assert learned(critic.total, method.critic) and not learned(critic.total, method.network)
    optimisers = method.optimisers()
    assert {id(p) for p in optimisers["main"].parameters} == {id(p) for p in method.network.parameters()}
    assert {id(p) for p in optimisers[CRITIC].parameters} == {id(p) for p in method.critic.parameters()}
    assert optimisers[CRITIC].schedule == "constant" and optimisers["main"].schedule is None


def test_the_critic_of_sassnet_learns_who_has_a_label(make_batch: Make) -> None:
    batch, method = make_batch(num_classes=3), make("sassnet", critic_filters=8)
    assert method.optimisers()[CRITIC].build().defaults["betas"] == (0.9, 0.99)
    optimiser = method.optimisers()[CRITIC].build()
    for group in optimiser.param_groups:
        group["lr"] = 3e-3
    torch.manual_seed(0)
    method.critic.eval()
    before = value(method.critic_step(batch), "critic")
    method.critic.train()
    for _ in range(100):
        optimiser.zero_grad()
        method.critic_step(batch).total.backward()
        optimiser.step()
    method.critic.eval()  # without its dropout
    after = method.critic_step(batch)
    assert value(after, "critic") < 0.5 * before and value(after, "critic_right") == 1.0


@pytest.mark.parametrize("pseudo_loss", ["ce", "dice"])
@pytest.mark.parametrize("name", ["fixmatch", "unimatch"])
def test_only_sure_voxels_teach_a_strong_view(name: str, pseudo_loss: str, make_batch: Make) -> None:
    batch, views = make_batch(num_classes=3), Views()
    terms = ["strong_1"] if name == "fixmatch" else ["strong_1", "strong_2", "feature"]
    nobody = steps(make(name, threshold=0.999999, pseudo_loss=pseudo_loss), batch, views)[0]
    assert value(nobody, "sure") == 0.0 and all(value(nobody, term) == pytest.approx(0, abs=1e-6) for term in terms)
    everybody = steps(make(name, threshold=0.0, pseudo_loss=pseudo_loss), batch, views)[0]
    assert value(everybody, "sure") == 1.0 and all(value(everybody, term) > 0.01 for term in terms)
    assert bool((views["strong_1_sure"].value == 1).all())


def test_a_strong_view_shows_and_is_taught_a_box_of_the_other_stream(make_batch: Make) -> None:
    batch, views = make_batch(num_classes=3, unlabeled=8), Views()
    batch.streams[1].image.fill_(50.0)  # nowhere to be mistaken
    steps(make("fixmatch"), batch, views)
    pasted = (views["strong_1_image"].value > 25).flatten(1).any(1)
    assert 0 < int(pasted.sum()) < 8
    alone = Views()
    method = make("fixmatch", cutmix=False)
    steps(method, batch, alone)
    assert method.sampling.unlabeled_streams == 1 and not bool((alone["strong_1_image"].value > 25).any())
    assert torch.equal(alone["strong_1_label"].value, alone["pseudo_label"].value)


def test_the_total_of_unimatch_is_half_of_its_weighted_terms(make_batch: Make) -> None:
    step = steps(make("unimatch", threshold=0.0), make_batch(num_classes=3))[0]
    supervised = 0.5 * (value(step, "cross_entropy") + value(step, "dice"))
    strong = 0.25 * (value(step, "strong_1") + value(step, "strong_2"))
    expected = 0.5 * (supervised + strong + 0.5 * value(step, "feature"))
    assert float(step.total.detach()) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mcnet", {"decoders": 4}, "option decoders=4: expected 2 or 3"),
        ("mcnet", {"temperature": 0}, r"option temperature=0\.0: expected 0\.02 to 1"),
        ("mcnet", {"network": "unet3d", "norm": "instance"}, "option network='unet3d': has one decoder alone"),
        ("dtc", {"steepness": -1}, r"option steepness=-1\.0: expected a number above 0"),
        ("sassnet", {"critic_rate": 0}, r"option critic_rate=0\.0: expected a number above 0"),
        ("urpc", {"scales": 5}, "option scales=5: expected 2 to 4"),
        ("cps", {"answer": "3"}, "unknown answer '3' .*1, 2, mean"),
        ("fixmatch", {"threshold": 1.0}, r"option threshold=1\.0: expected 0 to below 1"),
        ("fixmatch", {"pseudo_loss": "mse"}, "unknown pseudo_loss 'mse' .*ce, dice"),
        ("unimatch", {"feature_dropout": 1.0}, r"option feature_dropout=1\.0: expected above 0 to below 1"),
        ("uamt", {"unlabeled_per_batch": 0}, "uamt needs at least 1 unlabeled sample a batch"),
    ],
)
def test_an_option_that_cannot_be_is_one_line(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        make(name, **options)
    assert "\n" not in str(caught.value)
