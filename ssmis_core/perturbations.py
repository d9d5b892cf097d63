"""Perturbed inputs: what consistency methods do to an image before they ask for the same answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ssmis_core.draws import Draws
from ssmis_core.losses import probabilities


def add_clipped_noise(x: Tensor, normal: Tensor, *, scale: float = 0.1, clip: float = 0.2) -> Tensor:
    """x + clip(scale * normal, -clip, clip); `normal` is standard normal noise of x's shape.

    Source: Yu et al., UA-MT (MICCAI 2019), section 3; UG-MCL, section 3.2. Images are in units of their
    standard deviation.
    """
    return x + (scale * normal).clamp(-clip, clip).to(x.dtype)


@contextmanager
def held_still() -> Iterator[None]:
    """A pass inside takes no gradient, and a later one of the same network does, in mixed precision too.

    Older torch takes the weights that autocast has cast without a gradient again outside of `no_grad`, and those of
    the network then learn nothing; so they are forgotten at the end.
    """
    with torch.no_grad():
        yield
    torch.clear_autocast_cache()


@contextmanager
def frozen_statistics(network: nn.Module) -> Iterator[None]:
    """Forward passes inside leave BatchNorm's running statistics alone; in train mode they still use the batch's own.

    A perturbed image is not what the network will meet, so it must not shape what evaluation normalises with.
    Source: Miyato et al., VAT (TPAMI 2019), the released code's rule.
    """
    layers = [one for one in network.modules() if isinstance(one, _BatchNorm) and one.track_running_stats]
    try:
        for layer in layers:
            layer.track_running_stats = False
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True


def evaluated(network: nn.Module, *inputs: Tensor) -> Any:
    """network(*inputs) in eval mode, without dropout; its mode and running statistics stay as they are."""
    training = network.training
    try:
        return network.eval()(*inputs)
    finally:
        network.train(training)


def unit_direction(d: Tensor, eps: float = 1e-8) -> Tensor:
    """d / (|d| + e) for each sample, |d| over all its channels and voxels: [batch, C, *spatial], float32."""
    d = d.float()
    return d / (torch.linalg.vector_norm(d, dim=tuple(range(1, d.ndim)), keepdim=True) + eps)


class Adversarial(NamedTuple):
    """distance: D(perturbed, clean), a number; noise: eps d, of x's shape; clean, perturbed: p(x) and p(x + eps d)."""

    distance: Tensor
    noise: Tensor
    clean: Tensor
    perturbed: Tensor


def virtual_adversarial(
    network: nn.Module,
    x: Tensor,
    uniform: Tensor,
    *,
    distance: Callable[[Tensor, Tensor], Tensor],
    xi: float = 10.0,
    epsilon: float = 10.0,
    iterations: int = 1,
) -> Adversarial:
    """How far the answer moves under the small noise that moves it most: D(p(x + eps d), p(x)), p(x) held still.

    Power iteration from d = unit(uniform - 1/2): d <- unit(grad_d D(p(x + xi d), p(x))), `iterations` times.
    network: its output has `logits`; x: [batch, C, *spatial]; uniform: noise in [0, 1) of x's shape.
    distance: of two probability maps [batch, K, *spatial]; xi, epsilon: length of the trial and of the final noise, as
    a norm over a whole sample. The clean pass takes no gradient and is the only one that updates running statistics;
    dropout is drawn anew in each pass. Source: Miyato et al., VAT (TPAMI 2019), eq. 5, 6 and section 3.3; Wu et al.,
    SS-Net (MICCAI 2022), the smoothness term.
    """
    with held_still():
        clean = probabilities(network(x).logits)
    d = unit_direction(uniform - 0.5)
    with frozen_statistics(network):
        for _ in range(iterations):
            with torch.enable_grad():
                d = d.detach().requires_grad_()
                moved = distance(probabilities(network(x + xi * d).logits), clean)
                (gradient,) = torch.autograd.grad(moved, d)
            d = unit_direction(gradient)
        noise = epsilon * d
        perturbed = probabilities(network(x + noise).logits)
    return Adversarial(distance(perturbed, clean), noise, clean, perturbed)


def add_uniform_noise(x: Tensor, uniform: Tensor, *, scale: float = 0.2, clamp: bool = False) -> Tensor:
    """x + scale (2 u - 1), so noise within +-scale; `uniform` is noise in [0, 1) of x's shape.

    clamp: keep the sum in [0, 1], for images that are scaled to it. Source: TraCoCo, released code.
    """
    noisy = x + (scale * (2.0 * uniform - 1.0)).to(x.dtype)
    return noisy.clamp(0.0, 1.0) if clamp else noisy


def box_masks(centres: Tensor, sides: Sequence[int], shape: Sequence[int]) -> Tensor:
    """One box a sample, cut off at the edges: True in [c - side//2, c + side//2) on each axis, [B, 1, *shape] bool.

    centres: integers [B, len(sides)] in voxels; sides: of the boxes, along the first axes of `shape`; an axis without
    a side is filled from end to end. Source: Yun et al., CutMix (ICCV 2019), as TraCoCo's released code places it.
    """
    inside = torch.ones((len(centres), 1, *shape), dtype=torch.bool, device=centres.device)
    for axis, side in enumerate(sides):
        place = torch.arange(shape[axis], device=centres.device)
        centre = centres[:, axis, None]
        along = (place >= centre - side // 2) & (place < centre + side // 2)
        inside = inside & along.reshape(len(centres), 1, *(-1 if a == axis else 1 for a in range(len(shape))))
    return inside


def paste(x: Tensor, source: Tensor, where: Tensor) -> Tensor:
    """x with the voxels of a mask taken from other samples: x_source inside, x outside.

    x: [B, C, *spatial]; source: [B] the sample that each pastes from; where: [B, 1, *spatial] bool.
    Source: Yun et al., CutMix (ICCV 2019), eq. 1.
    """
    return torch.where(where, x[source], x)


def draw_cutmix(name: str, x: Tensor, draws: Draws, *, axes: int | None = None) -> tuple[Tensor, Tensor]:
    """(the sample that each sample pastes from [B], where it pastes [B, 1, *spatial] bool) for images [B, C, *spatial].

    One share a batch: a box has sqrt(1 - lambda) of each side, lambda ~ Beta(4, 4), rounded down. One centre a sample,
    anywhere from an eighth of the patch on. axes: how many of the first axes a box has sides on (None: all); the
    released code of TraCoCo has 2 in 3D too, so that its boxes go through the whole depth.
    Draws: "<name>" (lambda), "<name>/centre_<axis>", "<name>/source". Source: TraCoCo, released code.
    """
    shape, count = x.shape[2:], len(x)
    share = math.sqrt(1.0 - float(draws.beta(name, 4.0, 4.0)))
    centres = [
        draws.integers(f"{name}/centre_{axis}", side // 8, side, size=count) for axis, side in enumerate(shape[:axes])
    ]
    source = torch.as_tensor(draws.permutation(f"{name}/source", count)).to(x.device)
    placed = torch.as_tensor(np.stack(centres, axis=1)).to(x.device)
    return source, box_masks(placed, [int(side * share) for side in shape[:axes]], shape)


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
