"""The manifest of a data set's files: data/<name>/manifest.json says where they are and what they must be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from ssmis_core.datasets import DATASETS, data_directory
from ssmis_core.errors import UserError, unknown


@dataclass(frozen=True)
class RemoteFile:
    """One file of a manifest: its path below the destination and below the base URL, and what it must be."""

    path: str
    sha256: str
    bytes: int


def read_manifest(name: str) -> tuple[str, list[RemoteFile]]:
    """(base URL, files) of data/<name>/manifest.json; raises UserError when there is none or it is not well formed."""
    path = data_directory() / name / "manifest.json"
    if not path.is_file():
        if name in DATASETS and not DATASETS[name].needs_files:
            raise UserError(f"data set {name!r} is made on the fly: there is nothing to fetch")
        if name in DATASETS and DATASETS[name].get:
            raise UserError(f"data set {name!r} cannot be fetched for you; {DATASETS[name].get}")
        known = [found.parent.name for found in data_directory().glob("*/manifest.json")]
        raise unknown("data set to fetch", name, known)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        files = [
            RemoteFile(key, str(entry["sha256"]).lower(), int(entry["bytes"]))
            for key, entry in content["files"].items()
        ]
        base = str(content["raw"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{path}: {reason}; expected 'raw' and 'files' {{path: {{sha256, bytes}}}}") from error
    for file in files:
        pure = PurePosixPath(file.path)
        if pure.is_absolute() or ".." in pure.parts or "\\" in file.path or not pure.parts:
            raise UserError(f"{path}: file name {file.path!r}, expected a path below the data folder")
    return base, files


def choose(name: str, files: Sequence[RemoteFile], only: str | Sequence[str] | None) -> list[RemoteFile]:
    """The files of which a folder, the name or the whole path matches one of the patterns `only`; all without it."""
    if only is None:
        return list(files)
    chosen: set[str] = set()
    for pattern in [only] if isinstance(only, str) else only:
        fits = {f.path for f in files if any(fnmatchcase(p, pattern) for p in (*PurePosixPath(f.path).parts, f.path))}
        if not fits:
            example = f", such as {files[0].path!r}" if files else ""
            raise UserError(f"only={pattern!r}: matches none of the {len(files)} files of {name!r}{example}")
        chosen |= fits
    return [file for file in files if file.path in chosen]
