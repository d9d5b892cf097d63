"""NRRD and MetaImage by way of SimpleITK, and its grids as affines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ssmis_core.datasets.formats.headers import check_header
from ssmis_core.datasets.formats.volume import Volume, volume
from ssmis_core.errors import UserError

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # ITK's world has x to the left and y to the back


def read_itk(path: Path) -> Volume:
    """A .nrrd, .nhdr, .mha or .mhd file; see `read_image`."""
    assumed = check_header(path)
    image = execute(path, simpleitk(path))
    array = voxels(image)
    if image.GetDimension() == 2 and array.ndim == 3:  # channels of a plane are no slices
        array = array[:, :, None]
    affine = lps_affine(image.GetOrigin(), image.GetSpacing(), image.GetDirection())
    return volume(path, array, affine, assumed, axes=min(image.GetDimension(), 3), placed=not assumed)


def simpleitk(path: Path) -> Any:
    """The package, told to keep quiet: what is wrong is told in one line by an error."""
    try:
        import SimpleITK
    except ImportError as error:
        raise UserError(f"{path}: reading it needs SimpleITK; install it with `pip install SimpleITK`") from error
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    return SimpleITK


def execute(path: Path, sitk: Any, *, loader: str = "") -> Any:
    """The SimpleITK image in a file; UserError with ITK's own reason when there is none."""
    try:
        return sitk.ReadImage(str(path), imageIO=loader)
    except RuntimeError as error:
        raise UserError(f"{path}: not a whole image ({reason(error)})") from error


class _Kept:
    """The buffer of a SimpleITK image as numpy takes it: the array holds this, and this holds the image."""

    def __init__(self, image: Any, view: np.ndarray) -> None:
        self.image = image
        self.__array_interface__ = view.__array_interface__


def voxels(image: Any) -> np.ndarray:
    """[x, y, (z, (t)), (components)] of a SimpleITK image, which hands out z, y, x; components are channels.

    Read-only, without a copy: an image may be as large as memory allows.
    """
    import SimpleITK

    array = np.asarray(_Kept(image, SimpleITK.GetArrayViewFromImage(image)))
    space = image.GetDimension()
    return array.transpose(*reversed(range(space)), *range(space, array.ndim))


def lps_affine(origin: Any, spacing: Any, direction: Any) -> np.ndarray:
    """The 4x4 matrix from voxels to NIfTI's world (RAS) of ITK's origin, spacing and direction (LPS).

    Of four axes the first three count; of two, the plane lies at z = 0 with a depth of 1 mm.
    """
    axes = len(origin)
    n = min(axes, 3)
    matrix = np.reshape(np.asarray(direction, float), (axes, axes))[:n, :n] * np.asarray(spacing, float)[:n]
    affine = np.eye(4)
    affine[:n, :n] = matrix
    affine[:n, 3] = np.asarray(origin, float)[:n]
    return LPS_TO_RAS @ affine


def reason(error: BaseException) -> str:
    """ITK's text without the place in its sources, in one short line."""
    text = " ".join(str(error).split())
    for mark in ("sitk::ERROR:", "Reason:", "Description:", "ITK ERROR:"):
        text = text.rpartition(mark)[2].strip()
    return text[:160] or type(error).__name__
