"""Label maps from NIfTI files, with one clear line when a file is not one."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ssmis_core.datasets import Case, Grid
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
    damaged = (nibabel.filebasedimages.ImageFileError, nibabel.spatialimages.HeaderDataError)
    try:
        image = nibabel.nifti1.load(path)
        raw = np.asanyarray(image.dataobj)
    except (OSError, EOFError, ValueError, zlib.error, *damaged) as error:
        raise UserError(f"{path}: not a whole NIfTI file ({' '.join(str(error).split())})") from error
    dims = len(shape) if shape is not None else dims
    if raw.ndim == 3 and raw.shape[2] == 1 and dims != 3:
        raw = raw[:, :, 0]
    if shape is not None and raw.shape != tuple(shape):
        raise UserError(f"{path}: labels have shape {raw.shape}, expected {tuple(shape)}, that of the scan")
    numbers = raw.dtype.kind in "buif"  # and no colours, which NIfTI can hold too
    labels = raw.astype(np.uint8) if numbers else np.zeros(raw.shape, np.uint8)
    if not numbers or not np.array_equal(labels, raw):
        raise UserError(f"{path}: has values that are not whole numbers from 0 to 255, expected labels")
    return labels, np.asarray(image.affine, np.float64)


def read_case_labels(path: Path, case: Case) -> np.ndarray:
    """Labels uint8 [*spatial] on the case's own grid, from a file on it or on the grid that the scan's file had.

    Exact where that grid was only turned; by the nearest voxel where it was resampled. Raises UserError as
    `read_labels` does, and for labels on neither grid.
    """
    if case.original is None:
        return read_labels(path, shape=case.shape)[0]
    from ssmis_core.datasets.grids import resample_label

    labels, _ = read_labels(path, shape=case.original.shape)
    there, here = case.original.solid, Grid(case.shape, case.affine).solid
    return resample_label(labels.reshape(there.shape), there, here).reshape(case.shape)
