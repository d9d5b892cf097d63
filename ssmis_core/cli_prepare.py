"""`ssmis data prepare`: a folder of one's own scans becomes a data set."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from ssmis_core.errors import UserError


def prepare(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call the data set.")],
    source: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Folder with images/ and labels/ (or imagesTr/ and labelsTr/)."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the prepared cases go (default: data/nifti_folder/NAME)."),
    ] = None,
    modality: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="mr: z-scored inside the body; ct: cut to a window (default: mr)."),
    ] = None,
    window: Annotated[
        str | None, typer.Option(metavar="LOW,HIGH", help="Hounsfield units of CT to keep (default: -125,275).")
    ] = None,
    spacing: Annotated[
        str | None,
        typer.Option(
            metavar="X,Y,Z", help="Resample to voxels of these mm; one number for all (default: as they are)."
        ),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Names of labels 1, 2, ... by commas, or VALUE=NAME by commas."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the split.")] = 0,
    test_share: Annotated[float, typer.Option(metavar="SHARE", help="Of the labeled patients.")] = 0.2,
    validation_share: Annotated[float, typer.Option(metavar="SHARE", help="Of the labeled patients.")] = 0.1,
    labeled_list: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Cases to learn from with their label, in this order; one a line."),
    ] = None,
    validation_list: Annotated[Path | None, typer.Option(metavar="FILE", help="Cases to validate on.")] = None,
    test_list: Annotated[Path | None, typer.Option(metavar="FILE", help="Cases to test on.")] = None,
    patient: Annotated[
        str | None,
        typer.Option(metavar="REGEX", help="Start of a case's name that is its patient's; patients are kept together."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Processes (default: as many as processors, 4 at most).")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Prepare anew by other choices than the folder's.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Prepare a folder of your own scans: NIfTI, NRRD, MetaImage or DICOM folders, with and without label.

    Turned to one orientation, normalised and split; the manifest tells what was done to each case. Run it again to go
    on where it stopped; only cases whose files changed are made anew. Exit code 1 when a case cannot be used.

    \b
    Examples:
      ssmis data prepare hearts --source scans --classes ventricle,atrium --patient "(p[0-9]+)_"
      ssmis train ugmcl --dataset nifti_folder --data-root data/nifti_folder/hearts --labeled 10
    """
    from ssmis_core.datasets import DATASETS, data_directory
    from ssmis_core.datasets.preparation import Wish, prepare_folder
    from ssmis_core.datasets.preparation.splits import read_list

    if name in DATASETS and name != "nifti_folder":
        raise UserError(f"{name!r} is a data set of its own; choose another name for your scans")
    if Path(name).name != name or name.startswith("."):
        raise UserError(f"name {name!r}: expected one that can be a folder's")
    lists = {
        key: None if path is None else read_list(path)
        for key, path in (("labeled", labeled_list), ("validation", validation_list), ("test", test_list))
    }
    done = prepare_folder(
        name,
        source,
        out or data_directory() / "nifti_folder" / name,
        modality=modality,
        spacing=_spacing(spacing),
        window=_window(window),
        classes=classes.split(",") if classes is not None else None,
        wish=Wish(seed=seed, test_share=test_share, validation_share=validation_share, patient=patient, **lists),
        workers=workers or min(4, os.cpu_count() or 1),
        overwrite=overwrite,
        progress=not quiet,
    )
    print(done)
    if done.problems:
        print("\n".join(done.problems))
        print(
            f"ssmis: {len(done.problems)} problem(s), so there is no data set yet; mend them and run it again",
            file=sys.stderr,
        )
        raise typer.Exit(1)
    print(f"open it: --dataset nifti_folder --data-root {done.folder}")


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
