"""Generated files in both layouts of ACDC."""

from __future__ import annotations

from pathlib import Path

import h5py
import nibabel
import numpy as np

from ssmis_core.datasets import data_directory
from tests.core.datasets.own_helpers import affine_of

TRAIN, VALIDATION, TEST = (
    (data_directory() / "acdc" / f"{name}.list").read_text().split() for name in ("train", "val", "test")
)
CASE = TRAIN[0]
PATIENT = CASE.split("_")[0]
AFFINE = affine_of((0, 1, 2), (-1, 1, 1), (1.2, 1.2, 9.9), (0.05, -0.2, 0.25))  # oblique


def heart(seed: int = 0, shape: tuple[int, ...] = (40, 32, 5)) -> tuple[np.ndarray, np.ndarray]:
    """(image int16, label uint8), axes x, y, z: nested boxes of three classes, brighter by class; the ends empty."""
    draw = np.random.default_rng(seed)
    label = np.zeros(shape, np.uint8)
    for k, margin in enumerate((4, 8, 11), start=1):
        label[margin:-margin, margin:-margin, 1:-1] = k
    return (draw.integers(0, 80, shape) + 200 * label).astype(np.int16), label


def scaled(image: np.ndarray) -> np.ndarray:
    """To [0, 1], as the preprocessed files have it."""
    return ((image - image.min()) / (image.max() - image.min())).astype(np.float32)


def write_h5(path: Path, **arrays: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array)
    return path


def preprocessed(folder: Path, case: str = CASE, seed: int = 0, shape: tuple[int, ...] = (40, 32, 5)) -> Path:
    """A case of the community's layout: z, y, x."""
    image, label = heart(seed, shape)
    return write_h5(folder / f"{case}.h5", image=scaled(image).T, label=label.T)


def write_nifti(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path


def official(
    folder: Path,
    patient: str = PATIENT,
    frames: tuple[int, int] = (1, 12),
    info: str | None = "ED: 1\nES: 12\n",
    affine: np.ndarray = AFFINE,
) -> Path:
    """A patient of the challenge's layout: heart(n) at each frame n."""
    for number in frames:
        image, label = heart(number)
        stem = folder / patient / f"{patient}_frame{number:02d}"
        write_nifti(stem.with_name(f"{stem.name}.nii.gz"), image, affine)
        write_nifti(stem.with_name(f"{stem.name}_gt.nii.gz"), label, affine)
    if info is not None:
        (folder / patient / "Info.cfg").write_text(info + "Group: DCM\nHeight: 184.0\n")
    return folder / patient
