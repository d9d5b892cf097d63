"""Scans of a folder that was not prepared yet, case by case: the facts of each, and what preparing would refuse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ssmis_core.datasets.cases import Grid
from ssmis_core.datasets.check.facts import CaseFacts, counts_of, hash_of, intensities_of, label_hash_of
from ssmis_core.datasets.check.findings import Finding
from ssmis_core.datasets.check.pictures import picture
from ssmis_core.datasets.formats import Volume, read_image
from ssmis_core.datasets.grids import axis_codes, to_ras
from ssmis_core.datasets.preparation.layout import Found
from ssmis_core.datasets.preparation.one_case import bring, misplaced, read_scan
from ssmis_core.datasets.preparation.recipe import Recipe, as_classes
from ssmis_core.errors import UserError

SPLIT = "scans"  # what stands for the list of scans that were not split yet


@dataclass
class Folder:
    """How the scans are to be prepared. dims, channels: of the first one that could be read, which all must have."""

    modality: str
    values: tuple[int, ...] | None
    dims: int = 0
    channels: int = 0

    @property
    def recipe(self) -> Recipe:
        return Recipe(modality=self.modality, dims=self.dims, channels=self.channels, values=self.values)


@dataclass
class Scan:
    """What was read of one case: channels [x, y, z] with the file and the grid of each, all turned to RAS."""

    case: Found
    volumes: list[Volume] = field(default_factory=list)
    channels: list[np.ndarray] = field(default_factory=list)
    grids: list[Grid] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)
    truth: Volume | None = None
    label: np.ndarray | None = None


def look(case: Found, folder: Folder, *, pictures: bool) -> tuple[CaseFacts | None, list[Finding]]:
    """(facts, findings) of one case; facts are None where it cannot be used. Never raises for what is in the files."""
    scan = Scan(case)
    found = list(_read(scan))
    if not scan.channels:
        return None, found
    found += _images(scan, folder)
    found += _label(scan, folder)
    if not found:
        try:
            truth = None if scan.truth is None or case.label is None else (case.label, scan.truth)
            bring(scan.volumes, case.images, truth, folder.recipe)
        except UserError as error:
            found.append(Finding("unprepared", str(error), (case.id,)))
    if found:
        return None, found
    found += _unplaced(scan)
    return _facts(scan, folder, pictures=pictures), found


def _read(scan: Scan) -> Iterator[Finding]:
    """Read every file; a finding for each that cannot be. Without all images there are no channels."""
    whole = True
    for path in scan.case.images:
        try:
            scan.volumes.append(read_scan(path))
        except UserError as error:
            whole = False
            yield Finding("file", str(error), (scan.case.id,))
    if scan.case.label is not None:
        try:
            scan.truth = read_image(scan.case.label)
        except UserError as error:
            yield Finding("file", str(error), (scan.case.id,))
    for volume, path in zip(scan.volumes, scan.case.images, strict=True) if whole else ():
        array, affine = to_ras(volume.array, volume.affine)
        parts = [array] if array.ndim == 3 else [array[..., number] for number in range(array.shape[3])]
        scan.channels += parts
        scan.grids += [Grid(part.shape, affine) for part in parts]
        scan.paths += [path] * len(parts)


def _images(scan: Scan, folder: Folder) -> Iterator[Finding]:
    """Axes, values and places of the channels."""
    first, ids = scan.paths[0], (scan.case.id,)
    dims = 2 if 1 in scan.channels[0].shape else 3
    if not folder.dims:
        folder.dims, folder.channels = dims, len(scan.channels)
    if (dims, len(scan.channels)) != (folder.dims, folder.channels):
        here, rest = _kind(dims, len(scan.channels)), _kind(folder.dims, folder.channels)
        yield Finding("axes", f"{first}: {here}, expected {rest} as in the first case", ids)
    for array, grid, path in zip(scan.channels, scan.grids, scan.paths, strict=True):
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            count = int((~np.isfinite(array)).sum())
            yield Finding("nan", f"{path}: image has {count} NaN or infinite voxels, expected finite values", ids)
        elif array.min() == array.max():
            value = float(array.min())
            yield Finding("constant", f"{path}: image is constant ({value:g} everywhere), expected varying values", ids)
        told = misplaced(scan.grids[0], grid, first.name)
        if told:
            yield Finding("place", f"{path}: {told}", ids)


def _label(scan: Scan, folder: Folder) -> Iterator[Finding]:
    """Shape, place and values of the label, which is kept as classes."""
    if scan.truth is None or scan.case.label is None:
        return
    path, ids = scan.case.label, (scan.case.id,)
    if scan.truth.channels > 1:
        told = f"label has {scan.truth.channels} channels, expected one whole number a voxel"
        yield Finding("label-values", f"{path}: {told}", ids)
        return
    array, affine = to_ras(scan.truth.array, scan.truth.affine)
    image = f"{scan.paths[0].parent.name}/{scan.paths[0].name}"
    told = misplaced(scan.grids[0], Grid(array.shape, affine), image)
    if told:
        kind = "place" if array.shape == scan.grids[0].shape else "label-shape"
        yield Finding(kind, f"{path}: {told}", ids)
    try:
        scan.label = as_classes(array, folder.recipe, str(path))
    except UserError as error:
        yield Finding("label-values", str(error), ids)


def _unplaced(scan: Scan) -> Iterator[Finding]:
    """Files whose place was assumed."""
    files: list[tuple[Path | None, Volume | None]] = [*zip(scan.case.images, scan.volumes, strict=True)]
    for path, volume in [*files, (scan.case.label, scan.truth)]:
        if volume is not None and not volume.placed:
            yield Finding("unplaced", f"{path}: {volume.note}", (scan.case.id,))


def _facts(scan: Scan, folder: Folder, *, pictures: bool) -> CaseFacts:
    grid, label = scan.grids[0], scan.label
    spacing = tuple(float(step) for step in np.linalg.norm(grid.affine[:3, :3], axis=0))
    shape, channels = grid.shape, scan.channels
    if folder.dims == 2:  # turned planes may have their axis of one voxel anywhere
        flat = shape.index(1)
        shape, spacing = shape[:flat] + shape[flat + 1 :], spacing[:flat] + spacing[flat + 1 :]
        channels = [channel.squeeze(flat) for channel in channels]
        label = None if label is None else label.squeeze(flat)
    return CaseFacts(
        id=scan.case.id,
        split=SPLIT,
        shape=shape,
        source=str(scan.paths[0]),
        spacing=spacing,
        orientation=axis_codes(scan.volumes[0].affine),
        intensities=tuple(intensities_of(channel) for channel in channels),
        voxels=None if label is None else counts_of(label),
        image_hash=hash_of(channels),
        label_hash="" if label is None else label_hash_of(label),
        picture=picture(channels[0], label, spacing) if pictures else b"",
    )


def _kind(dims: int, channels: int) -> str:
    return f"{'a plane' if dims == 2 else 'a volume'} with {channels} channel(s)"
