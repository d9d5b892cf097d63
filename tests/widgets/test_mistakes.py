"""Mistakes made on purpose: each does what it says, in 2D and 3D, at borders and for objects that are not there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from widgets.mistakes import Anatomy, Mistake, grown, make, shifted


def keyhole(dims: int = 3) -> np.ndarray:
    """A ball of radius 8 with a long and a short branch, in an odd-sized volume."""
    mask = np.zeros((37, 33, 31)[:dims], bool)
    places = np.ogrid[tuple(slice(0, n) for n in mask.shape)]
    mask[sum((p - 16) ** 2 for p in places) <= 64] = True
    rest = (slice(15, 18),) * (dims - 1)
    mask[(slice(24, 34), *rest)] = True
    mask[(slice(3, 9), *rest)] = True
    return mask


@pytest.mark.parametrize("dims", [2, 3])
def test_no_mistake_is_the_reference_itself(dims: int) -> None:
    one = Anatomy.of(keyhole(dims))
    made = make(one, Mistake())
    assert (made == one.reference).all() and made is not one.reference


@pytest.mark.parametrize("dims", [2, 3])
def test_branches_go_by_size_and_the_body_stays(dims: int) -> None:
    mask = keyhole(dims)
    one = Anatomy.of(mask)
    assert len(one.branches) == 2
    first, both = make(one, Mistake(branches=1)), make(one, Mistake(branches=5))
    assert not first[30:].any() and first[5].any()
    assert not both[30:].any() and not both[5].any()
    body = np.linalg.norm(np.argwhere(mask) - 16, axis=1) <= 7
    assert both[mask][body].all() and not both[~mask].any()


def test_a_compact_object_has_no_branch(ball: np.ndarray) -> None:
    assert Anatomy.of(ball).branches == []


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_an_end_is_cut_off_to_about_its_share_along_the_longest_side(share: float) -> None:
    one = Anatomy.of(np.pad(np.ones((5, 40, 7), bool), 3))
    made = make(one, Mistake(cut=share))
    assert made.sum() / one.reference.sum() == pytest.approx(1 - share, abs=0.03)
    assert not made[:, : 3 + int(40 * share) - 1].any()


def test_cut_off_altogether_it_is_empty_and_nothing_cut_leaves_all(ball: np.ndarray) -> None:
    one = Anatomy.of(ball)
    assert not make(one, Mistake(cut=1.0)).any()
    assert make(one, Mistake(cut=0.0)).sum() == ball.sum()


def test_a_hole_lies_where_the_object_is_deepest(ball: np.ndarray) -> None:
    one = Anatomy.of(ball)
    lost = one.reference & ~make(one, Mistake(hole=2))
    assert one.deepest == (12, 10, 8) and lost.sum() == 33  # voxels within 2 of a voxel
    assert np.argwhere(lost).mean(0).tolist() == [12, 10, 8]


def test_an_object_at_the_border_is_not_deepest_there() -> None:
    mask = np.zeros((20, 9), bool)
    mask[:9] = True
    assert Anatomy.of(mask).deepest == (4, 4)


@pytest.mark.parametrize("layers", [-3, -1, 1, 3])
def test_layers_are_those_of_the_whole_volume(ball: np.ndarray, layers: int) -> None:
    mask = ball.astype(bool)
    change = ndimage.binary_dilation if layers > 0 else ndimage.binary_erosion
    np.testing.assert_array_equal(grown(mask, layers), change(mask, iterations=abs(layers)))
    assert not grown(np.zeros_like(mask), layers).any()


@pytest.mark.parametrize("by", [(2, 0, -3), (-30, 0, 0), (1,), ()])
def test_a_shift_loses_what_leaves_the_volume(ball: np.ndarray, by: tuple[int, ...]) -> None:
    wanted = ndimage.shift(ball, [*by, *[0] * (3 - len(by))], order=0)
    np.testing.assert_array_equal(shifted(ball, by), wanted)


@pytest.mark.parametrize("place", [(0.0, 0.0, 0.0), (1.0, 0.5, 1.0), (0.5, 0.5, 0.5)])
def test_a_blob_has_its_centre_at_its_place_and_ends_at_the_border(ball: np.ndarray, place: Any) -> None:
    one = Anatomy.of(np.zeros_like(ball))
    made = make(one, Mistake(blob=3, place=place))
    centre = [round(share * (n - 1)) for share, n in zip(place, ball.shape, strict=True)]
    away = np.linalg.norm(np.argwhere(made) - centre, axis=1)
    assert made[tuple(centre)] and away.max() <= 3
    assert made.sum() == (123 if place == (0.5, 0.5, 0.5) else made.sum())


def test_an_object_that_is_not_there_takes_every_mistake() -> None:
    one = Anatomy.of(np.zeros((9, 8), bool))
    made = make(one, Mistake(branches=2, cut=0.5, hole=2, grow=2, shift=(1, 1), blob=0))
    assert not made.any()
