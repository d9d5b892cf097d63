"""Published split lists, and where the files of a data set may lie."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path

from ssmis_core.datasets.cases import Dataset
from ssmis_core.errors import UserError


def published_list(path: Path) -> list[str]:
    """Case names of a published list, in its order."""
    try:
        return path.read_text(encoding="utf-8").split()
    except OSError as error:
        raise UserError(
            f"{path}: the published list cannot be read ({error.strerror}); restore it from the repository"
        ) from error


def places(root: str | os.PathLike[str] | None, own: Path) -> list[Path]:
    """The folders to look in: `root` alone where it is given, else $SSMIS_DATA and the data set's own folder."""
    if root is not None:
        return [Path(root).expanduser()]
    shared = os.environ.get("SSMIS_DATA")
    return ([Path(shared).expanduser()] if shared else []) + [own]


def check_listed(dataset: Dataset, case_id: str) -> None:
    """UserError for a case that is in none of a data set's published lists; it suggests the nearest."""
    known = (*dataset.train, *dataset.validation, *dataset.test)
    if case_id not in known:
        near = get_close_matches(str(case_id), known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        lists = "train.list, val.list and test.list" if dataset.validation else "train.list and test.list"
        raise UserError(f"{dataset.name}: no case {case_id!r}{hint}; see data/{dataset.name}/{lists}")
