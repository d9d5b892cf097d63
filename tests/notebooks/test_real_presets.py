"""What the README and the notebooks promise of the presets, at their real sizes: minutes each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssmis_core import configure, evaluate_run, train
from ssmis_core.progress import silent
from ssmis_core.statistics import paired_difference

pytestmark = pytest.mark.slow
NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def run_notebook(require: Callable[[str, str], None], folder: Path, **parameters: Any) -> Path:
    """The run folder of 02_ugmcl as papermill executes it with these parameters."""
    require("papermill", "make install")
    import papermill

    executed = folder / "out.ipynb"
    parameters |= {"labeled": 16, "run_dir": str(folder / "run")}
    papermill.execute_notebook(
        str(NOTEBOOKS / "02_ugmcl.ipynb"), str(executed), parameters=parameters, cwd=str(folder), progress_bar=False
    )
    assert executed.stat().st_size < 6_000_000
    return folder / "run"


def dice(run: Path) -> float:
    return float(json.loads((run / "summary.json").read_text())["mean"]["dice"])


def test_the_walkthrough_on_the_phantom(require: Callable[[str, str], None], tmp_path: Path) -> None:
    run = run_notebook(require, tmp_path)
    assert dice(run) > 0.78  # 0.80 to 0.83 were seen; sums in another order move a training by 0.02
    assert dice(run / "extra" / "supervised") > 0.76


def test_the_walkthrough_on_the_left_atrium(require: Callable[[str, str], None], real_la: Path, tmp_path: Path) -> None:
    run = run_notebook(require, tmp_path, dataset="la", data_root=str(real_la))
    assert dice(run) > 0.70
    assert dice(run) > dice(run / "extra" / "supervised") - 0.03


def test_the_sizes_of_the_paper_start_on_the_left_atrium(real_la: Path, tmp_path: Path) -> None:
    config = configure("ugmcl", dataset="la", labeled=16, preset="full", iterations=3, log_every=1)
    assert (config.patch, config.options["labeled_per_batch"]) == ((112, 112, 80), 2)
    run = train(config, run_dir=tmp_path / "run", data_root=real_la, report=silent)
    assert run.status == "finished" and [row["iteration"] for row in run.rows("history")] == [1, 2, 3]


@pytest.mark.parametrize("dims", [2, 3])
def test_labels_are_worth_having_on_the_phantom(dims: int, tmp_path: Path) -> None:
    """80 labels reach 0.85, and 4 fall short of that by a tenth: there is something to win without labels."""
    runs = []
    for labeled in (80, 4):
        config = configure("supervised", dataset="phantom", dataset_options={"dims": dims}, labeled=labeled)
        runs.append(train(config, run_dir=tmp_path / str(labeled), report=silent))
        evaluate_run(runs[-1], save_predictions=False)
    scores = [[row["dice"] for row in run.rows("cases")] for run in runs]
    assert sum(scores[0]) / len(scores[0]) >= 0.84
    assert paired_difference(*scores).mean >= 0.09
