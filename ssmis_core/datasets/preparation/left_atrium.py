"""LA from the challenge's own scans: `<case>/lgemri.nrrd` and `<case>/laendo.nrrd` become `<case>/mri_norm2.h5`."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ssmis_core.datasets import data_directory
from ssmis_core.datasets.cases import Grid
from ssmis_core.datasets.formats import Volume, read_image
from ssmis_core.datasets.grids import same_place
from ssmis_core.datasets.la import FILE, FOLDER, SPACING_MM
from ssmis_core.datasets.lists import published_list
from ssmis_core.datasets.preparation import Preparation
from ssmis_core.datasets.preparation.case_files import Content, Outcome, make_file, read_record, size_of
from ssmis_core.datasets.preparation.one_case import NEAR, check_values, other_sizes, read_scan
from ssmis_core.datasets.preparation.pool import check_workers, outcomes
from ssmis_core.datasets.preparation.recipe import Recipe as OwnRecipe
from ssmis_core.datasets.preparation.recipe import as_classes
from ssmis_core.errors import UserError
from ssmis_core.files import alone

IMAGE, LABEL = "lgemri.nrrd", "laendo.nrrd"
BELOW = ("", "Training Set", FOLDER)
SIDE = 112  # voxels in plane that the field's networks see
LEAST, MOST = 10, 19  # voxels of margin on a side of the crop
AFFINE = "affine"


@dataclass(frozen=True)
class LaRecipe:
    """crop: in plane, to the box around the label, as published; seed: of the crop's margins."""

    crop: bool = True
    seed: int = 0
    version: int = 1


@dataclass(frozen=True)
class LaJob:
    """What a worker needs to prepare one case. folder: the case's own, with its scan and its label."""

    case: str
    folder: Path
    target: Path
    recipe: LaRecipe


def prepare_la(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    crop: bool = True,
    seed: int = 0,
    workers: int = 1,
    overwrite: bool = False,
    progress: bool = False,
) -> Preparation:
    """Prepare the challenge's training scans for `open_dataset("la", out)`.

    source: holds a folder a case, or holds `Training Set` or `2018LA_Seg_Training Set` that does; only cases of the
    published lists are taken. crop: False keeps whole scans, in which a method has to find the atrium.
    A case is made only when its files or the recipe changed, whole or not at all; `problems` has one line for each case
    that cannot be used. Raises UserError for no such folder, and for files in `out` that were made otherwise, such as
    downloaded ones, unless overwrite allows it.
    Source of the steps: the preprocessing published with UA-MT (Yu et al., MICCAI 2019). It drew the margins without a
    seed, so crops agree with the downloaded ones but for the margins.
    """
    check_workers(workers)
    source, recipe = Path(source).expanduser(), LaRecipe(crop=crop, seed=seed)
    folder = Path(out).expanduser() / FOLDER
    listed = [case for name in ("train", "test") for case in published_list(data_directory() / "la" / f"{name}.list")]
    there = _find(source)
    jobs = [LaJob(case, there[case], folder / case / FILE, recipe) for case in listed if case in there]
    if not jobs:
        raise UserError(f"{source}: no case of the published lists in it, expected folders such as {listed[0]}/{IMAGE}")
    if not overwrite:
        _check_targets(jobs)
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder, what="preparation"):
        done = _run(jobs, workers, progress=progress)
    return Preparation.of(folder.parent, done, notes=_notes(done, listed, there))


def run_la_job(job: LaJob) -> Outcome:
    """Prepare a case; see `make_file`. Its files are told as CASE/NAME, whatever folder above them was the source."""
    image, label = job.folder / IMAGE, job.folder / LABEL

    def make() -> Content:
        return _content(image, label, job)

    recipe = json.dumps(asdict(job.recipe))
    return make_file(job.case, job.target, (image, label), job.folder.parent, recipe, make)


def normalised(image: np.ndarray) -> np.ndarray:
    """(x - mean) / standard deviation over the whole scan, float32 [x, y, z]."""
    wide = image.astype(np.float64)
    wide -= wide.mean()
    wide /= wide.std()
    return wide.astype(np.float32)


def crop_box(label: np.ndarray, margins: Sequence[Sequence[int]]) -> tuple[slice, slice]:
    """The published crop in plane: the label's box, widened to about 112 voxels and by a margin on each side.

    label: [x, y, z], not empty; margins: voxels (before, after) along x and along y. With the label from a to b along
    an axis of n voxels and w = max(112 - (b - a), 0) // 2, the crop goes from max(a - before - w, 0) up to, and
    without, min(b + after + w, n).
    """
    box = []
    for axis, (before, after) in enumerate(margins):
        inside = np.flatnonzero(label.any(axis=tuple(other for other in range(label.ndim) if other != axis)))
        first, last = int(inside[0]), int(inside[-1])
        widen = max(SIDE - (last - first), 0) // 2
        box.append(slice(max(first - before - widen, 0), min(last + after + widen, label.shape[axis])))
    return box[0], box[1]


def drawn_margins(case: str, seed: int) -> list[list[int]]:
    """Margins of 10 to 19 voxels, (before, after) along x and y: the same for a case and seed on every machine."""
    digest = hashlib.sha256(f"{seed}/{case}".encode()).digest()
    draws = [int.from_bytes(digest[k * 8 : k * 8 + 8], "big") % (MOST - LEAST + 1) + LEAST for k in range(4)]
    return [draws[:2], draws[2:]]


def _content(image_file: Path, label_file: Path, job: LaJob) -> Content:
    """Both files of a case as the community's file has them."""
    image, label = read_scan(image_file), read_image(label_file)
    for found, path in ((image, image_file), (label, label_file)):
        if found.channels > 1:
            raise UserError(f"{path}: has {found.channels} channels, expected one")
    if image.array.shape != label.array.shape:
        beside = f"{image_file.parent.name}/{image_file.name}"
        raise UserError(f"{label_file}: {other_sizes(image.array.shape, label.array.shape, beside)}")
    check_values(image.array, image_file)
    values = (0, 255) if label.array.max() > 1 else (0, 1)
    truth = as_classes(label.array, OwnRecipe(values=values), str(label_file))
    if not truth.any():
        raise UserError(f"{label_file}: label is empty, expected an atrium")
    box = (slice(None), slice(None))
    if job.recipe.crop:
        box = crop_box(truth, drawn_margins(job.case, job.recipe.seed))
    corner = [one.start or 0 for one in box]
    arrays = {"image": normalised(image.array)[box], "label": truth[box]}
    facts: dict[str, Any] = {"original_shape": list(image.array.shape), "corner": corner}
    affine = _placed(image, label, corner)
    if affine is not None:
        arrays[AFFINE] = affine
    return Content(arrays, facts, packed=("image", "label"))


def _placed(image: Volume, label: Volume, corner: Sequence[int]) -> np.ndarray | None:
    """The crop's voxel-to-world matrix; None where the headers contradict each other, or the challenge's voxel size."""
    shape = image.array.shape[:3]
    if not np.allclose(image.spacing, SPACING_MM, rtol=0.01):
        return None
    if same_place(Grid(shape, image.affine), Grid(shape, label.affine), NEAR):
        return None
    affine = image.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [*corner, 0]
    return affine


def _find(source: Path) -> dict[str, Path]:
    """{case: its folder}."""
    if not source.is_dir():
        raise UserError(f"{source}: no such folder")
    for below in BELOW:
        found = {path.parent.name: path.parent for path in (source / below).glob(f"*/{IMAGE}")}
        if found:
            return found
    raise UserError(f"{source}: has no scans of the challenge, expected <case>/{IMAGE} and <case>/{LABEL}")


def _check_targets(jobs: Sequence[LaJob]) -> None:
    """UserError where files stand in the way that another recipe, or somebody else, made."""
    ways = "choose another folder by --out, or --overwrite"
    for job in jobs:
        if not job.target.exists():
            continue
        record = read_record(job.target)
        if record is None:
            raise UserError(f"{job.target}: is there already and was not prepared here (downloaded?); {ways}")
        if record.get("recipe") != json.dumps(asdict(job.recipe)):
            mine, theirs = asdict(job.recipe), json.loads(record["recipe"])
            changes = "; ".join(
                f"{key}: {mine[key]}, not {theirs.get(key)}" for key in mine if mine[key] != theirs.get(key)
            )
            raise UserError(f"{job.target}: was prepared otherwise ({changes}); {ways}")


def _run(jobs: Sequence[LaJob], workers: int, *, progress: bool) -> list[Outcome]:
    """Every case's outcome, in the order of the cases."""
    for job in jobs:
        job.target.with_name(f".{FILE}.part").unlink(missing_ok=True)  # of a worker that was killed
    sizes = {job.case: size_of(job.folder.glob("*.nrrd")) for job in jobs}
    return outcomes("la", run_la_job, {job.case: job for job in jobs}, sizes, workers, progress=progress)


def _notes(done: Sequence[Outcome], listed: Sequence[str], there: dict[str, Path]) -> tuple[str, ...]:
    """What a person should know besides the counts."""
    notes = []
    lost = [case for case in listed if case not in there]
    if lost:
        notes.append(f"not in the source: {len(lost)} of the {len(listed)} listed cases, such as {lost[0]}")
    more = sorted(set(there) - set(listed))
    if more:
        notes.append(f"in no published list, left out: {len(more)} cases, such as {more[0]}")
    unplaced = [one.id for one in done if one.record is not None and AFFINE not in one.record["holds"]]
    if unplaced:
        told = f"headers contradict {SPACING_MM} mm or each other, so the place is not kept"
        notes.append(f"{told}: {len(unplaced)} cases, such as {unplaced[0]}")
    return tuple(notes)
