"""Is this data whole, and what would go wrong with it? Every case is opened once; facts and findings are kept.

`survey` looks at a data set, `survey_source` at a folder of scans that was not prepared yet; both give a Survey, which
`report.report` tells in text and `page.page` as HTML.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ssmis_core.datasets.cases import Case, Dataset, faults_of
from ssmis_core.datasets.check import rules
from ssmis_core.datasets.check.facts import CaseFacts, counts_of, hash_of, intensities_of, label_hash_of
from ssmis_core.datasets.check.findings import ERROR, KINDS, SEVERITIES, Finding, Kind
from ssmis_core.datasets.check.pictures import picture
from ssmis_core.errors import UserError

__all__ = ["KINDS", "CaseFacts", "Finding", "Kind", "Survey", "survey", "survey_source"]

Splits = Mapping[str, Sequence[str]] | Sequence[str]
Progress = Callable[[int, int], None]


@dataclass
class Survey:
    """What was found. title: of the data; counted: {list: cases in it}; cases: facts of each usable one; class_names:
    of the label values 0, 1, ...; findings: in the order of SEVERITIES, then of KINDS."""

    name: str
    title: str = ""
    counted: dict[str, int] = field(default_factory=dict)
    cases: list[CaseFacts] = field(default_factory=list)
    class_names: tuple[str, ...] = ()
    findings: list[Finding] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        """The line of each error; without any, every case can be trained on, and the test means something."""
        return [finding.text for finding in self.findings if finding.severity == ERROR]

    def by_kind(self) -> dict[str, list[Finding]]:
        """{kind: findings}, the worst first."""
        groups: dict[str, list[Finding]] = {}
        for finding in self.findings:
            groups.setdefault(finding.kind, []).append(finding)
        return groups

    def sort(self) -> Survey:
        """Bring the findings into their order."""
        severities, kinds = list(SEVERITIES), list(KINDS)
        self.findings.sort(key=lambda one: (severities.index(one.severity), kinds.index(one.kind)))
        return self


def survey(
    dataset: Dataset, split_cases: Splits | None = None, *, pictures: bool = False, progress: Progress | None = None
) -> Survey:
    """Open each case of the data set once, one at a time; never raises for a bad case.

    split_cases: {list: case ids}, or plain case ids; by default the data set's own train, validation and test lists.
    pictures: draw each case. progress: called with (cases done, cases in all) after each case.
    """
    splits = _splits(dataset, split_cases)
    outcome = Survey(dataset.name, dataset.title, {split: len(ids) for split, ids in splits.items()})
    outcome.class_names = tuple(dataset.class_names)
    outcome.findings += rules.listed(dataset.name, splits)
    outcome.findings += rules.subjects(splits, dataset.subject)
    total, done = sum(outcome.counted.values()), 0
    for split, ids in splits.items():
        for case_id in ids:
            facts, found = _look(dataset, case_id, split, pictures=pictures)
            outcome.findings += found
            outcome.cases += [facts] if facts is not None else []
            done += 1
            if progress is not None:
                progress(done, total)
    outcome.findings += rules.labels_of_lists(outcome.cases)
    outcome.findings += rules.compare(outcome.cases, outcome.class_names)
    return outcome.sort()


def survey_source(
    source: str | os.PathLike[str],
    *,
    modality: str | None = None,
    classes: Sequence[str] | None = None,
    pictures: bool = False,
    progress: Progress | None = None,
) -> Survey:
    """Open each scan of a folder that is to be prepared, one at a time; without errors, preparing refuses nothing.

    source, modality, classes: as for `prepare_folder`. Raises UserError for a folder without scans, and for a wrong
    modality or classes; whatever is wrong with single files is a finding.
    """
    from ssmis_core.datasets.check.source import SPLIT, Folder, look
    from ssmis_core.datasets.preparation.layout import (
        declared_modality,
        find_cases,
        passed_over,
        told_by_source,
        told_of_passed_over,
    )
    from ssmis_core.datasets.preparation.recipe import Recipe, class_values

    path = Path(source).expanduser()
    faults: list[str] = []
    cases, told = find_cases(path, faults), told_by_source(path)
    texts = list(classes) if classes is not None else told.get("classes")
    names, values = class_values(texts)
    folder = Folder(declared_modality(modality, told), values)
    _ = Recipe(modality=folder.modality)  # a wrong one is told before the work
    outcome = Survey(path.name, f"scans in {path}", {SPLIT: len(cases)})
    outcome.findings += [Finding("layout", fault) for fault in faults]
    if left := told_of_passed_over(passed_over(path)):
        outcome.findings.append(Finding("passed-over", f"{path}: {left}"))
    if classes is None and "unread" in told:
        outcome.findings.append(Finding("unnamed", told["unread"]))
    for number, case in enumerate(cases, start=1):
        facts, found = look(case, folder, pictures=pictures)
        outcome.findings += found
        outcome.cases += [facts] if facts is not None else []
        if progress is not None:
            progress(number, len(cases))
    outcome.class_names, fault = _classes(outcome.cases, [case.id for case in cases if case.label], names)
    outcome.findings += [Finding(kind, f"{path}: {told}") for kind, told in fault]
    unlabeled = [case for case in outcome.cases if case.voxels is None]
    if len(unlabeled) < len(outcome.cases):
        outcome.findings += rules.unlabeled(unlabeled, len(outcome.cases), "scans")
    outcome.findings += rules.modality(outcome.cases, folder.modality)
    outcome.findings += rules.directions(outcome.cases)
    outcome.findings += rules.names_of_patients(outcome.cases)
    outcome.findings += rules.compare(outcome.cases, outcome.class_names)
    return outcome.sort()


def _classes(
    cases: Sequence[CaseFacts], labeled: Sequence[str], names: Sequence[str] | None
) -> tuple[tuple[str, ...], list[tuple[str, str]]]:
    """(class names of the label values, [(kind of finding, what is wrong with all labels together)]).

    labeled: ids that have a label, also those that cannot be used. names: those that the user gave.
    """
    from ssmis_core.datasets.preparation import class_names_of

    counts = {
        case.id: None if case.voxels is None else {str(value): n for value, n in case.voxels.items()} for case in cases
    }
    fitting, problem = class_names_of(counts, names)
    highest = max((max(case.voxels) for case in cases if case.voxels), default=0)
    shown = fitting or tuple(names or ("background", *(f"class {value}" for value in range(1, highest + 1))))
    if not labeled:
        return shown, [("no-label", "no scan in it has a label")]
    read = any(counts.values())  # where not one label could be used, that is told already
    return shown, [("classes", problem)] if problem and read else []


def _look(dataset: Dataset, case_id: str, split: str, *, pictures: bool) -> tuple[CaseFacts | None, list[Finding]]:
    """(facts, findings) of one case of a data set; facts are None where it cannot be used."""
    source = f"{dataset.name}:{case_id}"
    try:
        source = dataset.source(case_id)
        case = dataset.read(case_id)
    except UserError as error:
        gone = os.sep in source and not os.path.exists(source)
        return None, [Finding("missing" if gone else "file", str(error), (case_id,))]
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        reason = " ".join(str(error).split())
        told = f"{source}: cannot be read ({type(error).__name__}: {reason})"
        return None, [Finding("file", told, (case_id,))]
    wanted = {"num_classes": dataset.num_classes, "dims": dataset.dims, "channels": dataset.channels}
    found = [Finding(kind, f"{source}: {told}", (case_id,)) for kind, told in faults_of(case, **wanted)]
    return (None, found) if found else (_facts(case, split, source, pictures=pictures), [])


def _facts(case: Case, split: str, source: str, *, pictures: bool) -> CaseFacts:
    from ssmis_core.datasets.grids import axis_codes

    affine = case.affine if case.original is None else case.original.affine
    return CaseFacts(
        id=case.id,
        split=split,
        shape=case.shape,
        source=source,
        spacing=case.spacing,
        orientation=axis_codes(affine) if case.spacing else "",
        intensities=tuple(intensities_of(channel) for channel in case.image),
        voxels=None if case.label is None else counts_of(case.label),
        image_hash=hash_of(list(case.image)),
        label_hash="" if case.label is None else label_hash_of(np.asarray(case.label)),
        picture=picture(case.image[0], case.label, case.spacing) if pictures else b"",
    )


def _splits(dataset: Dataset, split_cases: Splits | None) -> dict[str, Sequence[str]]:
    if split_cases is None:
        lists = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
        return {split: ids for split, ids in lists.items() if len(ids)}
    if isinstance(split_cases, Mapping):
        return dict(split_cases)
    return {"chosen": split_cases}
