"""Label maps from NIfTI files, with one clear line when a file is not one."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ssmis_core.errors import UserError


def read_labels(
    path: Path, *, shape: Sequence[int] | None = None, dims: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(labels uint8 [X, Y] or [X, Y, Z], 4x4 voxel-to-world matrix in mm); a last axis of one voxel is dropped.

    shape: what the labels must have; it, or dims, tells a volume of one slice from an image. Raises UserError for a
    file that is not there, not whole, not of whole numbers 0 to 255, or of another shape.
    """
    import nibabel

    if not path.is_file():
        raise UserError(f"{path}: no such label file")
    try:
        image = nibabel.nifti1.load(path)
        raw = np.asanyarray(image.dataobj)
    except (OSError, EOFError, ValueError, zlib.error, nibabel.filebasedimages.ImageFileError) as error:
        raise UserError(f"{path}: not a whole NIfTI file ({' '.join(str(error).split())})") from error
    dims = len(shape) if shape is not None else dims
    if raw.ndim == 3 and raw.shape[2] == 1 and dims != 3:
        raw = raw[:, :, 0]
    if shape is not None and raw.shape != tuple(shape):
        raise UserError(f"{path}: labels have shape {raw.shape}, expected {tuple(shape)}, that of the scan")
    labels = raw.astype(np.uint8)
    if not np.array_equal(labels, raw):
        raise UserError(f"{path}: has values that are not whole numbers from 0 to 255, expected labels")
    return labels, np.asarray(image.affine, np.float64)
