"""Scans that tests write: in every format, turned and placed anyhow."""

from __future__ import annotations

import locale
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk

Damage = Callable[[bytes], bytes]
# What a broken disk, copy or download makes of any file.
ANY_FILE: dict[str, Damage] = {
    "empty": lambda c: b"",
    "one byte": lambda c: c[:1],
    "half": lambda c: c[: len(c) // 2],
    "last bytes lost": lambda c: c[:-2],
    "zeroed": lambda c: bytes(len(c)),
    "words": lambda c: b"this is not a scan, " * 100,
}
FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])  # from NIfTI's world to ITK's and back


def affine_of(
    order: Sequence[int] = (0, 1, 2),
    signs: Sequence[int] = (1, 1, 1),
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    angles: Sequence[float] = (0.0, 0.0, 0.0),
    origin: Sequence[float] = (-20.0, 13.0, 5.5),
) -> np.ndarray:
    """Voxel axis k along the world axis order[k], forward or backward, the whole turned by angles (radians)."""
    axes = np.zeros((3, 3))
    for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
        axes[world, axis] = sign
    for angle, (i, j) in zip(angles, ((0, 1), (1, 2), (0, 2)), strict=True):
        turn = np.eye(3)
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        axes = turn @ axes
    affine = np.eye(4)
    affine[:3, :3] = axes * np.asarray(spacing)
    affine[:3, 3] = origin
    return affine


OBLIQUE = affine_of((2, 0, 1), (-1, 1, -1), (0.7, 1.1, 3.0), (0.2, -0.1, 0.15))


def sitk_image(array: np.ndarray, affine: np.ndarray, *, channels: bool = False) -> sitk.Image:
    """[x, y, z] (or [x, y, z, channels]) at an affine of NIfTI's world."""
    image = sitk.GetImageFromArray(array.transpose(2, 1, 0, *([3] if channels else [])), isVector=channels)
    lps = FLIP @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image


def write_image(path: Path, array: np.ndarray, affine: np.ndarray, *, packed: bool = False) -> Path:
    """One image in the format of its ending; "dicom" is a folder. Channels are on the last axis."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.endswith((".nii", ".nii.gz")):
        nibabel.save(nibabel.Nifti1Image(array, affine), path)
    elif path.suffix in (".nrrd", ".nhdr", ".mha", ".mhd"):
        sitk.WriteImage(sitk_image(array, affine, channels=array.ndim == 4), str(path), useCompression=packed)
    else:
        write_dicom(path, array, affine)
    return path


@contextmanager
def locale_kept() -> Iterator[None]:
    """GDCM writes with the locale of the whole process at "C", and leaves it so: text files are then read as ASCII."""
    before = locale.setlocale(locale.LC_ALL)
    try:
        yield
    finally:
        locale.setlocale(locale.LC_ALL, before)


@locale_kept()
def write_dicom(
    folder: Path,
    array: np.ndarray,
    affine: np.ndarray,
    *,
    series: str = "1.2.3.4",
    names: Sequence[str] | None = None,
    more: Mapping[str, str] | None = None,
) -> Path:
    """[columns, rows, slices] as a slice a file; the third axis must run along the normal of the first two.

    more: values of further tags, or of these in place of their own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    image = sitk_image(array.astype(np.int16), affine)
    direction = np.reshape(image.GetDirection(), (3, 3))
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for number in range(array.shape[2]):
        one = image[:, :, number]
        position = image.TransformIndexToPhysicalPoint((0, 0, number))
        tags = {
            "0008|0060": "MR",
            "0008|0016": "1.2.840.10008.5.1.4.1.1.4",
            "0020|000e": series,
            "0020|000d": "1.2.3",
            "0008|0018": f"{series}.{number + 1}",
            "0020|0013": str(array.shape[2] - number),  # instance numbers that run against the positions
            "0020|0032": "\\".join(f"{x:.9g}" for x in position),
            "0020|0037": "\\".join(f"{x:.12g}" for x in (*direction[:, 0], *direction[:, 1])),
            "0018|0050": f"{image.GetSpacing()[2]:.9g}",
            **(more or {}),
        }
        for tag, value in tags.items():
            one.SetMetaData(tag, value)
        writer.SetFileName(str(folder / (names[number] if names else f"{number:03d}.dcm")))
        writer.Execute(one)
    return folder


def right_handed(array: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same volume with its third axis along the normal of its first two, as slices of DICOM lie."""
    if np.linalg.det((FLIP @ affine)[:3, :3]) > 0:
        return array, affine
    turned = affine.copy()
    turned[:3, 3] += affine[:3, 2] * (array.shape[2] - 1)
    turned[:3, 2] *= -1
    return array[:, :, ::-1], turned


def scan(shape: Sequence[int] = (12, 10, 8), seed: int = 0) -> np.ndarray:
    """Whole numbers as scanners write them, no two shapes or axes alike."""
    return np.random.default_rng(seed).integers(0, 900, tuple(shape)).astype(np.int16)


def blocks(shape: Sequence[int] = (12, 10, 8), seed: int = 0) -> np.ndarray:
    """A label of two blocks."""
    random = np.random.default_rng(seed)
    label = np.zeros(tuple(shape), np.uint8)
    for value in (1, 2):
        low = [int(random.integers(0, max(1, size // 2))) for size in shape]
        label[tuple(slice(a, a + max(2, size // 3)) for a, size in zip(low, shape, strict=True))] = value
    return label


def write_source(folder: Path, cases: int = 6, unlabeled: int = 2, affine: np.ndarray = OBLIQUE) -> Path:
    """A folder of own scans: case_0 ... with labels, then some without."""
    for number in range(cases + unlabeled):
        shape = (12 + number % 3, 10, 8 + number % 2)
        write_image(folder / "images" / f"case_{number}.nii.gz", scan(shape, number), affine)
        if number < cases:
            write_image(folder / "labels" / f"case_{number}.nii.gz", blocks(shape, number), affine)
    return folder
