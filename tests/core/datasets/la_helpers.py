"""Generated files in the published layout of LA, good ones and bad ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from ssmis_core.datasets import data_directory
from ssmis_core.errors import UserError

FOLDER = "2018LA_Seg_Training Set"
TRAIN = (data_directory() / "la" / "train.list").read_text().split()
TEST = (data_directory() / "la" / "test.list").read_text().split()
CASE = TRAIN[0]


def volume(seed: int = 0, shape: tuple[int, ...] = (12, 10, 8)) -> tuple[np.ndarray, np.ndarray]:
    """(image, label): noise with a brighter cube."""
    draw = np.random.default_rng(seed)
    label = np.zeros(shape, np.uint8)
    label[tuple(slice(2, 6) for _ in shape)] = 1
    return (draw.normal(size=shape) + label).astype(np.float32), label


def write(folder: Path, case: str = CASE, **arrays: object) -> Path:
    """A case file with the given datasets; without any, a good one."""
    if not arrays:
        arrays = dict(zip(("image", "label"), volume(), strict=True))
    path = folder / case / "mri_norm2.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array)
    return path


def one_line(call: Callable[[], object]) -> str:
    """The message of the UserError that the call ends in."""
    with pytest.raises(UserError) as error:
        call()
    assert "\n" not in str(error.value)
    return str(error.value)


IMAGE, LABEL = volume()
HOLED = np.where(np.arange(IMAGE.size).reshape(IMAGE.shape) == 5, np.nan, IMAGE)
