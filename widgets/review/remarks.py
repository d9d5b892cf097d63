"""Flags and notes of a review, in review.csv beside a run's other files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ssmis_core.files import read_table, write_csv

FILE = "review.csv"
TEXT = ("case", "note", "who", "when")
COLUMNS = {"case": str, "flag": bool, "note": str, "who": str, "when": str}


@dataclass(frozen=True)
class Remark:
    """What a reader said of one case; who and when: the last change."""

    flag: bool = False
    note: str = ""
    who: str = ""
    when: str = ""


class Remarks:
    """The remarks in a folder. Every change is written at once, whole, and read anew before."""

    def __init__(self, folder: Path):
        self.path = folder / FILE
        self.read()  # a damaged file shows at the start, not in the middle of a review

    def read(self) -> dict[str, Remark]:
        """Remarks by case; UserError for a file that a review did not write."""
        if not self.path.is_file():
            return {}
        rows = read_table(self.path, columns=COLUMNS, text=TEXT, expected=f"the columns {', '.join(COLUMNS)}")
        return {row["case"]: Remark(row["flag"], row["note"], row["who"], row["when"]) for row in rows}

    def of(self, case: str) -> Remark:
        """The remark on a case; an empty one where nobody said anything."""
        return self.read().get(case, Remark())

    def write(self, case: str, *, who: str, flag: bool | None = None, note: str | None = None) -> Remark:
        """Change the flag, the note or both; a change that changes nothing is not written."""
        known = self.read()
        before = known.get(case, Remark())
        flag, note = before.flag if flag is None else flag, before.note if note is None else note.strip()
        if (flag, note) == (before.flag, before.note):
            return before
        known[case] = Remark(flag, note, who, now())
        rows: list[dict[str, Any]] = [{"case": name, **vars(known[name])} for name in sorted(known)]
        write_csv(self.path, rows)
        return known[case]


def now() -> str:
    """Date and time with the time zone, to the second."""
    return datetime.now().astimezone().isoformat(timespec="seconds")
