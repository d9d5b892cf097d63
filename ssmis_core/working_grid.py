"""The grid that a run works on: a case resized, coarsened, taken apart into slices, and the way back.

A network of two dimensions learns from slices of volumes and is judged on volumes. Everything that knows of this is
here: the volume bank asks for samples, prediction asks for windows of a volume and the way back to its own grid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ssmis_core.resampling import coarsen_image, coarsen_label, refine, resize_nearest

SLICE = "_slice_"  # between the name of a case and the number of its slice, as in the names of ACDC's slice files


@dataclass(frozen=True)
class Sample:
    """What training draws patches from: a whole case, or one of its slices. image [C, *axes], label [*axes] or None."""

    id: str
    image: Tensor
    label: Tensor | None


@dataclass(frozen=True)
class WorkingGrid:
    """How cases are brought to the grid of a run.

    resize: size that they are brought to first, by nearest neighbour, along the axes that the network sees; () keeps
    theirs. factor: block size of the coarser grid after that, along the same axes. slice_axis: of a volume whose
    slices the network sees one by one, the axis along which they lie; resize and factor leave that axis alone.
    """

    factor: tuple[int, ...]
    resize: tuple[int, ...] = ()
    slice_axis: int | None = None

    def across(self, sizes: Sequence[int], other: int) -> tuple[int, ...]:
        """Sizes along the axes that the network sees as sizes along all axes of a case; `other` along the slices."""
        full = list(sizes)
        if self.slice_axis is not None:
            full.insert(self.slice_axis, other)
        return tuple(full)

    def image(self, image: Tensor) -> Tensor:
        """Of a whole case: [C, *spatial] to [C, *grid]."""
        return coarsen_image(self._resized(image, image.shape[1:]), self.across(self.factor, 1))

    def label(self, label: Tensor, num_classes: int) -> Tensor:
        """Of a whole case: [*spatial] to [*grid]."""
        return coarsen_label(self._resized(label, label.shape), self.across(self.factor, 1), num_classes)

    def back(self, maps: Tensor, shape: Sequence[int]) -> Tensor:
        """Maps of a whole case [K, *grid] to [K, *shape], the case's own grid: linear from blocks, then nearest."""
        size = self.size(shape)
        return resize_nearest(refine(maps, self.across(self.factor, 1), size), shape)

    def scale(self, shape: Sequence[int]) -> tuple[float, ...]:
        """Voxels of the grid a voxel of a case of that shape, along the axes that the network sees."""
        own = [n for axis, n in enumerate(shape) if axis != self.slice_axis]
        sizes = self.resize or own
        return tuple(size / n / f for size, n, f in zip(sizes, own, self.factor, strict=True))

    def samples(self, case_id: str, image: Tensor, label: Tensor | None) -> list[Sample]:
        """A case that is on the grid as what training draws patches from: itself, or its slices, numbered from 1."""
        if self.slice_axis is None:
            return [Sample(case_id, image, label)]
        images = image.movedim(self.slice_axis + 1, 0).contiguous()
        labels = None if label is None else label.movedim(self.slice_axis, 0).contiguous()
        return [
            Sample(self.sample_id(case_id, k), one, None if labels is None else labels[k])
            for k, one in enumerate(images)
        ]

    def sample_id(self, case_id: str, place: int) -> str:
        """The name of the sample at a place (from 0) along slice_axis; of a whole case its own."""
        return case_id if self.slice_axis is None else f"{case_id}{SLICE}{place + 1}"

    def case_of(self, sample_id: str) -> str:
        """The case that a sample is, or is a slice of."""
        return sample_id if self.slice_axis is None else sample_id.rpartition(SLICE)[0]

    def place_of(self, sample_id: str) -> int | None:
        """Where along slice_axis a sample lies, from 0; None for a whole case."""
        return None if self.slice_axis is None else int(sample_id.rpartition(SLICE)[2]) - 1

    def lattice(self, shape: Sequence[int]) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """(first, step): voxel j of the grid stands for what lies round first + j step, in voxels of the case's own.

        shape: of the case; one number an axis of it. Along the slices both grids are the same.
        """
        pairs = zip(shape, self.size(shape), strict=True)
        apart = [(own - 1) / (size - 1) if size > 1 else 1.0 for own, size in pairs]
        factor = self.across(self.factor, 1)
        first = tuple((f - 1) / 2 * step for f, step in zip(factor, apart, strict=True))
        return first, tuple(f * step for f, step in zip(factor, apart, strict=True))

    def predictor(self, predict: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """A network's `predict` for windows of a whole case, which are flat along the slices."""
        if self.slice_axis is None:
            return predict
        axis = self.slice_axis + 2
        return lambda windows: predict(windows.squeeze(axis)).unsqueeze(axis)

    def size(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The size of a case of that shape after `resize`."""
        if not self.resize:
            return tuple(shape)
        return self.across(self.resize, 0 if self.slice_axis is None else shape[self.slice_axis])

    def _resized(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        return resize_nearest(x, self.size(shape))


def rotated_box(
    volume: Tensor, corner: Sequence[int], size: Sequence[int], angle: float, scale: Sequence[float]
) -> tuple[Tensor, Tensor]:
    """The box [corner, corner + size) of the first plane of a volume that was rotated about its centre.

    volume: [..., X, Y] or [..., X, Y, Z]; the last axes are as many as `scale` has entries. angle: degrees; nearest
    neighbour; scale: see `WorkingGrid.scale`: the rotation is one of the case's own voxels, whatever the grid made of
    their sides. Returns the box, other axes whole, and a mask of its plane that is 0 where it came from outside.
    """
    first = volume.ndim - len(scale)
    shape, device = volume.shape[first:], volume.device
    centre = [(n - 1) / 2 for n in shape[:2]]
    here = [torch.arange(size[a], dtype=torch.float64, device=device) + int(corner[a]) for a in (0, 1)]
    x = ((here[0] - centre[0]) / scale[0])[:, None]
    y = ((here[1] - centre[1]) / scale[1])[None, :]
    turn = torch.deg2rad(torch.tensor(float(angle), dtype=torch.float64, device=device))
    cos, sin = turn.cos(), turn.sin()
    rows = ((cos * x + sin * y) * scale[0] + centre[0]).round().long()
    columns = ((cos * y - sin * x) * scale[1] + centre[1]).round().long()
    inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    for axis, one in enumerate(here):
        there = (one >= 0) & (one < shape[axis])
        inside &= there[:, None] if axis == 0 else there[None, :]
    rows, columns = rows.clamp(0, shape[0] - 1), columns.clamp(0, shape[1] - 1)
    place: tuple[Any, ...] = (*[slice(None)] * first, rows, columns)
    return volume[place], inside
