"""The voxel size that a network was trained on: it knows voxels, not millimetres."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

MOST_APART = 1.25  # times smaller or larger than any training case


def range_of(spacings: Sequence[tuple[float, ...] | None]) -> dict[str, list[float]] | None:
    """{"median", "lowest", "highest"}: mm along each axis over cases; None where a case does not know its own."""
    known = [spacing for spacing in spacings if spacing is not None]
    if not known or len(known) < len(spacings):
        return None
    values = np.array(known)
    ends = {"median": np.median(values, 0), "lowest": values.min(0), "highest": values.max(0)}
    return {name: [round(float(mm), 6) for mm in row] for name, row in ends.items()}


def unlike(spacing: Sequence[float] | None, trained: Mapping[str, Any] | None) -> str:
    """A line that tells of voxels more than 25 % smaller or larger than those of all training cases; "" for others.

    spacing: mm along each axis of an image; trained: what `range_of` said of the training cases. Where one of them is
    not known, nothing can be told.
    """
    if not spacing or not trained or len(spacing) != len(trained["median"]):
        return ""
    ends = zip(spacing, trained["lowest"], trained["highest"], strict=True)
    if all(low / MOST_APART <= mm <= high * MOST_APART for mm, low, high in ends):
        return ""
    return (
        f"voxels of {millimetres(spacing)}, while the network was trained on {_told(trained)}: expect worse labels, or "
        "bring the image to that voxel size first"
    )


def millimetres(spacing: Sequence[float]) -> str:
    """Such as "0.625 x 0.625 x 1.25 mm"."""
    return " x ".join(f"{mm:.4g}" for mm in spacing) + " mm"


def _told(trained: Mapping[str, Any]) -> str:
    """The median, with the range where there is one."""
    if np.allclose(trained["lowest"], trained["highest"], rtol=1e-3):
        return millimetres(trained["median"])
    ends = f"{millimetres(trained['lowest'])} to {millimetres(trained['highest'])}"
    return f"{millimetres(trained['median'])} (median; {ends})"
