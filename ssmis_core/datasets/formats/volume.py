"""What every format gives, and the checks that every format needs."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ssmis_core.errors import UserError

LIMIT_BYTES = 1_600_000_000  # of voxels in memory: reading one image stays below 2 GB
DEFLATE_MOST = 1100  # deflate packs at most 1032 bytes into one
MANY_VOXELS, MOST_PACKED = 1 << 26, 100  # images of more voxels, packed better than that, are no scans
SLACK_BYTES = 1 << 26  # what may follow the voxels in a compressed file
CHUNK = 1 << 22
MOST_SKEW = 1e-3  # of unit axes' scalar products: more than rounding
FARTHEST_MM = 1e7


@dataclass(frozen=True)
class Volume:
    """One image as its file has it.

    array: [x, y, z], or [x, y, z, channels] for several; z is 1 for a plane. affine: 4x4 from voxel (i, j, k) to
    world (mm, x to the right, y to the front, z up: NIfTI's convention). note: what was done or assumed, or "".
    axes: of the file, channels apart: 2 for a plane without the axis of one voxel, else 3. placed: whether the file
    says how it is turned and how large its voxels are; where it does not, the note says what was assumed.
    """

    array: np.ndarray
    affine: np.ndarray
    note: str = ""
    axes: int = 3
    placed: bool = True

    @property
    def spacing(self) -> tuple[float, ...]:
        """Millimetres along each of the three axes."""
        return tuple(float(length) for length in np.linalg.norm(self.affine[:3, :3], axis=0))

    @property
    def channels(self) -> int:
        return self.array.shape[3] if self.array.ndim == 4 else 1


def volume(
    path: Path, array: np.ndarray, affine: np.ndarray, note: str = "", *, axes: int = 3, placed: bool = True
) -> Volume:
    """A Volume of checked type, number of axes and affine; leading and trailing axes are put in order.

    array: [x, y], [x, y, z], [x, y, z, channels] or [x, y, z, 1, channels]. note, axes, placed: see Volume; [x, y]
    has 2 axes.
    """
    if array.dtype.names or array.dtype.kind not in "biuf":
        raise UserError(f"{path}: voxels are of type {array.dtype}, expected plain numbers")
    if array.ndim == 2:
        array, axes = array[:, :, None], 2
    while array.ndim > 3 and array.shape[3] == 1:
        array = array[:, :, :, 0]
    if array.ndim not in (3, 4) or not array.size:
        raise UserError(f"{path}: has shape {array.shape}, expected 2 or 3 axes with voxels, and perhaps channels")
    affine = np.asarray(affine, dtype=np.float64)
    check_affine(path, affine)
    return Volume(array, affine, note, axes, placed)


def check_affine(path: Path, affine: np.ndarray) -> None:
    """UserError unless the 4x4 matrix places voxels in a right-angled grid somewhere within reach."""
    expected = "expected finite numbers that span a volume"
    if affine.shape != (4, 4) or not np.isfinite(affine).all() or np.abs(affine).max() > FARTHEST_MM:
        raise UserError(f"{path}: no usable voxel-to-world matrix, {expected}")
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if lengths.min() < 1e-6:
        raise UserError(f"{path}: voxel size is {[round(float(n), 6) for n in lengths]} mm, {expected}")
    axes = affine[:3, :3] / lengths
    skew = float(np.abs(axes.T @ axes - np.eye(3)).max())
    if abs(float(np.linalg.det(axes))) < 0.5:
        raise UserError(f"{path}: no usable voxel-to-world matrix (its axes do not span a volume), {expected}")
    if skew > MOST_SKEW:
        angle = math.degrees(math.acos(min(1.0, skew)))
        raise UserError(f"{path}: axes meet at {angle:.1f} degrees (a sheared grid), expected right angles")


def check_claim(
    path: Path, shape: Sequence[int], itemsize: int, there: int, *, packed: bool, scaled: bool = False
) -> int:
    """The bytes of voxels that a header claims, after a look whether the file can hold them.

    there: bytes of the file that may hold voxels; packed: whether they are compressed by deflate; scaled: whether they
    are held in float32 too.
    Raises UserError for sizes below 1, for more in memory than LIMIT_BYTES, and for more than the file can hold.
    """
    sizes = [int(size) for size in shape]
    if not sizes or any(size < 1 for size in sizes):
        raise UserError(f"{path}: header claims the shape {tuple(sizes)}, expected sizes of at least 1")
    claimed = math.prod(sizes) * itemsize
    text = " x ".join(map(str, sizes))
    held = claimed + (math.prod(sizes) * 4 if scaled else 0)
    if held > LIMIT_BYTES:
        most = f"expected at most {LIMIT_BYTES / 1e9:g} GB"
        raise UserError(f"{path}: header claims {text} voxels ({held / 1e9:.3g} GB in memory), {most}")
    if claimed > there * (DEFLATE_MOST if packed else 1):
        raise UserError(
            f"{path}: header claims {text} voxels ({claimed} bytes), but the file has only {max(there, 0)} bytes for "
            "them: it is cut short, or its header is damaged"
        )
    return claimed


def check_packing(path: Path, shape: Sequence[int], itemsize: int, file: int) -> None:
    """UserError for a large image that is packed as no scan can be: all that is done with it takes many times more.

    file: bytes that its voxels take on the disk.
    """
    if math.prod(shape) > MANY_VOXELS and math.prod(shape) * itemsize > MOST_PACKED * file:
        text = " x ".join(map(str, shape))
        raise UserError(f"{path}: {file} bytes unpack to {text} voxels that are nearly all alike, expected a scan")


def inflate(path: Path, file: BinaryIO, most: int, *, keep: bool = True, gzip: bool = True) -> tuple[np.ndarray, int]:
    """(the first `most` unpacked bytes, how many there are in all) of a deflate stream that is read to its end.

    Its checksum is verified on the way. keep: False only counts. gzip: False for a bare zlib stream. The count stops
    with an error once it is more than SLACK_BYTES above `most`. Raises UserError for a stream that is not whole.
    """
    kept, count = np.empty(most if keep else 0, np.uint8), 0  # takes memory only as it is filled
    decoder = zlib.decompressobj(31 if gzip else 15)
    started = False
    try:
        while piece := file.read(CHUNK):
            while piece:
                if decoder.eof:
                    piece = piece.lstrip(b"\0")
                    if not piece:
                        break
                    if not gzip or not piece.startswith(b"\x1f\x8b"):
                        return kept[:count], count  # what follows the stream is not a part of it
                    decoder = zlib.decompressobj(31)
                part = decoder.decompress(piece, CHUNK)
                started = True
                room = kept[count : count + len(part)]
                room[:] = np.frombuffer(part, np.uint8, len(room))
                count += len(part)
                if count > most + SLACK_BYTES:
                    raise UserError(f"{path}: unpacks to far more than the {most} bytes that its header claims")
                piece = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
    except zlib.error as error:
        raise UserError(f"{path}: its compressed voxels are damaged ({error})") from error
    if not started or not decoder.eof:
        raise UserError(f"{path}: its compressed voxels are cut short")
    return kept[:count], count
