"""Scans to try one's own workflow on: one's folder, else hippocampus where it is here, else files of the phantom."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ssmis_core.datasets import data_directory, open_dataset
from ssmis_core.datasets.preparation.layout import LAYOUTS
from ssmis_core.errors import UserError, unknown
from ssmis_core.files import write_atomic

HIPPOCAMPUS = ("anterior", "posterior")
STRUCTURES = ("left atrium", "left ventricle")
# how scanners and tools turn what they write: for each axis of the file, the world axis it is along and its direction
TURNS = (((0, 1), (1, 1), (2, 1)), ((0, -1), (1, -1), (2, 1)), ((1, 1), (2, -1), (0, 1)))


@dataclass(frozen=True)
class Scans:
    """A folder of scans for `prepare_folder`. classes: names of its labels, or None for those that it tells itself;
    told: what it is, in a line."""

    folder: Path
    name: str
    classes: tuple[str, ...] | None
    told: str


def scans_at_hand(
    source: str | os.PathLike[str] | None, stand_in: Path, options: Mapping[str, Any] | None = None
) -> Scans:
    """The scans of `source`; where it is None, MSD hippocampus if it is here, else the phantom's files.

    Hippocampus is looked for in $SSMIS_DATA/hippocampus and in the repository's data/hippocampus. stand_in: where the
    phantom's files are written; options: of `write_example`. Raises UserError for a source that is no folder.
    """
    if source is not None:
        folder = Path(source).expanduser()
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder, expected one with images/ and labels/")
        return Scans(folder, folder.resolve().name, None, f"your scans in {folder}")
    shared = os.environ.get("SSMIS_DATA")
    for base in ([Path(shared).expanduser()] if shared else []) + [data_directory()]:
        folder = base / "hippocampus"
        if options is None and any((folder / images).is_dir() for images, _ in LAYOUTS):
            told = "hippocampus of the Medical Segmentation Decathlon: real MR, two structures"
            return Scans(folder, "hippocampus", HIPPOCAMPUS, told)
    kind = "-".join(str(value) for value in (options or {}).values()) or "usual"  # others go elsewhere, not between
    folder = write_example(stand_in / "-".join(re.findall(r"\w+", kind)), **example_options(options))
    lost = "hippocampus is not here" if options is None else "as asked for by options"
    return Scans(folder, "phantom-files", STRUCTURES, f"{lost}: files of the phantom, synthetic hearts, two structures")


def write_example(
    folder: Path, *, cases: int = 30, unlabeled: int = 10, size: int | Sequence[int] = (40, 44, 36)
) -> Path:
    """Write cases of the phantom as NIfTI, images/ and labels/, turned this way and that; files there already stay.

    cases: how many have a label; unlabeled: how many more have none; size: voxels along the axes. Values are whole
    numbers from 0, of another scale in every scan, as MR has them.
    """
    known = open_dataset("phantom", num_classes=3, size=size)
    names = (*known.train, *known.test)
    if not 1 <= cases <= cases + unlabeled <= len(names):
        raise UserError(f"cases={cases}, unlabeled={unlabeled}: expected 1 to {len(names)} together")
    for number, case_id in enumerate(names[: cases + unlabeled]):
        case, name = known.load(case_id), f"scan_{number:03d}.nii.gz"
        scale = np.random.default_rng(number).uniform(60, 240)
        grey = np.clip(scale * (case.image[0] + 2.5), 0, 32_000).astype(np.int16)
        files: dict[str, np.ndarray | None] = {"images": grey, "labels": case.label if number < cases else None}
        for kind, array in files.items():
            if array is not None and not (folder / kind / name).is_file():
                _write(folder / kind / name, *_turned(array, case.affine, TURNS[number % len(TURNS)]))
    return folder


def example_options(values: Mapping[str, Any] | None) -> dict[str, Any]:
    """Options of `write_example` by name; UserError for an unknown one."""
    names = ("cases", "unlabeled", "size")
    for name in values or ():
        if name not in names:
            raise unknown("option of the phantom's files", name, names)
    return dict(values or {})


def _turned(array: np.ndarray, affine: np.ndarray, turn: Sequence[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """[x, y, z] with its axes in another order and direction, and the matrix that goes with it."""
    moved, matrix = array.transpose([axis for axis, _ in turn]), affine.copy()
    for place, (axis, sign) in enumerate(turn):
        matrix[:3, place] = sign * affine[:3, axis]
        if sign < 0:
            moved = np.flip(moved, place)
            matrix[:3, 3] += affine[:3, axis] * (array.shape[axis] - 1)
    return moved, matrix


def _write(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    import nibabel

    image = nibabel.Nifti1Image(np.ascontiguousarray(array), affine)
    image.header.set_xyzt_units("mm")
    content = gzip.compress(image.to_bytes(), compresslevel=4, mtime=0)
    write_atomic(path, lambda temporary: temporary.write_bytes(content))
