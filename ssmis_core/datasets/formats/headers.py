"""The text headers of NRRD and MetaImage, read as far as is needed to know whether the file can hold its voxels.

ITK takes memory for whatever a header claims, and goes on without a word where a compressed MetaImage is damaged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ssmis_core.datasets.formats.volume import check_claim, inflate
from ssmis_core.errors import UserError

LONGEST_HEADER = 1 << 16

NRRD_BYTES = {
    **dict.fromkeys(("signed char", "int8", "int8_t", "uchar", "unsigned char", "uint8", "uint8_t"), 1),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), 2),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), 2),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t", "uint", "unsigned int", "uint32", "uint32_t"), 4),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"), 8),
    **dict.fromkeys(("signed long long int", "ulonglong", "unsigned long long", "uint64", "uint64_t"), 8),
    **{"unsigned long long int": 8, "float": 4, "double": 8},
}
META_BYTES = {
    "MET_CHAR": 1,
    "MET_UCHAR": 1,
    "MET_SHORT": 2,
    "MET_USHORT": 2,
    "MET_INT": 4,
    "MET_UINT": 4,
    "MET_LONG": 4,  # 8 on some systems: the smaller need is checked, and ITK checks the rest
    "MET_ULONG": 4,
    "MET_LONG_LONG": 8,
    "MET_ULONG_LONG": 8,
    "MET_FLOAT": 4,
    "MET_DOUBLE": 8,
}


# The worlds of NRRD that are of a patient, all of which ITK knows.
NRRD_WORLD = r"(right-anterior|left-anterior|left-posterior)-superior(-time)?|(ras|las|lps)t?"
TURNED = "x to the left and y to the back"  # what ITK takes a scan for that says nothing
# by whether the header says how the scan is turned, and how large its voxels are
ASSUMED = {
    (True, True): "",
    (True, False): "the file does not say how large its voxels are: 1 mm was assumed",
    (False, True): f"the file does not say how it is turned: {TURNED} were assumed",
    (False, False): f"the file says neither how it is turned nor how large its voxels are: {TURNED}, and 1 mm, were "
    "assumed",
}


@dataclass(frozen=True)
class Claim:
    """What a header says of its voxels: their file, where in it they begin, their shape, type size and packing.

    packing: "raw", "gzip", "zlib" or another name. assumed: what it does not say of their place, and what ITK takes
    instead, or "".
    """

    data: Path
    offset: int
    shape: tuple[int, ...]
    itemsize: int
    packing: str
    assumed: str


def check_header(path: Path) -> str:
    """UserError unless the voxels that the header of a .nrrd, .nhdr, .mha or .mhd file claims are all there.

    Returns what is assumed of their place, or "" where the header says it.
    """
    claim = _claim(path)
    if not claim.data.is_file():
        raise UserError(f"{path}: its voxels are to be in {claim.data.name}, which is not there")
    there = claim.data.stat().st_size - claim.offset
    packed = claim.packing in ("gzip", "zlib")
    claimed = check_claim(path, claim.shape, claim.itemsize, there, packed=packed)
    if packed:
        with claim.data.open("rb") as file:
            file.seek(claim.offset)
            _, count = inflate(path, file, claimed, keep=False, gzip=claim.packing == "gzip")
        if count < claimed:
            raise UserError(f"{path}: holds {count} bytes of voxels, expected {claimed}: it is cut short")
    return claim.assumed


def data_file(path: Path) -> Path:
    """Where the voxels of a .nrrd, .nhdr, .mha or .mhd file are: in it, or in another; UserError for a bad header."""
    return _claim(path).data


def _claim(path: Path) -> Claim:
    return _nrrd(path) if path.name.lower().endswith((".nrrd", ".nhdr")) else _meta(path)


def _lines(path: Path, end: bytes) -> tuple[list[str], int]:
    """(lines of the header up to `end`, the offset after it); the whole file, where it has no end."""
    with path.open("rb") as file:
        start = file.read(LONGEST_HEADER)
    if not start:
        raise UserError(f"{path}: is empty, expected an image")
    match = re.search(end, start)
    stop = match.end() if match else len(start)
    return start[:stop].decode("latin-1").splitlines(), stop


def _nrrd(path: Path) -> Claim:
    lines, stop = _lines(path, rb"\r?\n\r?\n")
    if not re.fullmatch(r"NRRD000\d", lines[0].strip()):
        raise UserError(f"{path}: does not begin as NRRD files do (found {lines[0][:12]!r}, expected 'NRRD000x')")
    fields = {}
    for line in lines[1:]:
        key, colon, value = line.partition(":")
        if colon and not line.startswith("#") and not value.startswith("="):
            fields[key.strip().lower()] = value.strip()
    shape = _sizes(path, fields, "sizes", "dimension")
    kind = fields.get("type", "")
    if kind.lower() not in NRRD_BYTES:
        raise UserError(f"{path}: voxels are of type {kind!r}, expected plain numbers")
    encoding = fields.get("encoding", "").lower()
    packing = {"raw": "raw", "gzip": "gzip", "gz": "gzip"}.get(encoding)
    if packing is None:
        raise UserError(f"{path}: voxels are encoded as {encoding!r}, expected 'raw' or 'gzip'; save it anew")
    skip = [fields.get(name, "0") for name in ("line skip", "lineskip", "byte skip", "byteskip")]
    if any(value != "0" for value in skip):
        raise UserError(f"{path}: skips lines or bytes before its voxels, which is not read here; save it anew")
    named = fields.get("data file", fields.get("datafile"))
    data, offset = (path, stop) if named is None else (_beside(path, named), 0)
    return Claim(data, offset, shape, NRRD_BYTES[kind.lower()], packing, ASSUMED[_told_by_nrrd(fields)])


def _told_by_nrrd(fields: Mapping[str, str]) -> tuple[bool, bool]:
    """Whether a header says how the scan is turned, and how large its voxels are."""
    axes = fields.get("space directions", "").count("(")
    world = re.fullmatch(NRRD_WORLD, fields.get("space", "").lower())
    turned = axes == 2 or (axes > 2 and world is not None)  # NRRD has no names for worlds of two axes
    return turned, axes > 0 or bool(re.search(r"\d", fields.get("spacings", "")))


def _meta(path: Path) -> Claim:
    lines, stop = _lines(path, rb"ElementDataFile[ \t]*=[^\n]*\n?")
    fields = {}
    for line in lines:
        key, equals, value = line.partition("=")
        if equals and key.strip().isidentifier():
            fields[key.strip()] = value.strip()
        elif line.strip():
            raise UserError(
                f"{path}: does not begin as MetaImage files do (found {line[:12]!r}, expected 'Key = Value')"
            )
    if "DimSize" not in fields or "ElementDataFile" not in fields:
        raise UserError(f"{path}: does not begin as MetaImage files do (no DimSize or no ElementDataFile)")
    shape = _sizes(path, fields, "DimSize", "NDims")
    channels = fields.get("ElementNumberOfChannels", "1")
    if not channels.isdecimal():
        raise UserError(f"{path}: header claims {channels!r} channels, expected a whole number")
    kind = fields.get("ElementType", "")
    if kind not in META_BYTES:
        raise UserError(f"{path}: voxels are of type {kind!r}, expected plain numbers")
    if fields.get("BinaryData", "True").lower() not in ("true", "1"):
        raise UserError(f"{path}: voxels are written as text, expected binary ones; save it anew")
    if fields.get("HeaderSize", "0") != "0":
        raise UserError(f"{path}: has a HeaderSize, which is not read here; save it anew")
    named = fields["ElementDataFile"]
    data, offset = (path, stop) if named.upper() == "LOCAL" else (_beside(path, named), 0)
    packing = "zlib" if fields.get("CompressedData", "False").lower() in ("true", "1") else "raw"
    turned = any(name in fields for name in ("TransformMatrix", "Rotation", "Orientation"))  # one thing, to ITK
    sized = "ElementSpacing" in fields or "ElementSize" in fields
    return Claim(data, offset, (*shape, int(channels)), META_BYTES[kind], packing, ASSUMED[turned, sized])


def _sizes(path: Path, fields: Mapping[str, str], key: str, axes: str) -> tuple[int, ...]:
    """The sizes along the axes, as many as the header says that there are."""
    text = fields.get(key, "").split()
    if not text or not all(re.fullmatch(r"[+-]?\d{1,19}", size) for size in text):
        raise UserError(f"{path}: header has {key} {fields.get(key, '')!r}, expected whole numbers")
    if fields.get(axes) != str(len(text)) or not 2 <= len(text) <= 4:
        raise UserError(
            f"{path}: header claims {fields.get(axes, 'no')} axes and {len(text)} sizes, expected 2 to 4 of both"
        )
    return tuple(int(size) for size in text)


def _beside(path: Path, name: str) -> Path:
    """The file of the voxels, beside the header or below its folder."""
    pure = Path(name)
    if name.split()[:1] == ["LIST"] or "%" in name:
        raise UserError(f"{path}: its voxels are in several files, expected one; save it anew")
    if pure.is_absolute() or ".." in pure.parts:
        raise UserError(f"{path}: its voxels are to be in {name!r}, expected a file beside it")
    return path.parent / pure
