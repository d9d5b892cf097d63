"""Scaling and brightness: the same for both crops of a scan, and the scaling again when a scan is predicted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssmis_core import configure
from ssmis_core.augmentations import BRIGHTNESS, as_trained, brightness, min_max, value_range
from ssmis_core.batches import Batch, Batches, Sampling
from ssmis_core.datasets.cases import Case
from ssmis_core.draws import Clock, Draws
from ssmis_core.errors import UserError
from ssmis_core.inference import predict_probabilities
from ssmis_core.methods import create_method
from ssmis_core.volume_bank import VolumeBank

SCALED = ("min_max", "brightness")


def make_image(shape: tuple[int, ...] = (1, 20, 24), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(3.0, 2.0, shape).astype(np.float32)


def batch_of(image: np.ndarray, augmentations: tuple[str, ...], draws: Draws, patch: tuple[int, ...]) -> Batch:
    label = np.zeros(image.shape[1:], np.uint8)
    bank = VolumeBank([Case("a", image, label, np.eye(4), None, "")], num_classes=2, factor=(1,) * len(patch))
    sampling = Sampling(labeled=1, unlabeled=0, crops=2, min_overlap=4, augmentations=augmentations)
    batches = Batches(bank, labeled=[0], unlabeled=[], patch=patch, sampling=sampling)
    return batches.at(Clock("main", 0, 10), draws)


@given(st.integers(0, 1000), st.integers(1, 3), st.floats(0.1, 50.0))
def test_scaling_brings_every_channel_of_a_scan_to_0_and_1_and_keeps_its_order(
    seed: int, channels: int, spread: float
) -> None:
    image = torch.from_numpy(spread * make_image((channels, 5, 4), seed))
    scaled = min_max(image, *value_range(image))
    for one, before in zip(scaled, image, strict=True):
        assert float(one.min()) == 0 and float(one.max()) == pytest.approx(1.0, abs=1e-6)
        assert torch.equal(one.flatten()[before.flatten().argsort()], one.flatten().sort().values)


def test_a_constant_scan_becomes_0() -> None:
    image = torch.full((1, 4, 4), 7.0)
    assert torch.equal(min_max(image, *value_range(image)), torch.zeros(1, 4, 4))


def test_brightness_multiplies_and_stays_within_0_and_1() -> None:
    x = torch.tensor([0.0, 0.4, 0.9, 1.0])
    torch.testing.assert_close(brightness(x, 1.25), torch.tensor([0.0, 0.5, 1.0, 1.0]))
    torch.testing.assert_close(brightness(x, 0.75), torch.tensor([0.0, 0.3, 0.675, 0.75]))


def test_a_patch_is_scaled_by_its_whole_scan_and_padding_stays_0() -> None:
    image = make_image()
    whole = as_trained(torch.from_numpy(image), ("min_max",))
    for seed in range(6):
        batch = batch_of(image, ("min_max",), Draws(seed), (32, 16))  # taller than the scan: padded
        for crop in (0, 1):
            top, left = batch.corners(crop)[0].tolist()
            patch = batch.images(crop)[0, 0]
            rows = slice(max(0, -top), max(0, -top) + 20)
            columns = slice(max(0, -left), min(16, 24 - left))
            inside = whole[0, :, max(0, left) : left + 16]
            torch.testing.assert_close(patch[rows, columns], inside)
            outside = patch.clone()
            outside[rows, columns] = 0
            assert not outside.any()


def test_one_brightness_a_sample_for_both_crops_and_drawn_by_name() -> None:
    image, dark = make_image(), Draws(0).fixed(**{"labeled/0/brightness": 0.75})
    plain, darker = (batch_of(image, names, dark, (16, 16)) for names in (("min_max",), SCALED))
    for crop in (0, 1):
        torch.testing.assert_close(darker.images(crop), 0.75 * plain.images(crop))
    seen = [batch_of(image, SCALED, Draws(seed), (16, 16)).image for seed in range(20)]
    assert all(float(x.min()) >= 0 and float(x.max()) <= 1 for x in seen)
    drawn = [float(Draws(seed).uniform("labeled/0/brightness", *BRIGHTNESS)) for seed in range(200)]
    assert 0.75 <= min(drawn) < 0.78 and 1.22 < max(drawn) <= 1.25


def test_without_scaling_brightness_is_a_user_error() -> None:
    with pytest.raises(UserError, match="augmentation 'brightness' needs 'min_max'"):
        Sampling(augmentations=("rot_flip", "brightness"))


@pytest.mark.parametrize("name", ["tracoco", "supervised"])
def test_a_scan_is_predicted_with_the_values_that_training_had(name: str) -> None:
    """Whatever the units of the scan, a method trained on scaled values sees the same; others see it as it is."""
    size = {"patch": 32, "stride": 16, "filters": 2, "norm": "batch", "iterations": 3, "labeled": 4}
    config = configure(name, dataset_options={"dims": 2, "size": 32}, augmentations=["min_max"], **size)
    method = create_method(name, dims=2, **config.options).eval()
    image = make_image((1, 40, 36))
    expected = predict_probabilities(method, image, config)
    torch.testing.assert_close(predict_probabilities(method, 100 * image - 7, config), expected, rtol=1e-3, atol=1e-4)
    plain = create_method(name, dims=2, **{**config.options, "augmentations": ()}).eval()
    plain.load_state_dict(method.state_dict())
    assert not torch.equal(predict_probabilities(plain, image, config), expected)
    scaled = as_trained(torch.from_numpy(image), ("min_max",)).numpy()
    torch.testing.assert_close(predict_probabilities(plain, scaled, config), expected)
