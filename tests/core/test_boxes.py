"""A box holds what a mask has, and no more."""

from __future__ import annotations

import numpy as np
import pytest

from ssmis_core.boxes import box_around


def test_a_box_holds_the_mask_and_its_margin_where_the_grid_has_one() -> None:
    mask = np.zeros((9, 9), bool)
    mask[0:2, 4:6] = True
    assert box_around(mask) == (slice(0, 2), slice(4, 6))
    assert mask[box_around(mask, margin=1)].shape == (3, 4)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("shape", [(7, 9), (6, 8, 5)])
def test_nothing_is_outside_and_every_face_is_touched(shape: tuple[int, ...], seed: int) -> None:
    mask = np.random.default_rng(seed).random(shape) < 0.02
    mask.flat[seed] = True
    inside = mask[box_around(mask)]
    assert inside.sum() == mask.sum()
    assert all(np.moveaxis(inside, axis, 0)[end].any() for axis in range(mask.ndim) for end in (0, -1))


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 6), (0, 5), (4, 0, 6)])
@pytest.mark.parametrize("margin", [0, 2])
def test_a_mask_without_a_voxel_has_an_empty_box(shape: tuple[int, ...], margin: int) -> None:
    assert np.zeros(shape, bool)[box_around(np.zeros(shape, bool), margin)].size == 0
