"""The page of a check: whole, self-contained, and safe whatever names the files have."""

from __future__ import annotations

import re
import struct
import zlib
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from ssmis_core.datasets.check import Finding, Survey, survey_source
from ssmis_core.datasets.check.page import page, write_page
from ssmis_core.datasets.check.pictures import GREYS, LONGEST, picture
from tests.core.datasets.check_helpers import fact, usual
from tests.core.datasets.own_helpers import OBLIQUE, scan, write_image, write_source

EVIL = "<img src=x onerror=alert(1)>&\"'"


class Tags(HTMLParser):
    """Every tag with its attributes, and whether all are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parsed(text: str) -> Tags:
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    return tags


def pixels(png: bytes) -> np.ndarray:
    """Palette places [rows, columns] of a PNG as this project writes it; every chunk's sum is checked."""
    at, parts = 8, {}
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        name, content = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(name + content)
        parts[name] = content
        at += 12 + length
    width, height = struct.unpack(">II", parts[b"IHDR"][:8])
    lines = np.frombuffer(zlib.decompress(parts[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert not lines[:, 0].any() and list(parts)[-1] == b"IEND"
    return lines[:, 1:]


def test_the_page_of_a_folder_has_every_case_drawn_and_asks_for_nothing(tmp_path: Path) -> None:
    folder = write_source(tmp_path / "scans", cases=4, unlabeled=1)
    write_image(folder / "images" / "case_9.nii.gz", np.full((9, 9, 9), 3, np.int16), OBLIQUE)
    write_page(tmp_path / "report.html", survey_source(folder, pictures=True))
    text = (tmp_path / "report.html").read_text()
    tags = parsed(text).seen
    images = [attributes["src"] or "" for tag, attributes in tags if tag == "img"]
    assert len(images) == 5 and all(source.startswith("data:image/png;base64,") for source in images)
    assert not {tag for tag, _ in tags} & {"script", "link", "iframe", "object", "form"}
    assert not re.search(r"https?:|//\w|@import|url\(", re.sub(r"base64,[^\"]*", "", text))
    assert "constant (3 everywhere)" in text and "What would go wrong." in text and "How to mend it." in text
    anchors = {attributes["id"] for tag, attributes in tags if tag == "figure"}
    assert {(attributes["href"] or "")[1:] for tag, attributes in tags if tag == "a"} <= anchors


def test_names_of_files_cannot_write_into_the_page() -> None:
    bad = fact(EVIL, EVIL, source=EVIL, orientation=EVIL)
    survey = Survey(EVIL, EVIL, {EVIL: 2, "train": 6}, [*usual(), bad], ("background", EVIL))
    survey.findings = [Finding("nan", EVIL, (EVIL,), mend=EVIL)]
    text = page(survey)
    assert "<img src=x" not in text
    plain = page(Survey("a", "a", {"b": 2, "train": 6}, [*usual(), fact("c", "b")], ("background", "d"), []))
    assert {tag for tag, _ in parsed(text).seen} <= {tag for tag, _ in parsed(plain).seen} | {
        "section",
        "a",
        "ul",
        "li",
    }


def test_a_page_of_nothing_and_one_with_broken_names_are_written(tmp_path: Path) -> None:
    survey = Survey("none", findings=[Finding("file", "odd \udcff name: cannot be read")], counted={"train": 3})
    write_page(tmp_path / "a.html", survey)
    assert "0 of 3 cases can be used" in (tmp_path / "a.html").read_text()


@pytest.mark.parametrize("shape", [(40, 30, 9), (31, 47), (1, 9, 5), (500, 20, 3)])
def test_a_picture_has_the_proportions_of_the_scan_and_the_outline_in_colour(shape: tuple[int, ...]) -> None:
    image, label = scan(shape).astype(np.float32), np.zeros(shape, np.uint8)
    label[:, 1 : shape[1] // 2] = 1
    spacing = (1.0, 2.0, 5.0)[: len(shape)]
    drawn = pixels(picture(image, label, spacing))
    wide, high = shape[0] * 1.0, shape[1] * 2.0
    assert max(drawn.shape) == LONGEST
    assert drawn.shape == (
        max(1, round(LONGEST * high / max(wide, high))),
        max(1, round(LONGEST * wide / max(wide, high))),
    )
    assert (drawn == GREYS).any() and drawn.max() == GREYS
    assert not (pixels(picture(image, None, None)) >= GREYS).any()


def test_a_picture_shows_x_to_the_right_and_y_upwards_at_the_slice_with_most_label() -> None:
    image = np.zeros((4, 4, 3), np.float32)
    image[0, 0, 1] = 1.0  # lower left
    label = np.zeros(image.shape, np.uint8)
    label[2:, 2:, 1] = 2
    drawn = pixels(picture(image, label, None))
    assert drawn[-1, 0] == GREYS - 1 and drawn[0, 0] == 0
    assert set(np.unique(drawn[: LONGEST // 2, LONGEST // 2 :])) <= {0, GREYS + 1}
