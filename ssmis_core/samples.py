"""Trained samples: small runs that explorers and newcomers start from, kept in data/samples/<data set>/<method>/.

    run = open_sample("phantom/ugmcl")
    method = run.method()

A sample is a run folder without what only training needs. Its weights are stored with half the bytes, and its scores
are those of the weights as stored. `benchmarks/train_samples.py` makes them.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ssmis_core.datasets import data_directory
from ssmis_core.errors import UserError, unknown
from ssmis_core.files import staged, write_json
from ssmis_core.runs import Run

LIMIT = 5_000_000  # bytes of the weights
TRAINING_ONLY = ("data_root", "measured_on")  # entries of run.json that tell of one machine's folders and loads


def samples(root: str | os.PathLike[str] | None = None) -> list[str]:
    """Names of the samples that are here, such as "la/ugmcl". root: default data/samples of the repository."""
    folder = _folder(root)
    return sorted(str(path.parent.relative_to(folder).as_posix()) for path in folder.glob("[!.]*/[!.]*/run.json"))


def open_sample(name: str, root: str | os.PathLike[str] | None = None) -> Run:
    """A sample by name; UserError for one that is not here, listing those that are."""
    known = samples(root)
    if name not in known:
        raise unknown("sample", name, known)
    return Run(_folder(root) / name)


def copy_sample(name: str, folder: str | os.PathLike[str], root: str | os.PathLike[str] | None = None) -> Run:
    """A copy of a sample in a folder of one's own, to evaluate, review or spoil; a copy that is there already is kept.

    Raises UserError for an unknown sample, and for a folder that holds something else.
    """
    sample, folder = open_sample(name, root), Path(folder)
    if (folder / "run.json").is_file():
        copy = Run(folder)
        differences = sample.config.differences(copy.config)
        if differences:
            raise UserError(f"{folder}: holds a run other than sample {name} ({'; '.join(differences[:4])})")
        return copy
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder}: holds something that is not a run, expected an empty or new folder")
    with staged(folder) as fresh:
        shutil.copytree(sample.path, fresh)
    return Run(folder)


def export_sample(
    run: Run,
    folder: str | os.PathLike[str],
    *,
    data_root: str | os.PathLike[str] | None = None,
    device: str = "auto",
) -> Run:
    """Write a finished run as a sample to `folder`, whole or not at all, and score the weights that it has there.

    Every weight is kept, teachers and memories too: floating ones as float16, which loses about 3 decimal digits of 7.
    run.json keeps the mean Dice before that as `stored.dice_in_full`. Raises UserError for a run that is not finished
    and evaluated, for weights that float16 cannot hold, and for more than 5 MB of them.
    """
    from ssmis_core.evaluation import evaluate_run

    folder = Path(folder)
    if run.status != "finished":
        raise UserError(f"{run.path}: is {run.status}, expected a finished run to make a sample of")
    before = run.summary["mean"].get("dice")
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        info = {key: value for key, value in run.info.items() if key not in TRAINING_ONLY}
        write_json(part / "run.json", {**info, "stored": {"weights": "float16", "dice_in_full": before}})
        sample = Run(part)
        _store(run, sample)
        sample.write_rows("history", run.rows("history"))
        evaluate_run(sample, data_root=data_root, device=device, save_predictions=False)
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Run(folder)


def _store(run: Run, sample: Run) -> None:
    import torch

    weights = {
        key: value.to(torch.float16) if value.is_floating_point() else value
        for key, value in run.load_weights().items()
    }
    for key, value in weights.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise UserError(f"{run.path}: weights {key} do not fit into float16")
    size = sum(value.nbytes for value in weights.values())
    if size > LIMIT:
        raise UserError(
            f"{run.path}: {size / 1e6:.1f} MB of weights, expected at most {LIMIT / 1e6:.0f}; fewer filters?"
        )
    sample.save_weights(weights)


def _folder(root: str | os.PathLike[str] | None) -> Path:
    return data_directory() / "samples" if root is None else Path(root)
