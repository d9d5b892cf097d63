"""NIfTI files: voxels, where they lie and how large they are, or one line that says what is wrong."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ssmis_core.errors import UserError

LARGEST = 2**31  # bytes: a damaged header can ask for any number


@dataclass(frozen=True)
class Nifti:
    """raw: voxels as the file has them, axes x, y, z, ...; affine: 4x4 voxel-to-world (mm); spacing: mm an axis."""

    raw: np.ndarray
    affine: np.ndarray
    spacing: tuple[float, ...]


def read_nifti(path: Path) -> Nifti:
    """Read .nii or .nii.gz; UserError, naming the file, when it is missing, damaged or says nowhere to be."""
    try:
        import nibabel
    except ImportError as error:
        raise UserError(f"{path}: reading NIfTI needs nibabel; install it with `pip install nibabel`") from error
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        image: Any = nibabel.load(path)
        size = int(np.prod([int(n) for n in image.shape], dtype=object)) * image.get_data_dtype().itemsize
        if size > LARGEST:
            shape = "x".join(map(str, image.shape))
            raise UserError(f"{path}: says to be {shape} voxels, expected an image below 2 GiB")
        raw = np.asanyarray(image.dataobj)
        spacing = tuple(float(step) for step in image.header.get_zooms()[:3])
    except PermissionError as error:
        raise UserError(f"{path}: may not be read (permission denied)") from error
    except UserError:
        raise
    # damage shows as any of these, by the place where the file was cut or changed
    except (
        OSError,
        EOFError,
        ValueError,
        zlib.error,
        nibabel.filebasedimages.ImageFileError,
        nibabel.spatialimages.HeaderDataError,
    ) as error:
        raise UserError(f"{path}: not a whole NIfTI file ({' '.join(str(error).split())})") from error
    affine = image.affine
    if affine is None or not np.isfinite(affine).all() or not np.linalg.det(affine[:3, :3]):
        raise UserError(f"{path}: has no usable voxel-to-world matrix, expected 4x4 finite numbers that span a volume")
    return Nifti(raw, np.asarray(affine, dtype=np.float64), spacing)
