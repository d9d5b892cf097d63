"""On a CUDA device: trains in mixed precision, stops, goes on, is evaluated, and agrees with the CPU in float32."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ssmis_core import Run, evaluate_run
from ssmis_core.configuration import Configuration
from ssmis_core.devices import choose_device
from ssmis_core.distance_transform import distance_transform
from ssmis_core.geometry import signed_distance
from ssmis_core.inference import predict_probabilities
from ssmis_core.methods import METHODS
from ssmis_core.pseudo_labels import largest_components

pytestmark = pytest.mark.gpu
Tiny = Callable[..., Configuration]
Quietly = Callable[..., Run]


def numbers(run: Run, *, without: tuple[str, ...] = ("seconds",)) -> torch.Tensor:
    """history.csv as [rows, columns], the columns of time left out."""
    rows = run.rows("history")
    columns = [name for name, value in rows[0].items() if name not in without and not isinstance(value, str)]
    return torch.tensor([[float(row[name]) for name in columns] for row in rows])


def test_auto_is_the_cuda_device() -> None:
    assert choose_device("auto").type == "cuda"


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("precision", ["bf16", "float32"])
def test_every_method_trains_and_is_evaluated(
    name: str, precision: str, tiny: Tiny, quietly: Quietly, tmp_path: Path
) -> None:
    run = quietly(tiny(name, precision=precision), tmp_path / "run", device="cuda")
    assert run.status == "finished" and run.info["device"] == torch.cuda.get_device_name()
    assert torch.isfinite(numbers(run)).all()
    assert evaluate_run(run, save_predictions=False, device="cuda")["cases"] == 2


def test_three_dimensions_train_in_mixed_precision(tiny: Tiny, quietly: Quietly, tmp_path: Path) -> None:
    options: dict[str, Any] = {"dataset_options": {"dims": 3, "size": 32, "num_classes": 4}, "iterations": 3}
    run = quietly(tiny("ugmcl", **options), tmp_path / "run", device="cuda")
    assert run.status == "finished" and torch.isfinite(numbers(run)).all()


def test_the_first_losses_in_float32_are_those_of_the_cpu(tiny: Tiny, quietly: Quietly, tmp_path: Path) -> None:
    """The supervised method has no noise of its own, so without dropout only rounding differs."""
    config = tiny("supervised", iterations=3, log_every=1, dropout=0.0, precision="float32")
    there = quietly(config, tmp_path / "cuda", device="cuda")
    here = quietly(config, tmp_path / "cpu", device="cpu")
    torch.testing.assert_close(numbers(there), numbers(here), rtol=2e-2, atol=1e-3)


@pytest.mark.parametrize("shape", [(70, 61), (33, 40, 28)])
def test_what_is_found_on_the_device_is_what_the_cpu_finds(shape: tuple[int, ...]) -> None:
    """Signed distances, distances in mm and largest components take other ways there."""
    noise = torch.rand((3, *shape), generator=torch.Generator().manual_seed(0))
    label = (noise > 0.6).long() + (noise > 0.9)
    label[0] = 0
    spacing = (1.5, 0.5, 3.0)[: len(shape)]
    for found in (
        lambda x: largest_components(x, 3),
        lambda x: signed_distance(x > 0),
        lambda x: distance_transform(x > 0, spacing),
    ):
        torch.testing.assert_close(found(label.cuda()).cpu(), found(label), rtol=1e-5, atol=1e-6)


def test_a_volume_that_does_not_fit_is_predicted_window_by_window_from_the_host(
    tiny: Tiny, quietly: Quietly, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = quietly(tiny("supervised"), tmp_path / "run", device="cuda")
    case, method = run.dataset().load("phantom-010"), run.method(torch.device("cuda"))
    there = predict_probabilities(method, case.image, run.config, device="cuda")
    monkeypatch.setattr("ssmis_core.inference.has_room", lambda device, nbytes: False)
    here = predict_probabilities(method, case.image, run.config, device="cuda")
    assert there.device.type == "cuda" and here.device.type == "cpu"
    torch.testing.assert_close(here, there.cpu(), rtol=0, atol=1e-5)


def test_going_on_after_a_stop_gives_the_same_losses(
    tiny: Tiny, quietly: Quietly, clockwork: Any, tmp_path: Path
) -> None:
    config = tiny("ugmcl", iterations=6, log_every=3, precision="float32", deterministic=True)
    whole = quietly(config, tmp_path / "whole", device="cuda")
    for status in ("stopped", "finished"):
        run = quietly(config, tmp_path / "parts", device="cuda", max_seconds=3, observers=[clockwork.observer()])
        assert run.status == status
    torch.testing.assert_close(numbers(run), numbers(whole), rtol=1e-3, atol=1e-5)


def test_a_run_trained_on_the_device_predicts_without_one(tiny: Tiny, quietly: Quietly, tmp_path: Path) -> None:
    run = quietly(tiny("mean_teacher"), tmp_path / "run", device="cuda")
    scores = [evaluate_run(run, save_predictions=False, device=device)["mean"]["dice"] for device in ("cuda", "cpu")]
    assert scores[0] == pytest.approx(scores[1], abs=2e-2)
