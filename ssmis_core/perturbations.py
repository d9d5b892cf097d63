"""Perturbed inputs: what consistency methods do to an image before they ask for the same answer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def add_clipped_noise(x: Tensor, normal: Tensor, *, scale: float = 0.1, clip: float = 0.2) -> Tensor:
    """x + clip(scale * normal, -clip, clip); `normal` is standard normal noise of x's shape.

    Source: Yu et al., UA-MT (MICCAI 2019), section 3; UG-MCL, section 3.2. Images are in units of their
    standard deviation.
    """
    return x + (scale * normal).clamp(-clip, clip).to(x.dtype)


def box_sides(shape: Sequence[int], share: float) -> tuple[int, ...]:
    """The sides of a box that is `share` of each side of a patch, rounded down to whole voxels, at least 1."""
    return tuple(max(1, int(size * share)) for size in shape)


def box_places(shape: Sequence[int], frame: Sequence[int], share: float) -> list[int]:
    """Along each axis the number of corners, 0, 1, ..., at which a box may start: frame - side.

    frame: the size of patch that the box is placed for, the patch's own or another, so that an edge may cut the box;
    yet some of it always lies in the patch. As in the released code of BCP and CPAM the very last place, where the box
    would reach the frame's far edge, is left out.
    """
    sides = box_sides(shape, share)
    return [max(1, min(f - side, size)) for f, side, size in zip(frame, sides, shape, strict=True)]


def box_mask(
    shape: Sequence[int], corner: Sequence[int], share: float = 2 / 3, device: torch.device | str | None = None
) -> Tensor:
    """M: 0 inside a box that starts at `corner`, 1 outside; float32 [*shape]. The patch's edge may cut the box.

    The box has `share` of each side of the patch. Source: Bai et al., BCP (CVPR 2023); Wu et al., CPAM (TNNLS 2026).
    """
    mask = torch.ones(tuple(shape), device=device)
    sides = box_sides(shape, share)
    mask[tuple(slice(int(c), int(c) + side) for c, side in zip(corner, sides, strict=True))] = 0.0
    return mask


def copy_paste(outside: Tensor, inside: Tensor, mask: Tensor) -> Tensor:
    """M * outside + (1 - M) * inside, voxel by voxel; mask: 0 or 1, of a shape that broadcasts. Images or labels.

    Source: Bai et al., BCP (CVPR 2023); Wu et al., CPAM (TNNLS 2026), all four mixes.
    """
    return torch.where(mask > 0, outside, inside)
