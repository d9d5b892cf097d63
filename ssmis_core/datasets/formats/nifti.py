"""NIfTI-1 and NIfTI-2 in one file (.nii, .nii.gz): the header by nibabel, the voxels by numpy.

The voxels are read here because a compressed file must be read to its end to know that it is whole, and because a
header may send nibabel after extensions of any size.
"""

from __future__ import annotations

import math
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ssmis_core.datasets.formats.volume import Volume, check_claim, inflate, volume
from ssmis_core.errors import UserError

HEADERS = {348: "Nifti1Header", 540: "Nifti2Header"}
LONGEST_HEADER = 1 << 24  # bytes before the voxels, extensions included


def read_nifti(path: Path) -> Volume:
    """A .nii or .nii.gz file, its values scaled as the header says; see `read_image`."""
    array, header = read_voxels(path)
    affine, note, placed = _place(path, header)
    return volume(path, array, affine, note, placed=placed)


def read_voxels(path: Path) -> tuple[np.ndarray, Any]:
    """(voxels along the file's axes, scaled as the header says, and the header), wherever the scan lies."""
    packed = _is_gzip(path)
    header = _header(path, packed=packed)
    shape, dtype, offset = _layout(path, header)
    there = path.stat().st_size - (0 if packed else offset)
    claimed = check_claim(path, shape, dtype.itemsize, there, packed=packed, scaled=_scale(path, header) is not None)
    if packed:
        with path.open("rb") as file:
            content, _ = inflate(path, file, offset + claimed)
    else:
        content, offset = np.fromfile(path, np.uint8, claimed, offset=offset), 0
    if len(content) < offset + claimed:
        raise UserError(
            f"{path}: holds {max(len(content) - offset, 0)} bytes of voxels, expected {claimed}: it is cut short"
        )
    array = np.ndarray(shape, dtype, buffer=content, offset=offset, order="F")
    return _scaled(array, _scale(path, header)), header


def _is_gzip(path: Path) -> bool:
    """By the ending; a file whose content says otherwise is told, for most tools would refuse it."""
    packed = path.name.lower().endswith(".gz")
    with path.open("rb") as file:
        start = file.read(2)
    if not start:
        raise UserError(f"{path}: is empty, expected a NIfTI file")
    if packed and start != b"\x1f\x8b":
        raise UserError(f"{path}: is not compressed by gzip, as .nii.gz files are; a plain NIfTI file ends in .nii")
    if not packed and start == b"\x1f\x8b":
        raise UserError(f"{path}: is compressed by gzip; name it .nii.gz")
    return packed


def _header(path: Path, *, packed: bool) -> Any:
    try:
        import nibabel
    except ImportError as error:
        raise UserError(f"{path}: reading NIfTI needs nibabel; install it with `pip install nibabel`") from error
    with path.open("rb") as file:
        start = file.read(4096)
    try:
        block = zlib.decompressobj(31).decompress(start, 540) if packed else start[:540]
    except zlib.error as error:
        raise UserError(f"{path}: its compressed voxels are damaged ({error})") from error
    sizes = {int.from_bytes(block[:4], order) for order in ("little", "big")}
    length = next((size for size in HEADERS if size in sizes), None)
    if length is None or len(block) < length:
        raise UserError(f"{path}: does not begin with a NIfTI header")
    header = getattr(nibabel, HEADERS[length])(block[:length], check=False)
    magic = bytes(header["magic"])[:3]
    if magic in (b"ni1", b"ni2"):
        raise UserError(f"{path}: is half of a .hdr and .img pair, expected a NIfTI file that holds its voxels")
    if magic not in (b"n+1", b"n+2"):
        raise UserError(f"{path}: does not begin with a NIfTI header (magic {magic!r}, expected b'n+1' or b'n+2')")
    return header


def _layout(path: Path, header: Any) -> tuple[tuple[int, ...], np.dtype, int]:
    """(shape, type, offset of the first voxel)."""
    axes = int(header["dim"][0])
    if not 2 <= axes <= 7:
        raise UserError(f"{path}: header claims {axes} axes, expected 2 to 5")
    shape = tuple(int(size) for size in header["dim"][1 : axes + 1])
    try:
        dtype = np.dtype(header.get_data_dtype())
    except (KeyError, TypeError) as error:
        code = int(header["datatype"])
        raise UserError(f"{path}: header names the unknown voxel type {code}, expected one of NIfTI's") from error
    if dtype.names or dtype.kind not in "biuf" or not dtype.itemsize:
        raise UserError(f"{path}: voxels are of type {dtype}, expected plain numbers")
    if int(header["bitpix"]) not in (0, 8 * dtype.itemsize):
        found, expected = int(header["bitpix"]), 8 * dtype.itemsize
        raise UserError(f"{path}: header claims {found} bits a voxel, expected {expected} for {dtype}: it is damaged")
    offset = float(header["vox_offset"])
    least = len(header.binaryblock)
    if not math.isfinite(offset) or not least <= offset <= LONGEST_HEADER:
        raise UserError(f"{path}: header says that voxels begin at byte {offset:g}, expected {least} or a little more")
    return shape, dtype, int(offset)


def _scale(path: Path, header: Any) -> tuple[float, float] | None:
    """(slope, intercept) that the header asks for; None where it leaves the values as they are."""
    slope, shift = float(header["scl_slope"]), float(header["scl_inter"])
    if not math.isfinite(slope) or slope == 0.0 or (slope, shift) == (1.0, 0.0):
        return None
    if not math.isfinite(shift):
        raise UserError(f"{path}: header scales by {slope:g} and adds {shift:g}, expected finite numbers")
    return slope, shift


def _scaled(array: np.ndarray, scale: tuple[float, float] | None) -> np.ndarray:
    """slope * x + intercept in float32."""
    if scale is None:
        return array
    slope, shift = scale
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = array.astype(np.float32)
        scaled *= np.float32(slope)
        scaled += np.float32(shift)
    return scaled


def _place(path: Path, header: Any) -> tuple[np.ndarray, str, bool]:
    """(affine, what was assumed, whether the file says how it is turned).

    Of the two that a header can have, the matrix (sform) goes before the quaternion (qform), but for one whose voxels
    are of another size than the header's own (pixdim), as in some of the official ACDC files.
    """
    unit = int(header["xyzt_units"]) & 7
    if unit in (1, 3):
        name = {1: "metres", 3: "micrometres"}[unit]
        raise UserError(f"{path}: is measured in {name}, expected millimetres; save it anew in mm")
    try:
        affine = header.get_best_affine()
    except ValueError as error:  # a quaternion that is none
        raise UserError(f"{path}: no usable voxel-to-world matrix ({' '.join(str(error).split())})") from error
    matrix, quaternion = (int(header[f"{kind}form_code"]) > 0 for kind in "sq")
    if not (matrix or quaternion):
        return affine, "the file does not say how it is turned: x to the left was assumed", False
    axes = min(3, int(header["dim"][0]))
    size = np.abs(np.asarray(header["pixdim"][1 : axes + 1], float))
    told = np.linalg.norm(affine[:3, :axes], axis=0)
    known = np.isfinite(told).all() and (np.isfinite(size) & (size > 0)).all()
    if not (matrix and known) or np.allclose(told, size, rtol=1e-2):
        return affine, "", True
    here, there = (" x ".join(f"{mm:.4g}" for mm in one) for one in (told, size))
    found = f"its matrix (sform) has voxels of {here} mm, its header says {there} mm"
    with suppress(ValueError):  # a quaternion that is none
        if quaternion and np.isfinite(turned := header.get_qform()).all():
            return turned, f"{found}, which its quaternion (qform) agrees with: that was taken", True
    return affine, f"{found}: the matrix was taken", True
