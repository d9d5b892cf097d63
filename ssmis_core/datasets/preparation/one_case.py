"""One case of one's own scans from its files to the form that networks take: turned, resampled, normalised."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ssmis_core.datasets.cases import Grid
from ssmis_core.datasets.formats import Volume, read_image
from ssmis_core.datasets.formats.volume import LIMIT_BYTES, check_packing
from ssmis_core.datasets.grids import (
    axis_codes,
    plane_last,
    resample_image,
    resample_label,
    resampled_grid,
    same_place,
    to_ras,
)
from ssmis_core.datasets.preparation.case_files import Content, Outcome, make_file
from ssmis_core.datasets.preparation.layout import Found, files_of
from ssmis_core.datasets.preparation.recipe import Recipe, as_classes, normalise
from ssmis_core.errors import UserError

NEAR = 0.5  # voxels that a label or another channel may lie off its image
FILE_LABEL = "label_of_file"


@dataclass(frozen=True)
class Job:
    """What a worker needs to prepare one case. source: the folder that file names are told relative to."""

    case: Found
    source: Path
    target: Path
    recipe: Recipe


@dataclass(frozen=True)
class Prepared:
    """A case in its final form: image float32 [C, *spatial], label uint8 [*spatial] or None; grid in 3D, original as
    the file has it.

    file_label: uint8 [*original.shape], the label before it was resampled, which cannot be had back from `label`; None
    where nothing was resampled.
    """

    image: np.ndarray
    label: np.ndarray | None
    grid: Grid
    original: Grid
    done: tuple[str, ...]
    file_label: np.ndarray | None = None


def run_job(job: Job) -> Outcome:
    """Prepare a case, unless its file is there and was made of the same bytes by the same recipe. Never raises for
    what is wrong with the files."""
    case = job.case

    def make() -> Content:
        prepared = prepare(case.images, case.label, job.recipe)
        arrays = {"image": prepared.image, "label": prepared.label, FILE_LABEL: prepared.file_label}
        there = {name: array for name, array in arrays.items() if array is not None}
        return Content(there, _facts(prepared), packed=(FILE_LABEL,))

    return make_file(case.id, job.target, case.files, job.source, job.recipe.digest(), make)


def prepare(images: tuple[Path, ...], label: Path | None, recipe: Recipe) -> Prepared:
    """Read, turn, resample and normalise one case; UserError for what cannot be used."""
    volumes = [read_scan(path) for path in images]
    truth = None if label is None else (label, read_image(label))
    return bring(volumes, images, truth, recipe)


def bring(
    volumes: Sequence[Volume], images: tuple[Path, ...], truth: tuple[Path, Volume] | None, recipe: Recipe
) -> Prepared:
    """Turn, resample and normalise what was read of a case's image files and of its label; see `prepare`."""
    first = volumes[0]
    original = Grid(first.array.shape[: first.axes], first.affine)
    channels = [array for one, path in zip(volumes, images, strict=True) for array in _channels(one, path)]
    if len(channels) != recipe.channels:
        raise UserError(
            f"{images[0]}: has {len(channels)} channel(s), expected {recipe.channels} as the first case has"
        )
    for array in channels:
        check_values(array, images[0])
    turned = [_turn(array, one.affine, recipe, images[0]) for array, one in _with_volume(channels, volumes)]
    grid = turned[0][1]
    for (_, other), path in zip(turned, images if len(images) > 1 else images * len(turned), strict=True):
        _check_same(grid, other, path, images[0])
    done = [f"turned from {axis_codes(first.affine)} to {axis_codes(grid.affine)}"]
    done += [volume.note for volume in volumes if volume.note]
    target = grid if recipe.spacing is None else resampled_grid(grid, _spacing(recipe, grid))
    if recipe.spacing is not None:
        _check_room(images[0], target, len(channels))
        done.append(f"resampled from {_text(grid.shape)} to {_text(target.shape)}: image linear, label nearest")
    label = None if truth is None else _label(*truth, grid, recipe, images[0])
    stack = []
    for array, _ in turned:
        brought = array if target is grid else resample_image(array, grid, target)
        scored, how = normalise(brought, recipe, str(images[0]))
        stack.append(scored)
        done.append(how)
    file_label = None
    if label is not None and target is not grid:
        file_label = resample_label(label, grid, original.solid).reshape(original.shape)
        label = resample_label(label, grid, target)
    image = np.stack(stack)
    if recipe.dims == 2:
        image, label = image[..., 0], None if label is None else label[..., 0]
    return Prepared(image, label, target, original, tuple(done), file_label)


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


def read_scan(path: Path) -> Volume:
    """An image, unless it is packed as no scan can be."""
    found = read_image(path)
    file = sum(one.stat().st_size for one in files_of(path))
    check_packing(path, found.array.shape, found.array.itemsize, file)
    return found


def _channels(volume: Volume, path: Path) -> list[np.ndarray]:
    array = volume.array
    return [array] if array.ndim == 3 else [array[..., channel] for channel in range(array.shape[3])]


def _with_volume(channels: list[np.ndarray], volumes: Sequence[Volume]) -> list[tuple[np.ndarray, Volume]]:
    """Each channel with the volume that it is of."""
    owners = [volume for volume in volumes for _ in range(volume.channels)]
    return list(zip(channels, owners, strict=True))


def check_values(array: np.ndarray, path: Path) -> None:
    """UserError for an image with NaN, without any contrast, or with values that no scan has."""
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
    told = misplaced(grid, other, f"{first.parent.name}/{first.name}")
    if told:
        raise UserError(f"{path}: {told}")


def misplaced(grid: Grid, other: Grid, image: str) -> str:
    """How a label's (or another channel's) grid differs from that of its image, both turned; "" where it does not."""
    if grid.shape != other.shape:
        return other_sizes(grid.shape, other.shape, image, " (to the right, the front and up)")
    apart = same_place(grid, other, NEAR)
    return f"lies up to {apart:.3g} mm off {image}, expected the same place by both affines" if apart else ""


def other_sizes(shape: Sequence[int], other: Sequence[int], image: str, axes: str = "") -> str:
    """What to say of a label's sizes `other` that are not its image's. axes: what they are along, for the message."""
    swapped = "; its axes seem to be swapped" if sorted(shape) == sorted(other) else ""
    return f"has {_text(other)} voxels{axes}, but {image} has {_text(shape)}{swapped}"


def _label(path: Path, volume: Volume, grid: Grid, recipe: Recipe, image: Path) -> np.ndarray:
    """The label on its image's grid, in classes."""
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


def _check_room(path: Path, grid: Grid, channels: int) -> None:
    """UserError for more voxels than an image may have: a spacing, or the file's own, that is far off."""
    need = math.prod(grid.shape) * channels * 4
    if need > LIMIT_BYTES:
        told = f"resampled it would have {_text(grid.shape)} voxels ({need / 1e9:.3g} GB in memory)"
        raise UserError(f"{path}: {told}, expected at most {LIMIT_BYTES / 1e9:g} GB; choose a coarser spacing")


def _text(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
