"""LA: 100 left-atrium MRI volumes of the 2018 Atrial Segmentation Challenge, as published with UA-MT (see data/la)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ssmis_core.datasets import data_directory
from ssmis_core.datasets.cases import Case, Dataset
from ssmis_core.datasets.h5_files import as_image, as_label, read_affine, read_h5
from ssmis_core.datasets.lists import check_listed, places, published_list
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
    Image Analysis 67, 2021), and the preprocessing only cropped and normalised them; every case gets that spacing. The
    scanner's frame is lost, so the affine is axis-aligned with its origin at the crop's corner; only files that
    `ssmis data prepare la` made of the challenge's own scans know where they lie.
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
        check_listed(self, case_id)
        path = self.folder / case_id / FILE
        image, label = read_h5(path, dataset=self.name, get=GET)
        affine = read_affine(path)
        return Case(
            id=case_id,
            image=as_image(image, path)[None],
            label=as_label(label, path, num_classes=self.num_classes),
            affine=np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0]) if affine is None else affine,
            spacing=(SPACING_MM,) * 3,
            modality="LGE MRI",
        )


def open(root: str | os.PathLike[str] | None = None) -> LA:
    """Open the LA data set.

    root: where the files are; by default $SSMIS_DATA, then data/la of the repository. Accepted are a folder that
    holds `2018LA_Seg_Training Set`, one that holds `LA/2018LA_Seg_Training Set`, and the case folders' parent itself.
    Raises UserError, naming the folders looked in and the command that downloads the data, when none of them fits.
    """
    train, test = (published_list(data_directory() / "la" / f"{name}.list") for name in ("train", "test"))
    return LA(_find_folder(root, cases=(*train, *test)), train=train, test=test)


def _find_folder(root: str | os.PathLike[str] | None, *, cases: Sequence[str]) -> Path:
    """The folder that holds the case folders."""
    bases = places(root, data_directory() / "la")
    for base in bases:
        for folder in (base / FOLDER, base / "LA" / FOLDER, base / "la" / FOLDER):
            if folder.is_dir():
                return folder
        if any((base / case / FILE).is_file() for case in cases):
            return base
    looked = " and ".join(str(base) for base in bases)
    raise UserError(f"la: no folder {FOLDER!r} in {looked}; {GET}, or name its folder by data_root or $SSMIS_DATA")
