"""CPAM and TRCM: what the mixes hold, what counts in them, and what each switch changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from ssmis_core import configure
from ssmis_core.batches import Batch
from ssmis_core.draws import Clock, Draws
from ssmis_core.errors import UserError
from ssmis_core.losses import region_loss
from ssmis_core.methods import create_method
from ssmis_core.methods.mixes import MIXES, PARTS
from ssmis_core.perturbations import copy_paste
from ssmis_core.pseudo_labels import hard_label, largest_components
from ssmis_core.views import Views
from tests.core.cpam_helpers import CLOCK, cpam, look, rows

Make = Callable[..., Batch]


@pytest.mark.parametrize("dims", [2, 3])
def test_the_networks_see_the_four_mixes_of_the_batch(dims: int, make_batch: Make) -> None:
    batch = make_batch(dims=dims, size={2: 32, 3: 16}[dims], labeled=4, unlabeled=4)
    method, seen = cpam(dims=dims), []
    method.student.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    _, views = look(method, batch)
    mask = views["box"][0, 0]
    assert 0 < mask.mean() < 1 and all(torch.equal(one[0], mask) for one in views["box"])  # one box for all
    for (name, (a, b)), x in zip(MIXES.items(), seen, strict=True):
        assert torch.equal(x, rows(batch, a) * mask + rows(batch, b) * (1 - mask))
        assert torch.equal(views[f"mix_{name}"], x)


def test_a_mix_is_placed_like_the_image_that_it_is_pasted_into(make_batch: Make) -> None:
    batch, views = make_batch(labeled=2, unlabeled=2), Views()
    batch.labeled.corner.copy_(torch.tensor([[[1, 1]], [[2, 2]]]))
    batch.streams[0].corner.copy_(torch.tensor([[[3, 3]], [[4, 4]]]))
    cpam().loss(batch, CLOCK, Draws(0), views)
    corners = {name: views[f"mix_{name}"].corner.tolist() for name in MIXES}
    assert corners == {"l_u": [[1, 1]], "u_l": [[4, 4]], "l_l": [[1, 1]], "u_u": [[3, 3]]}
    assert views["pseudo_label"].corner.tolist() == [[3, 3], [4, 4]]
    assert views["reliable_a"].corner.tolist() == [[1, 1]] and views["reliable_b"].corner.tolist() == [[2, 2]]


def test_the_teacher_labels_with_the_largest_component_unless_it_is_told_not_to(make_batch: Make) -> None:
    batch = make_batch(num_classes=3)
    method = cpam(num_classes=3)
    with torch.no_grad():
        method.teacher.head.bias.copy_(torch.tensor([1.0, 0.0, 0.0]))  # less foreground falls into pieces
    _, views = look(method, batch)
    answer, pseudo = views["teacher_label"][:, 0], views["pseudo_label"][:, 0]
    assert torch.equal(answer, hard_label(views["teacher_probability"]))
    assert torch.equal(pseudo, largest_components(answer, 3)) and not torch.equal(pseudo, answer)
    _, views = look(cpam(num_classes=3, largest_component=False), batch)
    assert torch.equal(views["pseudo_label"], views["teacher_label"])


@pytest.mark.parametrize("num_classes", [2, 4])
def test_reliable_is_where_every_mix_that_shows_the_labeled_voxel_is_right(num_classes: int, make_batch: Make) -> None:
    batch = make_batch(num_classes=num_classes, labeled=4, unlabeled=4)
    step, views = look(cpam(num_classes=num_classes), batch)
    right = {name: hard_label(views[f"probability_{name}"]) for name in MIXES}
    (label_a, label_b), mask = batch.label.chunk(2), views["box"][0, 0]
    reliable_a = (right["l_u"] == label_a) & (right["l_l"] == label_a) & (mask == 1)
    reliable_b = (right["u_l"] == label_b) & (right["l_l"] == label_b) & (mask == 0)
    assert torch.equal(views["reliable_a"][:, 0] > 0, reliable_a) and reliable_a.any()
    assert torch.equal(views["reliable_b"][:, 0] > 0, reliable_b)
    assert float(step.terms["trusted"]) == pytest.approx(float((reliable_a | reliable_b).float().mean()))


@pytest.mark.parametrize(
    ("off", "asked"), [("labeled_labeled", ("l_u", "u_l")), ("labeled_unlabeled", ("l_l", "l_l"))], ids=str
)
def test_without_a_mix_the_others_say_what_is_reliable(off: str, asked: tuple[str, str], make_batch: Make) -> None:
    batch = make_batch()
    _, views = look(cpam(**{off: False}), batch)
    for place, (name, half) in enumerate(zip(asked, "ab", strict=True)):
        right = hard_label(views[f"probability_{name}"]) == batch.label.chunk(2)[place]
        side = views["box"][0, 0] == 1 - place
        assert torch.equal(views[f"reliable_{half}"][:, 0] > 0, right & side)


# ---------------------------------------------------------------- the loss
@pytest.mark.parametrize("num_classes", [2, 4])
@pytest.mark.parametrize("name", ["cpam", "cpam_trcm"])
def test_terms_are_recomputed_from_their_views(name: str, num_classes: int, make_batch: Make) -> None:
    """Labeled sides count whole, unlabeled ones gamma, of TRCM only where the labeled voxel there is reliable."""
    batch = make_batch(num_classes=num_classes, labeled=4, unlabeled=4)
    step, v = look(cpam(name, num_classes=num_classes, gamma=0.3), batch)
    mask = v["box"][:2]
    pseudo = v["pseudo_label"][:, 0].chunk(2)
    target = dict(zip(PARTS, (*batch.label.chunk(2), *pseudo), strict=True))
    calibrated = (v["reliable_a"], v["reliable_b"]) if name == "cpam_trcm" else (mask, 1 - mask)
    total = 0.0
    for mix, pair in MIXES.items():
        expected, weight, log = 0.0, 0.0, v[f"probability_{mix}"].log()
        for place, part in enumerate(pair):
            region, gamma = ((mask, 1 - mask)[place], 1.0) if part[0] == "l" else (calibrated[place], 0.3)
            expected = expected + gamma * region_loss(log, target[part], region)
            weight = weight + gamma * region
        torch.testing.assert_close(step.terms[mix].detach(), expected)
        assert torch.equal(v[f"weight_{mix}"], weight)
        assert torch.equal(v[f"target_{mix}"][:, 0], copy_paste(target[pair[0]], target[pair[1]], mask[0, 0]))
        total = total + expected
    torch.testing.assert_close(step.total.detach(), total)


@pytest.mark.parametrize(
    ("option", "removed"),
    [
        ("labeled_labeled", {"l_l"}),
        ("unlabeled_unlabeled", {"u_u"}),
        ("labeled_unlabeled", {"l_u", "u_l"}),
        ("trcm", {"trusted"}),
    ],
)
def test_each_switch_removes_exactly_its_terms(option: str, removed: set[str], make_batch: Make) -> None:
    batch = make_batch()
    whole, _ = look(cpam(), batch)
    less, _ = look(cpam(**{option: False}), batch)
    assert whole.terms.keys() - less.terms.keys() == removed and less.terms.keys() <= whole.terms.keys()
    torch.testing.assert_close(less.total, sum(less.terms[name] for name in MIXES if name in less.terms))


def test_cpam_with_its_switch_on_is_cpam_trcm(make_batch: Make) -> None:
    batch = make_batch()
    assert torch.equal(look(cpam("cpam", trcm=True), batch)[0].total, look(cpam(), batch)[0].total)
    assert torch.equal(look(cpam(trcm=False), batch)[0].total, look(cpam("cpam"), batch)[0].total)


def test_weight_0_for_pseudo_labels_leaves_the_labeled_sides_alone(make_batch: Make) -> None:
    batch = make_batch()
    step, _ = look(cpam(gamma=0.0), batch)
    assert not step.terms["u_u"].detach() and step.terms["l_u"].detach() > 0


@pytest.mark.parametrize("num_classes", [2, 4])
def test_a_network_that_is_wrong_everywhere_trusts_no_pseudo_label_and_trains_on(
    num_classes: int, make_batch: Make
) -> None:
    batch = make_batch(num_classes=num_classes, empty=True)
    method = cpam(num_classes=num_classes)
    with torch.no_grad():
        method.student.head.bias.copy_(torch.tensor([-50.0] + [50.0] * (num_classes - 1)))
    step, views = look(method, batch)
    assert not views["reliable_a"].any() and not views["reliable_b"].any() and not step.terms["u_u"].detach()
    step.total.backward()
    grads = [p.grad for p in method.student.parameters() if p.grad is not None]
    assert grads and all(bool(g.isfinite().all()) for g in grads)


@pytest.mark.parametrize("stage", ["pretraining", "main"])
def test_the_student_learns_in_both_stages_and_the_teacher_in_none(stage: str, make_batch: Make) -> None:
    method = cpam()
    step, _ = look(method, make_batch(), Clock(stage, 0, 10))
    step.total.backward()
    assert all(p.grad is not None for p in method.student.parameters())
    assert all(p.grad is None and not p.requires_grad for p in method.teacher.parameters())
    learning = {id(p) for one in method.stages(10) for o in one.optimisers.values() for p in o.parameters}
    assert learning == {id(p) for p in method.student.parameters()}


# ---------------------------------------------------------------- options and variants
def test_paper_and_released_differ_in_where_the_box_lies(make_batch: Make) -> None:
    batch = make_batch()
    paper, released = cpam(variant="paper"), cpam(variant="released")
    assert paper.options.box_frame == () and released.options.box_frame == (112, 112, 80)
    corners = {"paper": set(), "released": set()}
    for t in range(30):
        for name, method in (("paper", paper), ("released", released)):
            hidden = (method.box(batch, Draws(0).at(Clock("main", t, 30))) == 0).nonzero()
            corners[name].add(tuple(hidden.min(0).values.tolist()))
    assert max(map(max, corners["paper"])) < 32 - 21 <= max(map(max, corners["released"])) < 32


def test_the_draw_of_the_box_has_a_name(make_batch: Make) -> None:
    mask = cpam().box(make_batch(), Draws(0).fixed(box=[3, 5]))
    hidden = (mask == 0).nonzero()
    assert hidden.min(0).values.tolist() == [3, 5] and hidden.max(0).values.tolist() == [3 + 20, 5 + 20]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labeled_per_batch": 3, "unlabeled_per_batch": 3}, r"labeled_per_batch=3.*same even number of both, 2 or m"),
        (
            {"labeled_per_batch": 4, "unlabeled_per_batch": 2},
            r"labeled_per_batch=4, unlabeled_per_batch=2: copy-paste pairs",
        ),
        ({"labeled_per_batch": 0, "unlabeled_per_batch": 0}, r"option labeled_per_batch=0: expected a number above 0"),
        (
            {"labeled_labeled": False, "unlabeled_unlabeled": False, "labeled_unlabeled": False},
            r"all off, nothing to mix",
        ),
        ({"labeled_labeled": False, "labeled_unlabeled": False}, r"trcm=True needs labeled_labeled or labeled_unlab"),
        ({"gamma": -0.5}, r"option gamma=-0\.5: expected 0 or more"),
        ({"threshold": 0}, r"option threshold=0\.0: expected above 0 to below 1"),
        ({"box": 1.0}, r"option box=1\.0: expected above 0 to below 1"),
        ({"box_frame": [112]}, r"box_frame=\(112,\): expected 2 sizes or more, or none"),
        ({"box_frame": [112, 0, 80]}, r"box_frame=\(112, 0, 80\): expected whole numbers above 0, or none"),
        ({"box_frame": [1.5, 2]}, r"option box_frame=\(1\.5, 2\) of cpam_trcm: expected tuple"),
        ({"pretraining": 1.0}, r"option pretraining=1\.0: expected 0 to below 1, a share of the iterations"),
        ({"pretraining_schedule": "cosine"}, r"unknown pretraining_schedule 'cosine' .*one_cycle"),
        ({"answer": "both"}, r"unknown answer 'both' .*student, teacher"),
    ],
    ids=lambda value: ",".join(map(str, value)) if isinstance(value, dict) else "",
)
def test_an_option_that_cannot_be_is_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        cpam(**options)
    assert "\n" not in str(caught.value)


def test_a_batch_that_cannot_be_halved_is_one_line(make_batch: Make) -> None:
    for labeled, unlabeled in ((1, 1), (3, 3), (2, 4)):
        with pytest.raises(UserError, match=r"expected the same even number of both, 2 or more"):
            look(cpam(), make_batch(labeled=labeled, unlabeled=unlabeled))


def test_the_presets_have_the_batch_and_the_length_of_the_paper() -> None:
    for name, schedule in (("cpam", "step"), ("cpam_trcm", "poly")):
        config = configure(name, preset="full")
        stages = create_method(name, **config.options).stages(config.iterations)
        assert [(one.iterations, one.schedule) for one in stages] == [(2000, "constant"), (15_000, schedule)]
        assert config.options["labeled_per_batch"] == config.options["unlabeled_per_batch"] == 4
