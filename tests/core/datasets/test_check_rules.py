"""What follows from the facts of all cases: every kind of finding, and that usual cases have none."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from ssmis_core.datasets.check import KINDS, CaseFacts, Finding, rules
from ssmis_core.datasets.check.findings import SEVERITIES
from tests.core.datasets.check_helpers import fact, grey, usual

NAMES = ("background", "organ")
WIDE = (grey(-1024, -1000, 40, 900, 1500),)  # air, tissue and bone in Hounsfield units

# kind: cases that have it, and the ids that the finding is to name (None: it is about all)
SCENES: dict[str, tuple[list[CaseFacts], tuple[str, ...] | None]] = {
    "leak": ([*usual(), fact("copy", "test", image_hash="image of train2")], ("train2", "copy")),
    "repeated": ([*usual(), fact("copy", image_hash="image of train2")], ("train2", "copy")),
    "same-label": ([*usual(), fact("copy", label_hash="label of train2")], ("train2", "copy")),
    "background": ([*usual(), fact("empty", label=0)], ("empty",)),
    "absent": ([*usual(), fact("other", voxels={0: 7000, 1: 900, 2: 100})], tuple(f"train{n}" for n in range(6))),
    "volume": ([*usual(), fact("flood", label=7000)], ("flood",)),
    "flat": ([*usual(), fact("flat", intensities=(grey(same=0.995),))], ("flat",)),
    "spikes": ([*usual(), fact("metal", intensities=(grey(), grey(high=9999)))], ("metal",)),
    "scales": ([*usual(), fact("large", intensities=(grey(0, 900, 5000, 9999, 9999),))], ("large",)),
    "spacing": ([*usual(), fact("fine", shape=(40, 40, 40), spacing=(0.5, 0.5, 0.5))], None),
    "thick": ([*usual(), fact("cine", spacing=(1.0, 1.0, 5.0), shape=(20, 20, 4))], ("cine",)),
    "no-spacing": ([*usual(), fact("lost", spacing=None)], ("lost",)),
    "shape": ([*usual(), fact("scout", shape=(20, 60, 20))], ("scout",)),
}


@pytest.mark.parametrize("kind", SCENES)
def test_an_odd_case_among_usual_ones_is_found_and_named(kind: str) -> None:
    cases, ids = SCENES[kind]
    names = (*NAMES, "rare") if kind == "absent" else NAMES
    (found,) = (one for one in rules.compare(cases, names) if one.kind == kind)
    assert ids is None or found.cases == ids
    assert "\n" not in found.text and all(case_id in found.text for case_id in (ids or ())[:3])


def test_usual_cases_have_no_findings() -> None:
    cases = [*usual(20), *usual(3, "test")]
    assert rules.compare(cases, NAMES) == []
    assert list(rules.labels_of_lists(cases)) == []
    assert list(rules.directions(cases)) == list(rules.modality(cases, "mr")) == []
    assert list(rules.names_of_patients(cases)) == []


def test_it_is_told_whether_the_labels_of_one_image_differ() -> None:
    same, bare = {"image_hash": "image of a"}, fact("c", label=None, image_hash="image of a")
    (alike,) = rules.same_images([fact("a"), fact("b", **same, label_hash="label of a"), bare])
    (other,) = rules.same_images([fact("a"), fact("b", **same), bare])
    assert "labels that differ" in other.text and "labels that differ" not in alike.text


def test_no_cases_and_one_case_are_compared_with_nothing() -> None:
    assert rules.compare([], NAMES) == rules.compare([fact("a")], NAMES) == []


def test_mixed_numbers_of_axes_are_no_shapes_to_compare() -> None:
    flat = [fact(f"flat{n}", shape=(20, 20), spacing=(1.0, 1.0)) for n in range(6)]
    assert rules.compare([*usual(), *flat], NAMES) == []


def test_a_structure_is_unusual_by_what_cases_vary_by() -> None:
    varied = [fact(f"v{n}", label=100 * 2**n) for n in range(7)]  # 100 to 6400: eight times the median is usual here
    assert not any(one.kind == "volume" for one in rules.compare(varied, NAMES))


def test_volumes_count_millilitres_so_that_finer_voxels_are_not_more_tissue() -> None:
    fine = fact("fine", shape=(40, 40, 40), spacing=(0.5, 0.5, 0.5), voxels={0: 56000, 1: 8000})
    assert not any(one.kind in ("volume", "shape") for one in rules.compare([*usual(), fine], NAMES))


def test_a_class_that_only_the_test_has_is_never_learned() -> None:
    rare = fact("rare", "test", voxels={0: 7000, 1: 900, 2: 100})
    (found,) = (one for one in rules.compare([*usual(), rare], (*NAMES, "rare")) if one.kind == "never-learned")
    assert "'rare'" in found.text


def test_mixed_spacings_come_with_the_median_to_resample_to() -> None:
    sizes = ((1.0, 1.0, 1.0), (0.5, 1.0, 1.2), (0.5, 1.0, 1.2))
    (found,) = rules.spacings([fact(f"case{n}", spacing=size) for n, size in enumerate(sizes)])
    assert found.kind == "spacing" and "--spacing 0.5,1,1.2" in found.mend


def test_lists_that_share_cases_or_patients_are_told_once_each() -> None:
    splits = {"train": ["p1_a", "p2_a", "p2_b", "p4_a", "p4_a"], "test": ["p1_a", "p2_c", "p3_a"]}
    assert [one.cases for one in rules.listed("set", splits)] == [("p1_a",), ("p4_a",)]
    (patient,) = rules.subjects(splits, lambda case_id: case_id.split("_")[0])
    assert patient.cases == ("p2_a", "p2_c") and "p2: " in patient.text


def told(findings: Iterable[Finding]) -> list[tuple[str, tuple[str, ...]]]:
    return [(finding.kind, finding.cases) for finding in findings]


def test_labels_are_missed_where_a_list_needs_them() -> None:
    bare = [fact(name, split, label=None) for name, split in (("a", "train"), ("z", "train"), ("t", "test"))]
    cases = [*usual(2), bare[0], *usual(1), bare[1], bare[2]]
    expected = [("label-lost", ("a",)), ("unlabeled", ("z",)), ("untestable", ("t",))]
    assert told(rules.labels_of_lists(cases)) == expected
    assert told(rules.labels_of_lists(bare[:2])) == [("no-label", ())]


def test_scans_are_compared_with_the_modality_that_is_declared() -> None:
    cases = [fact("ct", intensities=WIDE), fact("shifted", intensities=(grey(0, 24, 1064, 1900, 2500),))]
    assert told(rules.modality(cases, "mr")) == [("looks-ct", ("ct",))]
    assert told(rules.modality(cases, "ct")) == [("not-hounsfield", ("shifted",))]


def test_directions_and_names_of_patients() -> None:
    cases = [fact("p01_left"), fact("p01_right", orientation="LPS"), fact("p02_left"), fact("p03")]
    (turned,) = rules.directions(cases)
    assert turned.kind == "turned" and "LPS 1" in turned.text and "RAS 3" in turned.text
    assert told(rules.names_of_patients(cases)) == [("names", ("p01_left", "p01_right"))]
    numbered = [fact(f"{organ}_{n:03d}") for organ in ("liver", "heart") for n in range(4)]
    assert told(rules.names_of_patients(numbered)) == []


def test_every_kind_says_what_goes_wrong_and_how_to_mend_it() -> None:
    for name, kind in KINDS.items():
        assert kind.severity in SEVERITIES and kind.title and kind.why.endswith(".") and kind.mend[-1] in ".,", name
