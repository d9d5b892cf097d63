"""Prepared h5 files that carry their own record: whole or not there, and made anew only when something changed."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ssmis_core.datasets.formats import not_a_file
from ssmis_core.errors import UserError
from ssmis_core.files import write_atomic


@dataclass(frozen=True)
class Outcome:
    """record: what was done (None when it failed). state: "made", "kept" or "failed"; reason: why it was made anew,
    or what failed."""

    id: str
    state: str
    record: dict[str, Any] | None
    reason: str = ""


@dataclass(frozen=True)
class Content:
    """What a prepared file holds. arrays: its datasets by name; facts: what the record tells of the case; packed: names
    of datasets that are compressed."""

    arrays: Mapping[str, np.ndarray]
    facts: Mapping[str, Any]
    packed: Sequence[str] = ()


def make_file(
    case_id: str, target: Path, files: Sequence[Path], source: Path, recipe: str, make: Callable[[], Content]
) -> Outcome:
    """Make the prepared file of a case, unless it is there and was made of the same bytes by the same recipe.

    files: what it is made of, told relative to the folder `source`; recipe: equal for equal recipes. Never raises for
    what is wrong with the files.
    """
    try:
        sources = content_hashes(files, source)
        before = read_record(target)
        if before and (before.get("recipe"), before.get("sources")) == (recipe, sources):
            return Outcome(case_id, "kept", before)
        content = make()
        record = {"id": case_id, "sources": sources, "recipe": recipe, "holds": list(content.arrays), **content.facts}
        _write(target, content, record)
        return Outcome(case_id, "made", record, _why(before, sources) if before else "")
    except UserError as error:
        return Outcome(case_id, "failed", None, str(error))
    except OSError as error:
        return Outcome(case_id, "failed", None, f"{target}: cannot be written or read ({error.strerror or error})")
    except MemoryError:
        return Outcome(case_id, "failed", None, f"{files[0]}: not enough memory; try fewer workers")


def content_hashes(files: Sequence[Path], source: Path) -> dict[str, str]:
    """{file, relative to the source: SHA-256} of everything that a case is made of."""
    hashes = {}
    for path in files:
        try:
            if not path.is_file():  # opening a pipe would wait for good
                raise UserError(f"{path}: {not_a_file(path)}")
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from error
        name = path.relative_to(source) if path.is_relative_to(source) else path
        hashes[name.as_posix()] = digest
    return hashes


def size_of(files: Iterable[Path]) -> int:
    """Bytes of the files, as far as they are there: one that is not is told when its case is made."""
    return sum(path.stat().st_size for path in files if path.is_file())


def read_record(path: Path) -> dict[str, Any] | None:
    """The record of a prepared file that can be opened and holds what the record says, or None."""
    import h5py

    with suppress(OSError, RuntimeError, KeyError, ValueError, TypeError), h5py.File(path, "r") as file:
        record = json.loads(file.attrs["record"])
        return record if all(isinstance(file.get(name), h5py.Dataset) for name in record["holds"]) else None
    return None


def _write(path: Path, content: Content, record: Mapping[str, Any]) -> None:
    """The datasets, and the record as an attribute.

    Put together in memory: a file that h5py cannot write to its end, on a full disk, ends the whole process later on.
    """
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, array in content.arrays.items():
            file.create_dataset(name, data=array, compression="gzip" if name in content.packed else None)
        file.attrs["record"] = json.dumps(record)
    write_atomic(path, lambda temporary: temporary.write_bytes(buffer.getbuffer()))


def _why(before: Mapping[str, Any], sources: Mapping[str, str]) -> str:
    """What changed since the case was prepared."""
    old = before.get("sources") or {}
    if old == sources:
        return "another recipe"
    changed = sorted(name for name in {*old, *sources} if old.get(name) != sources.get(name))
    words = {(True, True): "changed", (True, False): "is gone", (False, True): "is new"}
    return ", ".join(f"{name} {words[name in old, name in sources]}" for name in changed[:3])
