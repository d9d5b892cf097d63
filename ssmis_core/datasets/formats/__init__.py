"""Scans in the formats that people have them in: NIfTI, NRRD, MetaImage, and folders of DICOM slices."""

from __future__ import annotations

import os
from pathlib import Path

from ssmis_core.datasets.formats.volume import LIMIT_BYTES, Volume
from ssmis_core.errors import UserError

__all__ = ["ENDINGS", "LIMIT_BYTES", "Volume", "is_image", "read_image", "stem"]

NIFTI = (".nii.gz", ".nii")
NRRD = (".nrrd", ".nhdr")
META = (".mha", ".mhd")
ENDINGS = (*NIFTI, *NRRD, *META)


def read_image(path: str | os.PathLike[str]) -> Volume:
    """The voxels of one image and where they lie, by the ending of its name; a folder is read as one DICOM series.

    What the header claims is compared with the file's size before memory is taken for the voxels, and refused above
    LIMIT_BYTES in memory. Raises UserError, in one line that names the file, for whatever is not a whole image.
    """
    path = Path(path)
    name = path.name.lower()
    try:
        if path.is_dir():
            from ssmis_core.datasets.formats.dicom import read_dicom

            return read_dicom(path)
        if not name.endswith(ENDINGS):
            raise UserError(f"{path}: expected an image that ends in {', '.join(ENDINGS)}, or a folder of DICOM slices")
        if not path.is_file():
            raise UserError(f"{path}: {not_a_file(path)}")
        if name.endswith(NIFTI):
            from ssmis_core.datasets.formats.nifti import read_nifti

            return read_nifti(path)
        from ssmis_core.datasets.formats.itk import read_itk

        return read_itk(path)
    except PermissionError as error:
        raise UserError(f"{path}: may not be read (permission denied)") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({' '.join(str(error.strerror or error).split())})") from error
    except MemoryError as error:
        raise UserError(f"{path}: there is not enough memory for its voxels") from error


def not_a_file(path: Path) -> str:
    """What to say of a path that `is_file` denies."""
    if path.exists():
        return "is no regular file but a pipe or the like, expected a file with voxels"
    return "is a link to nothing, expected a file" if path.is_symlink() else "no such file"


def is_image(path: Path) -> bool:
    """Whether `read_image` would try: a file with a known ending, or a folder with files in it."""
    if path.name.startswith("."):
        return False
    if path.is_dir():
        return any(child.is_file() and not child.name.startswith(".") for child in path.iterdir())
    return path.name.lower().endswith(ENDINGS)


def stem(path: Path) -> str:
    """The name without its ending; a DICOM folder's name is kept whole."""
    if path.is_dir():
        return path.name
    ending = next((end for end in ENDINGS if path.name.lower().endswith(end)), "")
    return path.name[: len(path.name) - len(ending)]
