"""From volumes to what is drawn of them: the cut, its grey levels, the line round a mask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ssmis_core.datasets import Case


def best_slice(mask: np.ndarray) -> int:
    """The cut across the last axis with the most non-zero voxels; the middle one of an empty mask; 0 in 2D."""
    if mask.ndim < 3:
        return 0
    filled = (np.asarray(mask) != 0).sum((0, 1))
    return int(filled.argmax()) if filled.any() else mask.shape[2] // 2


def fullest_slice(case: Case, axis: int) -> int:
    """The place along an axis of a volume where the slice across it has most of the label; the middle without one."""
    label = np.zeros(case.shape, np.uint8) if case.label is None else case.label
    return best_slice(np.moveaxis(label, axis, 2))


def grey(image: np.ndarray) -> np.ndarray:
    """An image as uint8, its 0.5th to 99.5th percentile spread over black to white."""
    low, high = np.percentile(image, (0.5, 99.5))
    return np.round(255 * np.clip((image - low) / max(high - low, 1e-12), 0, 1)).astype(np.uint8)


def cut(volume: np.ndarray, index: int) -> np.ndarray:
    """[X, Y] of a volume across its last axis; a 2D map as it is."""
    return volume if volume.ndim == 2 else volume[:, :, index]


def line_of(mask: np.ndarray, spacing: Sequence[float] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The border of a 2D mask as x and y of one polyline (float32), its pieces parted by NaN; corners only."""
    from skimage.measure import find_contours

    padded = np.pad(np.asarray(mask, np.float32), 1)
    pieces = [np.vstack([corners(piece) - 1, [[np.nan, np.nan]]]) for piece in find_contours(padded, 0.5)]
    points = np.vstack(pieces) if pieces else np.full((1, 2), np.nan)
    points = points * np.asarray(spacing[:2] if spacing else (1.0, 1.0))
    return points[:, 0].astype(np.float32), points[:, 1].astype(np.float32)


def corners(line: np.ndarray) -> np.ndarray:
    """A polyline [N, 2] without the points inside its straight runs, which draw nothing: half of a border's points."""
    steps = np.diff(line, axis=0)
    turns = np.any(steps[1:] != steps[:-1], axis=1)
    return line[np.concatenate([[True], turns, [True]])] if len(line) > 2 else line
