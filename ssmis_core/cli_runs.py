"""`ssmis methods`, `train`, `stop`, `evaluate` and `predict`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ssmis_core.cli_options import Counter, DataOptions, DataRoot, Device, LargestComponent, Precision, RunPath
from ssmis_core.errors import UserError

if TYPE_CHECKING:
    from ssmis_core.configuration import Configuration
    from ssmis_core.runs import Run

Method = Annotated[str, typer.Argument(metavar="METHOD", help="Name of the method; see `ssmis methods`.")]
DatasetOption = Annotated[str, typer.Option(metavar="NAME", help="Name of the data set; see `ssmis data list`.")]
Labeled = Annotated[
    int, typer.Option(metavar="N", help="How many training cases (ACDC: patients) keep their labels: the first N.")
]
RunDir = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Run folder (default: one of its own in runs/ for each combination of settings)."),
]
Preset = Annotated[
    str, typer.Option(metavar="NAME", help="quick: minutes on a laptop's CPU; full: the paper's budget and sizes.")
]
Variant = Annotated[
    str, typer.Option(metavar="NAME", help="paper: as the text has it; released: as the authors' code has it.")
]
Iterations = Annotated[int | None, typer.Option(metavar="N", help="Length of the training (default: the preset's).")]
Seed = Annotated[int, typer.Option(metavar="N", help="Every random draw follows from it.")]
MaxSeconds = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        help="Stop after so long, but not before one iteration; the same command goes on from there.",
    ),
]
Protocol = Annotated[
    str,
    typer.Option(metavar="NAME", help="Which weights count: last, best-on-validation, or best-on-test as in papers."),
]
ValidateEvery = Annotated[int, typer.Option(metavar="N", help="Iterations from one validation to the next; 0: none.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Option of the method (beta=0.5) or setting of the run (patch=64,64,32); may be given again.",
    ),
]
Evaluate = Annotated[bool, typer.Option("--evaluate/--no-evaluate", help="Score the test list at the end.")]
WatchQuality = Annotated[
    bool, typer.Option("--watch-quality", help="Compare pseudo-labels with the truth meanwhile, into quality.csv.")
]
Empty = Annotated[
    str, typer.Option(metavar="nan|zero", help="Distances of a missed object: none (nan), or 0 as in the papers' code.")
]
Split = Annotated[str, typer.Option(metavar="NAME", help="List of cases: test, validation or train.")]
Image = Annotated[Path, typer.Argument(metavar="IMAGE", help="NIfTI, NRRD, MetaImage, a DICOM folder or .h5.")]
Output = Annotated[
    Path | None, typer.Option(metavar="FILE", help="A .nii.gz file (default: IMAGE-labels.nii.gz in this folder).")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output when it is there already.")]


def methods(
    options: Annotated[str | None, typer.Option(metavar="NAME", help="Show the options of one method.")] = None,
) -> None:
    """List the methods, or the options of one with their defaults.

    \b
    Examples:
      ssmis methods
      ssmis methods --options ugmcl
    """
    from ssmis_core import cli_tables
    from ssmis_core.methods import METHODS, method_class
    from ssmis_core.methods.overview import overview

    if options is not None:
        print(cli_tables.options(method_class(options)))
        print("\nA preset changes some of these defaults: see ssmis_core/presets.toml. --set comes last and wins.")
        return
    found, broken = [], []
    for name in METHODS:
        try:
            found.append(overview(name))
        except UserError as error:  # of another package: the others are there all the same
            broken.append(f"left out: {error}")
    print("\n".join([cli_tables.methods(found), *broken]))
    print("\nThe options of one and their defaults: ssmis methods --options NAME")


def train(
    method: Method,
    dataset: DatasetOption = "phantom",
    labeled: Labeled = 16,
    run_dir: RunDir = None,
    data_root: DataRoot = None,
    data_option: DataOptions = None,
    preset: Preset = "quick",
    variant: Variant = "paper",
    iterations: Iterations = None,
    seed: Seed = 0,
    device: Device = "auto",
    max_seconds: MaxSeconds = None,
    protocol: Protocol = "last",
    validate_every: ValidateEvery = 0,
    set_: Settings = None,
    evaluate: Evaluate = True,
    watch_quality: WatchQuality = False,
) -> None:
    """Train a method, score the test list and print the table.

    Ctrl-C, or `ssmis stop` from elsewhere, stops it with everything saved; the same command goes on from there, to the
    same result.

    \b
    Examples:
      ssmis train ugmcl --labeled 16
      ssmis train ugmcl --dataset la --labeled 16 --preset full --run-dir runs/ugmcl-la-16
      ssmis train ugmcl --variant released --set beta=0.5 --set filters=4
      ssmis train mean_teacher --data-option dims=2 --protocol best-on-validation --validate-every 100
    """
    from ssmis_core.cli_values import data_options, run_settings
    from ssmis_core.configuration import configure
    from ssmis_core.runs import default_run_dir

    data: dict[str, Any] = {"dataset": dataset, "dataset_options": data_options(data_option), "data_root": data_root}
    named: dict[str, Any] = {"labeled": labeled, "preset": preset, "variant": variant, "seed": seed}
    length: dict[str, Any] = {"iterations": iterations, "protocol": protocol, "validate_every": validate_every}
    config = configure(method, **data, **named, **length, **run_settings(method, set_))
    folder = run_dir or default_run_dir(config)
    how: dict[str, Any] = {"device": device, "max_seconds": max_seconds, "watch_quality": watch_quality}
    _train(config, folder, data_root=data_root, evaluate=evaluate, **how)


def stop(run: RunPath) -> None:
    """Ask a training to end, wherever it runs: another terminal, a notebook, another machine with the same disk.

    It ends at its next logged iteration, with everything saved. The command or cell that started it goes on from there.

    \b
    Example:
      ssmis stop runs/ugmcl-la-16
    """
    from ssmis_core.interrupts import ask_to_stop

    print(f"{ask_to_stop(run)}: written; the training ends at its next logged iteration and deletes it")


def evaluate(
    run: RunPath,
    split: Split = "test",
    empty: Empty = "nan",
    largest_component: LargestComponent = False,
    data_root: DataRoot = None,
    device: Device = "auto",
    precision: Precision = "float32",
) -> None:
    """Score a run on whole scans.

    Prints the table, and writes cases.csv, summary.json and predictions/ to the run folder; for another list than the
    test list cases-SPLIT.csv, summary-SPLIT.json and predictions-SPLIT/. Your own scans (nifti_folder) are scored on
    the grid of each scan's own file. For them --data-root may be another prepared folder, of scans that the run has
    not seen; SPLIT is then external-NAME.

    \b
    Examples:
      ssmis evaluate runs/ugmcl-la-16
      ssmis evaluate runs/ugmcl-la-16 --empty zero --largest-component
      ssmis evaluate runs/hearts --data-root data/nifti_folder/other_hospital
    """
    opened = _open_run(run)
    choices: dict[str, Any] = {"split": split, "empty": empty, "largest_component": largest_component}
    _evaluate(opened, data_root=data_root, device=device, precision=precision, **choices)


def predict(
    run: RunPath,
    image: Image,
    output: Output = None,
    largest_component: LargestComponent = False,
    device: Device = "auto",
    precision: Precision = "float32",
    overwrite: Overwrite = False,
) -> None:
    """Label one image with a trained run.

    Writes NIfTI with the image's own voxel-to-world matrix. Grey values are scaled first as those of the training data
    were; the dataset `image` of an .h5 file, such as mri_norm2.h5 of LA, is taken as it is. A run on your own scans
    turns and resamples the image as `ssmis data prepare` did; for any other run nothing is turned or resampled: give
    it images with the axes and the voxel size of the training data; a warning tells of voxels of another size.

    \b
    Example:
      ssmis predict runs/ugmcl-la-16 scan.nii.gz --output scan-atrium.nii.gz
    """
    from ssmis_core.prediction import predict_file

    opened = _open_run(run)
    how: dict[str, Any] = {"device": device, "largest_component": largest_component, "precision": precision}
    done = predict_file(opened, image, output=output, overwrite=overwrite, **how)
    print(f"{image}: {done.note}")
    if done.warning:
        print(f"ssmis: warning: {image}: {done.warning}", file=sys.stderr)
    names = _class_names(opened, len(done.voxels))
    for number, name in enumerate(names):
        volume = f", {done.millilitres[number]:.1f} ml" if done.millilitres else ""
        print(f"label {number + 1} ({name}): {done.voxels[number]} voxels{volume}")
    print(f"labels: {done.path}")


def _train(
    config: Configuration,
    folder: Path,
    *,
    data_root: Path | None,
    device: str,
    evaluate: bool,
    **how: Any,
) -> None:
    """Train and, when it came to its end, evaluate."""
    if evaluate:
        _check_test_files(config, data_root)
    from ssmis_core.training import train as train_method

    run = train_method(config, run_dir=folder, data_root=data_root, device=device, **how)
    if run.status != "finished":
        done = run.info["iterations_done"]
        print(f"{run.status} at iteration {done} of {config.iterations}; everything is saved in {run.path}")
        print("The same command goes on from there.")
        if run.status == "interrupted":
            raise typer.Exit(130)
    elif evaluate:
        _evaluate(run, data_root=data_root, device=device)
    else:
        print(f"run folder: {run.path} (not evaluated: ssmis evaluate {run.path})")


def _check_test_files(config: Configuration, data_root: Path | None) -> None:
    """Find a bad file of the test list, or that there is none, now rather than after hours of training."""
    from ssmis_core.datasets import DATASETS, open_dataset

    if DATASETS[config.dataset].needs_files:
        dataset = open_dataset(config.dataset, data_root, **config.dataset_options)
        if not dataset.test:
            raise UserError(f"{config.dataset} has no test list to evaluate on; train with --no-evaluate")
        for _ in dataset.stream(dataset.test):
            pass


def _evaluate(run: Run, **how: Any) -> None:
    """Evaluate, with progress on stderr and the table on stdout."""
    from ssmis_core import cli_tables
    from ssmis_core.evaluation import evaluate_run

    summary = evaluate_run(run, report=Counter("evaluated"), **how)
    print(cli_tables.results(summary))
    print(cli_tables.conventions(summary, iterations=run.config.iterations))
    print(f"run folder: {run.path}")


def _open_run(path: Path) -> Run:
    """A run folder with weights."""
    from ssmis_core.runs import Run

    run = Run(path)
    if not run.info.get("shape") or not (path / "weights.safetensors").is_file():
        raise UserError(f"{path}: no weights yet (status: {run.status}); train it first")
    return run


def _class_names(run: Run, count: int) -> list[str]:
    """Names of the classes besides background; numbers where the data set's files, which know them, are not here."""
    try:
        return list(run.dataset().class_names)[1:]
    except UserError:
        return [f"class {number}" for number in range(1, count + 1)]
