"""How the scans of a folder are brought into one form: the choices, and what they do to an image and a label."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ssmis_core.errors import UserError, unknown

VERSION = 1  # raise it with any change that changes a voxel
MODALITIES = ("mr", "ct")
CT_WINDOW = (-125.0, 275.0)  # Hounsfield units: the abdomen's organs, as the field takes it for pancreas CT
BODY_ABOVE = 0.1  # of the range of intensities
MOST_CLASSES = 255


@dataclass(frozen=True)
class Recipe:
    """What is done to every case; equal recipes and equal files give equal bytes.

    dims: 2 for planes, 3 for volumes. spacing: mm an axis to resample to, or None to keep each file's own. window:
    Hounsfield units of CT. values: the labels' file values of class 0, 1, ... (None: the class numbers themselves).
    """

    modality: str = "mr"
    dims: int = 3
    channels: int = 1
    spacing: tuple[float, ...] | None = None
    window: tuple[float, float] | None = None
    values: tuple[int, ...] | None = None
    version: int = VERSION

    def __post_init__(self) -> None:
        if self.modality not in MODALITIES:
            raise unknown("modality", self.modality, MODALITIES)
        if self.modality == "ct" and self.window is None:
            object.__setattr__(self, "window", CT_WINDOW)
        if self.modality == "mr" and self.window is not None:
            raise UserError(f"window={self.window}: only CT has Hounsfield units to cut; MR is z-scored")
        if self.window is not None and not (all(map(math.isfinite, self.window)) and self.window[0] < self.window[1]):
            raise UserError(f"window={self.window}: expected two numbers, the lower one first")
        if self.spacing is not None:
            wrong = [mm for mm in self.spacing if not (math.isfinite(mm) and 0 < mm < 1000)]
            if wrong or len(self.spacing) != self.dims:
                raise UserError(f"spacing={list(self.spacing)}: expected {self.dims} numbers of mm above 0")

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """The recipe that `as_dict` wrote; UserError when it is none."""
        try:
            plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
            return cls(**plain)
        except TypeError as error:
            raise UserError(f"recipe={dict(values)!r}: {error}") from error

    def digest(self) -> str:
        """Equal for equal recipes."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()


def normalise(image: np.ndarray, recipe: Recipe, source: str) -> tuple[np.ndarray, str]:
    """(one channel [*spatial] in float32 as networks take it, what was done in a line).

    MR: mean 0 and standard deviation 1 over the body (`body_of`), the rest moved and scaled with it.
    CT: cut to the window, which then lies on [-1, 1]: a value means the same tissue in every scan.
    Raises UserError for an image that is constant in there.
    """
    image = image.astype(np.float32, copy=False)  # whatever the file's type, the same values give the same bytes
    if recipe.window is not None:
        low, high = recipe.window
        cut = np.clip(image, low, high)
        if cut.min() == cut.max():
            range_ = f"{float(image.min()):g} to {float(image.max()):g}"
            raise UserError(f"{source}: is constant inside the window {low:g} to {high:g} (its values: {range_})")
        return (cut - np.float32((low + high) / 2)) / np.float32(
            (high - low) / 2
        ), f"cut to {low:g}..{high:g} HU, to [-1, 1]"
    body = body_of(image)
    inside = image[body].astype(np.float64)
    mean, deviation = float(inside.mean()), float(inside.std())
    if deviation <= 1e-9 * max(1.0, abs(mean)):
        raise UserError(f"{source}: is constant inside the body ({mean:g}), expected varying intensities")
    share = 100 * float(body.mean())
    scored = (image - np.float32(mean)) / np.float32(deviation)
    return scored, f"z-scored by mean {mean:g} and deviation {deviation:g} of the body ({share:.0f} % of the voxels)"


def body_of(image: np.ndarray) -> np.ndarray:
    """Where the body is: voxels above a tenth of the way from the darkest to the brightest intensities.

    The 0.5th and 99.5th percentiles stand for the darkest and brightest. Air around the body and zeros of a cut-out
    organ fall out; of a crop without air nearly everything stays. All voxels, where that leaves less than 1 %.
    """
    low, high = np.percentile(image, (0.5, 99.5))
    body = image > low + BODY_ABOVE * (high - low)
    return body if body.mean() >= 0.01 else np.ones(image.shape, bool)


def as_classes(label: np.ndarray, recipe: Recipe, source: str) -> np.ndarray:
    """The label's file values as classes in uint8; UserError for values that are no classes."""
    if label.dtype.kind == "f":
        if not np.isfinite(label).all():
            raise UserError(f"{source}: label has NaN or infinite voxels, expected whole numbers")
        wrong = label[label != np.rint(label)]
        if wrong.size:
            raise UserError(f"{source}: label has {wrong.size} voxels like {wrong.flat[0]:g}, expected whole numbers")
    if recipe.values is None:
        low, high = float(label.min()), float(label.max())
        if low < 0 or high >= MOST_CLASSES:
            told = (
                "name them: --classes 255=lesion" if low >= 0 else "expected 0 for background and whole numbers above"
            )
            raise UserError(f"{source}: label has values from {low:g} to {high:g}; {told}")
        return label.astype(np.uint8)
    classes = np.full(label.shape, MOST_CLASSES, np.uint8)
    for index, value in enumerate(recipe.values):
        classes[label == value] = index
    strange = classes == MOST_CLASSES
    if strange.any():
        known = ", ".join(map(str, recipe.values))
        first = label[strange].flat[0]
        raise UserError(f"{source}: label has {int(strange.sum())} voxels of value {first:g}, expected only {known}")
    return classes


def is_whole(text: str) -> bool:
    """Whether a text is a whole number as people type it: digits 0 to 9 alone, no superscripts."""
    return text.isascii() and text.isdigit()


def parse_classes(texts: Sequence[str]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """(class names, file values) of "anterior,posterior" (values 1, 2) or "1=anterior,3=posterior".

    Background, value 0, goes first by itself. Raises UserError for a name or value given twice, or no number.
    """
    names, values = ["background"], [0]
    for number, text in enumerate(texts, start=1):
        value, equals, name = text.partition("=")
        name = (name if equals else value).strip()
        value = value.strip() if equals else str(number)
        if not name or not is_whole(value) or int(value) < 1:
            raise UserError(f"classes {text!r}: expected a name, or VALUE=NAME with a whole number above 0")
        names.append(name)
        values.append(int(value))
    if len(set(names)) < len(names) or len(set(values)) < len(values) or len(names) < 2 or len(names) > MOST_CLASSES:
        raise UserError(f"classes {','.join(texts)!r}: expected different names and values, at least one")
    return tuple(names), tuple(values)


def class_values(texts: Sequence[str] | None) -> tuple[tuple[str, ...] | None, tuple[int, ...] | None]:
    """`parse_classes`; both None where nothing is told, and values None where they are the class numbers themselves."""
    if not texts:
        return None, None
    names, values = parse_classes(texts)
    return names, None if values == tuple(range(len(values))) else values
