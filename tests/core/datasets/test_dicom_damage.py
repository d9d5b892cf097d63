"""A damaged slice spoils its series: one line that names the file; so does a header whose voxels are elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssmis_core.datasets.formats import read_image
from ssmis_core.errors import UserError
from tests.core.datasets.own_helpers import (
    ANY_FILE,
    OBLIQUE,
    Damage,
    affine_of,
    right_handed,
    scan,
    write_dicom,
    write_image,
)

# The slices are written as "implicit little endian": a tag, four bytes of length, the value.
ROWS, POSITION, DIRECTION, SPACING, PIXELS = (
    b"\x28\x00\x10\x00\x02\x00\x00\x00",
    b"\x20\x00\x32\x00",
    b"\x20\x00\x37\x00",
    b"\x28\x00\x30\x00",
    b"\xe0\x7f\x10\x00",
)


def after(tag: bytes, new: bytes, skip: int = 0) -> Damage:
    """Overwrite what follows a tag, `skip` bytes later."""

    def change(content: bytes) -> bytes:
        at = content.index(tag) + len(tag) + skip
        return content[:at] + new + content[at + len(new) :]

    return change


DAMAGES: dict[str, Damage] = {
    **ANY_FILE,
    "cut in the preamble": lambda c: c[:100],
    "cut after the magic": lambda c: c[:132],
    "cut in the tags": lambda c: c[:400],
    "zeroed tags": lambda c: c[:140] + bytes(300) + c[440:],
    "wrong magic": lambda c: c[:128] + b"PICS" + c[132:],
    "huge rows": after(ROWS, b"\xff\xff"),
    "no rows": after(ROWS, b"\0\0"),
    "no position": lambda c: c.replace(POSITION, b"\x20\x00\x33\x00", 1),
    "no direction": lambda c: c.replace(DIRECTION, b"\x20\x00\x38\x00", 1),
    "no pixel spacing": lambda c: c.replace(SPACING, b"\x28\x00\x2f\x00", 1),
    "position of words": after(POSITION, b"here", 4),
    "endless position": after(POSITION, b"\xf0\xff\xff\x7f"),
    "pixel spacing of zero": lambda c: after(SPACING, b"0\\0" + b" " * (c[c.index(SPACING) + 4] - 3), 4)(c),
    "no pixels": lambda c: c.replace(PIXELS, b"\xe0\x7f\x12\x00"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_to_one_slice_is_told_in_one_line(tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    folder = write_dicom(tmp_path / "series", *right_handed(scan(), affine_of()))
    path = folder / "003.dcm"
    content = path.read_bytes()
    path.write_bytes(DAMAGES[name](content))
    assert path.read_bytes() != content
    with pytest.raises(UserError) as error:
        read_image(folder)
    message = str(error.value)
    assert str(folder) in message and "003.dcm" in message and "\n" not in message and len(message) < 400, message
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("ending", [".nhdr", ".mhd"])
def test_voxels_beside_their_header_must_be_there_and_whole(tmp_path: Path, ending: str) -> None:
    path = write_image(tmp_path / f"a{ending}", scan(), OBLIQUE)
    raw = tmp_path / "a.raw"
    raw.write_bytes(raw.read_bytes()[:-1])
    with pytest.raises(UserError, match="cut short"):
        read_image(path)
    raw.unlink()
    with pytest.raises(UserError, match=r"are to be in a\.raw, which is not there"):
        read_image(path)
