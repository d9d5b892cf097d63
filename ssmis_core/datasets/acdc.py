"""ACDC: cine MRI of 100 hearts, each at end-diastole and at end-systole, three structures (see data/acdc)."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from ssmis_core.datasets import DATASETS, data_directory
from ssmis_core.datasets.cases import Case, Dataset, Grid
from ssmis_core.datasets.formats import Volume, read_image, stem
from ssmis_core.datasets.grids import resample_label, to_ras
from ssmis_core.datasets.h5_files import as_image, as_label, read_h5
from ssmis_core.datasets.lists import check_listed, places, published_list
from ssmis_core.datasets.preparation.one_case import misplaced, other_sizes, read_scan
from ssmis_core.errors import UserError

MODALITY = "cine MRI"
CLASS_NAMES = ("background", "right ventricle", "myocardium", "left ventricle")
GET = DATASETS["acdc"].get
PREPROCESSED = ("", "data", "ACDC/data", "acdc/data", "ACDC", "acdc")
OFFICIAL = ("", "training", "database/training")


class Files(Protocol):
    """One layout of the files: where a case is, and its content."""

    def path(self, case_id: str) -> Path: ...

    def read(self, case_id: str) -> Case: ...


class ACDC(Dataset):
    """Short-axis cine MRI of 100 patients, 70 / 10 / 20; right ventricle, myocardium and left ventricle.

    A case is a patient's heart at one of two moments: `patientNNN_frame01` at end-diastole, `patientNNN_frame02` at
    end-systole, as in the published lists. Image float32 [1, x, y, z] in [0, 1], label uint8 [x, y, z]. Networks see
    slices along z, evaluation whole volumes; `labeled` counts patients, both frames of each.
    Spacing is that of the official files; the preprocessed ones lost it, so distances are in voxels alone.
    Source: Bernard et al., Deep learning techniques for automatic MRI cardiac multi-structures segmentation and
    diagnosis, IEEE TMI 37, 2018; lists and preprocessing: Luo et al., SSL4MIS.
    """

    name = "acdc"
    title = "Cardiac cine MRI (ACDC), three structures"
    dims = 3
    slice_axis = 2
    subjects = "patients"
    num_classes = 4
    class_names = CLASS_NAMES

    def __init__(self, files: Files, *, train: Sequence[str], validation: Sequence[str], test: Sequence[str]) -> None:
        self.files = files
        self.train, self.validation, self.test = tuple(train), tuple(validation), tuple(test)

    def subject(self, case_id: str) -> str:
        """The patient."""
        return case_id.split("_")[0]

    def source(self, case_id: str) -> str:
        """The path of the case's file."""
        return str(self.files.path(case_id))

    def read(self, case_id: str) -> Case:
        """Raises UserError, naming the file, when it is missing, cut short or damaged, or holds something else."""
        check_listed(self, case_id)
        return self.files.read(case_id)


class Preprocessed:
    """The community's files: `<case>.h5` with `image` and `label` [z, y, x], grey values in [0, 1], no spacing.

    Where a volume is missing it is put together from its slices, `slices/<case>_slice_<1...n>.h5` [y, x].
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, case_id: str) -> Path:
        return self.folder / f"{case_id}.h5"

    def read(self, case_id: str) -> Case:
        path = self.path(case_id)
        slices = [] if path.is_file() else self.slices(case_id)
        image, label = self.stack(slices) if slices else read_arrays(path)
        turned = (np.ascontiguousarray(array.T) for array in (image, label))  # z, y, x in the file; x, y, z here
        image, label = turned
        return Case(case_id, image[None], label, np.eye(4), None, MODALITY)

    def slices(self, case_id: str) -> list[Path]:
        """Slice files of a case, from the first to the last; none where there are none."""
        folder = self.folder / "slices"
        pattern = re.compile(rf"{case_id}_slice_(\d+)\.h5")
        there = {
            int(m[1]): path for path in folder.glob(f"{case_id}_slice_*.h5") if (m := pattern.fullmatch(path.name))
        }
        for number in range(1, max(there, default=0) + 1):
            if number not in there:
                lost = folder / f"{case_id}_slice_{number}.h5"
                raise UserError(f"{lost}: no such file, expected slices 1 to {max(there)} of {case_id}; {GET}")
        return [there[number] for number in sorted(there)]

    @staticmethod
    def stack(slices: Sequence[Path]) -> tuple[np.ndarray, np.ndarray]:
        planes = [read_arrays(path) for path in slices]
        for path, (image, label) in zip(slices, planes, strict=True):
            if image.shape != planes[0][0].shape or label.shape != image.shape or image.ndim != 2:
                told = f"image {image.shape} and label {label.shape}"
                raise UserError(f"{path}: {told}, expected both {planes[0][0].shape} as in {slices[0].name}, two axes")
        images, labels = zip(*planes, strict=True)
        return np.stack(images), np.stack(labels)


class Official:
    """The challenge's own files, read in place: `patientNNN/patientNNN_frameNN.nii.gz` and `..._frameNN_gt.nii.gz`.

    `Info.cfg` beside them says which frame is end-diastole (frame01 of the lists) and which end-systole (frame02);
    without it the lower number is taken for end-diastole. Grey values are brought to [0, 1] over the volume, as in the
    preprocessed files; affine and spacing are the image file's. A label that is stored with other axes is turned as its
    affine says; one that lies half a voxel or more off its image is refused.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, case_id: str) -> Path:
        patient, moment = case_id.split("_frame")
        number = self.frames(patient)[int(moment) - 1]
        return _either(self.folder / patient / f"{patient}_frame{number:02d}")

    def frames(self, patient: str) -> tuple[int, int]:
        """The numbers of the patient's frames at end-diastole and end-systole."""
        info = self.folder / patient / "Info.cfg"
        if info.is_file():
            found = dict(re.findall(r"^(ED|ES)\s*:\s*(\d+)\s*$", info.read_text(errors="replace"), re.MULTILINE))
            if set(found) != {"ED", "ES"}:
                raise UserError(f"{info}: no frame numbers, expected lines such as 'ED: 1' and 'ES: 12'")
            return int(found["ED"]), int(found["ES"])
        names = re.compile(rf"{patient}_frame(\d+)\.nii(\.gz)?")
        numbers = sorted({int(m[1]) for path in (self.folder / patient).glob("*") if (m := names.fullmatch(path.name))})
        if len(numbers) != 2:
            told = f"{len(numbers)} frames {patient}_frameNN.nii.gz and no Info.cfg"
            raise UserError(f"{self.folder / patient}: has {told}, expected two frames; {GET}")
        return numbers[0], numbers[1]

    def read(self, case_id: str) -> Case:
        path = self.path(case_id)
        image = _single(read_scan(path), path)
        gt = _either(path.with_name(f"{stem(path)}_gt"))
        truth = _on_grid_of(image, path, _single(read_image(gt), gt), gt)
        label = as_label(truth, gt, num_classes=len(CLASS_NAMES))
        return Case(case_id, _unit_range(image.array)[None], label, image.affine, image.spacing, MODALITY)


def open(root: str | os.PathLike[str] | None = None) -> ACDC:
    """Open ACDC in either layout.

    root: where the files are; by default $SSMIS_DATA, then data/acdc of the repository. Accepted are the folder of the
    preprocessed volumes, or one that holds it as `data` or `ACDC/data`; and the folder of the official patients, or
    one that holds it as `training` or `database/training` (also below `ACDC`). With both, the preprocessed are taken.
    Raises UserError, naming the folders looked in, when none fits.
    """
    own = data_directory() / "acdc"
    train, validation, test = (published_list(own / f"{name}.list") for name in ("train", "val", "test"))
    files = _find(places(root, own), cases=(*train, *validation, *test))
    return ACDC(files, train=train, validation=validation, test=test)


def _find(bases: Sequence[Path], *, cases: Sequence[str]) -> Files:
    """The first layout that is there, with at least one listed case."""
    patients = sorted({case.split("_")[0] for case in cases})
    for base in bases:
        for folder in (base / below for below in PREPROCESSED):
            if any((folder / f"{case}.h5").is_file() for case in cases):
                return Preprocessed(folder)
            names = (path.name for path in folder.glob("slices/*_slice_*.h5"))
            if not set(cases).isdisjoint(name.split("_slice_")[0] for name in names):
                return Preprocessed(folder)
        for folder in (base / above / below for above in ("", "ACDC", "acdc") for below in OFFICIAL):
            if any(next((folder / one).glob(f"{one}_frame*.nii*"), None) for one in patients):
                return Official(folder)
    looked = " and ".join(str(base) for base in bases)
    expected = "'patientNNN_frameNN.h5' nor 'patientNNN/patientNNN_frameNN.nii.gz'"
    raise UserError(f"acdc: neither {expected} in {looked}; {GET}, or name its folder by data_root or $SSMIS_DATA")


def read_arrays(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(image float32, label uint8) of a file, its axes as they are."""
    image, label = read_h5(path, dataset="acdc", get=GET)
    return as_image(image, path), as_label(label, path, num_classes=len(CLASS_NAMES))


def _single(found: Volume, path: Path) -> Volume:
    if found.channels != 1:
        raise UserError(f"{path}: voxels have the shape {found.array.shape}, expected three axes: a single frame")
    return found


def _on_grid_of(image: Volume, path: Path, label: Volume, gt: Path) -> np.ndarray:
    """The label's voxels [x, y, z] in the order of its image's, moved but never mixed.

    Where a file does not say how it lies, voxel by voxel as they are stored. UserError for a label of other sizes, of
    another voxel size, or at another place than its image.
    """
    if not (image.placed and label.placed):
        if image.array.shape != label.array.shape:
            raise UserError(f"{gt}: {other_sizes(image.array.shape, label.array.shape, path.name)}")
        return label.array
    here, there = (Volume(*to_ras(one.array, one.affine)) for one in (image, label))
    if here.array.shape == there.array.shape and not np.allclose(here.spacing, there.spacing, rtol=1e-3):
        told = f"{_mm(here.spacing)} mm and its label {_mm(there.spacing)} mm"
        raise UserError(f"{path}: voxels are {told}, expected the same")
    grid = Grid(here.array.shape, here.affine)
    if told := misplaced(grid, Grid(there.array.shape, there.affine), path.name):
        raise UserError(f"{gt}: {told}")
    return resample_label(there.array, grid, Grid(image.array.shape, image.affine))


def _unit_range(raw: np.ndarray) -> np.ndarray:
    """(x - min) / (max - min) over the volume, float32; what cannot be scaled stays as it is, for the case check."""
    wide = raw.astype(np.float64)
    low, high = (float(wide.min()), float(wide.max())) if wide.size else (0.0, 0.0)
    usable = np.isfinite([low, high]).all() and high > low
    with np.errstate(over="ignore"):
        return ((wide - low) / (high - low) if usable else wide).astype(np.float32)


def _either(start: Path) -> Path:
    """`start`.nii where that is there, else `start`.nii.gz, the official ending."""
    plain = start.with_name(f"{start.name}.nii")
    return plain if plain.is_file() else start.with_name(f"{start.name}.nii.gz")


def _mm(spacing: Sequence[float]) -> str:
    return " x ".join(f"{step:g}" for step in spacing)
