"""Damaged scans end in one line that names the file, soon and without taking memory for what is not there."""

from __future__ import annotations

import gzip
import re
import resource
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from ssmis_core.datasets.formats import read_image
from ssmis_core.datasets.formats.volume import MANY_VOXELS
from ssmis_core.datasets.preparation.one_case import prepare
from ssmis_core.datasets.preparation.recipe import Recipe
from ssmis_core.errors import UserError
from tests.core.datasets.own_helpers import ANY_FILE, OBLIQUE, Damage, affine_of, blocks, scan, write_image

FORMATS = {
    "nii": ("a.nii", False),
    "nii.gz": ("a.nii.gz", False),
    "nrrd": ("a.nrrd", False),
    "nrrd packed": ("a.nrrd", True),
    "mha": ("a.mha", False),
    "mha packed": ("a.mha", True),
}


def in_header(old: bytes, new: bytes) -> Damage:
    return lambda content: re.sub(old, new, content, count=1)


def at(offset: int, new: bytes) -> Damage:
    return lambda content: content[:offset] + new + content[offset + len(new) :]


ANY: dict[str, Damage] = {
    **ANY_FILE,
    "cut in the header": lambda c: c[:60],
    "cut after the header": lambda c: c[:400],
    "last byte lost": lambda c: c[:-1],
    "zeroed start": at(0, bytes(64)),
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
    "superscript channels": in_header(rb"ElementType", b"ElementNumberOfChannels = \xb2\nElementType"),
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
    """A header that claims 1.5 GB of zeros packed into little, and one that hides them behind few voxels."""
    image = write_image(tmp_path / "a.nii", scan(), OBLIQUE).read_bytes()[:352]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    claims = at(42, struct.pack("<3h", 1000, 1000, 770))(image)
    (tmp_path / "claims.nii.gz").write_bytes(gzip.compress(claims + bytes(100_000)))
    with pytest.raises(UserError, match="cut short"):
        read_image(tmp_path / "claims.nii.gz")
    (tmp_path / "hides.nii.gz").write_bytes(gzip.compress(image + bytes(300_000_000), 1))
    with pytest.raises(UserError, match="far more than"):
        read_image(tmp_path / "hides.nii.gz")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # kB


def packed_zeros(path: Path, kind: np.dtype, shape: tuple[int, ...], *, ones: int = 0) -> Path:
    """A whole .nii.gz of zeros, and some ones at their end."""
    header = nibabel.Nifti1Header()
    header.set_data_dtype(kind)
    header.set_data_shape(shape)
    header.set_sform(OBLIQUE, code=1)
    header["vox_offset"], header["magic"] = 352, b"n+1"
    count = int(np.prod(shape)) * kind.itemsize
    with gzip.open(path, "wb", compresslevel=6) as file:
        file.write(header.binaryblock + bytes(4))
        for start in range(0, count - ones, 1 << 22):
            file.write(bytes(min(1 << 22, count - ones - start)))
        file.write(b"\1" * ones)
    return path


def peak_of(call: Callable[[], object]) -> int:
    """The most bytes that Python and numpy held at once during a call."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("ones", [0, 5])
def test_a_bomb_that_keeps_its_word_takes_its_size_once_and_is_refused(tmp_path: Path, ones: int) -> None:
    """Zeros that are all there: neither the scan nor a label beside a small scan is worked on."""
    shape, image = (600, 600, 200), scan((12, 10, 8))
    bomb = packed_zeros(tmp_path / "a.nii.gz", np.dtype(np.uint8), shape, ones=ones)
    assert np.prod(shape) > MANY_VOXELS > bomb.stat().st_size * 100

    def refuse(image: Path, label: Path | None, told: str) -> None:
        with pytest.raises(UserError, match=told):
            prepare((image,), label, Recipe())

    small = write_image(tmp_path / "b.nii.gz", image, OBLIQUE)
    assert peak_of(lambda: refuse(bomb, None, "voxels that are nearly all alike")) < 1.3 * np.prod(shape)
    assert peak_of(lambda: refuse(small, bomb, "voxels .* but .*b.nii.gz has 10 x 8 x 12")) < 1.3 * np.prod(shape)


@pytest.mark.parametrize(
    ("kind", "shape", "slope"),
    [(np.uint8, (1300, 1200, 1200), 1), (np.int16, (1000, 1000, 950), 1), (np.int16, (700, 700, 700), 2)],
)
def test_more_than_reading_may_hold_is_refused_by_the_header(
    tmp_path: Path, kind: type, shape: tuple[int, ...], slope: int
) -> None:
    path = packed_zeros(tmp_path / "a.nii.gz", np.dtype(kind), (2, 2, 2))
    content = gzip.decompress(path.read_bytes())
    content = at(42, struct.pack("<3h", *shape))(at(112, struct.pack("<2f", slope, 0))(content))
    path.write_bytes(gzip.compress(content))
    told = "GB in memory\\), expected at most 1.6 GB"

    def refuse() -> None:
        with pytest.raises(UserError, match=told):
            read_image(path)

    assert peak_of(refuse) < 1_000_000


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd"])
def test_a_label_with_swapped_axes_is_one_line(tmp_path: Path, ending: str) -> None:
    image = write_image(tmp_path / "images" / f"a{ending}", scan(), OBLIQUE)
    label = write_image(tmp_path / "labels" / f"a{ending}", blocks().transpose(1, 0, 2), OBLIQUE)
    with pytest.raises(UserError) as error:
        prepare((image,), label, Recipe())
    told = str(error.value)
    assert told.startswith(str(label)) and told.endswith("its axes seem to be swapped") and "\n" not in told
    other = affine_of(signs=(1, 1, 1), spacing=(1.1, 3.0, 0.7), origin=(7, 7, 7))
    cube = write_image(tmp_path / "images" / f"b{ending}", scan((9, 9, 9)), OBLIQUE)
    label = write_image(tmp_path / "labels" / f"b{ending}", blocks((9, 9, 9)), other)
    with pytest.raises(UserError, match=r"lies up to .* mm off images/b"):  # equal sizes: the place tells
        prepare((cube,), label, Recipe())


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(UserError, match=r"expected an image that ends in \.nii\.gz"):
        read_image(tmp_path / "a.png")
    with pytest.raises(UserError, match="no such file"):
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
