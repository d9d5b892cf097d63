"""Every registered method in the training loop itself: it trains, predicts and goes on exactly, in 2D and 3D."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ssmis_core import Run
from ssmis_core.configuration import Configuration
from ssmis_core.methods import METHODS, method_class

Tiny = Callable[..., Configuration]
Quietly = Callable[..., Run]
CHEAP = {"passes": 1}  # for methods that have such an option
SIZE = {2: (32, 32), 3: (32, 16, 16)}  # two voxels at the bottom, the fewest that instance norm can normalise
VARIANTS = [(name, variant) for name in METHODS for variant in method_class(name).VARIANTS]

# What torch has no deterministic way of on a GPU and refuses there (torch.use_deterministic_algorithms).
REFUSED = ("adaptive_", "avg_pool3d_backward", "bicubic", "cumsum", "grid_sampler", "histc", "kthvalue", "median")
REFUSED += ("reflection_pad", "put_.", "resize_.", "unpool", "fractional", "embedding_bag", "ctc_loss")


class Operations(TorchDispatchMode):
    """Notes what runs, forward and backward, that torch would refuse where a GPU is to be deterministic."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func).removeprefix("aten.")
        mean_of_a_map = name.startswith("nll_loss") and name.endswith("forward.default") and args[3] != 0
        if mean_of_a_map or any(one in name for one in REFUSED if not name.startswith("index_put")):
            self.refused.add(name)
        return func(*args, **(kwargs or {}))


@contextmanager
def deterministic_on_a_gpu() -> Iterator[None]:
    with Operations() as seen:
        yield
    assert not seen.refused


@pytest.fixture
def small(tiny: Tiny) -> Tiny:
    """`small("ugmcl", dims=3, num_classes=4)`: the configuration of 3 iterations on patches as small as can be."""

    def make(name: str, *, dims: int = 2, num_classes: int = 2, **changes: Any) -> Configuration:
        known = {field.name for field in fields(method_class(name).Options)}
        cheap = {key: value for key, value in CHEAP.items() if key in known}
        size = {"dataset_options": {"dims": dims, "size": SIZE[dims], "num_classes": num_classes}, "patch": SIZE[dims]}
        settings = {"factor": 1, "stride": SIZE[dims], "iterations": 3, "log_every": 2}
        return tiny(name, **{**settings, **size, **cheap, **changes})

    return make


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    """Sums depend in their last bits on how many threads share them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def check_prediction(run: Run, *, dims: int, num_classes: int) -> None:
    x = torch.randn((2, 1, *SIZE[dims]), generator=torch.Generator().manual_seed(0))
    p = run.method().predict(x)
    assert p.shape == (2, num_classes, *SIZE[dims]) and p.dtype == torch.float32
    torch.testing.assert_close(p.sum(1), torch.ones_like(p[:, 0]))


def check_history(run: Run) -> None:
    rows = run.rows("history")
    assert run.status == "finished" and rows
    assert all(math.isfinite(row["loss"]) for row in rows)


@pytest.mark.parametrize(("dims", "num_classes"), [(2, 2), (3, 4)])  # all four without the loop: test_methods.py
@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains_predicts_and_goes_on_exactly(
    name: str,
    dims: int,
    num_classes: int,
    small: Tiny,
    quietly: Quietly,
    same_training: Callable[[Run, Run], None],
    clockwork: Any,
    tmp_path: Path,
) -> None:
    config = small(name, dims=dims, num_classes=num_classes)
    with deterministic_on_a_gpu():
        whole = quietly(config, tmp_path / "whole")
    check_history(whole)
    check_prediction(whole, dims=dims, num_classes=num_classes)
    for _ in range(config.iterations):  # a second an iteration: a stop after each, between stages too
        run = quietly(config, tmp_path / "parts", max_seconds=1, observers=[clockwork.observer()])
    same_training(run, whole)


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_every_variant_trains_in_the_loop(
    name: str, variant: str, small: Tiny, quietly: Quietly, tmp_path: Path
) -> None:
    with deterministic_on_a_gpu():
        run = quietly(small(name, variant=variant, iterations=2), tmp_path / "run")
    check_history(run)
    check_prediction(run, dims=2, num_classes=2)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains_with_the_2d_unet(name: str, small: Tiny, quietly: Quietly, tmp_path: Path) -> None:
    with deterministic_on_a_gpu():
        run = quietly(small(name, network="unet2d", iterations=2), tmp_path / "run")
    check_history(run)
    check_prediction(run, dims=2, num_classes=2)


def test_an_operation_without_a_deterministic_way_on_a_gpu_is_noticed() -> None:
    logits, label = torch.zeros(1, 2, 4, 4, requires_grad=True), torch.zeros(1, 4, 4, dtype=torch.long)
    for work in (lambda: torch.nn.functional.cross_entropy(logits, label), lambda: logits.cumsum(1)):
        with pytest.raises(AssertionError), deterministic_on_a_gpu():
            work()


@pytest.mark.parametrize("name", ["ssnet", "ugmcl", "tracoco", "cpam_trcm"])
def test_two_trainings_that_are_to_be_deterministic_give_the_same_weights(
    name: str, small: Tiny, quietly: Quietly, same_training: Callable[[Run, Run], None], tmp_path: Path
) -> None:
    one, other = (quietly(small(name, deterministic=True), tmp_path / which) for which in "ab")
    same_training(one, other)


def test_of_a_method_that_steps_twice_the_logged_loss_is_its_own_and_not_its_critics(
    small: Tiny, quietly: Quietly, tmp_path: Path
) -> None:
    config = small("sassnet", log_every=1, weight=1.0, ramp="none")
    for row in quietly(config, tmp_path / "run").rows("history"):
        own = row["dice"] + 0.3 * row["distance"] + row["adversarial"]
        assert row["loss"] == pytest.approx(own, rel=1e-5) and row["critic"] > 0


def test_mixed_precision_trains_close_to_float32(small: Tiny, quietly: Quietly, tmp_path: Path) -> None:
    settings = {"dropout": 0.0, "log_every": 1}
    rows = [
        quietly(small("mean_teacher", precision=p, **settings), tmp_path / p).rows("history")
        for p in ("bf16", "float32")
    ]
    losses = [[row["loss"] for row in some] for some in rows]
    assert losses[0] == pytest.approx(losses[1], rel=5e-2) and losses[0] != losses[1]


@pytest.mark.slow
def test_compiled_networks_train_as_plain_ones(
    small: Tiny, quietly: Quietly, require: Callable[[str, str], None], tmp_path: Path
) -> None:
    require("g++", "apt-get install g++ (torch.compile builds with it)")
    settings = {"dropout": 0.0, "log_every": 1}
    rows = [
        quietly(small("mean_teacher", compile=c, **settings), tmp_path / str(c)).rows("history") for c in (True, False)
    ]
    losses = [[row["loss"] for row in some] for some in rows]
    assert losses[0][0] == pytest.approx(losses[1][0], rel=1e-5)
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)  # sums in another order grow from step to step
