"""`ssmis data prepare`: a folder of one's own scans, or the challenge's scans of LA, becomes a data set."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ssmis_core.errors import UserError

if TYPE_CHECKING:
    from ssmis_core.datasets.preparation import Preparation, Wish

SPLIT = {"test_share": 0.2, "validation_share": 0.1}  # of the labeled patients
SHARE = typer.Option(metavar="SHARE", help="Of the labeled patients.")


def case_list(use: str) -> typer.models.OptionInfo:
    """The option of a text file of cases."""
    return typer.Option(metavar="FILE", help=f"Cases to {use}; one a line.")


Name = Annotated[str, typer.Argument(metavar="NAME", help="What to call the data set; la: the challenge's scans.")]
Source = Annotated[
    Path,
    typer.Option(
        metavar="DIR",
        help="Folder with images/ and labels/ (or imagesTr/ and labelsTr/); la: with CASE/lgemri.nrrd and laendo.nrrd.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Where the prepared cases go (default: data/nifti_folder/NAME; data/la)."),
]
Modality = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="mr: z-scored inside the body; ct: cut to a window (default: mr)."),
]
Window = Annotated[
    str | None, typer.Option(metavar="LOW,HIGH", help="Hounsfield units of CT to keep (default: -125,275).")
]
Spacing = Annotated[
    str | None,
    typer.Option(metavar="X,Y,Z", help="Resample to voxels of these mm; one number for all (default: as they are)."),
]
Classes = Annotated[
    str | None, typer.Option(metavar="NAMES", help="Names of labels 1, 2, ... by commas, or VALUE=NAME by commas.")
]
Seed = Annotated[int, typer.Option(metavar="N", help="Of the split; la: of the crop's margins.")]
LabeledList = Annotated[Path | None, case_list("learn from with their label, in this order")]
ValidationList = Annotated[Path | None, case_list("validate on")]
TestList = Annotated[Path | None, case_list("test on")]
Patient = Annotated[
    str | None,
    typer.Option(metavar="REGEX", help="Start of a case's name that is its patient's; patients are kept together."),
]
Crop = Annotated[
    bool, typer.Option("--crop/--no-crop", help="la: crop around the label as published, or keep whole scans.")
]
Workers = Annotated[
    int | None, typer.Option(metavar="N", help="Processes (default: as many as processors, 4 at most).")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Prepare anew by other choices than the folder's.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]


def prepare(
    name: Name,
    source: Source,
    out: Out = None,
    modality: Modality = None,
    window: Window = None,
    spacing: Spacing = None,
    classes: Classes = None,
    seed: Seed = 0,
    test_share: Annotated[float, SHARE] = SPLIT["test_share"],
    validation_share: Annotated[float, SHARE] = SPLIT["validation_share"],
    labeled_list: LabeledList = None,
    validation_list: ValidationList = None,
    test_list: TestList = None,
    patient: Patient = None,
    crop: Crop = True,
    workers: Workers = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Prepare a folder of your own scans: NIfTI, NRRD, MetaImage or DICOM folders, with and without label.

    Turned to one orientation, normalised and split; the manifest tells what was done to each case. Run it again to go
    on where it stopped; only cases whose files changed are made anew. Exit code 1 when a case cannot be used.
    The name la is for the 2018 challenge's own scans, which are cropped and normalised as the field does.

    \b
    Examples:
      ssmis data prepare hearts --source scans --classes ventricle,atrium --patient "(p[0-9]+)_"
      ssmis train ugmcl --dataset nifti_folder --data-root data/nifti_folder/hearts --labeled 10
      ssmis data prepare la --source "Training Set" --no-crop
    """
    workers = min(4, os.cpu_count() or 1) if workers is None else workers
    how: dict[str, Any] = {"workers": workers, "overwrite": overwrite, "progress": not quiet}
    lists = {"labeled_list": labeled_list, "validation_list": validation_list, "test_list": test_list}
    if name == "la":
        own = {"modality": modality, "window": window, "spacing": spacing, "classes": classes, "patient": patient}
        shares = {"test_share": test_share, "validation_share": validation_share}
        given = [key for key, value in {**own, **lists}.items() if value is not None]
        given += [key for key, value in shares.items() if value != SPLIT[key]]
        _tell(_la(source, out, given, crop=crop, seed=seed, **how), "la")
        return
    _check_name(name, crop)
    wish = _wish(lists, seed=seed, test_share=test_share, validation_share=validation_share, patient=patient)
    choices: dict[str, Any] = {"modality": modality, "spacing": _spacing(spacing), "window": _window(window)}
    _tell(_own(name, source, out, wish, classes=classes, **choices, **how), "nifti_folder")


def _la(source: Path, out: Path | None, given: list[str], *, crop: bool, **how: Any) -> Preparation:
    """The challenge's scans. given: options that only one's own scans have."""
    from ssmis_core.datasets import data_directory
    from ssmis_core.datasets.preparation.left_atrium import prepare_la

    if given:
        flag = f"--{given[0].replace('_', '-')}"
        raise UserError(f"{flag}: is for your own scans; la is prepared as published, with or without --no-crop")
    home = data_directory() / "la"
    return prepare_la(source, out or (home if crop else home / "whole"), crop=crop, **how)


def _own(name: str, source: Path, out: Path | None, wish: Wish, *, classes: str | None, **how: Any) -> Preparation:
    """One's own scans."""
    from ssmis_core.datasets import data_directory
    from ssmis_core.datasets.preparation import prepare_folder

    names = classes.split(",") if classes is not None else None
    return prepare_folder(
        name, source, out or data_directory() / "nifti_folder" / name, classes=names, wish=wish, **how
    )


def _check_name(name: str, crop: bool) -> None:
    """UserError for a name that cannot be one's own data set's."""
    from ssmis_core.datasets import DATASETS

    if name == "acdc":
        raise UserError("'acdc': its files are read in place and need no preparation; see data/acdc/README.md")
    if name in DATASETS and name != "nifti_folder":
        raise UserError(f"{name!r} is a data set of its own; choose another name for your scans")
    if not name or Path(name).name != name or name.startswith("."):
        raise UserError(f"name {name!r}: expected one that can be a folder's")
    if not crop:
        raise UserError("--no-crop: is for la; your own scans are never cropped")


def _wish(lists: dict[str, Path | None], **how: Any) -> Wish:
    from ssmis_core.datasets.preparation import Wish
    from ssmis_core.datasets.preparation.splits import read_list

    for key, path in lists.items():
        how[key.removesuffix("_list")] = None if path is None else read_list(path)
    return Wish(**how)


def _tell(done: Preparation, dataset: str) -> None:
    """What was done; exit code 1 with problems."""
    print(done)
    if done.problems:
        print("\n".join(done.problems))
        left = "so there is no data set yet" if dataset == "nifti_folder" else "the other cases are there"
        print(f"ssmis: {len(done.problems)} problem(s), {left}; mend them and run it again", file=sys.stderr)
        raise typer.Exit(1)
    print(f"open it: --dataset {dataset} --data-root {done.folder}")


def _numbers(flag: str, text: str, counts: tuple[int, ...]) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) not in counts or not all(map(math.isfinite, numbers)):
        raise UserError(f"{flag} {text!r}: expected {' or '.join(map(str, counts))} numbers with commas between them")
    return numbers


def _spacing(text: str | None) -> tuple[float, ...] | None:
    return None if text is None else _numbers("--spacing", text, (1, 2, 3))


def _window(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    low, high = _numbers("--window", text, (2,))
    return low, high
