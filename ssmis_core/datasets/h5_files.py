"""HDF5 files with an `image` and a `label`, as the field shares its preprocessed volumes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ssmis_core.errors import UserError

LARGEST = 2**31  # bytes of one array: a damaged header can ask for any number


def read_h5(path: Path, *, dataset: str, get: str) -> tuple[np.ndarray, np.ndarray]:
    """The arrays `image` and `label` of a file of a data set, as they are. get: how to get the file, for messages.

    Raises UserError, naming the file, when it is missing, cut short or damaged, or lacks one of them.
    """
    import h5py

    if not path.is_file():
        raise UserError(f"{path}: no such file, expected a case of {dataset}; {get}")
    try:
        with h5py.File(path, "r") as file:
            lost = [name for name in ("image", "label") if not isinstance(file.get(name), h5py.Dataset)]
            if lost:
                found = ", ".join(repr(name) for name in sorted(file)) or "nothing"
                raise UserError(
                    f"{path}: no dataset {' or '.join(map(repr, lost))} (found {found}), expected 'image' and 'label'"
                )
            for name in ("image", "label"):
                if file[name].nbytes > LARGEST:
                    shape = "x".join(map(str, file[name].shape))
                    raise UserError(f"{path}: dataset {name!r} says to be {shape}, expected a volume below 2 GiB")
            return file["image"][()], file["label"][()]
    except PermissionError as error:
        raise UserError(f"{path}: may not be read (permission denied)") from error
    # h5py tells damage by OSError (cut short, not HDF5), or by RuntimeError and KeyError (bad object headers)
    except (OSError, RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not a whole HDF5 file ({reason}); delete it and {get}") from error


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
