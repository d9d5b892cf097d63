"""Which slices of volumes are shown: spread over what a panel is about, and few enough for a notebook to share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from widgets.pixels import best_slice

if TYPE_CHECKING:
    from widgets.slices import Panel

BYTES_A_FIGURE = 500_000  # of pixel data: with more, the executed notebook grows too large to share
MOST_SLICES = 7
FEWEST_SLICES = 3  # of volumes, so that they still move: where the images are too large, every second pixel is drawn
MOST_THINNED = 5


def choose_cuts(parts: Sequence[Panel], slices: Sequence[int] | None, *, linked: bool) -> tuple[list[list[int]], int]:
    """The cuts of each panel, and the slider step to start at.

    slices: these cuts; linked: the same ones for all panels, through the focus of the first that has one.
    """
    if slices is not None:
        return [list(slices) if part.values.ndim == 3 else [0] for part in parts], len(slices) // 2
    count = _fitting(parts)
    if linked:
        leader = next((p for p in parts if p.focus is not None or p.outlines), parts[0])
        wanted = spread(leader, count)
        each = sorted(set(wanted))
        return [each] * len(parts), each.index(wanted[len(wanted) // 2])
    return [spread(part, count) for part in parts], count // 2 if any(p.values.ndim == 3 for p in parts) else 0


def spread(part: Panel, count: int) -> list[int]:
    """At most `count` cuts through what a panel is about, evenly spread, the fullest one in the middle."""
    if part.values.ndim < 3:
        return [0]
    focus = part.focus
    if focus is None:
        masks = [outline.mask != 0 for outline in part.outlines]
        focus = np.any(masks, axis=0) if masks else None
    depth = part.values.shape[2]
    if focus is None or not np.any(focus):
        low, middle, high = depth // 6, depth // 2, depth - 1 - depth // 6
    else:
        filled = np.flatnonzero(np.any(focus, axis=(0, 1)))
        low, middle, high = int(filled[0]), best_slice(focus), int(filled[-1])
    half = max(0, count - 1) // 2
    left = np.linspace(low, middle, half + 1)[:-1]  # nothing for half = 0
    right = np.linspace(middle, high, half + 1)[1:]
    return [int(z) for z in np.round([*left, middle, *right])]


def image_step(parts: Sequence[Panel], slices: Sequence[int] | None) -> int:
    """Pixels of an image from one that is drawn to the next: 2 where else fewer than three slices would fit, or 1."""
    chosen = slices is not None or all(part.values.ndim < 3 for part in parts)
    return 1 if chosen or FEWEST_SLICES * _bytes(parts, 1) <= BYTES_A_FIGURE else 2


def _fitting(parts: Sequence[Panel]) -> int:
    step = image_step(parts, None)
    most = MOST_SLICES if step == 1 else MOST_THINNED
    count = int(np.clip(BYTES_A_FIGURE // max(1, _bytes(parts, step)), 1, most))
    return count if count % 2 else count - 1


def _bytes(parts: Sequence[Panel], step: int) -> int:
    """Of the pixels of one slice of each panel."""
    sizes = [math.prod(part.values.shape[:2]) for part in parts]
    return sum(n // step**2 if part.kind == "image" else 4 * n for part, n in zip(parts, sizes, strict=True))
