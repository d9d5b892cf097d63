"""Which cases are for training, validation and test; whole patients at a time."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ssmis_core.errors import UserError


@dataclass(frozen=True)
class Wish:
    """How to split. Shares are of the labeled patients; a list (case ids) that is given stands instead of a draw.

    A test or validation list is taken as it is, in its order: other cases of its patients are in no list at all. Those
    of the labeled list come first in training, in its order.

    patient: a regular expression whose match at the start of a case's id names its patient (its first group, where it
    has one); None: every case is a patient.
    """

    seed: int = 0
    validation_share: float = 0.1
    test_share: float = 0.2
    labeled: tuple[str, ...] | None = None
    validation: tuple[str, ...] | None = None
    test: tuple[str, ...] | None = None
    patient: str | None = None

    def __post_init__(self) -> None:
        for name in ("labeled", "validation", "test"):
            if (ids := getattr(self, name)) is not None:  # as `find_cases` has the names of files
                object.__setattr__(self, name, tuple(unicodedata.normalize("NFC", case_id) for case_id in ids))
        for name in ("validation_share", "test_share"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"{name}={getattr(self, name)}: expected a share from 0 to below 1")
        if self.validation_share + self.test_share >= 1:
            raise UserError(
                f"validation_share and test_share: {self.validation_share} + {self.test_share} leave no case"
            )
        try:
            re.compile(self.patient or "")
        except re.error as error:
            raise UserError(f"patient={self.patient!r}: not a regular expression ({error})") from error


@dataclass(frozen=True)
class Split:
    """Case ids: the first `labeled` of train have a label. left_out: cases in none of these, since their patient is
    validated or tested on: unlabeled ones, and those that a list of such cases does not name."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    labeled: int
    left_out: tuple[str, ...] = ()


def read_list(path: Path) -> tuple[str, ...]:
    """Case ids of a text file, one a line; empty lines and those that begin with # do not count."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as a list of cases ({error})") from error
    ids = tuple(line for line in lines if line and not line.startswith("#"))
    twice = next((name for name in ids if ids.count(name) > 1), None)
    if twice:
        raise UserError(f"{path}: lists {twice!r} more than once")
    return ids


def split_cases(has_label: Mapping[str, bool], wish: Wish) -> Split:
    """The split of cases {id: whether it has a label}. The same cases, seed and shares give the same split anywhere.

    Patients are ordered by a hash of seed and name. Of the labeled ones the first go to test, the next to validation,
    the rest to train; unlabeled cases go to train, but for those of patients who went elsewhere.
    Raises UserError for listed cases that are not there, have no label, are listed twice, or are in two lists.
    """
    _check_lists(has_label, wish)
    patient = {case_id: _patient(case_id, wish) for case_id in has_label}
    order = sorted(has_label, key=lambda case_id: (_key(wish.seed, patient[case_id]), _key(wish.seed, case_id)))
    place = {patient[c]: "test" for c in wish.test or ()} | {patient[c]: "validation" for c in wish.validation or ()}
    taken = set(place) | {patient[c] for c in wish.labeled or ()}
    free = list(dict.fromkeys(patient[c] for c in order if has_label[c] and patient[c] not in taken))
    count = len({patient[c] for c in order if has_label[c]})
    for name, listed, share in (
        ("test", wish.test, wish.test_share),
        ("validation", wish.validation, wish.validation_share),
    ):
        if listed is None and share > 0:
            least = 1 if name == "test" and count > 1 else 0
            for one in free[: max(least, round(share * count))][: max(0, len(free) - (0 if wish.labeled else 1))]:
                place[one] = name
                free.remove(one)
    listed_labeled = list(wish.labeled or ())
    rest = [c for c in order if has_label[c] and patient[c] not in place and c not in listed_labeled]
    unlabeled = [c for c in order if not has_label[c] and patient[c] not in place]
    held = {
        name: tuple(c for c in order if has_label[c] and place.get(patient[c]) == name) if listed is None else listed
        for name, listed in (("validation", wish.validation), ("test", wish.test))
    }
    scored = {*held["validation"], *held["test"]}
    left_out = tuple(c for c in order if patient[c] in place and c not in scored)
    labeled = [*listed_labeled, *rest]
    return Split((*labeled, *unlabeled), held["validation"], held["test"], len(labeled), left_out)


def _check_lists(has_label: Mapping[str, bool], wish: Wish) -> None:
    lists: dict[str, Sequence[str]] = {
        name: ids for name in ("labeled", "validation", "test") if (ids := getattr(wish, name)) is not None
    }
    owner: dict[str, str] = {}
    for name, ids in lists.items():
        for case_id in ids:
            if case_id not in has_label:
                raise UserError(f"{name} list: there is no case {case_id!r}{_example(has_label)}")
            if not has_label[case_id]:
                raise UserError(f"{name} list: case {case_id!r} has no label")
            if ids.count(case_id) > 1:
                raise UserError(f"{name} list: case {case_id!r} is in it more than once")
            person = _patient(case_id, wish)
            if owner.setdefault(person, name) != name:
                raise UserError(f"{name} list: {case_id!r} is in the {owner[person]} list too, by patient {person!r}")


def _example(known: Collection[str]) -> str:
    return f" (there is {min(known)!r})" if known else ""


def _patient(case_id: str, wish: Wish) -> str:
    if wish.patient is None:
        return case_id
    match = re.match(wish.patient, case_id)
    if match is None:
        raise UserError(f"patient={wish.patient!r}: does not match the case {case_id!r}")
    return match[1] if match.re.groups else match[0]


def _key(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()
