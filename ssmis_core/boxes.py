"""The part of a grid that a mask is in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Box = tuple[slice, ...]


def box_around(mask: np.ndarray, margin: int = 0) -> Box:
    """The smallest box that holds a mask [*spatial], and `margin` voxels more on each side where the grid has them.

    A mask without a voxel has an empty box, whatever the margin.
    """
    if not mask.any():
        return (slice(0, 0),) * mask.ndim
    box = []
    rest: NDArray[Any] = mask
    for _ in range(mask.ndim):
        there = np.flatnonzero(rest.reshape(rest.shape[0], -1).any(axis=1))
        box.append(slice(max(0, int(there[0]) - margin), int(there[-1]) + 1 + margin))
        rest = np.any(rest, axis=0)  # one axis fewer: the later ones cost next to nothing
    return tuple(box)
