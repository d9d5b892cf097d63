"""Training volumes on the device: what batches are cut from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ssmis_core.augmentations import min_max, value_range
from ssmis_core.datasets.cases import Case
from ssmis_core.devices import has_room
from ssmis_core.working_grid import WorkingGrid, rotated_box

Range = tuple[Tensor, Tensor]


class VolumeBank:
    """Every training volume once, on `device`; on the host when the device has no room for them.

    Volumes are brought to the run's grid (see `WorkingGrid`): resize, factor and slice_axis are the grid's. With a
    slice_axis each slice is a sample of its own. Patches are moved to `device` when the volumes are not there.
    ids: name of each sample; cases: the case that it is, or is a slice of.
    """

    def __init__(
        self,
        cases: Iterable[Case],
        *,
        num_classes: int,
        factor: Sequence[int],
        resize: Sequence[int] = (),
        slice_axis: int | None = None,
        device: torch.device | str = "cpu",
    ):
        self.device = torch.device(device)
        self.grid = WorkingGrid(tuple(factor), tuple(resize), slice_axis)
        self.ids: list[str] = []
        self.cases: list[str] = []
        self._images: list[Tensor] = []
        self._labels: list[Tensor | None] = []
        self._scales: list[tuple[float, ...]] = []
        self._ranges: dict[str, Range] = {}
        for case in cases:
            self._add(case, num_classes)
        if has_room(self.device, self.nbytes):
            self._images = [image.to(self.device) for image in self._images]
            self._labels = [None if label is None else label.to(self.device) for label in self._labels]

    def _add(self, case: Case, num_classes: int) -> None:
        image = self.grid.image(torch.from_numpy(np.ascontiguousarray(case.image)))
        label = None
        if case.label is not None:
            label = self.grid.label(torch.from_numpy(np.ascontiguousarray(case.label)), num_classes)
        for sample in self.grid.samples(case.id, image, label):
            self.ids.append(sample.id)
            self.cases.append(case.id)
            self._images.append(sample.image)
            self._labels.append(sample.label)
            self._scales.append(self.grid.scale(case.shape))

    def samples_of(self, case_ids: Iterable[str]) -> list[int]:
        """Numbers of the samples of these cases, in the bank's order."""
        wanted = set(case_ids)
        return [number for number, case_id in enumerate(self.cases) if case_id in wanted]

    @property
    def nbytes(self) -> int:
        return sum(t.nbytes for t in self._images) + sum(t.nbytes for t in self._labels if t is not None)

    def shape(self, index: int) -> tuple[int, ...]:
        return tuple(self._images[index].shape[1:])

    def spacing(self, index: int, spacing: Sequence[float]) -> tuple[float, ...]:
        """The mm a voxel of a sample, along its axes, of a case with that spacing."""
        seen = [step for axis, step in enumerate(spacing) if axis != self.grid.slice_axis]
        return tuple(step / scale for step, scale in zip(seen, self._scales[index], strict=True))

    def has_label(self, index: int) -> bool:
        return self._labels[index] is not None

    def cut(
        self,
        index: int,
        corner: Sequence[int],
        size: Sequence[int],
        *,
        label: bool,
        scaled: bool = False,
        angle: float = 0.0,
    ) -> tuple[Tensor, Tensor | None]:
        """The box [corner, corner + size) of a sample, zero outside: image [C, *size] and label [*size] or None.

        scaled: bring the whole volume's values to [0, 1] before the zeros are put round it. angle: degrees by which the
        sample is rotated about its centre, in its first plane, before the box is cut (see `rotated_box`).
        """
        image = self._box(index, self._images[index], corner, size, angle, self._range(index) if scaled else None)
        truth = self._labels[index]
        if not label or truth is None:
            return image.to(self.device), None
        return image.to(self.device), self._box(index, truth, corner, size, angle).to(self.device)

    def _box(
        self,
        index: int,
        volume: Tensor,
        corner: Sequence[int],
        size: Sequence[int],
        angle: float,
        values: Range | None = None,
    ) -> Tensor:
        """A box of an image or a label; values: what becomes 0 and 1."""
        if not angle:
            inside, padding = _inside(volume, corner, size)
            return F.pad(inside if values is None else min_max(inside, *values), padding)
        plane = volume.shape[volume.ndim - len(size) :][:2]
        inside, padding = _inside(volume, (0, 0, *corner[2:]), (*plane, *size[2:]))
        box, there = rotated_box(inside, corner, size, angle, self._scales[index])
        box = box if values is None else min_max(box, *values)
        return F.pad(box * there.reshape(*there.shape, *[1] * (len(size) - 2)), padding)

    def _range(self, index: int) -> Range:
        """Lowest and highest value of the whole volume that a sample is of."""
        case_id = self.cases[index]
        if case_id not in self._ranges:
            ends = [value_range(self._images[one]) for one in self.samples_of([case_id])]
            lows, highs = (torch.stack(values) for values in zip(*ends, strict=True))
            self._ranges[case_id] = lows.amin(0), highs.amax(0)
        return self._ranges[case_id]


def _inside(volume: Tensor, corner: Sequence[int], size: Sequence[int]) -> tuple[Tensor, list[int]]:
    """The part of a box that lies in the volume, and the padding (as `F.pad` has it) that makes it the whole box."""
    shape = volume.shape[volume.ndim - len(size) :]
    inside = [
        slice(max(0, int(c)), max(0, min(int(s), int(c) + int(p)))) for c, p, s in zip(corner, size, shape, strict=True)
    ]
    padding: list[int] = []
    for c, p, s in reversed(list(zip(corner, size, shape, strict=True))):
        padding += [max(0, -int(c)), max(0, int(c) + int(p) - int(s))]
    whole = [slice(None)] * (volume.ndim - len(size))
    return volume[tuple(whole + inside)], padding
