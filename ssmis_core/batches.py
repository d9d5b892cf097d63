"""Batches of patches, cut from the training volumes of a `VolumeBank`.

Every choice (which cases, where, which turn) is a named draw of the iteration, so batch t is a pure function of the
seed and t. Labels of unlabeled cases never enter a batch.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ssmis_core.augmentations import ANGLES, BRIGHTNESS, brightness, check_augmentations
from ssmis_core.draws import Clock, Draws
from ssmis_core.errors import UserError
from ssmis_core.geometry import Turn, overlap_slices
from ssmis_core.volume_bank import VolumeBank


@dataclass(frozen=True)
class Sampling:
    """What a method wants in a batch.

    labeled, unlabeled: samples of each (unlabeled of every stream); crops: patches a sample, cut from one volume with
    one common turn; min_overlap: the least overlap of two crops, in voxels an axis; augmentations: names.
    """

    labeled: int = 2
    unlabeled: int = 2
    crops: int = 1
    min_overlap: int = 16
    unlabeled_streams: int = 1
    augmentations: tuple[str, ...] = ("rot_flip",)

    def __post_init__(self) -> None:
        check_augmentations(self.augmentations)


@dataclass(frozen=True)
class Patches:
    """Patches of some cases.

    image: [B, crops, C, *patch] float32; label: [B, crops, *patch] uint8, or None for unlabeled cases; corner:
    [B, crops, dims] where each patch starts in its volume (negative inside the padding); turn: one a sample; case: ids.
    """

    image: Tensor
    label: Tensor | None
    corner: Tensor
    turn: tuple[Turn, ...]
    case: tuple[str, ...]


@dataclass(frozen=True)
class Batch:
    """Labeled patches, and the patches of each unlabeled stream (none for a supervised method)."""

    labeled: Patches
    streams: tuple[Patches, ...] = ()

    @property
    def unlabeled(self) -> Patches | None:
        return self.streams[0] if self.streams else None

    @property
    def num_labeled(self) -> int:
        return self.labeled.image.shape[0]

    @cached_property
    def image(self) -> Tensor:
        """First crops of the labeled samples, then of the first unlabeled stream: [B, C, *patch]."""
        return self.images(0)

    def images(self, crop: int) -> Tensor:
        """The crops of that number, labeled samples first: [B, C, *patch]."""
        return torch.cat([patches.image[:, crop] for patches in (self.labeled, *self.streams[:1])])

    def corners(self, crop: int) -> Tensor:
        """Corners of `images(crop)`: [B, dims]."""
        return torch.cat([patches.corner[:, crop] for patches in (self.labeled, *self.streams[:1])])

    @cached_property
    def label(self) -> Tensor:
        """Labels of the labeled samples' first crops: [labeled, *patch] int64."""
        assert self.labeled.label is not None
        return self.labeled.label[:, 0].long()

    @property
    def case(self) -> tuple[str, ...]:
        return self.labeled.case + (self.unlabeled.case if self.unlabeled else ())

    @property
    def turn(self) -> tuple[Turn, ...]:
        return self.labeled.turn + (self.unlabeled.turn if self.unlabeled else ())

    @property
    def corner(self) -> Tensor:
        """Corners of `image`: [B, dims]."""
        return self.corners(0)

    def overlaps(self) -> list[tuple[tuple[slice, ...], tuple[slice, ...]]]:
        """Of every sample the voxels that its two first crops share: slices into the one and into the other."""
        size = self.image.shape[2:]
        corners = zip(self.corners(0).tolist(), self.corners(1).tolist(), self.turn, strict=True)
        return [overlap_slices(first, second, size, turn) for first, second, turn in corners]


class Batches:
    """The batch of every iteration, drawn from a bank.

    labeled, unlabeled: indices into the bank. A stream passes over its shuffled list and drops the remainder, then
    shuffles anew, as the field's two-stream sampler does for its labeled half.
    """

    def __init__(
        self,
        bank: VolumeBank,
        *,
        labeled: Sequence[int],
        unlabeled: Sequence[int],
        patch: Sequence[int],
        sampling: Sampling,
    ):
        self.bank, self.patch, self.sampling = bank, tuple(patch), sampling
        self.labeled, self.unlabeled = list(labeled), list(unlabeled)
        if sampling.unlabeled and not self.unlabeled:
            raise UserError(
                f"no unlabeled case is left beside {len(self.labeled)} labeled ones, and this method needs some; "
                "ask for fewer labeled cases"
            )
        for index in self.labeled:
            if not bank.has_label(index):
                raise UserError(f"case {bank.ids[index]} is to be a labeled one, but it has no label")

    def at(self, clock: Clock, draws: Draws) -> Batch:
        """Batch t."""
        labeled = self._stream("labeled", self.labeled, self.sampling.labeled, clock, draws)
        count = self.sampling.unlabeled_streams if self.sampling.unlabeled else 0
        return Batch(
            labeled,
            tuple(
                self._stream(f"unlabeled_{i}", self.unlabeled, self.sampling.unlabeled, clock, draws)
                for i in range(count)
            ),
        )

    def _stream(self, name: str, indices: list[int], size: int, clock: Clock, draws: Draws) -> Patches:
        chosen = [indices[i] for i in pick(name, len(indices), size, clock, draws)]
        parts = [self._sample(f"{name}/{j}", index, draws, label=name == "labeled") for j, index in enumerate(chosen)]
        labels = [label for _, label, _, _ in parts if label is not None]
        return Patches(
            image=torch.stack([image for image, _, _, _ in parts]),
            label=torch.stack(labels) if labels else None,
            corner=torch.tensor(np.array([corners for _, _, corners, _ in parts])),
            turn=tuple(turn for _, _, _, turn in parts),
            case=tuple(self.bank.ids[index] for index in chosen),
        )

    def _sample(
        self, name: str, index: int, draws: Draws, *, label: bool
    ) -> tuple[Tensor, Tensor | None, np.ndarray, Turn]:
        dims = len(self.patch)
        turn = draw_turn(name, self.sampling.augmentations, draws)
        size = (self.patch[1], self.patch[0], *self.patch[2:]) if turn.quarters % 2 else self.patch
        padded = not self.bank.grid.resize  # what was brought to a size is that size
        corners = crop_corners(name, self.bank.shape(index), size, self.sampling, draws, padded=padded)
        how: dict[str, Any] = {"label": label, "scaled": "min_max" in self.sampling.augmentations, "angle": turn.angle}
        boxes = (self.bank.cut(index, corner, size, **how) for corner in corners)
        images, labels = zip(*boxes, strict=True)
        image = torch.stack([turn.apply(i, dims) for i in images])
        if "brightness" in self.sampling.augmentations:
            image = brightness(image, float(draws.uniform(f"{name}/brightness", *BRIGHTNESS)))
        truth = torch.stack([turn.apply(one, dims) for one in labels if one is not None]) if label else None
        return image, truth, corners, turn


def draw_turn(name: str, augmentations: Collection[str], draws: Draws) -> Turn:
    """How one sample is turned.

    "rot_flip": by 0 to 3 quarters, and always flipped, the field's way on LA and BraTS. "rot_flip_or_rotate": half of
    the samples so, a quarter rotated by -20 to 19 degrees and a quarter as they are, the way on ACDC (SSL4MIS).
    """
    both = "rot_flip_or_rotate" in augmentations
    chance = float(draws.uniform(f"{name}/turned", 0.0, 1.0)) if both else 0.0
    if "rot_flip" in augmentations or (both and chance < 0.5):
        return Turn(int(draws.integers(f"{name}/quarters", 0, 4)), int(draws.integers(f"{name}/flip", 0, 2)))
    return Turn(angle=float(draws.integers(f"{name}/angle", *ANGLES))) if both and chance < 0.75 else Turn()


def pick(name: str, n: int, size: int, clock: Clock, draws: Draws) -> list[int]:
    """The `size` of n items that iteration t takes: shuffled passes, the remainder dropped; with n < size, repeated."""
    whole = n - n % size if n >= size else n
    positions = range(clock.t * size, (clock.t + 1) * size)
    orders: dict[int, np.ndarray] = {}
    chosen = []
    for position in positions:
        epoch, place = divmod(position, whole)
        if epoch not in orders:
            orders[epoch] = draws.at(Clock(clock.stage, 0, clock.T)).permutation(f"{name}/epoch_{epoch}", n)
        chosen.append(int(orders[epoch][place]))
    return chosen


def crop_corners(
    name: str, shape: Sequence[int], size: Sequence[int], sampling: Sampling, draws: Draws, *, padded: bool = True
) -> np.ndarray:
    """Where the crops of one sample start, [crops, dims].

    padded: a volume that is not larger than the patch on some axis is first padded with zeros, 3 voxels a side more
    than needed (the field's rule), so corners there can be negative. The second crop starts at or before the first on
    every axis and shares at least `min_overlap` voxels an axis with it (TraCoCo).
    """
    low, room = crop_range(shape, size, padded=padded)
    first = low + np.array(
        [int(draws.integers(f"{name}/corner_{axis}", 0, room[axis] + 1)) for axis in range(len(shape))]
    )
    corners = [first]
    for crop in range(1, sampling.crops):
        reach = np.minimum(first - low, np.maximum(0, np.array(size) - sampling.min_overlap))
        back = [
            int(draws.integers(f"{name}/crop_{crop}_back_{axis}", 0, reach[axis] + 1)) for axis in range(len(shape))
        ]
        corners.append(first - np.array(back))
    return np.stack(corners)


def crop_range(shape: Sequence[int], size: Sequence[int], *, padded: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Along each axis (the lowest corner of a crop, how many places there are above it); padded: see `crop_corners`."""
    pad = [0] * len(shape)
    if padded and any(s <= p for s, p in zip(shape, size, strict=True)):
        pad = [max((p - s) // 2 + 3, 0) for s, p in zip(shape, size, strict=True)]
    return np.array([-a for a in pad]), np.array([s + 2 * a - p for s, a, p in zip(shape, pad, size, strict=True)])
