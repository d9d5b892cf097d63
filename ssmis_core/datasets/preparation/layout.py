"""Which files of a folder are scans, which are labels, and which belong together."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssmis_core.datasets.formats import ENDINGS, META, NRRD, is_image, stem
from ssmis_core.datasets.formats.headers import data_file
from ssmis_core.datasets.preparation.recipe import is_whole
from ssmis_core.errors import UserError
from ssmis_core.files import read_json

LAYOUTS = (("images", "labels"), ("imagesTr", "labelsTr"))
LABEL_ENDINGS = ("", "_label", "_labels", "_seg", "_mask", "_gt")
BESIDE = (".json", ".txt", ".csv", ".tsv", ".md", ".xml", ".pdf")  # endings of files that may lie beside scans
CHANNEL = re.compile(r"(.+)_(\d{4})")


@dataclass(frozen=True)
class Found:
    """One case: its images (a file a channel, or one with all channels) and its label, or None."""

    id: str
    images: tuple[Path, ...]
    label: Path | None

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file it is made of; a DICOM folder's files one by one."""
        wholes = (*self.images, *([self.label] if self.label else []))
        return tuple(file for whole in wholes for file in files_of(whole))


def files_of(image: Path) -> list[Path]:
    """An image's file, with the file of its voxels where the header stands alone; the files of a folder, by name."""
    if image.is_dir():
        return sorted(p for p in image.iterdir() if p.is_file() and not p.name.startswith("."))
    if image.name.lower().endswith((*NRRD, *META)) and image.is_file():  # any of them may name another file
        with suppress(UserError, OSError):  # a bad header is told when the case is read
            data = data_file(image)
            return [image, *([data] if data != image and data.is_file() else [])]
    return [image]


def with_voxels(files: Sequence[str]) -> list[str]:
    """Those of an image's files, as `files_of` lists them by name, that hold voxels: not a header that stands alone."""
    header, pairs = (*NRRD, *META), zip(files, [*files, ""][1:], strict=True)
    return [
        name
        for name, after in pairs
        if not name.lower().endswith(header) or not after or after.lower().endswith(ENDINGS)
    ]


def find_cases(source: Path, faults: list[str] | None = None) -> list[Found]:
    """The cases of a folder with images/ and labels/ (or imagesTr/ and labelsTr/), by name.

    A label has its image's name, or that with _label, _labels, _seg, _mask or _gt; an image without one is unlabeled.
    Names that end in _0000, _0001, ... are channels of one case, where there is a _0000.
    faults: where given, a line is added for each label without an image, lost channel, and name in two formats, and
    the rest is found all the same. Raises UserError for these otherwise, and for a folder without scans anyway.
    """
    layout = folders_of(source)
    images = _channels(_by_name(layout[0], faults), layout[0], faults)
    if not images:
        raise UserError(f"{layout[0]}: holds no scans, expected NIfTI, NRRD or MetaImage files, or DICOM folders")
    labels = _labels(_by_name(layout[1], faults) if layout[1].is_dir() else {}, images, faults)
    return [Found(case_id, files, labels.get(case_id)) for case_id, files in sorted(images.items())]


def passed_over(source: Path) -> list[Path]:
    """What lies among the scans and labels of a folder and is nothing that `read_image` would try, nor a text."""
    entries = [path for folder in folders_of(source) if folder.is_dir() for path in sorted(folder.iterdir())]
    known = {file for path in entries if is_image(path) for file in ((path,) if path.is_dir() else files_of(path))}
    ours = [path for path in entries if not path.name.startswith(".") and path.suffix.lower() not in BESIDE]
    return [path for path in ours if path not in known]


def told_of_passed_over(paths: Sequence[Path]) -> str:
    """A line about them, "" for none."""
    if not paths:
        return ""
    names = ", ".join(f"{path.parent.name}/{_plain(path.name)}" for path in paths[:3])
    names += f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return f"passed over, since they are no scans: {names} (expected {', '.join(ENDINGS)}, or folders of DICOM slices)"


def _plain(name: str) -> str:
    """A name as a line can hold it: without line breaks, and bytes that are no text escaped."""
    return name if name.isprintable() else ascii(name)


def channel_files(first: Path) -> tuple[Path, ...]:
    """The files of a case's channels beside its first one (..._0000.nii.gz), or the file itself under another name."""
    name = name_of(first)
    if not name.endswith("_0000"):
        return (first,)
    start = name.removesuffix("0000")
    beside = {path: name_of(path) for path in first.parent.iterdir() if is_image(path)}
    return tuple(sorted(path for path, one in beside.items() if CHANNEL.fullmatch(one) and one[:-4] == start))


def name_of(path: Path) -> str:
    """The name without ending, a letter and its accent as one character: macOS writes them as two, others do not."""
    return unicodedata.normalize("NFC", stem(path))


def told_by_source(source: Path) -> dict[str, Any]:
    """What a dataset.json of the Medical Segmentation Decathlon says: {"classes": [texts], "modality": text}, as far
    as it is there and can be understood; "unread": a line about labels that are not.

    Raises UserError for one that is no JSON: what it said would be lost.
    """
    told: dict[str, Any] = {}
    path = source / "dataset.json"
    content = read_json(path, keys={}, expected="a JSON object; mend it, or take it away") if path.is_file() else {}
    misread = (ValueError, TypeError, AttributeError)
    labels = content.get("labels", {})
    try:  # each by itself: labels that are not understood do not make CT an MR
        pairs = [(k, v) if is_whole(str(k)) else (v, k) for k, v in labels.items()]  # nnU-Net has them the other way
        classes = [f"{int(value)}={name}" for value, name in sorted(pairs, key=lambda pair: int(pair[0])) if int(value)]
        told |= {"classes": classes} if classes else {}
    except misread:
        text = ascii(labels)[:60]
        expected = 'expected such as {"1": "NAME", "2": "NAME"}'
        told["unread"] = f"{path}: labels {text} are not understood, so classes are called by number; {expected}"
    with suppress(*misread):
        modalities = {str(v).lower() for v in (content.get("modality") or content.get("channel_names") or {}).values()}
        told |= {"modality": "ct" if modalities == {"ct"} else "mr"} if modalities else {}
    return told


def folders_of(source: Path) -> tuple[Path, Path]:
    """The folders of a source's images and of its labels."""
    if not source.is_dir():
        raise UserError(f"{source}: no such folder")
    layout = next(((source / i, source / t) for i, t in LAYOUTS if (source / i).is_dir()), None)
    if layout is None:
        expected = "images/ and, for the labeled ones, labels/ (or imagesTr/ and labelsTr/)"
        raise UserError(f"{source}: has no folder of scans, expected {expected}")
    return layout


def _told(fault: str, faults: list[str] | None) -> None:
    """Keep a fault, where somebody collects them; else it ends the search."""
    if faults is None:
        raise UserError(fault)
    faults.append(fault)


def _by_name(folder: Path, faults: list[str] | None) -> dict[str, Path]:
    """{name without ending: path} of the images in a folder."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if not is_image(path):
            continue
        name = name_of(path)
        if len(name.splitlines()) > 1 or any("\ud800" <= letter <= "\udfff" for letter in name):
            # a line break, or bytes that are not UTF-8: neither lists nor reports can hold it
            _told(f"{folder}: a file has the name {name!r}, expected one of plain characters; rename it", faults)
            continue
        if name in found:
            _told(f"{path}: has the name of {found[name].name}, expected one file a case", faults)
            continue
        found[name] = path
    return found


def _channels(paths: dict[str, Path], folder: Path, faults: list[str] | None) -> dict[str, tuple[Path, ...]]:
    """{case: its files in the order of their channels}."""
    cases: dict[str, dict[int, Path]] = {}
    wholes = []
    for name, path in paths.items():
        match = CHANNEL.fullmatch(name)
        if match and f"{match[1]}_0000" in paths:
            cases.setdefault(match[1], {})[int(match[2])] = path
        else:
            wholes.append(name)
    for name in wholes:
        if name in cases:
            _told(f"{paths[name]}: {folder} has channels of {name!r} as well, expected one or the other", faults)
        else:
            cases[name] = {0: paths[name]}
    for case_id, channels in cases.items():
        lost = sorted(set(range(len(channels))) - set(channels))
        if lost:
            _told(f"{folder}: case {case_id!r} has no channel {lost[0]:04d}, but later ones", faults)
    return {case_id: tuple(channels[number] for number in sorted(channels)) for case_id, channels in cases.items()}


def _labels(paths: dict[str, Path], cases: Iterable[str], faults: list[str] | None) -> dict[str, Path]:
    """{case: its label}."""
    cases = set(cases)
    labels: dict[str, Path] = {}
    for name, path in paths.items():
        fits = [
            name.removesuffix(end) for end in LABEL_ENDINGS if name.endswith(end) and name.removesuffix(end) in cases
        ]
        if not fits:
            example = f", such as {min(cases)!r}"
            _told(f"{path}: no image has the name of this label, expected that of one{example}", faults)
        elif fits[0] in labels:
            _told(f"{path}: case {fits[0]!r} has the label {labels[fits[0]].name} as well, expected one", faults)
        else:
            labels[fits[0]] = path
    return labels


def declared_modality(modality: str | None, told: Mapping[str, Any]) -> str:
    """The modality that is asked for, else what `told_by_source` says, else "mr"."""
    return modality or told.get("modality", "mr")
