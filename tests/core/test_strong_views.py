"""Strong views: what they change, what they leave, and that one draw says all of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from ssmis_core.draws import Draws
from ssmis_core.strong_views import BOX_SHARE, box_of, draw_box, draw_strong_view, gaussian_blur, jitter

SHAPES = [(33, 20), (12, 17, 9)]


def noise(count: int, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.randn((count, 1, *shape), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sigma", [0.3, 0.8, 1.9])
def test_the_blur_is_the_gaussian_filter_of_scipy(shape: tuple[int, ...], sigma: float) -> None:
    x = noise(2, shape)
    blurred = gaussian_blur(x, sigma)
    for one, other in zip(x[:, 0].numpy(), blurred[:, 0].numpy(), strict=True):
        np.testing.assert_allclose(other, ndimage.gaussian_filter(one, sigma, mode="nearest"), rtol=1e-4, atol=1e-5)


def test_a_blur_of_less_than_a_voxel_leaves_the_image() -> None:
    x = noise(1, (8, 8))
    assert torch.equal(gaussian_blur(x, 0.1), x)


def test_mixed_precision_leaves_a_blurred_image_as_exact_as_it_was() -> None:
    x = noise(2, (16, 16))
    exact = gaussian_blur(x, 1.5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(gaussian_blur(x, 1.5), exact)


@given(st.floats(0.5, 1.5), st.floats(-0.5, 0.5), st.floats(0.1, 100), st.floats(-1000, 1000))
def test_contrast_and_brightness_are_relative_to_the_image_whatever_its_units(
    contrast: float, shift: float, scale: float, offset: float
) -> None:
    x = noise(2, (16, 12)).double()
    c, b = torch.tensor([contrast, 1.0]).double(), torch.tensor([shift, 0.0]).double()
    seen = jitter(x, c, b)
    torch.testing.assert_close(seen[1], x[1])
    torch.testing.assert_close(seen[0].std(), contrast * x[0].std())
    torch.testing.assert_close(seen[0].mean(), x[0].mean() + shift * x[0].std())
    torch.testing.assert_close(jitter(scale * x + offset, c, b), scale * seen + offset)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_view_is_a_function_of_its_draws_and_some_samples_are_left_alone(shape: tuple[int, ...]) -> None:
    x, draws = noise(64, shape), Draws(3)
    seen = draw_strong_view("strong_1", x, draws)
    assert torch.equal(seen, draw_strong_view("strong_1", x, Draws(3)))
    assert not torch.equal(seen, draw_strong_view("strong_2", x, draws))
    same = [torch.allclose(a, b, atol=1e-5) for a, b in zip(seen, x, strict=True)]
    assert 0 < sum(same) < 24  # a tenth of them: neither jittered nor blurred
    still = {"jittered": np.ones(64), "blurred": np.ones(64)}
    fixed = draws.fixed(**{f"strong_1/{name}": value for name, value in still.items()})
    torch.testing.assert_close(draw_strong_view("strong_1", x, fixed), x)


@pytest.mark.parametrize("shape", SHAPES)
def test_half_of_the_samples_have_one_box_and_it_lies_inside(shape: tuple[int, ...]) -> None:
    where = draw_box("box", noise(200, shape), Draws(0))
    assert where.shape == (200, 1, *shape) and where.dtype == torch.bool
    boxed = [one[0] for one in where if bool(one.any())]
    assert 70 < len(boxed) < 130
    for one in boxed:
        places = one.nonzero()
        sides = places.amax(0) - places.amin(0) + 1
        assert int(one.sum()) == int(sides.prod())  # a filled box
        assert float(one.float().mean()) <= BOX_SHARE[1] + 1e-6
    touched = torch.stack(boxed).any(0)
    for axis in range(len(shape)):
        along = touched.movedim(axis, 0).flatten(1).any(1)
        assert bool(along.all()), f"some place along axis {axis} is never shown"


@given(st.floats(*BOX_SHARE), st.floats(0.3, 1 / 0.3), st.sampled_from([(256, 256), (64, 96), (32, 32, 16)]))
def test_a_box_has_its_share_and_ratio(share: float, ratio: float, shape: tuple[int, ...]) -> None:
    sides = box_of(shape, share, ratio)
    relative = [side / n for side, n in zip(sides, shape, strict=True)]
    assert all(1 <= side <= n for side, n in zip(sides, shape, strict=True))
    if all(side < n for side, n in zip(sides, shape, strict=True)):
        step = max(1 / n for n in shape)  # sides are rounded down to whole voxels
        assert share * (1 - step / min(relative)) ** 3 <= np.prod(relative) + 1e-9 <= share + 1e-6
