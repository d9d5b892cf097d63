"""Synthetic left atria, generated on the fly: the data set that needs no files and no network.

A case is a small chest: body, lungs, spine and a heart whose left atrium (the target, with its pulmonary veins and
appendage) touches neighbours of nearly the same intensity, so that a threshold cannot find it and shape must be
learned. Every number comes from (VERSION, dims, num_classes, size, case index): equal options give equal bytes.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ssmis_core.datasets.cases import Case, Dataset
from ssmis_core.datasets.phantom_shapes import Draws
from ssmis_core.errors import UserError

VERSION = 1  # raise it with any change that changes a voxel
TRAIN, TEST = 80, 20
CLASS_NAMES = ("background", "left atrium", "left ventricle", "right atrium")
DEFAULT_SIZE = {2: (96, 96), 3: (64, 64, 64)}
VOXEL_MM = 1.25  # at the default size; another size samples the same field of view
SMALLEST_SIDE = 16
CACHE_BYTES = 256 * 2**20

Range = tuple[float, float]


@dataclass(frozen=True)
class Knobs:
    """Every range that cases are drawn from, uniformly. Lengths are canonical: 1 is half the field of view in x."""

    # Pose of the heart
    heart_shift: float = 0.12
    heart_scale: Range = (1.25, 1.5)
    heart_turn: tuple[Range, Range, Range] = ((-35.0, 35.0), (-22.0, 22.0), (-22.0, 22.0))  # degrees about z, x, y
    part_turn: float = 18.0  # degrees, each chamber by itself
    chest_shift: float = 0.10
    warp: float = 0.07  # amplitude of the smooth deformation of everything
    # Left atrium
    atrium_radii: tuple[Range, Range, Range] = ((0.32, 0.44), (0.24, 0.32), (0.26, 0.34))
    veins: tuple[int, int] = (3, 5)
    vein_radius: Range = (0.075, 0.110)
    vein_length: Range = (0.18, 0.40)
    vein_taper: float = 0.55
    appendage_radius: Range = (0.075, 0.120)
    appendage_length: Range = (0.12, 0.28)
    branch_jitter: float = 0.25
    branch_bend: float = 0.15
    ostium_blend: Range = (0.05, 0.12)
    atrium_wall: Range = (0.0, 0.05)  # thin, and open in places
    # Neighbours
    neighbour_jitter: float = 0.30
    neighbour_overlap: Range = (0.10, 0.35)
    ventricle_radii: tuple[Range, Range, Range] = ((0.36, 0.48), (0.22, 0.30), (0.22, 0.30))
    ventricle_wall: Range = (0.06, 0.12)
    right_atrium_radii: tuple[Range, Range, Range] = ((0.27, 0.37), (0.24, 0.32), (0.26, 0.36))
    right_ventricle_radii: tuple[Range, Range, Range] = ((0.28, 0.40), (0.18, 0.26), (0.24, 0.34))
    aorta_radius: Range = (0.11, 0.16)
    artery_radius: Range = (0.09, 0.13)
    cava_radius: Range = (0.08, 0.11)
    descending_radius: Range = (0.09, 0.12)
    descending_touches: float = 0.9  # probability
    sack_radius: Range = (0.62, 0.78)  # fat round the heart
    # Chest
    body_radius: Range = (1.10, 1.40)
    fat_layer: Range = (0.05, 0.15)
    lung_radius: Range = (0.38, 0.55)
    lung_vessels: tuple[int, int] = (1, 4)
    spine_radius: Range = (0.16, 0.22)
    blobs: tuple[int, int] = (0, 3)
    # Appearance: intensities are fractions of the scanner's range
    blood: Range = (0.50, 0.95)
    blood_contrast: Range = (-0.14, 0.14)  # of each chamber and vessel, relative to the left atrium
    muscle_of_blood: Range = (0.30, 0.75)
    dark_blood: float = 0.0  # probability that blood is darker than muscle
    fat: Range = (0.15, 1.0)
    fat_contrast: float = 0.30  # the least difference between fat and the atrium's blood, as a fraction of the blood
    lung: Range = (0.04, 0.16)
    texture: Range = (0.02, 0.06)  # of every tissue, fine
    swirl: Range = (0.08, 0.20)  # of the other chambers, vessels and marrow: trabeculae, turbulent flow
    tissue_swirl: float = 0.3  # share of it in fat and in the chest's muscle
    grain: Range = (0.040, 0.065)  # size of the swirls
    bias: Range = (0.10, 0.50)  # log amplitude
    blur: Range = (0.45, 0.80)  # voxels, standard deviation of the point spread function
    noise: Range = (0.015, 0.040)


KNOBS = {
    2: Knobs(  # a slice shows more of the atrium and fewer neighbours: a smaller one beside larger ones, to be as hard
        heart_scale=(0.95, 1.25),
        atrium_wall=(0.0, 0.035),
        atrium_radii=((0.26, 0.37), (0.19, 0.27), (0.26, 0.34)),
        right_atrium_radii=((0.28, 0.40), (0.26, 0.36), (0.26, 0.36)),
        vein_radius=(0.065, 0.095),
        appendage_radius=(0.070, 0.105),
        swirl=(0.11, 0.22),
        noise=(0.015, 0.035),
    ),
    3: Knobs(),
}


def open(
    root: str | os.PathLike[str] | None = None,
    *,
    dims: int = 3,
    num_classes: int = 2,
    size: int | Sequence[int] | None = None,
    version: int = VERSION,
) -> Phantom:
    """Open the phantom; `root` is ignored.

    dims: 2 or 3. num_classes: 2 (left atrium), 3 (and left ventricle) or 4 (and right atrium).
    size: voxels along each axis, one number for all or one per axis, each at least 16 (default 96x96 or 64x64x64).
    version: of the generator; a run folder keeps it, so that a run of another one is refused and not mixed up.
    Raises UserError for anything else.
    """
    if version != VERSION:
        raise UserError(
            f"phantom: version={version!r}, expected {VERSION}, the one this installation makes; train anew"
        )
    return Phantom(dims=dims, num_classes=num_classes, size=size)


class Phantom(Dataset):
    """100 synthetic cases, 80 to train on and 20 to test on; see `open`.

    Images are float32 [1, *size], z-scored per case; labels uint8 [*size]. Cases are kept in memory once made, for
    every phantom of the process, up to 256 MiB.
    """

    name = "phantom"
    title = "Synthetic left atria, made on the fly"

    def __init__(self, *, dims: int = 3, num_classes: int = 2, size: int | Sequence[int] | None = None) -> None:
        if not _whole(dims) or dims not in DEFAULT_SIZE:
            raise UserError(f"phantom: dims={dims!r}, expected 2 or 3")
        if not _whole(num_classes) or not 2 <= num_classes <= len(CLASS_NAMES):
            raise UserError(f"phantom: num_classes={num_classes!r}, expected 2, 3 or 4")
        self.dims, self.num_classes = int(dims), int(num_classes)
        self.size = checked_size(size, self.dims)
        self.class_names = CLASS_NAMES[: self.num_classes]
        ids = tuple(f"phantom-{index:03d}" for index in range(TRAIN + TEST))
        self.train, self.test = ids[:TRAIN], ids[TRAIN:]
        self._index = {case_id: index for index, case_id in enumerate(ids)}

    def options(self) -> dict[str, object]:
        return {"dims": self.dims, "num_classes": self.num_classes, "size": list(self.size), "version": VERSION}

    def source(self, case_id: str) -> str:
        return f"phantom generator version {VERSION}, {case_id}"

    def read(self, case_id: str) -> Case:
        """The case, made now or taken from memory; the arrays are the caller's own copies."""
        if case_id not in self._index:
            raise UserError(
                f"phantom: unknown case {case_id!r}, expected phantom-000 to phantom-{TRAIN + TEST - 1:03d}"
            )
        image, label = _remembered(self._index[case_id], self.dims, self.num_classes, self.size)
        spacing = tuple(VOXEL_MM * full / n for full, n in zip(DEFAULT_SIZE[self.dims], self.size, strict=True))
        affine = np.eye(4)
        affine[range(self.dims), range(self.dims)] = spacing
        affine[: self.dims, 3] = [-0.5 * step * (n - 1) for step, n in zip(spacing, self.size, strict=True)]
        return Case(case_id, image[None].copy(), label.copy(), affine, spacing, "synthetic MR")


_memory: OrderedDict[tuple[Any, ...], tuple[np.ndarray, np.ndarray]] = OrderedDict()  # least recently used first
_turn = threading.Lock()


def _remembered(index: int, dims: int, num_classes: int, size: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """`generate`, or what it returned before: a notebook opens the same phantom for every training and evaluation."""
    key = (VERSION, index, dims, num_classes, size)
    with _turn:
        made = _memory.get(key)
    if made is None:  # made outside the lock, so that threads make cases side by side
        made = generate(index, dims=dims, num_classes=num_classes, size=size)
    with _turn:
        _memory[key] = made
        _memory.move_to_end(key)
        while len(_memory) > 1 and sum(image.nbytes + label.nbytes for image, label in _memory.values()) > CACHE_BYTES:
            _memory.popitem(last=False)
    return made


def checked_size(size: int | Sequence[int] | None, dims: int) -> tuple[int, ...]:
    """`size` as a tuple of `dims` whole numbers of at least 16; raises UserError."""
    if size is None:
        return DEFAULT_SIZE[dims]
    sides: list[Any] = list(size) if isinstance(size, list | tuple) else [size] * dims
    if len(sides) != dims or not all(_whole(n) and n >= SMALLEST_SIDE for n in sides):
        wanted = f"expected one whole number or {dims} of them, each at least {SMALLEST_SIDE}"
        raise UserError(f"phantom: size={size!r}, {wanted}")
    return tuple(int(n) for n in sides)


def _whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def generate(
    index: int, *, dims: int, num_classes: int, size: tuple[int, ...], knobs: Knobs | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """One case: (image float32 [*size] with mean 0 and standard deviation 1, label uint8 [*size]).

    The image is rounded to whole numbers before it is z-scored, as a scanner's is: this hides last-digit differences
    between processors, so equal keys give equal bytes anywhere. knobs: the table to draw from (default: KNOBS[dims]).
    """
    from ssmis_core.datasets.phantom_image import paint, scan  # scipy, only when a case is made

    knobs = KNOBS[dims] if knobs is None else knobs
    key = f"phantom {VERSION} {dims} {num_classes} {'x'.join(map(str, size))} {index}"
    draw = Draws(int.from_bytes(hashlib.sha256(key.encode()).digest()[:16], "little"))
    clean, label = paint(draw, size, num_classes, knobs)
    counts = scan(draw, clean, knobs)
    total, squares = int(counts.sum()), int((counts * counts).sum())  # whole numbers: exact in any order
    mean = total / counts.size
    deviation = np.sqrt((squares * counts.size - total * total) / counts.size**2)
    return ((counts - mean) / deviation).astype(np.float32), label
