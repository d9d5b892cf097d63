"""Named augmentations of grey values, and the scaling of a whole scan that some of them need.

Turns, rotations and crops are in `batches`; what is here changes values alone. "min_max" is a scaling and no chance is
in it, so prediction has to do it too: `as_trained` is the one place that says so.
"""

from __future__ import annotations

from collections.abc import Collection

from torch import Tensor

from ssmis_core.errors import UserError, unknown

AUGMENTATIONS = ("rot_flip", "rot_flip_or_rotate", "min_max", "brightness")
BRIGHTNESS = (0.75, 1.25)
ANGLES = (-20, 20)  # degrees, the last one not among them


def check_augmentations(names: Collection[str]) -> None:
    """UserError for an unknown name, or for one that needs another."""
    for name in names:
        if name not in AUGMENTATIONS:
            raise unknown("augmentation", name, AUGMENTATIONS)
    if "rot_flip" in names and "rot_flip_or_rotate" in names:
        raise UserError("augmentations 'rot_flip' and 'rot_flip_or_rotate': both turn, expected one of them")
    if "brightness" in names and "min_max" not in names:
        raise UserError(
            "augmentation 'brightness' needs 'min_max': it multiplies values in [0, 1] and clips them there"
        )


def value_range(image: Tensor) -> tuple[Tensor, Tensor]:
    """Lowest and highest value of each channel of a whole scan: [C, *spatial] to two [C, 1, ...]."""
    axes = tuple(range(1, image.ndim))
    return image.amin(axes, keepdim=True), image.amax(axes, keepdim=True)


def min_max(image: Tensor, low: Tensor, high: Tensor, eps: float = 1e-8) -> Tensor:
    """(x - low) / (high - low): each channel to [0, 1]; a constant channel becomes 0.

    image: [C, *spatial], the scan or a part of it; low, high: `value_range` of the whole scan, so that a voxel has the
    same value in every patch. Source: the released code of TraCoCo.
    """
    return (image - low) / (high - low).clamp_min(eps)


def brightness(image: Tensor, factor: float) -> Tensor:
    """clip(factor x, 0, 1): darker or brighter; values in [0, 1] of any shape. Source: TraCoCo, released code."""
    return (image * factor).clamp(0.0, 1.0)


def as_trained(image: Tensor, names: Collection[str]) -> Tensor:
    """A whole scan [C, *spatial] with the values that a network trained with these augmentations knows.

    Turns and brightness are chance and stay away; the scaling stays. Zero padding is added after it, as in training.
    """
    return min_max(image, *value_range(image)) if "min_max" in names else image
