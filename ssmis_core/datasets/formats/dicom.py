"""A folder of DICOM slices: one series, sorted by where its slices lie, complete and evenly spaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ssmis_core.datasets.formats.itk import LPS_TO_RAS, reason, simpleitk
from ssmis_core.datasets.formats.volume import LIMIT_BYTES, Volume, volume
from ssmis_core.errors import UserError

GDCM = "GDCMImageIO"
NOT_SLICES = ("DICOMDIR", "LICENSE", "README", "VERSION")
MOST_UNEVEN = 0.02  # of the slice distance
RAW_SYNTAX = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
TAGS = {
    "series": "0020|000e",
    "position": "0020|0032",
    "orientation": "0020|0037",
    "spacing": "0028|0030",
    "rows": "0028|0010",
    "columns": "0028|0011",
    "bits": "0028|0100",
    "samples": "0028|0002",
    "frames": "0028|0008",
    "thickness": "0018|0050",
    "syntax": "0002|0010",
    "photometric": "0028|0004",
    "modality": "0008|0060",
}


@dataclass(frozen=True)
class Slice:
    """The header of one file.

    position: of its first pixel (LPS, mm); axes: [3, 2], along a row and a column; thickness: 0.0 if it is not known;
    inverted: whether low values are the bright ones in the file (MONOCHROME1).
    """

    path: Path
    series: str
    position: np.ndarray
    axes: np.ndarray
    spacing: tuple[float, float]  # between rows, between columns
    size: tuple[int, int]  # columns, rows
    thickness: float
    inverted: bool


def read_dicom(folder: Path) -> Volume:
    """The volume [columns, rows, slices] of a folder's slices, in the order of their positions; see `read_image`.

    Rescaling (Hounsfield units) is applied slice by slice. Where low values are the bright ones (MONOCHROME1), GDCM
    inverts them within the range that the file can store (0 to 4095 of 12 bits); the note says so.
    Raises UserError for files that are not DICOM, several series in one folder, slices that differ in size or
    direction, lie at one place, or leave a gap, and for CT to be inverted, which has no Hounsfield units then.
    """
    sitk = simpleitk(folder)
    paths = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    paths = [path for path in paths if path.name.upper().split(".")[0] not in NOT_SLICES]
    if not paths:
        raise UserError(f"{folder}: no files, expected the slices of a DICOM series")
    slices = [_header(sitk, path) for path in paths]
    _check_alike(folder, slices)
    slices, depth = _sorted(folder, slices)
    columns, rows = slices[0].size
    if columns * rows * len(slices) * 4 > LIMIT_BYTES:
        raise UserError(f"{folder}: {columns} x {rows} x {len(slices)} voxels are more than {LIMIT_BYTES / 1e9:g} GB")
    array = np.empty((columns, rows, len(slices)), np.float32)
    for number, one in enumerate(slices):
        array[:, :, number] = _pixels(sitk, one)
    lps = np.eye(4)
    lps[:3, 0] = slices[0].axes[:, 0] * slices[0].spacing[1]
    lps[:3, 1] = slices[0].axes[:, 1] * slices[0].spacing[0]
    lps[:3, 2] = depth
    lps[:3, 3] = slices[0].position
    placed = len(slices) > 1 or slices[0].thickness > 0
    return volume(folder, array, LPS_TO_RAS @ lps, _note(slices), placed=placed)


def _note(slices: Sequence[Slice]) -> str:
    """What was done or assumed."""
    notes = []
    if len(slices) == 1:
        depth = "its thickness" if slices[0].thickness else "for want of a thickness 1 mm"
        notes.append(f"one slice: {depth} is taken as the voxel's depth")
    count = sum(one.inverted for one in slices)
    if count:
        told = f"grey values of {count} of {len(slices)} slices"
        notes.append(f"{told} inverted within the range that they are stored in (MONOCHROME1: low is bright)")
    return "; ".join(notes)


def _header(sitk: Any, path: Path) -> Slice:
    """The tags of one file, whose pixels are not read yet."""
    with path.open("rb") as file:
        start = file.read(132)
    if start[128:] != b"DICM":
        raise UserError(f"{path}: is not a DICOM file, expected only the slices of one series in {path.parent.name}")
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO(GDCM)
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise UserError(f"{path}: not a whole DICOM file ({reason(error)})") from error
    tags = {
        name: reader.GetMetaData(tag).strip("\0 ") if reader.HasMetaDataKey(tag) else "" for name, tag in TAGS.items()
    }
    _check_kind(path, tags)
    try:
        columns, rows = int(tags["columns"]), int(tags["rows"])
        position = _numbers(tags["position"], 3)
        axes = _numbers(tags["orientation"], 6).reshape(2, 3).T
        between_rows, between_columns = _numbers(tags["spacing"], 2)
        need = columns * rows * (int(tags["bits"]) // 8 or 1) * int(tags["samples"] or 1)
    except ValueError:
        told = "size, position, orientation and pixel spacing"
        raise UserError(f"{path}: lacks what places a slice, expected its {told}") from None
    there = path.stat().st_size
    if columns < 1 or rows < 1 or need > LIMIT_BYTES or (tags["syntax"] in RAW_SYNTAX and need > there):
        raise UserError(f"{path}: header claims {columns} x {rows} pixels, but the file has only {there} bytes")
    spacing, thickness = (between_rows, between_columns), _thickness(tags["thickness"])
    inverted = tags["photometric"] == "MONOCHROME1"
    return Slice(path, tags["series"], position, axes, spacing, (columns, rows), thickness, inverted)


def _check_kind(path: Path, tags: Mapping[str, str]) -> None:
    """UserError for several frames, colour, and CT whose values would be inverted."""
    if tags["frames"] not in ("", "1"):
        raise UserError(
            f"{path}: holds {tags['frames']} frames in one file; convert it to NIfTI, such as with dcm2niix"
        )
    if tags["samples"] not in ("", "1"):
        raise UserError(f"{path}: has {tags['samples']} samples a pixel (colour), expected one")
    if tags["photometric"] == "MONOCHROME1" and tags["modality"] == "CT":
        told = "is CT in MONOCHROME1 (low is bright)"
        raise UserError(f"{path}: {told}, expected MONOCHROME2: inverted values are no Hounsfield units")


def _thickness(text: str) -> float:
    """In mm; 0.0 where the file does not tell one above 0."""
    try:
        return max(0.0, float(_numbers(text, 1)[0]))
    except ValueError:
        return 0.0


def _numbers(text: str, count: int) -> np.ndarray:
    """DICOM's decimal strings; ValueError when there are not as many or they are not finite."""
    numbers = np.array([float(part) for part in text.split("\\")])
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise ValueError(text)
    return numbers


def _check_alike(folder: Path, slices: Sequence[Slice]) -> None:
    series = {one.series for one in slices}
    if len(series) > 1:
        counts = ", ".join(str(sum(one.series == name for one in slices)) for name in sorted(series))
        raise UserError(
            f"{folder}: slices of {len(series)} series are mixed ({counts} files), expected a folder a series"
        )
    first = slices[0]
    for one in slices[1:]:
        if one.size != first.size:
            raise UserError(
                f"{one.path}: has {one.size[0]} x {one.size[1]} pixels, expected {first.size[0]} x {first.size[1]}"
            )
        if not np.allclose(one.axes, first.axes, atol=1e-3):
            raise UserError(f"{one.path}: is turned otherwise than {first.path.name}, expected parallel slices")
        if not np.allclose(one.spacing, first.spacing, rtol=1e-3):
            raise UserError(f"{one.path}: has another pixel spacing than {first.path.name}")


def _sorted(folder: Path, slices: list[Slice]) -> tuple[list[Slice], np.ndarray]:
    """(slices by their place along the normal, the step [3] from one to the next)."""
    normal = np.cross(slices[0].axes[:, 0], slices[0].axes[:, 1])
    places = np.array([float(one.position @ normal) for one in slices])
    order = np.argsort(places, kind="stable")
    slices, places = [slices[index] for index in order], places[order]
    if len(slices) == 1:
        return slices, normal * (slices[0].thickness or 1.0)
    gaps = np.diff(places)
    step = float(np.median(gaps))
    if gaps.min() < 1e-3:
        at = int(gaps.argmin())
        names = f"{slices[at].path.name} and {slices[at + 1].path.name}"
        raise UserError(f"{folder}: {names} lie at the same place ({places[at]:g} mm), expected one slice a place")
    wrong = int(np.abs(gaps - step).argmax())
    if abs(gaps[wrong] - step) > MOST_UNEVEN * step:
        names = f"{slices[wrong].path.name} and {slices[wrong + 1].path.name}"
        lost = round(gaps[wrong] / step) - 1
        guess = f"{lost} missing" if lost > 0 else "uneven slices"
        told = f"{gaps[wrong]:g} mm between {names}, {step:g} mm between most"
        raise UserError(f"{folder}: {told} ({guess}), expected all slices of the series, evenly spaced")
    return slices, (slices[-1].position - slices[0].position) / (len(slices) - 1)


def _pixels(sitk: Any, one: Slice) -> np.ndarray:
    """[columns, rows] in float32, rescaled as the file says."""
    try:
        image = sitk.ReadImage(str(one.path), imageIO=GDCM)
        array = sitk.GetArrayViewFromImage(image)
    except RuntimeError as error:
        raise UserError(f"{one.path}: not a whole DICOM file ({reason(error)})") from error
    return array.reshape(one.size[1], one.size[0]).T.astype(np.float32)
