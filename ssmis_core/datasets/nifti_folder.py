"""nifti_folder: one's own scans, as `ssmis data prepare` brought them into one form (see data/nifti_folder)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from ssmis_core.datasets import data_directory
from ssmis_core.datasets.cases import FILE_GRID, Case, Dataset, Grid, Truth, own_truth
from ssmis_core.datasets.formats import stem
from ssmis_core.datasets.grids import on_original_grid
from ssmis_core.datasets.h5_files import h5_file, read_array
from ssmis_core.datasets.preparation import CASES, FORMAT, MANIFEST, RECIPE, Recipe, fingerprint
from ssmis_core.datasets.preparation.layout import channel_files, with_voxels
from ssmis_core.datasets.preparation.one_case import FILE_LABEL, prepare
from ssmis_core.errors import UserError
from ssmis_core.files import read_json

PREPARE = "`ssmis data prepare NAME --source DIR`"
KEYS = {"format": int, "name": str, "recipe": dict, "classes": list, "split": dict, "cases": dict}


class NiftiFolder(Dataset):
    """Scans of a prepared folder; K, class names, channels and lists are its manifest's.

    Cases are float32 [channels, *spatial] with axes to the right, the front and up, their affine, their spacing, and
    the grid of their file as `original` where it is another (`grids.on_original_grid` goes back to it).
    """

    name = "nifti_folder"

    def __init__(self, folder: Path, manifest: Mapping[str, Any]) -> None:
        split, recipe = manifest["split"], Recipe.from_dict(manifest["recipe"])
        self.folder, self.recipe = folder, recipe
        self.given_name = str(manifest["name"])
        self.title = f"{self.given_name} (own scans)"
        self.dims, self.channels = recipe.dims, recipe.channels
        self.class_names = tuple(manifest["classes"])
        self.num_classes = len(self.class_names)
        self.train, self.validation = tuple(split["train"]), tuple(split["validation"])
        self.test = tuple(split["test"])
        self.with_label = int(split["labeled"])
        self.fingerprint = fingerprint(manifest)
        self._records = manifest["cases"]

    def options(self) -> dict[str, object]:
        """The fingerprint of data and split, and the recipe: a run keeps both."""
        return {"fingerprint": self.fingerprint, "recipe": self.recipe.as_dict()}

    def split(self, labeled: int) -> tuple[list[str], list[str]]:
        """(labeled ids, unlabeled ids); UserError for more labeled ones than there are labels."""
        if isinstance(labeled, int | np.integer) and self.with_label < labeled <= len(self.train):
            n, of = self.with_label, len(self.train)
            raise UserError(f"labeled={labeled}: only {n} of the {of} training cases have a label; choose 1 to {n}")
        return super().split(labeled)

    def contents(self, case_id: str) -> tuple[str, ...]:
        """The first 16 digits of the SHA-256 of each file with voxels of the image."""
        sources: Mapping[str, str] = self._records[case_id]["sources"]
        return tuple(sources[name][:16] for name in with_voxels([n for n in sources if not n.startswith("labels")]))

    def source(self, case_id: str) -> str:
        """The path of the prepared file."""
        return str(self.folder / CASES / f"{case_id}.h5")

    def read(self, case_id: str) -> Case:
        """The prepared case; UserError, naming the file, when it is missing or damaged."""
        if case_id not in self._records:
            near = get_close_matches(str(case_id), self._records, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UserError(f"{self.folder}: no case {case_id!r}{hint}; its manifest.json lists them")
        record = self._records[case_id]
        names = ("image",) if record["label"] is None else ("image", "label")
        image, *labels = self._arrays(case_id, *names)
        affine = np.array(record["affine"])
        original = Grid(tuple(record["original"]["shape"]), np.array(record["original"]["affine"]))
        depth = (1,) if self.dims == 2 else ()
        moved = (*image.shape[1:], *depth) != original.shape or not np.array_equal(affine, original.affine)
        return Case(
            id=case_id,
            image=np.ascontiguousarray(image, np.float32),
            label=labels[0] if labels else None,
            affine=affine,
            spacing=tuple(record["spacing"][: self.dims]),
            modality=self.recipe.modality.upper(),
            original=original if moved else None,
        )

    def truth(self, case: Case) -> Truth:
        """The label of the scan's own file, on that file's grid; for planes an axis of one voxel is left out."""
        own = own_truth(case)
        if case.original is None:
            return Truth(own.label, own.spacing, FILE_GRID)
        if self.recipe.spacing is None:  # only turned: the way back is exact
            label, _ = on_original_grid(own.label, case)
        else:
            (label,) = self._arrays(case.id, FILE_LABEL)
        mm = np.linalg.norm(case.original.affine[:3, :3], axis=0)
        if self.dims == 2:
            solid = case.original.solid.shape
            thin = solid.index(1)
            label, mm = label.reshape(solid).squeeze(thin), np.delete(mm, thin)
        return Truth(label, tuple(float(step) for step in mm), FILE_GRID)

    def _arrays(self, case_id: str, *names: str) -> list[np.ndarray]:
        """Datasets of a prepared file."""
        path, again = Path(self.source(case_id)), "run `ssmis data prepare` again"
        if not path.is_file():
            raise UserError(f"{path}: no such file, expected a prepared case; {again}")
        with h5_file(path, what="prepared case", remedy=f"; delete it and {again}") as file:
            made = json.loads(file.attrs["record"])
            # a preparation that was cut short, or found problems, leaves the manifest of the one before
            if any(made.get(key) != self._records[case_id].get(key) for key in ("sources", "recipe")):
                raise UserError(f"{path}: was prepared anew since {MANIFEST} was written; {again}")
            return [read_array(file, name, path) for name in names]


def scan(path: Path, recipe: Recipe) -> tuple[Case, str]:
    """(a case without label of one scan that is brought into the recipe's form, what was done in a line).

    path: an image file or a DICOM folder; of channels in files of their own the first, which ends in _0000.
    """
    images = channel_files(path) if recipe.channels > 1 else (path,)
    prepared = prepare(images, None, recipe)
    spacing = tuple(float(mm) for mm in np.linalg.norm(prepared.grid.affine[:3, :3], axis=0))[: recipe.dims]
    modality = recipe.modality.upper()
    case = Case(stem(path), prepared.image, None, prepared.grid.affine, spacing, modality, prepared.original)
    return case, "; ".join(prepared.done)


def open(
    root: str | os.PathLike[str] | None = None,
    *,
    fingerprint: str | None = None,
    recipe: Mapping[str, Any] | None = None,
) -> NiftiFolder:
    """Open a folder that `ssmis data prepare` wrote.

    root: that folder; by default $SSMIS_DATA where it is one, then the only one in data/nifti_folder.
    fingerprint, recipe: what a run was trained on, by its run.json. Raises UserError when the folder was prepared or
    split otherwise since, or is none.
    """
    folder = _find(root)
    expected = f"what {PREPARE} writes"
    manifest = read_json(folder / MANIFEST, keys=KEYS, expected=expected)
    if manifest["format"] != FORMAT:
        raise UserError(f"{folder / MANIFEST}: has format {manifest['format']}, expected {FORMAT}; prepare it again")
    try:
        data = NiftiFolder(folder, manifest)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{folder / MANIFEST}: cannot be read ({reason}), expected {expected}") from error
    if recipe is not None and dict(recipe) != data.recipe.as_dict():
        mine, theirs = data.recipe.as_dict(), dict(recipe)
        changes = "; ".join(
            f"{k}: {mine.get(k)}, not {theirs.get(k)}" for k in {**mine, **theirs} if mine.get(k) != theirs.get(k)
        )
        raise UserError(f"{folder}: was prepared otherwise than the run's data ({changes})")
    if fingerprint is not None and fingerprint != data.fingerprint:
        raise UserError(
            f"{folder}: its scans or its split are others than those of the run (fingerprint {data.fingerprint[:12]}, "
            f"expected {str(fingerprint)[:12]}); restore them, or train anew"
        )
    return data


def _find(root: str | os.PathLike[str] | None) -> Path:
    """The prepared folder."""
    if root is not None:
        folder = Path(root).expanduser()
        if (folder / MANIFEST).is_file():
            return folder
        if (folder / RECIPE).is_file():
            raise UserError(f"{folder}: is not prepared to its end; run the same `ssmis data prepare` again")
        if (folder / "images").is_dir() or (folder / "imagesTr").is_dir():
            raise UserError(f"{folder}: holds scans that are not prepared yet; use {PREPARE} and name the new folder")
        raise UserError(f"{folder}: has no {MANIFEST}, expected a folder that {PREPARE} wrote")
    shared = os.environ.get("SSMIS_DATA")
    if shared and (Path(shared).expanduser() / RECIPE).is_file():
        return _find(shared)
    found = sorted(path.parent for path in (data_directory() / "nifti_folder").glob(f"*/{MANIFEST}"))
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(str(path) for path in found)
        raise UserError(f"nifti_folder: several folders are prepared ({names}); name one by data_root")
    raise UserError(f"nifti_folder: no folder is prepared; use {PREPARE}, then name the new folder by data_root")
