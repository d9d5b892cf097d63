"""What a check keeps of a case, so that all cases can be compared while one at a time is in memory."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

SAMPLE = 500_000  # voxels that percentiles are taken over
FEW_VOXELS = 50  # of a label: fewer may be alike by chance


@dataclass(frozen=True)
class Intensities:
    """Of one channel's finite voxels: extremes, 0.5th, 50th and 99.5th percentile, share that equals the median.

    Percentiles are over an even sample of SAMPLE voxels.
    """

    low: float
    dark: float
    middle: float
    bright: float
    high: float
    same: float


@dataclass(frozen=True)
class CaseFacts:
    """What is known of one usable case.

    shape: voxels along the spatial axes; spacing: mm along them, or None; orientation: where the file's axes point,
    such as "RAS"; intensities: one a channel; voxels: {label value: count}, None without a label; image_hash: SHA-256
    of shape and values; label_hash: the same of the label, "" where there is too little to compare;
    picture: a PNG, or b"".
    """

    id: str
    split: str
    shape: tuple[int, ...]
    source: str = ""
    spacing: tuple[float, ...] | None = None
    orientation: str = ""
    intensities: tuple[Intensities, ...] = ()
    voxels: Mapping[int, int] | None = None
    image_hash: str = ""
    label_hash: str = ""
    picture: bytes = field(default=b"", repr=False)

    @property
    def label_share(self) -> float | None:
        """Labelled voxels / all voxels; None without a label."""
        if self.voxels is None:
            return None
        return sum(count for value, count in self.voxels.items() if value) / max(1, math.prod(self.shape))

    def volume(self, value: int) -> float | None:
        """Of a label value, in ml where the size of a voxel is known, else in voxels; None without a label."""
        if self.voxels is None:
            return None
        count = float(self.voxels.get(value, 0))
        return count * math.prod(self.spacing) / 1000 if self.spacing and self.in_ml else count

    @property
    def in_ml(self) -> bool:
        """Whether volumes are in ml: of volumes of known voxel size."""
        return self.spacing is not None and len(self.spacing) == 3


def intensities_of(channel: np.ndarray) -> Intensities:
    """See Intensities; channel: [*spatial] of any type of number, with finite voxels in it."""
    finite = channel if channel.dtype.kind in "biu" else channel[np.isfinite(channel)]
    sample = finite.reshape(-1)[:: max(1, finite.size // SAMPLE)]
    dark, middle, bright = (float(value) for value in np.percentile(sample, (0.5, 50, 99.5)))
    same = float((sample == sample.dtype.type(middle)).mean())
    return Intensities(float(finite.min()), dark, middle, bright, float(finite.max()), same)


def counts_of(label: np.ndarray) -> dict[int, int]:
    """{value: voxels} of a label of whole numbers."""
    counts: Counter[int] = Counter()
    for part in label:  # a plane at a time: sorting or widening a whole volume takes many times its memory
        values, times = np.unique(part, return_counts=True)
        counts.update(dict(zip(map(int, values), map(int, times), strict=True)))
    return dict(sorted(counts.items()))


def hash_of(arrays: Sequence[np.ndarray]) -> str:
    """SHA-256 over shapes and values, whatever type of number holds them."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array, np.float32).data)
    return digest.hexdigest()


def label_hash_of(label: np.ndarray) -> str:
    """`hash_of` the label; "" where less than FEW_VOXELS of it, or nearly all, are of one class."""
    marked = int(np.count_nonzero(label))
    return hash_of([label]) if FEW_VOXELS <= marked <= label.size - FEW_VOXELS else ""
