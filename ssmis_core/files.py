"""Files that are whole or not there: written under another name, then renamed."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from ssmis_core.errors import UserError


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path that becomes `path` if the block succeeds and vanishes if it does not.

    A full disk or a folder that cannot be written is a UserError of one line.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be written, its folder cannot be made ({error.strerror})") from error
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException as error:
        _discard(temporary)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"{path}: cannot be written, no space left on the disk; what was there before is unchanged"
            ) from error
        refused = PermissionError | NotADirectoryError | IsADirectoryError | FileExistsError
        if isinstance(error, refused) or (isinstance(error, OSError) and error.errno == errno.EROFS):
            raise UserError(f"{path}: cannot be written ({error.strerror})") from error
        raise


def _discard(temporary: Path) -> None:
    """Delete a file that was not finished, and give its space back even while its writer keeps it open."""
    with suppress(OSError):
        os.truncate(temporary, 0)
    with suppress(OSError):
        temporary.unlink()


def check_writable(paths: Sequence[Path]) -> None:
    """UserError for the first of several files to come that cannot be written, before any of them is.

    A folder of its name, another file in the place of a folder, a folder that takes no files, and one name twice.
    """
    for number, path in enumerate(paths):
        there = next(one for one in (path, *path.absolute().parents) if one.exists())
        if path.is_dir():
            raise UserError(f"{path}: cannot be written (it is a folder), expected the name of a file")
        if there != path and not there.is_dir():
            raise UserError(f"{path}: cannot be written ({there} is a file), expected a folder there")
        if not os.access(there if there.is_dir() else there.absolute().parent, os.W_OK | os.X_OK):
            raise UserError(f"{path}: cannot be written, its folder takes no files (permissions of {there})")
        if path.absolute() in [one.absolute() for one in paths[:number]]:
            raise UserError(f"{path}: is asked for twice, expected a file for each")


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Call write(temporary path), then rename it to `path`."""
    with atomic(path) as temporary:
        write(temporary)


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A folder to fill, beside `folder`: when the block ends well its files move there, over those of the same names.

    When the block fails, what it wrote is deleted and `folder` is as it was.
    """
    fresh = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        yield fresh
        for path in sorted(fresh.iterdir()) if fresh.is_dir() else []:
            folder.mkdir(exist_ok=True)
            os.replace(path, folder / path.name)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


@contextmanager
def alone(folder: Path, *, what: str) -> Iterator[None]:
    """Keep a second process out of a folder while the block runs: two writers of one temporary file would spoil it.

    what: what is going on, for the UserError that the second one gets. The lock is on the folder itself, and the system
    drops it when the process ends, however it ends. Where locks are not possible (Windows, some network disks) nobody
    is kept out.
    """
    with ExitStack() as held:
        try:
            import fcntl

            handle = os.open(folder, os.O_RDONLY)
            held.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{folder}: another {what} is writing here; wait for it to end, or stop it first") from None
        except (ImportError, OSError):
            pass
        yield


def is_taken(folder: Path) -> bool | None:
    """Whether a block of `alone` runs for the folder, in any process of this machine; None where nobody can tell."""
    try:
        import fcntl

        handle = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Text as UTF-8, whole or not at all; what cannot be encoded is replaced."""
    write_atomic(path, lambda temporary: temporary.write_bytes(text.encode("utf-8", "replace")))


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=1, allow_nan=False, default=str) + "\n")


def read_json(path: Path, *, keys: Mapping[str, type], expected: str) -> dict[str, Any]:
    """The object in a JSON file, which has at least `keys`, of their types; UserError in one line if not.

    expected: what to expect of such a file, in words.
    """
    damaged = partial(_damaged, path, expected)
    try:
        content = path.read_bytes()
        value = json.loads(content)
    except OSError as error:
        raise damaged(str(error.strerror)) from error
    except ValueError as error:
        raise damaged(
            f"{len(content)} bytes that are not whole JSON: {error}" if content else "an empty file"
        ) from error
    if not isinstance(value, dict):
        raise damaged(f"a {type(value).__name__}")
    lacking = [repr(key) for key in keys if key not in value]
    if lacking:
        raise damaged(f"no {' and no '.join(lacking)}")
    for key, kind in keys.items():
        if not isinstance(value[key], kind):
            raise damaged(f"{type(value[key]).__name__} for {key!r}, not {kind.__name__}")
    return value


def _damaged(path: Path, expected: str, found: str) -> UserError:
    return UserError(f"{path}: cannot be read (found {found}), expected {expected}")


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows as CSV; columns in the order in which they first appear; NaN is an empty cell."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: "" if value != value or value is None else value for key, value in row.items()})
    write_atomic(path, lambda temporary: temporary.write_text(buffer.getvalue()))


def read_csv(path: Path, *, text: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Rows of a CSV with numbers as numbers (whole ones as int) and empty cells as NaN.

    text: columns that are kept as they are written, such as the names of cases, which may look like numbers ("007").
    """
    with path.open(newline="") as file:
        return [
            {key: value if key in text or key is None else _number(value) for key, value in row.items()}
            for row in csv.DictReader(file, restval="")
        ]


def read_table(
    path: Path, *, columns: Mapping[str, type], text: Sequence[str] = (), expected: str
) -> list[dict[str, Any]]:
    """Rows as `read_csv` has them, of a table that this package wrote; UserError in one line for anything else.

    columns: those that it must have: int for whole numbers, float for numbers, truth values or gaps (as are all others
    that are not in `text`), bool for truth values, str for words. expected: what to expect of the file, in words.
    """
    damaged = partial(_damaged, path, expected)
    try:
        rows = read_csv(path, text=text)
    except OSError as error:
        raise damaged(str(error.strerror)) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise damaged("bytes that are no table") from error
    for number, row in enumerate(rows, start=1):
        if lacking := [name for name in columns if name not in row]:
            raise damaged(f"no column {', '.join(lacking)}")
        for name, value in row.items():
            if name is None:
                raise damaged(f"more cells than columns in row {number}")
            if not _fits(value, columns.get(name, str if name in text else float)):
                raise damaged(f"{value!r} under {name} in row {number}")
    return rows


def _fits(value: Any, wanted: type) -> bool:
    """Whether a cell holds what its column is for."""
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, int | float if wanted is float else wanted)


def _number(text: str) -> Any:
    if text == "":
        return float("nan")
    if text in ("True", "False"):
        return text == "True"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
