"""HDF5 files with an `image` and a `label`, as the field shares its preprocessed volumes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ssmis_core.datasets.formats.volume import LIMIT_BYTES, check_packing
from ssmis_core.errors import UserError


@contextmanager
def h5_file(path: Path, *, what: str = "HDF5 file", remedy: str = "") -> Iterator[Any]:
    """The file, open for reading; whatever is wrong with it is a UserError of one line. remedy: the line's end."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except PermissionError as error:
        raise UserError(f"{path}: may not be read (permission denied)") from error
    except MemoryError as error:
        raise UserError(f"{path}: there is not enough memory for its voxels") from error
    # h5py tells damage by OSError (cut short, not HDF5), or by RuntimeError and KeyError (bad object headers)
    except (OSError, RuntimeError, KeyError) as error:
        raise UserError(f"{path}: not a whole {what} ({' '.join(str(error).split())}){remedy}") from error


def read_array(file: Any, name: str, path: Path) -> np.ndarray:
    """A dataset of an open file, after a look whether memory can hold what it says to be."""
    found = file[name]
    # images become float32, labels uint8
    held = found.nbytes + (found.size * 4 if name == "image" and found.dtype != np.float32 else 0)
    if held > LIMIT_BYTES:
        shape = "x".join(map(str, found.shape))
        most = f"expected a volume below {LIMIT_BYTES / 1e9:g} GB in memory"
        raise UserError(f"{path}: dataset {name!r} says to be {shape}, {most}")
    if name == "image":
        check_packing(path, found.shape, found.dtype.itemsize, found.id.get_storage_size())
    return found[()]


def read_h5(path: Path, *, dataset: str, get: str) -> tuple[np.ndarray, np.ndarray]:
    """The arrays `image` and `label` of a file of a data set, as they are. get: how to get the file, for messages.

    Raises UserError, naming the file, when it is missing, cut short or damaged, or lacks one of them.
    """
    import h5py

    if not path.is_file():
        raise UserError(f"{path}: no such file, expected a case of {dataset}; {get}")
    with h5_file(path, remedy=f"; delete it and {get}") as file:
        lost = [name for name in ("image", "label") if not isinstance(file.get(name), h5py.Dataset)]
        if lost:
            found = ", ".join(repr(name) for name in sorted(file)) or "nothing"
            raise UserError(
                f"{path}: no dataset {' or '.join(map(repr, lost))} (found {found}), expected 'image' and 'label'"
            )
        return read_array(file, "image", path), read_array(file, "label", path)


def read_affine(path: Path) -> np.ndarray | None:
    """The voxel-to-world matrix (4x4, mm) of a file that has one as its dataset `affine`; None for others.

    Only files that this project prepared have it; the public ones do not say where they lie.
    """
    with h5_file(path) as file:
        if "affine" not in file:
            return None
        affine = np.asarray(read_array(file, "affine", path))
    if affine.shape != (4, 4) or affine.dtype.kind != "f" or not np.isfinite(affine).all():
        raise UserError(f"{path}: affine has shape {affine.shape}, expected 4x4 finite numbers")
    return affine.astype(np.float64)


def as_image(image: np.ndarray, path: Path) -> np.ndarray:
    """Grey values as float32."""
    image = np.asarray(image)
    if image.dtype.kind not in "fiu":
        raise UserError(f"{path}: dataset 'image' is of type {image.dtype}, expected float32")
    if not image.size:
        raise UserError(f"{path}: image is empty (shape {image.shape}), expected three axes with voxels")
    with np.errstate(over="ignore"):  # a float64 too large for float32 becomes infinite, which the case check reports
        return np.ascontiguousarray(image, dtype=np.float32)


def as_label(label: np.ndarray, path: Path, *, num_classes: int) -> np.ndarray:
    """Classes 0 to num_classes - 1 as uint8."""
    label = np.asarray(label)
    if label.dtype.kind not in "bfiu":
        raise UserError(f"{path}: dataset 'label' is of type {label.dtype}, expected uint8")
    if label.dtype != np.uint8:
        # a cast would turn -1 into 255, 256 into 0 and 0.5 into 0 without a word
        wrong = label[~np.isin(label, range(num_classes))]
        if wrong.size:
            expected = "only 0 and 1" if num_classes == 2 else f"only 0 to {num_classes - 1}"
            raise UserError(
                f"{path}: label ({label.dtype}) has {wrong.size} voxels like {wrong.flat[0]}, expected {expected}"
            )
    return np.ascontiguousarray(label, dtype=np.uint8)
