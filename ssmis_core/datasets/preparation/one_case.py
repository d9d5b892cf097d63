"""One case from its files to a prepared h5 file that carries its own record: whole, or not there."""

from __future__ import annotations

import errno
import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ssmis_core.datasets.cases import Grid
from ssmis_core.datasets.formats import Volume, read_image
from ssmis_core.datasets.grids import (
    axis_codes,
    plane_last,
    resample_image,
    resample_label,
    resampled_grid,
    same_place,
    to_ras,
)
from ssmis_core.datasets.preparation.layout import Found
from ssmis_core.datasets.preparation.recipe import Recipe, as_classes, normalise
from ssmis_core.errors import UserError
from ssmis_core.files import atomic

NEAR = 0.5  # voxels that a label or another channel may lie off its image


@dataclass(frozen=True)
class Job:
    """What a worker needs to prepare one case. source: the folder that file names are told relative to."""

    case: Found
    source: Path
    target: Path
    recipe: Recipe


@dataclass(frozen=True)
class Outcome:
    """record: what was done (None when it failed). state: "made", "kept" or "failed"; reason: why it was made anew,
    or what failed."""

    id: str
    state: str
    record: dict[str, Any] | None
    reason: str = ""


@dataclass(frozen=True)
class Prepared:
    """A case in its final form: image float32 [C, *spatial], label uint8 [*spatial] or None, both grids in 3D."""

    image: np.ndarray
    label: np.ndarray | None
    grid: Grid
    original: Grid
    done: tuple[str, ...]


def run_job(job: Job) -> Outcome:
    """Prepare a case, unless its file is there and was made of the same bytes by the same recipe. Never raises for
    what is wrong with the files."""
    try:
        sources = content_hashes(job)
        before = read_record(job.target)
        recipe = job.recipe.digest()
        if before and (before.get("recipe"), before.get("sources")) == (recipe, sources):
            return Outcome(job.case.id, "kept", before)
        prepared = prepare(job.case.images, job.case.label, job.recipe)
        record = {"id": job.case.id, "sources": sources, "recipe": recipe, **_facts(prepared)}
        write(job.target, prepared, record)
        return Outcome(job.case.id, "made", record, _why(before, sources) if before else "")
    except UserError as error:
        return Outcome(job.case.id, "failed", None, str(error))
    except OSError as error:
        return Outcome(
            job.case.id, "failed", None, f"{job.target}: cannot be written or read ({error.strerror or error})"
        )
    except MemoryError:
        return Outcome(job.case.id, "failed", None, f"{job.case.images[0]}: not enough memory; try fewer workers")


def prepare(images: tuple[Path, ...], label: Path | None, recipe: Recipe) -> Prepared:
    """Read, turn, resample and normalise one case; UserError for what cannot be used."""
    volumes = [read_image(path) for path in images]
    first = volumes[0]
    original = Grid(first.array.shape[:3], first.affine)
    channels = [array for one, path in zip(volumes, images, strict=True) for array in _channels(one, path)]
    if len(channels) != recipe.channels:
        raise UserError(
            f"{images[0]}: has {len(channels)} channel(s), expected {recipe.channels} as the first case has"
        )
    for array in channels:
        _check_values(array, images[0])
    turned = [_turn(array, one.affine, recipe, images[0]) for array, one in _with_volume(channels, volumes)]
    grid = turned[0][1]
    for (_, other), path in zip(turned, images if len(images) > 1 else images * len(turned), strict=True):
        _check_same(grid, other, path, images[0])
    done = [f"turned from {axis_codes(first.affine)} to {axis_codes(grid.affine)}"]
    done += [volume.note for volume in volumes if volume.note]
    target = grid if recipe.spacing is None else resampled_grid(grid, _spacing(recipe, grid))
    if recipe.spacing is not None:
        done.append(f"resampled from {_text(grid.shape)} to {_text(target.shape)}: image linear, label nearest")
    truth = None if label is None else _label(label, grid, recipe, images[0])
    stack = []
    for array, _ in turned:
        brought = array if target is grid else resample_image(array, grid, target)
        scored, how = normalise(brought, recipe, str(images[0]))
        stack.append(scored)
        done.append(how)
    if truth is not None and target is not grid:
        truth = resample_label(truth, grid, target)
    image = np.stack(stack)
    if recipe.dims == 2:
        image, truth = image[..., 0], None if truth is None else truth[..., 0]
    return Prepared(image, truth, target, original, tuple(done))


def write(path: Path, prepared: Prepared, record: dict[str, Any]) -> None:
    """The h5 file: `image`, `label` where there is one, and the record as an attribute."""
    import h5py

    with atomic(path) as temporary:
        try:
            with h5py.File(temporary, "w") as file:
                file["image"] = prepared.image
                if prepared.label is not None:
                    file["label"] = prepared.label
                file.attrs["record"] = json.dumps(record)
        except (OSError, RuntimeError) as error:
            if "errno = 28" in str(error):  # told in h5py's text only
                raise OSError(errno.ENOSPC, "no space left on the disk") from error
            raise


def read_record(path: Path) -> dict[str, Any] | None:
    """The record of a prepared file that can be opened, or None."""
    import h5py

    with suppress(OSError, RuntimeError, KeyError, ValueError, TypeError), h5py.File(path, "r") as file:
        record = json.loads(file.attrs["record"])
        there = isinstance(file.get("image"), h5py.Dataset) and (not record["label"] or "label" in file)
        return record if there else None
    return None


def content_hashes(job: Job) -> dict[str, str]:
    """{file, relative to the source: SHA-256} of everything that the case is made of."""
    hashes = {}
    for path in job.case.files:
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from error
        name = path.relative_to(job.source) if path.is_relative_to(job.source) else path
        hashes[name.as_posix()] = digest
    return hashes


def _facts(prepared: Prepared) -> dict[str, Any]:
    """What the manifest tells of a case."""
    label = prepared.label
    counts = None
    if label is not None:
        voxels = np.bincount(label.ravel())
        counts = {str(value): int(count) for value, count in enumerate(voxels) if count}
    return {
        "shape": list(prepared.image.shape[1:]),
        "affine": prepared.grid.affine.tolist(),
        "spacing": [round(float(mm), 6) for mm in np.linalg.norm(prepared.grid.affine[:3, :3], axis=0)],
        "original": {
            "shape": list(prepared.original.shape),
            "affine": prepared.original.affine.tolist(),
            "orientation": axis_codes(prepared.original.affine),
        },
        "label": counts,
        "done": list(prepared.done),
    }


def _why(before: dict[str, Any], sources: dict[str, str]) -> str:
    """What changed since the case was prepared."""
    old = before.get("sources") or {}
    if old == sources:
        return "another recipe"
    changed = sorted(name for name in {*old, *sources} if old.get(name) != sources.get(name))
    words = {(True, True): "changed", (True, False): "is gone", (False, True): "is new"}
    return ", ".join(f"{name} {words[name in old, name in sources]}" for name in changed[:3])


def _channels(volume: Volume, path: Path) -> list[np.ndarray]:
    array = volume.array
    return [array] if array.ndim == 3 else [array[..., channel] for channel in range(array.shape[3])]


def _with_volume(channels: list[np.ndarray], volumes: list[Volume]) -> list[tuple[np.ndarray, Volume]]:
    """Each channel with the volume that it is of."""
    owners = [volume for volume in volumes for _ in range(volume.channels)]
    return list(zip(channels, owners, strict=True))


def _check_values(array: np.ndarray, path: Path) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        count = int((~np.isfinite(array)).sum())
        raise UserError(f"{path}: image has {count} NaN or infinite voxels, expected finite values")
    low, high = array.min(), array.max()
    if low == high:
        raise UserError(f"{path}: image is constant ({float(low):g} everywhere), expected varying intensities")
    if max(abs(float(low)), abs(float(high))) > 1e30:
        raise UserError(f"{path}: image has values up to {float(high):g}, expected those of a scan")


def _turn(array: np.ndarray, affine: np.ndarray, recipe: Recipe, path: Path) -> tuple[np.ndarray, Grid]:
    """One channel in the usual orientation; for planes with the thin axis last."""
    flat = 1 in array.shape
    if flat != (recipe.dims == 2):
        expected = "volumes as the first case" if recipe.dims == 3 else "planes as the first case"
        raise UserError(f"{path}: has shape {_text(array.shape)}, expected {expected}")
    turned, matrix = to_ras(array, affine)
    if recipe.dims == 2:
        turned, matrix = plane_last(turned, matrix)
    return turned, Grid(turned.shape, matrix)


def _check_same(grid: Grid, other: Grid, path: Path, first: Path) -> None:
    """UserError unless a label, or another channel, has the voxels of the first image; both are turned already."""
    image = f"{first.parent.name}/{first.name}"
    if grid.shape != other.shape:
        here, there = _text(other.shape), _text(grid.shape)
        raise UserError(f"{path}: has {here} voxels (to the right, the front and up), but {image} has {there}")
    apart = same_place(grid, other, NEAR)
    if apart:
        raise UserError(f"{path}: lies up to {apart:.3g} mm off {image}, expected the same place by both affines")


def _label(path: Path, grid: Grid, recipe: Recipe, image: Path) -> np.ndarray:
    """The label on its image's grid, in classes."""
    volume = read_image(path)
    if volume.channels > 1:
        raise UserError(f"{path}: label has {volume.channels} channels, expected one whole number a voxel")
    array, place = _turn(volume.array, volume.affine, recipe, path)
    _check_same(grid, place, path, image)
    return as_classes(array, recipe, str(path))


def _spacing(recipe: Recipe, grid: Grid) -> tuple[float, ...]:
    """The recipe's spacing for three axes: a plane keeps its depth."""
    assert recipe.spacing is not None
    depth = float(np.linalg.norm(grid.affine[:3, 2]))
    return recipe.spacing if recipe.dims == 3 else (*recipe.spacing, depth)


def _text(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
