"""LA: 100 left-atrium MRI volumes of the 2018 Atrial Segmentation Challenge, as published with UA-MT (see data/la)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from ssmis_core.datasets import data_directory
from ssmis_core.datasets.cases import Case, Dataset
from ssmis_core.errors import UserError

FOLDER = "2018LA_Seg_Training Set"
FILE = "mri_norm2.h5"
SPACING_MM = 0.625
GET = "get it with `ssmis data fetch la`"


class LA(Dataset):
    """Left atrium in late gadolinium-enhanced MRI: 80 training and 20 test cases, one class besides background.

    folder: the folder that holds `<case>/mri_norm2.h5`, each with `image` (float32, axes x, y, z) and `label` (0 or 1).
    The lists are the published ones, in their order; there is no published validation list, so `validation` is empty.
    Spacing: the files carry none. The challenge states 0.625 x 0.625 x 0.625 mm for the scans (Xiong et al., Medical
    Image Analysis 67, 2021), and the preprocessing only cropped and normalised them; every case gets that spacing and
    an axis-aligned affine with its origin at the crop's corner, since the scanner's frame is lost.
    Source of the lists and files: Yu et al., Uncertainty-aware self-ensembling model (UA-MT), MICCAI 2019.
    """

    name = "la"
    title = "Left atrium MRI (2018 challenge)"
    dims = 3
    channels = 1
    num_classes = 2
    class_names = ("background", "left atrium")
    validation: Sequence[str] = ()

    def __init__(self, folder: Path, *, train: Sequence[str], test: Sequence[str]) -> None:
        self.folder = folder
        self.train = tuple(train)
        self.test = tuple(test)

    def source(self, case_id: str) -> str:
        """The path of the case's file."""
        return str(self.folder / case_id / FILE)

    def read(self, case_id: str) -> Case:
        """Image float32 [1, x, y, z] and label uint8 [x, y, z] as the file has them.

        Raises UserError, naming the file, when it is missing, cut short or damaged, or lacks `image` or `label`.
        """
        known = (*self.train, *self.test)
        if case_id not in known:
            near = get_close_matches(str(case_id), known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UserError(f"la: no case {case_id!r}{hint}; see data/la/train.list and test.list")
        path = self.folder / case_id / FILE
        image, label = _read_h5(path)
        return Case(
            id=case_id,
            image=_as_image(image, path)[None],
            label=_as_label(label, path),
            affine=np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0]),
            spacing=(SPACING_MM,) * 3,
            modality="LGE MRI",
        )


def open(root: str | os.PathLike[str] | None = None) -> LA:
    """Open the LA data set.

    root: where the files are; by default $SSMIS_DATA, then data/la of the repository. Accepted are a folder that
    holds `2018LA_Seg_Training Set`, one that holds `LA/2018LA_Seg_Training Set`, and the case folders' parent itself.
    Raises UserError, naming the folders looked in and the command that downloads the data, when none of them fits.
    """
    train, test = _read_list("train.list"), _read_list("test.list")
    return LA(_find_folder(root, cases=(*train, *test)), train=train, test=test)


def _find_folder(root: str | os.PathLike[str] | None, *, cases: Sequence[str]) -> Path:
    """The folder that holds the case folders."""
    if root is not None:
        bases = [Path(root).expanduser()]
    else:
        shared = os.environ.get("SSMIS_DATA")
        bases = ([Path(shared).expanduser()] if shared else []) + [data_directory() / "la"]
    for base in bases:
        for folder in (base / FOLDER, base / "LA" / FOLDER, base / "la" / FOLDER):
            if folder.is_dir():
                return folder
        if any((base / case / FILE).is_file() for case in cases):
            return base
    looked = " and ".join(str(base) for base in bases)
    raise UserError(f"la: no folder {FOLDER!r} in {looked}; {GET}, or name its folder by data_root or $SSMIS_DATA")


def _read_list(name: str) -> list[str]:
    """Case names of a published list, in its order."""
    path = data_directory() / "la" / name
    try:
        return path.read_text(encoding="utf-8").split()
    except OSError as error:
        raise UserError(
            f"{path}: the published list cannot be read ({error.strerror}); restore it from the repository"
        ) from error


def _read_h5(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The arrays `image` and `label` of one file."""
    import h5py

    if not path.is_file():
        raise UserError(f"{path}: no such file, expected a case of la; {GET}")
    try:
        with h5py.File(path, "r") as file:
            lost = [name for name in ("image", "label") if not isinstance(file.get(name), h5py.Dataset)]
            if lost:
                found = ", ".join(repr(name) for name in sorted(file)) or "nothing"
                raise UserError(
                    f"{path}: no dataset {' or '.join(map(repr, lost))} (found {found}), expected 'image' and 'label'"
                )
            return file["image"][()], file["label"][()]
    except PermissionError as error:
        raise UserError(f"{path}: may not be read (permission denied)") from error
    # h5py tells damage by OSError (cut short, not HDF5), or by RuntimeError and KeyError (bad object headers)
    except (OSError, RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not a whole HDF5 file ({reason}); delete it and {GET}") from error


def _as_image(image: np.ndarray, path: Path) -> np.ndarray:
    image = np.asarray(image)
    if image.dtype.kind not in "fiu":
        raise UserError(f"{path}: dataset 'image' is of type {image.dtype}, expected float32")
    if not image.size:
        raise UserError(f"{path}: image is empty (shape {image.shape}), expected three axes with voxels")
    with np.errstate(over="ignore"):  # a float64 too large for float32 becomes infinite, which the case check reports
        return np.ascontiguousarray(image, dtype=np.float32)


def _as_label(label: np.ndarray, path: Path) -> np.ndarray:
    label = np.asarray(label)
    if label.dtype.kind not in "bfiu":
        raise UserError(f"{path}: dataset 'label' is of type {label.dtype}, expected uint8")
    if label.dtype != np.uint8:
        # a cast would turn -1 into 255, 256 into 0 and 0.5 into 0 without a word
        wrong = label[~np.isin(label, (0, 1))]
        if wrong.size:
            raise UserError(
                f"{path}: label ({label.dtype}) has {wrong.size} voxels like {wrong.flat[0]}, expected only 0 and 1"
            )
    return np.ascontiguousarray(label, dtype=np.uint8)
