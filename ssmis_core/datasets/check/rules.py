"""What follows from the facts of all cases: leaks, odd ones out, lost labels. Pure: facts in, findings out."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from ssmis_core.datasets.check.facts import CaseFacts, Intensities
from ssmis_core.datasets.check.findings import Finding

HELD_OUT = ("validation", "test")
FLAT_SHARE = 0.99  # of voxels with one value: nearly constant
SPIKE = 30  # times the range of the middle 99 %: far beyond all others
SCALE_FACTOR = 20.0  # between ranges of grey values
SAMPLES_OF_ODD = 5  # cases below which nothing is unusual
VOLUME_FACTOR, SHAPE_FACTOR = 4.0, 2.5
SPACING_FACTOR, THICK_FACTOR = 1.25, 3.0
AIR, BONE = -500, 300  # Hounsfield units that every CT of a body goes beyond
SHOWN = 6  # cases that a line names


def compare(cases: Sequence[CaseFacts], class_names: Sequence[str]) -> list[Finding]:
    """Everything that can be said of cases of any list; class_names: of the label values 0, 1, ..."""
    rules: tuple[Iterable[Finding], ...] = (
        same_images(cases),
        same_labels(cases),
        empty_labels(cases),
        classes(cases, class_names),
        volumes(cases, class_names),
        contrast(cases),
        scales(cases),
        spacings(cases),
        shapes(cases),
    )
    return [finding for rule in rules for finding in rule]


def listed(name: str, splits: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """Cases that are in two lists, or twice in one."""
    places: dict[str, list[str]] = {}
    for split, ids in splits.items():
        for case_id in ids:
            places.setdefault(case_id, []).append(split)
    for case_id, where in places.items():
        if len(where) > 1:
            told = f"{name}: case {case_id!r} is listed {len(where)} times ({', '.join(where)}), expected once"
            yield Finding("listed", told, (case_id,))


def subjects(splits: Mapping[str, Sequence[str]], subject: Callable[[str], str]) -> Iterator[Finding]:
    """Patients with cases in more than one list."""
    owners: dict[str, dict[str, str]] = {}
    for split, ids in splits.items():
        for case_id in ids:
            owners.setdefault(subject(case_id), {}).setdefault(split, case_id)
    for who, cases in owners.items():
        if len(cases) > 1 and len(set(cases.values())) > 1:  # one case in two lists is told as that
            told = ", ".join(f"{case_id} ({split})" for split, case_id in cases.items())
            yield Finding("subject", f"{who}: is in {len(cases)} lists: {told}", tuple(cases.values()))


def same_images(cases: Sequence[CaseFacts]) -> Iterator[Finding]:
    """Images of equal shape and values under several names."""
    for group in _groups(cases, lambda case: case.image_hash):
        kept_apart = {case.split for case in group} & set(HELD_OUT)
        kind = "leak" if kept_apart and len({case.split for case in group}) > 1 else "repeated"
        outlines = {case.label_hash for case in group if case.voxels is not None}
        told = "voxel by voxel the same image" + (", with labels that differ" if len(outlines) > 1 else "")
        yield Finding(kind, f"{_names(group, split=True)}: {told}", _ids(group))


def same_labels(cases: Sequence[CaseFacts]) -> Iterator[Finding]:
    """Labels of equal shape and values at images that differ."""
    for group in _groups(cases, lambda case: case.label_hash):
        if len({case.image_hash for case in group}) > 1:
            yield Finding("same-label", f"{_names(group, split=True)}: the same label, but other images", _ids(group))


def labels_of_lists(cases: Sequence[CaseFacts]) -> Iterator[Finding]:
    """Labels that are missing where a list needs them; the labeled cases of a training list come first."""
    train = [case for case in cases if case.split == "train"]
    without = [case for case in train if case.voxels is None]
    if train and len(without) == len(train):
        yield Finding("no-label", f"none of the {len(train)} training cases has a label", ())
        return
    last = max((place for place, case in enumerate(train) if case.voxels is not None), default=-1)
    for case in train[: last + 1]:
        if case.voxels is None:
            told = f"{case.source}: no label, but labeled cases come after it in the training list"
            yield Finding("label-lost", told, (case.id,))
    yield from unlabeled(train[last + 1 :], len(train), "training cases")
    for case in cases:
        if case.split in HELD_OUT and case.voxels is None:
            yield Finding("untestable", f"{case.source}: no label, expected one in the {case.split} list", (case.id,))


def unlabeled(cases: Sequence[CaseFacts], of: int, what: str) -> Iterator[Finding]:
    """One line for all cases that may well be without a label."""
    if cases:
        yield Finding("unlabeled", f"{len(cases)} of {of} {what}: {_names(cases)}", _ids(cases))


def empty_labels(cases: Sequence[CaseFacts]) -> Iterator[Finding]:
    """Labels of background alone."""
    for case in cases:
        if case.label_share == 0:
            yield Finding("background", f"{case.source}: label has background alone", (case.id,))


def classes(cases: Sequence[CaseFacts], names: Sequence[str]) -> Iterator[Finding]:
    """Classes that no training label has, and those that some labels lack."""
    labeled = [case for case in cases if case.label_share]
    learned = [case for case in labeled if case.split == "train"] or labeled
    for value, name in enumerate(names):
        without = [case for case in labeled if value and not (case.voxels or {}).get(value)]
        if value and learned and all(case in without for case in learned):
            yield Finding("never-learned", f"{name!r} (value {value}): in none of {len(learned)} labels to learn from")
        elif without:
            yield Finding(
                "absent", f"{name!r}: not in {len(without)} of {len(labeled)} labels, {_names(without)}", _ids(without)
            )


def volumes(cases: Sequence[CaseFacts], names: Sequence[str]) -> Iterator[Finding]:
    """Structures more than VOLUME_FACTOR times larger or smaller than usual, and far outside of the usual spread."""
    for value, name in enumerate(names):
        found = [(case, case.volume(value) or 0.0) for case in cases if value]
        found = [(case, volume) for case, volume in found if volume > 0]
        if len({case.in_ml for case, _ in found}) > 1:
            continue  # ml and voxels cannot be compared
        for place in _odd([volume for _, volume in found], VOLUME_FACTOR):
            case, volume = found[place]
            usual = float(np.median([volume for _, volume in found]))
            unit = "ml" if case.in_ml else "voxels"
            told = f"{case.source}: {name!r} has {number(volume)} {unit}, usual are {number(usual)}"
            yield Finding("volume", told, (case.id,))


def contrast(cases: Sequence[CaseFacts]) -> Iterator[Finding]:
    """Images that are nearly constant, or have voxels far beyond all others."""
    for case in cases:
        for values in case.intensities:
            if values.same >= FLAT_SHARE:
                share = 100 * values.same
                yield Finding("flat", f"{case.source}: {share:.1f} % of the voxels are {values.middle:g}", (case.id,))
            elif _spiky(values):
                told = (
                    f"values from {values.low:g} to {values.high:g}, 99 % within {values.dark:g} to {values.bright:g}"
                )
                yield Finding("spikes", f"{case.source}: {told}", (case.id,))


def scales(cases: Sequence[CaseFacts]) -> Iterator[Finding]:
    """Scans whose range of grey values is more than SCALE_FACTOR times larger or smaller than usual."""
    ranges = [case.intensities[0].bright - case.intensities[0].dark for case in cases if case.intensities]
    middle = float(np.median(ranges)) if ranges else 0.0
    odd = [
        case
        for case, reach in zip((case for case in cases if case.intensities), ranges, strict=True)
        if not middle / SCALE_FACTOR <= reach <= middle * SCALE_FACTOR
    ]
    if odd:
        one = odd[0].intensities[0]
        told = f"such as {number(one.dark)} to {number(one.bright)}, where usual is a range of {number(middle)}"
        yield Finding("scales", f"{len(odd)} of {len(cases)} cases, {told}: {_names(odd)}", _ids(odd))


def modality(cases: Sequence[CaseFacts], declared: str) -> Iterator[Finding]:
    """Scans, in their files' own values, that look like CT and are not declared so, or the other way round."""
    like = [case for case in cases if any(v.dark < AIR and v.bright > BONE for v in case.intensities)]
    if declared != "ct" and like:
        yield Finding("looks-ct", f"{len(like)} of {len(cases)} scans, declared {declared}: {_names(like)}", _ids(like))
    for case in cases if declared == "ct" else ():
        for values in case.intensities:
            if values.low > AIR / 2 or values.bright < -AIR / 10:
                told = f"{case.source}: values from {values.low:g} to {values.high:g}"
                yield Finding("not-hounsfield", told, (case.id,))


def spacings(cases: Sequence[CaseFacts]) -> Iterator[Finding]:
    """Voxels of different size among the cases, much longer along one axis, or of no known size."""
    unknown = [case for case in cases if case.spacing is None]
    if unknown:
        yield Finding("no-spacing", f"{len(unknown)} of {len(cases)} cases: {_names(unknown)}", _ids(unknown))
    known = [case for case in cases if case.spacing is not None]
    sizes = {len(case.spacing or ()) for case in known}
    if len(sizes) != 1:
        return
    steps = np.array([case.spacing for case in known])
    middle = np.median(steps, axis=0)
    if (steps.max(0) / steps.min(0)).max() > SPACING_FACTOR:
        ends = f"{mm(steps.min(0))} to {mm(steps.max(0))} mm, median {mm(middle)}"
        advice = f"Resample to one size when preparing: --spacing {','.join(f'{step:.3g}' for step in middle)}."
        yield Finding("spacing", f"{len(known)} cases: {ends}", mend=advice)
    thick = [case for case in known if max(case.spacing or (1,)) > THICK_FACTOR * min(case.spacing or (1,))]
    if thick:
        like = f"such as {mm(thick[0].spacing or ())} mm in {thick[0].id}"
        yield Finding("thick", f"{len(thick)} of {len(known)} cases, {like}", _ids(thick))


def directions(cases: Sequence[CaseFacts]) -> Iterator[Finding]:
    """Scans whose axes point elsewhere than those of others."""
    ways: dict[str, list[CaseFacts]] = defaultdict(list)
    for case in cases:
        ways[case.orientation].append(case)
    if len(ways) > 1:
        told = "; ".join(f"{way} {len(group)} ({group[0].id}, ...)" for way, group in sorted(ways.items()))
        yield Finding("turned", told)


def shapes(cases: Sequence[CaseFacts]) -> Iterator[Finding]:
    """Cases whose extent along an axis is more than SHAPE_FACTOR times larger or smaller than usual."""
    known = all(case.spacing is not None for case in cases)
    extents = [
        np.array(case.shape) * (np.array(case.spacing) if known and case.spacing is not None else 1) for case in cases
    ]
    if len({len(extent) for extent in extents}) != 1:
        return
    unit = "mm" if known else "voxels"
    for axis, name in enumerate("xyz"[: len(extents[0])]):
        along = [float(extent[axis]) for extent in extents]
        for place in _odd(along, SHAPE_FACTOR):
            told = f"{along[place]:.4g} {unit} along {name}, usual are {float(np.median(along)):.4g}"
            yield Finding("shape", f"{cases[place].source}: {told}", (cases[place].id,))


def names_of_patients(cases: Sequence[CaseFacts]) -> Iterator[Finding]:
    """Names that begin with something numbered and differ in a last part alone, such as p01_left and p01_right."""
    groups: dict[str, list[CaseFacts]] = defaultdict(list)
    for case in cases:
        groups[re.sub(r"[_-][A-Za-z]*\d*$", "", case.id)].append(case)
    several = [group for start, group in groups.items() if len(group) > 1 and re.search(r"\d", start)]
    if several:
        told = f"{len(several)} beginnings are shared, such as by {_names(several[0])}"
        yield Finding("names", told, tuple(case.id for group in several for case in group))


def number(value: float) -> str:
    """Four digits, without an exponent for large numbers."""
    return f"{value:.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"


def mm(steps: Iterable[float]) -> str:
    """Sizes with a cross between them."""
    return " x ".join(f"{step:.3g}" for step in steps)


def _spiky(values: Intensities) -> bool:
    reach = SPIKE * max(values.bright - values.dark, 1e-12)
    return values.bright > values.dark and (values.high > values.bright + reach or values.low < values.dark - reach)


def _odd(values: Sequence[float], factor: float) -> list[int]:
    """Places of values more than `factor` from the median, and beyond six robust deviations (by logarithm)."""
    if len(values) < SAMPLES_OF_ODD:
        return []
    logs = np.log(values)
    away = np.abs(logs - np.median(logs))
    limit = max(math.log(factor), 6 * 1.4826 * float(np.median(away)))
    return [int(place) for place in np.flatnonzero(away > limit)]


def _groups(cases: Sequence[CaseFacts], key: Callable[[CaseFacts], str]) -> Iterator[list[CaseFacts]]:
    """Cases of different names with the same key, which is not empty."""
    groups: dict[str, dict[str, CaseFacts]] = defaultdict(dict)
    for case in cases:
        if key(case):
            groups[key(case)].setdefault(case.id, case)
    return (list(group.values()) for group in groups.values() if len(group) > 1)


def _ids(cases: Iterable[CaseFacts]) -> tuple[str, ...]:
    return tuple(case.id for case in cases)


def _names(cases: Sequence[CaseFacts], *, split: bool = False) -> str:
    """The first SHOWN names, and how many more there are."""
    names = [f"{case.id} ({case.split})" if split else case.id for case in cases[:SHOWN]]
    return ", ".join(names) + (f" and {len(cases) - SHOWN} more" if len(cases) > SHOWN else "")
