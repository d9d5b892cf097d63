"""Small pictures of cases for a page: one slice, the label's outline in colours, as PNG bytes.

The PNG is written here with zlib: drawing packages are no dependency of the core.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np

LONGEST = 112  # pixels
GREYS = 200  # of the 256 places of the palette
COLOURS = ("#56B4E9", "#E69F00", "#CC79A7", "#F0E442", "#009E73", "#D55E00")  # Okabe & Ito, as the figures have them


def picture(image: np.ndarray, label: np.ndarray | None, spacing: Sequence[float] | None) -> bytes:
    """A PNG of [x, y] or [x, y, z] at the slice across z with most label (the middle one without), y upwards.

    spacing: mm an axis, for the right proportions; None: voxels are taken as squares. Grey values are spread between
    the 0.5th and 99.5th percentile of the slice; classes above 6 have the colours over again.
    """
    if image.ndim == 3:
        marked = None if label is None else np.count_nonzero(label, axis=(0, 1))
        place = int(marked.argmax()) if marked is not None and marked.any() else image.shape[2] // 2
        image, label = image[:, :, place], None if label is None else label[:, :, place]
    steps = tuple(spacing[:2]) if spacing else (1.0, 1.0)
    rows, columns = _pixels(image.shape, steps)
    at = np.ix_(rows, columns)
    low, high = np.percentile(image, (0.5, 99.5))
    scaled = (image[at].astype(np.float64) - low) / max(float(high - low), 1e-12)
    pixels = np.round((GREYS - 1) * np.clip(scaled, 0, 1)).astype(np.uint8)
    if label is not None:
        classes = label[at]
        edge = _edges(classes)
        pixels[edge] = GREYS + (classes[edge].astype(int) - 1) % len(COLOURS)
    return png(np.flip(pixels.T, 0))


def png(indices: np.ndarray) -> bytes:
    """A PNG of palette indices uint8 [rows, columns]: below GREYS black to white, then COLOURS."""
    height, width = indices.shape
    ramp = np.repeat(np.round(np.linspace(0, 255, GREYS)).astype(np.uint8), 3).tobytes()
    palette = ramp + b"".join(bytes.fromhex(colour[1:]) for colour in COLOURS)
    lines = np.hstack([np.zeros((height, 1), np.uint8), indices]).tobytes()  # each line begins with its filter: none
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", palette),
        (b"IDAT", zlib.compress(lines, 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in parts)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _pixels(shape: Sequence[int], steps: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """The voxel of each pixel along both axes: the longer side has LONGEST pixels, proportions are those in mm."""
    lengths = [size * step for size, step in zip(shape, steps, strict=True)]
    counts = [max(1, round(LONGEST * length / max(lengths))) for length in lengths]
    first, second = (
        np.minimum(((np.arange(count) + 0.5) * size / count).astype(int), size - 1)
        for count, size in zip(counts, shape, strict=True)
    )
    return first, second


def _edges(classes: np.ndarray) -> np.ndarray:
    """Pixels of a class that have another class beside them."""
    wide = np.pad(classes, 1, mode="edge")
    beside = (wide[:-2, 1:-1], wide[2:, 1:-1], wide[1:-1, :-2], wide[1:-1, 2:])
    return (classes != 0) & np.any([other != classes for other in beside], axis=0)
