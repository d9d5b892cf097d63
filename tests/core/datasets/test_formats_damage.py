"""Damaged scans end in one line that names the file, soon and without taking memory for what is not there."""

from __future__ import annotations

import gzip
import re
import resource
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ssmis_core.datasets.formats import read_image
from ssmis_core.errors import UserError
from tests.core.datasets.own_helpers import OBLIQUE, scan, write_image

FORMATS = {
    "nii": ("a.nii", False),
    "nii.gz": ("a.nii.gz", False),
    "nrrd": ("a.nrrd", False),
    "nrrd packed": ("a.nrrd", True),
    "mha": ("a.mha", False),
    "mha packed": ("a.mha", True),
}
Damage = Callable[[bytes], bytes]


def in_header(old: bytes, new: bytes) -> Damage:
    return lambda content: re.sub(old, new, content, count=1)


def at(offset: int, new: bytes) -> Damage:
    return lambda content: content[:offset] + new + content[offset + len(new) :]


ANY: dict[str, Damage] = {
    "empty": lambda c: b"",
    "one byte": lambda c: c[:1],
    "cut in the header": lambda c: c[:60],
    "cut after the header": lambda c: c[:400],
    "half": lambda c: c[: len(c) // 2],
    "last byte lost": lambda c: c[:-1],
    "zeroed": lambda c: bytes(len(c)),
    "zeroed start": at(0, bytes(64)),
    "words": lambda c: b"this is not a scan, " * 100,
    "wrong magic": lambda c: b"\x89PNG\r\n\x1a\n" + c[8:],
}
NIFTI: dict[str, Damage] = {
    "magic": at(344, b"x+1\0"),
    "pair": at(344, b"ni1\0"),
    "huge sizes": at(42, struct.pack("<3h", 32767, 32767, 32767)),
    "negative size": at(42, struct.pack("<h", -5)),
    "zero size": at(42, struct.pack("<h", 0)),
    "twelve axes": at(40, struct.pack("<h", 12)),
    "more slices than there are": at(46, struct.pack("<h", 4000)),
    "unknown type": at(70, struct.pack("<h", 777)),
    "another type": at(70, struct.pack("<h", 64)),
    "colour": at(70, struct.pack("<hh", 128, 24)),
    "complex": at(70, struct.pack("<hh", 32, 64)),
    "offset of NaN": at(108, struct.pack("<f", float("nan"))),
    "offset far away": at(108, struct.pack("<f", 1e12)),
    "offset in the header": at(108, struct.pack("<f", 10)),
    "affine of NaN": at(280, struct.pack("<f", float("nan"))),
    "flat affine": at(280, bytes(48)),
    "metres": at(123, b"\x01"),
    "scaled by infinity": at(112, struct.pack("<2f", 2, float("inf"))),
}
NRRD: dict[str, Damage] = {
    "huge sizes": in_header(rb"sizes: [\d ]+", b"sizes: 100000 100000 100000"),
    "sizes beyond numbers": in_header(rb"sizes: [\d ]+", b"sizes: 9999999999999999999999 1 1"),
    "negative size": in_header(rb"sizes: [\d ]+", b"sizes: -12 10 8"),
    "two sizes": in_header(rb"sizes: [\d ]+", b"sizes: 12 10"),
    "more slices than there are": in_header(rb"sizes: [\d ]+", b"sizes: 12 10 9000"),
    "unknown type": in_header(rb"type: \w+", b"type: banana"),
    "larger type": in_header(rb"type: \w+", b"type: double"),
    "block type": in_header(rb"type: \w+", b"type: block"),
    "unknown encoding": in_header(rb"encoding: \w+", b"encoding: zip"),
    "as text": in_header(rb"encoding: \w+", b"encoding: ascii"),
    "flat axes": in_header(rb"space directions: [^\n]+", b"space directions: (0,0,0) (0,0,0) (0,0,0)"),
    "elsewhere": in_header(rb"encoding:", b"data file: ../../secret.raw\nencoding:"),
    "lost voxels": in_header(rb"encoding:", b"data file: lost.raw\nencoding:"),
}
META: dict[str, Damage] = {
    "huge sizes": in_header(rb"DimSize = [\d ]+", b"DimSize = 100000 100000 100000"),
    "negative size": in_header(rb"DimSize = [\d ]+", b"DimSize = 12 -10 8"),
    "two sizes": in_header(rb"DimSize = [\d ]+", b"DimSize = 12 10"),
    "more slices than there are": in_header(rb"DimSize = [\d ]+", b"DimSize = 12 10 9000"),
    "many channels": in_header(rb"ElementType", b"ElementNumberOfChannels = 100000\nElementType"),
    "unknown type": in_header(rb"MET_SHORT", b"MET_BANANA"),
    "larger type": in_header(rb"MET_SHORT", b"MET_DOUBLE"),
    "no voxels named": in_header(rb"ElementDataFile = LOCAL", b"ElementDataFolk = LOCAL"),
    "lost voxels": in_header(rb"ElementDataFile = LOCAL", b"ElementDataFile = lost.raw"),
    "elsewhere": in_header(rb"ElementDataFile = LOCAL", b"ElementDataFile = /etc/hostname"),
    "many files": in_header(rb"ElementDataFile = LOCAL", b"ElementDataFile = LIST"),
    "flat axes": in_header(rb"ElementSpacing = [^\n]+", b"ElementSpacing = 0 0 0"),
}
PACKED: dict[str, Damage] = {"flipped bits": lambda c: at(len(c) * 2 // 3, bytes([c[len(c) * 2 // 3] ^ 0xFF]))(c)}


def cases() -> list[tuple[str, str]]:
    return [(kind, name) for kind in FORMATS for name in damages(kind)]


def damages(kind: str) -> dict[str, Damage]:
    own = NIFTI if kind.startswith("nii") else NRRD if kind.startswith("nrrd") else META
    return {**ANY, **own, **(PACKED if kind in ("nii.gz", "nrrd packed", "mha packed") else {})}


def damaged(folder: Path, kind: str, name: str) -> Path:
    """A file of that kind with that damage; headers of .nii.gz are changed inside."""
    ending, packed = FORMATS[kind]
    path = write_image(folder / ending, scan((12, 10, 20)), OBLIQUE, packed=packed)
    content = path.read_bytes()
    if kind == "nii.gz" and name in NIFTI:
        path.write_bytes(gzip.compress(NIFTI[name](gzip.decompress(content))))
    else:
        path.write_bytes(damages(kind)[name](content))
    return path


@pytest.mark.parametrize(("kind", "name"), cases())
def test_damage_is_told_in_one_line(tmp_path: Path, kind: str, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = damaged(tmp_path, kind, name)
    with pytest.raises(UserError) as error:
        read_image(path)
    message = str(error.value)
    assert str(path) in message and "\n" not in message and len(message) < 400, message
    assert capfd.readouterr() == ("", ""), "a library spoke beside the one line"


def test_a_bomb_takes_no_memory(tmp_path: Path) -> None:
    """A header that claims 1.9 GB of zeros packed into little, and one that hides them behind few voxels."""
    image = write_image(tmp_path / "a.nii", scan(), OBLIQUE).read_bytes()[:352]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    claims = at(42, struct.pack("<3h", 1000, 1000, 950))(image)
    (tmp_path / "claims.nii.gz").write_bytes(gzip.compress(claims + bytes(100_000)))
    with pytest.raises(UserError, match="cut short"):
        read_image(tmp_path / "claims.nii.gz")
    (tmp_path / "hides.nii.gz").write_bytes(gzip.compress(image + bytes(300_000_000), 1))
    with pytest.raises(UserError, match="far more than"):
        read_image(tmp_path / "hides.nii.gz")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # kB


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(UserError, match=r"expected an image that ends in \.nii\.gz"):
        read_image(tmp_path / "a.png")
    with pytest.raises(UserError, match="no such image file"):
        read_image(tmp_path / "a.nii")
    write_image(tmp_path / "b.nii.gz", scan(), np.array(OBLIQUE))
    (tmp_path / "b.nii").write_bytes((tmp_path / "b.nii.gz").read_bytes())
    with pytest.raises(UserError, match=r"name it \.nii\.gz"):
        read_image(tmp_path / "b.nii")


def test_sheared_grids_are_refused(tmp_path: Path) -> None:
    sheared = np.array(OBLIQUE)
    sheared[:3, 0] += 0.2 * sheared[:3, 1]
    with pytest.raises(UserError, match="sheared"):
        read_image(write_image(tmp_path / "a.nii", scan(), sheared))
