"""`ssmis import-weights`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ssmis_core.cli_options import DataOptions, DataRoot
from ssmis_core.cli_runs import DatasetOption, Labeled, RunDir


def import_weights(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An author's weights: .pth or .pt.")],
    source: Annotated[
        str, typer.Option("--from", metavar="NAME", help="Whose: ssnet, mcnet, dtc, uamt, ugmcl, tracoco or bcp.")
    ],
    dataset: DatasetOption = "la",
    labeled: Labeled = 16,
    run_dir: RunDir = None,
    data_root: DataRoot = None,
    data_option: DataOptions = None,
) -> None:
    """Make a run folder of weights that a method's authors published.

    The file is read as tensors alone; one that would run code is refused. Networks, filters and classes are recognised
    from the names and shapes in it. The run evaluates, predicts and is reviewed like one of your own.

    \b
    Example:
      ssmis import-weights SSNet_LA_16.pth --from ssnet --dataset la --labeled 16 --run-dir runs/ssnet-authors
      ssmis evaluate runs/ssnet-authors
    """
    from ssmis_core.cli_values import data_options
    from ssmis_core.published_weights import import_weights as import_file
    from ssmis_core.runs import runs_root

    folder = run_dir or runs_root() / f"{source}-{file.stem}"
    given: dict[str, Any] = {"dataset": dataset, "labeled": labeled, "data_root": data_root}
    run = import_file(file, source, run_dir=folder, dataset_options=data_options(data_option), **given)
    left_out = run.info["imported"]["left_out"]
    told = f", {len(left_out)} tensors beside them left out" if left_out else ""
    print(f"{file}: weights of {run.config.method} on {dataset}{told}")
    print(f"run folder: {run.path} (not evaluated: ssmis evaluate {run.path})")
