"""Shared by the tests of the core: stored values, a data set of a few small cases, and trainings of seconds."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

# Several processes with a thread a core each slow one another down many times over on tensors as small as these.
os.environ.setdefault("OMP_NUM_THREADS", "1")

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
TRAIN, TEST = 10, 2
# What every tiny training has in common; a 32 x 32 patch leaves 2 x 2 voxels at the bottom of the networks.
TINY: dict[str, Any] = {
    "dataset": "phantom",
    "dataset_options": {"dims": 2, "size": 32},
    "labeled": 4,
    "patch": 32,
    "stride": 16,
    "filters": 2,
    "iterations": 6,
    "log_every": 2,
    "labeled_per_batch": 2,
}


@pytest.fixture(scope="session")
def golden() -> Callable[[str], dict[str, np.ndarray]]:
    """`golden("ramps")`: arrays that the published code gave for fixed inputs."""

    def load(name: str) -> dict[str, np.ndarray]:
        with np.load(GOLDEN / f"{name}.npz") as file:
            return dict(file)

    return load


@pytest.fixture
def few_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    """The phantom with 10 training and 2 test cases."""
    from ssmis_core.datasets import phantom

    monkeypatch.setattr(phantom, "TRAIN", TRAIN)
    monkeypatch.setattr(phantom, "TEST", TEST)


@pytest.fixture
def tiny(few_cases: None) -> Callable[..., Any]:
    """`tiny("ugmcl", iterations=12)`: the configuration of a training of a second or two."""
    from ssmis_core import configure

    def make(method: str = "mean_teacher", **changes: Any) -> Any:
        settings = {**TINY, **({} if method == "supervised" else {"unlabeled_per_batch": 2}), **changes}
        return configure(method, **settings)

    return make


@pytest.fixture
def quietly() -> Callable[..., Any]:
    """`quietly(config, run_dir)`: train on the CPU without a word."""
    from ssmis_core import train
    from ssmis_core.progress import silent

    def run(config: Any, run_dir: Path, **settings: Any) -> Any:
        return train(config, run_dir=run_dir, **{"device": "cpu", "report": silent, **settings})

    return run


@pytest.fixture
def make_batch() -> Callable[..., Any]:
    """`make_batch(dims=2, num_classes=4)`: a batch whose labels are boxes and whose images show them in noise.

    The second unlabeled stream, for methods that look at one, is the first in another order. Every sample has a second
    crop, for methods that look at one: it starts 3 voxels before the first on each axis, and shows zeros where the
    first has nothing to say.
    """
    import torch

    from ssmis_core.batches import Batch, Patches, Turn

    def make(
        *,
        dims: int = 2,
        num_classes: int = 2,
        labeled: int = 2,
        unlabeled: int = 2,
        size: int = 32,
        empty: bool = False,
    ) -> Batch:
        generator = torch.Generator().manual_seed(0)
        count = labeled + unlabeled
        label = torch.zeros((count, *[size] * dims), dtype=torch.uint8)
        for k in range(1, num_classes):
            label[(slice(None), *[slice(k * size // 8, size - k * size // 8)] * dims)] = 0 if empty else k
        image = label[:, None].float() + 0.5 * torch.randn((count, 1, *[size] * dims), generator=generator)

        def crops(x: Any) -> Any:
            first, second = (slice(None), *[slice(0, -3)] * dims), (slice(None), *[slice(3, None)] * dims)
            later = torch.zeros_like(x)
            later.movedim(1, -1)[second] = x.movedim(1, -1)[first]
            return torch.stack([x, later], dim=1)

        def patches(rows: slice, known: bool) -> Patches:
            n = len(image[rows])
            truth = crops(label[rows, None])[:, :, 0] if known else None
            corner = torch.tensor([0, -3])[:, None].repeat(n, 1, dims)
            return Patches(crops(image[rows]), truth, corner, (Turn(),) * n, tuple(f"case-{i}" for i in range(n)))

        if not unlabeled:
            return Batch(patches(slice(labeled), True))
        stream = patches(slice(labeled, count), False)
        second = replace(stream, image=stream.image.flip(0), case=stream.case[::-1])
        return Batch(patches(slice(labeled), True), (stream, second))

    return make


@pytest.fixture
def same_training() -> Callable[[Any, Any], None]:
    """`same_training(run, other)`: assert that two runs agree in every bit but the clock's."""
    import torch

    def equal(a: Any, b: Any, where: str) -> None:
        if isinstance(a, torch.Tensor):
            assert torch.equal(a, b), where
        elif isinstance(a, dict):
            assert a.keys() == b.keys(), where
            for key in a:
                equal(a[key], b[key], f"{where}.{key}")
        elif isinstance(a, list | tuple):
            assert len(a) == len(b), where
            for index, (x, y) in enumerate(zip(a, b, strict=True)):
                equal(x, y, f"{where}[{index}]")
        elif where.endswith("seconds"):
            assert (a is None) == (b is None)
        else:
            assert a == b or (a != a and b != b), f"{where}: {a!r} != {b!r}"

    def check(run: Any, other: Any) -> None:
        for name in ("history", "evaluations"):
            equal(run.rows(name), other.rows(name), name)
        equal(run.load_weights(), other.load_weights(), "weights")
        equal(run.load_checkpoint(), other.load_checkpoint(), "checkpoint")
        for key in ("status", "iterations_done", "configuration", "data_fingerprint", "selected"):
            assert run.info.get(key) == other.info.get(key), key

    return check


class Clockwork:
    """The training's clock, one second an iteration: time limits then stop at the same iteration on any machine."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def observer(self) -> Any:
        from ssmis_core.observers import Observer

        def tick(*_: object) -> None:
            self.now += 1.0

        return Observer(tick, every=1)


@pytest.fixture
def clockwork(monkeypatch: pytest.MonkeyPatch) -> Clockwork:
    """A clock that `clockwork.observer()` advances by a second an iteration."""
    from ssmis_core import checkpoints, training

    clock = Clockwork()
    monkeypatch.setattr(training, "time", clock)
    monkeypatch.setattr(checkpoints, "time", clock)
    return clock
