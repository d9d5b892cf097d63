"""Prepare a folder of one's own scans: found, checked, brought into one form, split, and all of it written down."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ssmis_core.datasets.formats import read_image
from ssmis_core.datasets.preparation.case_files import Outcome, size_of
from ssmis_core.datasets.preparation.layout import (
    Found,
    declared_modality,
    find_cases,
    folders_of,
    passed_over,
    told_by_source,
    told_of_passed_over,
)
from ssmis_core.datasets.preparation.one_case import Job, run_job
from ssmis_core.datasets.preparation.pool import check_workers, outcomes
from ssmis_core.datasets.preparation.recipe import Recipe, class_values
from ssmis_core.datasets.preparation.splits import Split, Wish, split_cases
from ssmis_core.errors import UserError
from ssmis_core.files import alone, read_json, write_json

__all__ = ["CASES", "MANIFEST", "Preparation", "Recipe", "Wish", "class_names_of", "fingerprint", "prepare_folder"]

MANIFEST = "manifest.json"
RECIPE = "recipe.json"
CASES = "cases"
FORMAT = 1


@dataclass(frozen=True)
class Preparation:
    """What `prepare_folder` did: case ids made and kept, {id: why it was made anew}, those that are gone, a line a
    problem, and the split (None while there are problems)."""

    folder: Path
    made: tuple[str, ...]
    kept: tuple[str, ...]
    anew: Mapping[str, str]
    gone: tuple[str, ...]
    problems: tuple[str, ...]
    classes: tuple[str, ...] = ()
    split: Split | None = None
    notes: tuple[str, ...] = field(default=())

    @classmethod
    def of(
        cls, folder: Path, done: Sequence[Outcome], *, gone: Sequence[str] = (), notes: Sequence[str] = ()
    ) -> Preparation:
        """What the outcomes of its cases say."""
        return cls(
            folder,
            made=tuple(one.id for one in done if one.state == "made"),
            kept=tuple(one.id for one in done if one.state == "kept"),
            anew={one.id: one.reason for one in done if one.state == "made" and one.reason},
            gone=tuple(gone),
            problems=tuple(one.reason for one in done if one.state == "failed"),
            notes=tuple(notes),
        )

    def __str__(self) -> str:
        lines = [f"{self.folder}: {len(self.made)} cases prepared, {len(self.kept)} were there already"]
        lines += [f"prepared anew: {case_id} ({why})" for case_id, why in self.anew.items()]
        lines += [f"no longer in the source, left out: {case_id}" for case_id in self.gone]
        lines += self.notes
        if self.split is not None:
            split = self.split
            unlabeled = len(split.train) - split.labeled
            lines.append(
                f"train {split.labeled} labeled + {unlabeled} unlabeled, validation {len(split.validation)}, "
                f"test {len(split.test)}; classes: {', '.join(self.classes)}"
            )
            if split.left_out:
                lines.append(f"left out, of patients who are validated or tested on: {', '.join(split.left_out)}")
        return "\n".join(lines)


def prepare_folder(
    name: str,
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    modality: str | None = None,
    spacing: Sequence[float] | None = None,
    window: tuple[float, float] | None = None,
    classes: Sequence[str] | None = None,
    wish: Wish | None = None,
    workers: int = 1,
    overwrite: bool = False,
    progress: bool = False,
) -> Preparation:
    """Prepare the scans of a folder for `open_dataset("nifti_folder", out)`.

    source: see `find_cases` for its layout. modality: "mr" or "ct" (default: what its dataset.json says, else "mr").
    spacing: mm to resample to, an axis or one for all (default: each case keeps its own). window: Hounsfield units of
    CT. classes: names, or VALUE=NAME for labels whose values have gaps (default: of dataset.json, else as many as the
    labels have).
    workers: processes; more than 1 needs the caller's main module to be guarded, as multiprocessing asks for.
    overwrite: allow another recipe than the folder was prepared by.
    A case is made only when its files or the recipe changed: a preparation that was stopped in any way goes on where it
    was, and one that is complete changes nothing. Files of the source are never touched.
    Returns what was done; `problems` has one line for each case that cannot be used, and without any the manifest is
    written. Raises UserError for a wrong request or layout.
    """
    source, out = Path(source).expanduser(), Path(out).expanduser()
    check_workers(workers)
    cases = find_cases(source)
    told = told_by_source(source)
    texts = list(classes) if classes is not None else told.get("classes")
    modality = declared_modality(modality, told)
    recipe, names = _recipe(_first(cases), modality=modality, spacing=spacing, window=window, classes=texts)
    wish = wish or Wish()
    split = split_cases({case.id: case.label is not None for case in cases}, wish)  # a wrong list: before the work
    _check_out(out, source)
    with alone(out, what="preparation"):
        before = _start(out, recipe, overwrite=overwrite)
        sizes = {case.id: size_of(case.files) for case in cases}
        jobs = {case.id: Job(case, source, out / CASES / f"{case.id}.h5", recipe) for case in cases}
        done = outcomes(name, run_job, jobs, sizes, workers, progress=progress)
        result = Preparation.of(out, done, gone=sorted(set(before.get("cases", {})) - set(jobs)))
        unread = told.get("unread", "") if classes is None else ""
        result = replace(result, notes=tuple(filter(None, (told_of_passed_over(passed_over(source)), unread))))
        records = {one.id: one.record for one in done if one.record is not None}
        if not result.problems:
            names, problem = class_names_of({case_id: record["label"] for case_id, record in records.items()}, names)
            result = replace(result, problems=(problem,) if problem else ())
        if result.problems or names is None:
            return result
        manifest = _manifest(name, source, recipe, names, split, wish, records)
        if before != manifest:
            write_json(out / MANIFEST, manifest)
        return replace(result, classes=names, split=split, notes=(*result.notes, *_notes(before, manifest)))


def fingerprint(manifest: Mapping[str, Any]) -> str:
    """SHA-256 over what a run depends on: recipe, classes, split, and the content of every case's files.

    The names of files do not count, but their order does where there are several channels: it says which is which.
    """
    order = list if manifest["recipe"]["channels"] > 1 else sorted
    contents = {case_id: order(record["sources"].values()) for case_id, record in manifest["cases"].items()}
    lists = {name: manifest["split"][name] for name in ("train", "validation", "test", "labeled")}
    text = json.dumps([manifest["recipe"], manifest["classes"], lists, contents], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _recipe(
    first: Found,
    *,
    modality: str,
    spacing: Sequence[float] | None,
    window: tuple[float, float] | None,
    classes: Sequence[str] | None,
) -> tuple[Recipe, tuple[str, ...] | None]:
    """(the recipe, class names as far as they are given). first: the case that tells axes and channels."""
    names, values = class_values(classes)
    dims, channels = _look(first)
    recipe = Recipe(
        modality=modality,
        dims=dims,
        channels=channels,
        spacing=None if spacing is None else tuple(float(mm) for mm in spacing) * (dims if len(spacing) == 1 else 1),
        window=window,
        values=values,
    )
    return recipe, names


def _notes(before: Mapping[str, Any], manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """What the user should know of a folder that was prepared before."""
    if before and before["split"] != manifest["split"]:
        return ("the split is another than before: runs that were trained by the old one refuse this folder",)
    return ()


def _first(cases: Sequence[Found]) -> Found:
    """The first case whose images are there: a link to nothing or a pipe is told later, as a problem of its case."""
    return next((case for case in cases if all(path.is_file() or path.is_dir() for path in case.images)), cases[0])


def _look(case: Found) -> tuple[int, int]:
    """(axes, channels) of the first case, which all others must have."""
    volumes = [read_image(path) for path in case.images]
    return 2 if 1 in volumes[0].array.shape[:3] else 3, sum(volume.channels for volume in volumes)


def _check_out(out: Path, source: Path) -> None:
    if out.resolve() == source.resolve():
        raise UserError(f"{out}: is the folder of the scans itself, expected another one for what is prepared")
    for folder in folders_of(source):
        if out.resolve().is_relative_to(folder.resolve()):
            raise UserError(
                f"{out}: lies among the scans of {folder}, expected a folder elsewhere for what is prepared"
            )
    try:
        (out / CASES).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out}: cannot be made a folder ({error.strerror})") from error


def _start(out: Path, recipe: Recipe, *, overwrite: bool) -> dict[str, Any]:
    """Keep the recipe beside the cases from the start, clear what a killed worker left; returns the manifest or {}."""
    path, told = out / RECIPE, None
    if path.is_file():
        told = Recipe.from_dict(read_json(path, keys={"modality": str}, expected="what `ssmis data prepare` writes"))
        if told != recipe and not overwrite:
            mine, theirs = recipe.as_dict(), told.as_dict()
            changes = "; ".join(f"{k}: {mine[k]}, not {theirs[k]}" for k in mine if mine[k] != theirs[k])
            raise UserError(
                f"{out}: was prepared otherwise ({changes}); choose another folder by --out, or --overwrite"
            )
        if told != recipe:
            (out / MANIFEST).unlink(missing_ok=True)  # it would speak of cases that are about to change
    if told != recipe:
        write_json(path, recipe.as_dict())
    for left in (out / CASES).glob(".*.part"):
        left.unlink(missing_ok=True)
    if not (out / MANIFEST).is_file():
        return {}
    return read_json(
        out / MANIFEST, keys={"cases": dict, "split": dict}, expected="what `ssmis data prepare` writes; delete it"
    )


def class_names_of(
    labels: Mapping[str, Mapping[str, int] | None], names: Sequence[str] | None
) -> tuple[tuple[str, ...] | None, str]:
    """(class names, "") of all labels together, or (None, what is wrong).

    labels: {case: {class: voxels}}, None for a case without; names: those that the user gave, if any.
    """
    values = sorted({int(value) for voxels in labels.values() for value in voxels or ()} | {0})
    found = ", ".join(map(str, values[:20]))
    if len(values) == 1:
        return None, "no label has anything but background, expected at least one labeled case with a structure"
    if names is not None:
        if values[-1] < len(names):
            return tuple(names), ""
        case_id = next(one for one, voxels in labels.items() if str(values[-1]) in (voxels or ()))
        return None, f"labels have the values {found} (the last in {case_id!r}), but {len(names) - 1} classes are named"
    lost = sorted(set(range(values[-1])) - set(values))
    if lost:
        example = ",".join(f"{value}=NAME" for value in values[1:4])
        return None, f"labels have the values {found}, and no {lost[0]}: name them, such as --classes {example}"
    return ("background", *(f"class {value}" for value in values[1:])), ""


def _manifest(
    name: str,
    source: Path,
    recipe: Recipe,
    names: Sequence[str],
    split: Split,
    wish: Wish,
    records: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything that was done, in plain JSON values."""
    how = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(wish).items()}
    lists = {"train": list(split.train), "validation": list(split.validation), "test": list(split.test)}
    return {
        "format": FORMAT,
        "name": name,
        "source": str(source.resolve()),
        "recipe": recipe.as_dict(),
        "classes": list(names),
        "split": {**lists, "labeled": split.labeled, "left_out": list(split.left_out), "how": how},
        "cases": dict(records),
    }
