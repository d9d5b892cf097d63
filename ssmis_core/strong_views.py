"""Strong views: what FixMatch and its descendants do to a weakly augmented image before they ask for the same answer.

Contrast and brightness, a blur, and a box of another image. Each is a pure function; `draw_strong_view` and
`draw_box` say what is drawn. The factors are those of UniMatch's medical code, whose images are 2D and in [0, 1]; here
they are relative to an image's own mean and spread, so that z-scored scans and volumes can be viewed alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ssmis_core.draws import Draws

JITTER = 0.5  # largest change of contrast, and of brightness in standard deviations
JITTER_CHANCE, BLUR_CHANCE, BOX_CHANCE = 0.8, 0.5, 0.5
SIGMA = (0.1, 2.0)  # of the blur, in voxels
BOX_SHARE = (0.02, 0.4)  # of a patch's voxels
BOX_RATIO = 0.3  # a side of a box over the other, or its inverse, at the least


def jitter(x: Tensor, contrast: Tensor, shift: Tensor) -> Tensor:
    """m + c (x - m) + b s, with m and s the mean and standard deviation of each sample.

    x: [batch, C, *spatial]; contrast, shift: c and b, one number a sample, [batch].
    """
    axes = tuple(range(1, x.ndim))
    mean, spread = x.mean(axes, keepdim=True), x.std(axes, keepdim=True)
    c, b = (one.to(x).reshape(-1, *[1] * len(axes)) for one in (contrast, shift))
    return mean + c * (x - mean) + b * spread


def gaussian_blur(x: Tensor, sigma: float) -> Tensor:
    """Convolution with a Gaussian of standard deviation sigma, in voxels, along every axis; edges are repeated.

    x: [batch, C, *spatial], of whatever type, also under autocast: an image stays as exact as it was. The kernel is cut
    off at 4 sigma, as in scipy.ndimage.gaussian_filter.
    """
    radius = int(4.0 * sigma + 0.5)
    if radius < 1:
        return x
    place = torch.arange(-radius, radius + 1, device=x.device, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (place / sigma) ** 2)
    kernel = (kernel / kernel.sum()).to(x.dtype).reshape(1, 1, -1)
    with torch.autocast(x.device.type, enabled=False):
        for axis in range(2, x.ndim):
            lines = x.movedim(axis, -1)
            padded = F.pad(lines.reshape(-1, 1, lines.shape[-1]), (radius, radius), mode="replicate")
            x = F.conv1d(padded, kernel).reshape(lines.shape).movedim(-1, axis)
    return x


def draw_strong_view(name: str, x: Tensor, draws: Draws) -> Tensor:
    """A strong view of every sample of [batch, C, *spatial]: 8 of 10 get another contrast and brightness, half a blur.

    Draws: "<name>/jittered", "<name>/contrast", "<name>/shift", "<name>/blurred", "<name>/sigma", one number a sample.
    """
    count = len(x)
    jittered = draws.uniform(f"{name}/jittered", 0.0, 1.0, size=count) < JITTER_CHANCE
    contrast = 1.0 + jittered * draws.uniform(f"{name}/contrast", -JITTER, JITTER, size=count)
    shift = jittered * draws.uniform(f"{name}/shift", -JITTER, JITTER, size=count)
    x = jitter(x, torch.as_tensor(contrast), torch.as_tensor(shift))
    blurred = draws.uniform(f"{name}/blurred", 0.0, 1.0, size=count) < BLUR_CHANCE
    sigma = draws.uniform(f"{name}/sigma", *SIGMA, size=count)
    return torch.stack([gaussian_blur(x[i : i + 1], float(sigma[i]))[0] if blurred[i] else x[i] for i in range(count)])


def draw_box(name: str, x: Tensor, draws: Draws) -> Tensor:
    """Where each sample of [batch, C, *spatial] shows another image: half of them in a box, the others nowhere.

    A box has about 2 to 40 % of the voxels, less where it is cut to the patch; its first two sides stand as 0.3 to
    1/0.3 to one another, a third is between.
    [batch, 1, *spatial] bool. Draws: "<name>/boxed", "<name>/share", "<name>/ratio", "<name>/corner_<axis>".
    """
    shape, count = x.shape[2:], len(x)
    where = torch.zeros((count, 1, *shape), dtype=torch.bool, device=x.device)
    boxed = draws.uniform(f"{name}/boxed", 0.0, 1.0, size=count) < BOX_CHANCE
    share = draws.uniform(f"{name}/share", *BOX_SHARE, size=count)
    ratio = draws.uniform(f"{name}/ratio", BOX_RATIO, 1.0 / BOX_RATIO, size=count)
    place = [draws.uniform(f"{name}/corner_{axis}", 0.0, 1.0, size=count) for axis in range(len(shape))]
    for i in np.flatnonzero(boxed):
        sides = box_of(shape, float(share[i]), float(ratio[i]))
        corner = [
            int(float(place[axis][i]) * (n - side + 1)) for axis, (n, side) in enumerate(zip(shape, sides, strict=True))
        ]
        where[i, 0][tuple(slice(c, c + side) for c, side in zip(corner, sides, strict=True))] = True
    return where


def box_of(shape: Sequence[int], share: float, ratio: float) -> list[int]:
    """Sides of a box with that share of a patch's voxels, the first side `ratio` times the second, each in its axis.

    A side longer than the patch is cut to it.
    """
    even = share ** (1.0 / len(shape))
    relative = [even * math.sqrt(ratio), even / math.sqrt(ratio), *[even] * (len(shape) - 2)]
    return [min(n, max(1, int(n * part))) for n, part in zip(shape, relative, strict=True)]
