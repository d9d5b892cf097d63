"""Splits: the same anywhere, whole patients, lists before draws, and a label for every case that is scored."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmis_core.datasets.preparation.splits import Split, Wish, read_list, split_cases
from ssmis_core.errors import UserError


def has_label(labeled: int, unlabeled: int) -> dict[str, bool]:
    return {f"c{number:03d}": number < labeled for number in range(labeled + unlabeled)}


@given(st.integers(1, 40), st.integers(0, 20), st.integers(0, 99), st.floats(0, 0.5), st.floats(0, 0.4))
def test_every_case_is_in_one_place_and_scored_ones_have_a_label(
    labeled: int, unlabeled: int, seed: int, test: float, validation: float
) -> None:
    cases = has_label(labeled, unlabeled)
    split = split_cases(cases, Wish(seed=seed, test_share=test, validation_share=validation))
    assert sorted((*split.train, *split.validation, *split.test)) == sorted(cases)
    assert all(cases[c] for c in (*split.validation, *split.test, *split.train[: split.labeled]))
    assert not any(cases[c] for c in split.train[split.labeled :]) and split.labeled >= 1
    again = split_cases(dict(reversed(cases.items())), Wish(seed=seed, test_share=test, validation_share=validation))
    assert split == again


def test_shares_are_of_the_labeled_cases_and_seeds_differ() -> None:
    cases = has_label(50, 30)
    one, two = (split_cases(cases, Wish(seed=seed)) for seed in (0, 1))
    assert (len(one.test), len(one.validation), one.labeled, len(one.train)) == (10, 5, 35, 65)
    assert set(one.test) != set(two.test)


def test_one_seed_is_one_split_for_good() -> None:
    """Names alone decide, by SHA-256: a change of this list is a change of every user's split."""
    assert split_cases(has_label(6, 0), Wish()) == Split(("c003", "c000", "c002", "c005"), ("c004",), ("c001",), 4)


def test_patients_are_kept_together_with_their_unlabeled_scans() -> None:
    cases = {f"p{patient}_{frame}": frame < 2 for patient in range(10) for frame in range(3)}
    split = split_cases(cases, Wish(patient=r"(p\d+)_"))
    places = [{c.split("_")[0] for c in ids} for ids in (split.train, split.validation, split.test)]
    assert [len(place) for place in places] == [7, 1, 2] and len(set.union(*places)) == 10
    assert {c.split("_")[0] for c in split.left_out} == places[1] | places[2]
    with pytest.raises(UserError, match="does not match the case 'p0_0'"):
        split_cases(cases, Wish(patient="x"))


def test_lists_stand_instead_of_draws() -> None:
    cases = has_label(10, 3)
    split = split_cases(cases, Wish(labeled=("c007", "c002"), test=("c001",), validation_share=0))
    assert split.train[:2] == ("c007", "c002") and split.test == ("c001",) and split.validation == ()
    assert split.labeled == 9 and len(split.train) == 12
    drawn = split_cases(cases, Wish(labeled=tuple(f"c00{n}" for n in range(10))))
    assert drawn.test == () and drawn.labeled == 10


def test_listed_cases_are_tested_on_in_their_order_and_their_patients_others_are_left_out() -> None:
    cases = {f"p{patient}_{side}": (patient, side) != (5, "R") for patient in range(6) for side in "LR"}
    lists = {"test": ("p3_R", "p0_L"), "labeled": ("p1_R", "p2_L"), "validation": ("p5_L", "p4_L")}
    split = split_cases(cases, Wish(**lists, patient=r"(p\d+)_"))
    assert (split.test, split.validation) == (lists["test"], lists["validation"])
    assert sorted(split.left_out) == ["p0_R", "p3_L", "p4_R", "p5_R"]
    assert split.train[:2] == lists["labeled"] and set(split.train[2:]) == {"p1_L", "p2_R"}
    assert split_cases(cases, Wish(test=("p3_R", "p0_L"))).test == ("p3_R", "p0_L")


def test_names_are_the_same_in_either_form_of_unicode() -> None:
    assert split_cases({"Mülle": True, "b": True}, Wish(test=("Mu\u0308lle",))).test == ("Mülle",)


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ({"test": ("c99",)}, "test list: there is no case 'c99'"),
        ({"labeled": ("c005",)}, "labeled list: case 'c005' has no label"),
        ({"labeled": ("c001",), "test": ("c001",)}, "is in the labeled list too"),
        ({"test": ("c001", "c001")}, "test list: case 'c001' is in it more than once"),
        ({"test_share": 1.0}, "test_share=1.0: expected a share"),
        ({"test_share": 0.6, "validation_share": 0.5}, "leave no case"),
        ({"patient": "("}, "not a regular expression"),
    ],
)
def test_wrong_wishes_are_told(wish: dict, told: str) -> None:
    with pytest.raises(UserError, match=told):
        split_cases(has_label(4, 2), Wish(**wish))


def test_a_list_is_one_case_a_line(tmp_path: Path) -> None:
    path = tmp_path / "labeled.list"
    path.write_text("# by Anna\nb\n\n a \n")
    assert read_list(path) == ("b", "a")
    path.write_bytes(b"\xef\xbb\xbfp3\r\np0\r\n")  # as editors on Windows save it
    assert read_list(path) == ("p3", "p0")
    path.write_text("a\na\n")
    with pytest.raises(UserError, match="more than once"):
        read_list(path)
    with pytest.raises(UserError, match="cannot be read as a list"):
        read_list(tmp_path / "lost.list")
