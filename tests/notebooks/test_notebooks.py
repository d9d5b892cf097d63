"""Every notebook runs from its parameters, without a reader, and leaves its figures and a whole run folder."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
PLOTLY = "application/vnd.plotly.v1+json"
LARGEST = 6_000_000  # bytes of an executed notebook
FILES = ("run.json", "history.csv", "evaluations.csv", "cases.csv", "summary.json", "weights.safetensors")

FIGURES = {
    "00_start_here": [
        "labeled-cases",
        "unlabeled-cases",
        "metrics",
        "live",
        "loss-terms",
        "watch",
        "live-all",
        "results",
        "best-median-worst",
        "browse-cases",
    ],
    "01_ssnet": [
        "idea",
        "labeled-cases",
        "unlabeled-cases",
        "live",
        "loss-terms",
        "adversarial-noise",
        "explore-noise",
        "noise-curve",
        "who-enters",
        "prototype-distance",
        "distance-histogram",
        "explore-separation",
        "results",
        "best-median-worst",
        "ablation",
        "published",
    ],
    "02_ugmcl": [
        "idea",
        "labeled-cases",
        "unlabeled-cases",
        "signed-distance",
        "surface",
        "inverse-transform",
        "live",
        "loss-terms",
        "uncertainty",
        "certainty-ramp",
        "explore-certainty",
        "student-teacher",
        "two-tasks",
        "explore-distance",
        "results",
        "best-median-worst",
        "ablation",
        "published",
    ],
    "03_tracoco": [
        "idea",
        "labeled-cases",
        "unlabeled-cases",
        "two-crops",
        "live",
        "loss-terms",
        "overlap-answers",
        "two-networks",
        "confident",
        "explore-overlap",
        "pasted",
        "results",
        "best-median-worst",
        "ablation",
        "published",
    ],
    "04_cpam_trcm": [
        "idea",
        "labeled-cases",
        "unlabeled-cases",
        "box",
        "mixes",
        "live",
        "loss-terms",
        "pseudo-labels",
        "reliable",
        "what-counts",
        "explore-mixes",
        "results",
        "best-median-worst",
        "ablation",
        "published",
    ],
}
WITHOUT_TRAINING = {
    "05_metrics": [
        "explore-metrics",
        "mistakes",
        "surface-distances",
        "missed-cases",
        "same-mean",
        "spacing",
        "size",
        "real-predictions",
        "real-distances",
        "cases-needed",
        "picked",
        "published",
    ],
}
OWN_SCANS = {  # run by test_your_data_notebook.py
    "06_your_data": [
        "volumes",
        "grey",
        "labeled-cases",
        "unlabeled-cases",
        "live",
        "structures",
        "results",
        "best-median-worst",
        "overlay",
        "ranking",
        "worst",
    ],
}
COMPARED = {  # run by test_compare_notebook.py
    "07_compare": [
        "boxes",
        "slopes",
        "agreement",
        "p",
        "seeds",
        "bootstrap",
        "many",
        "forest",
        "power",
        "published",
        "cost",
    ],
}
MAY_BE_EMPTY = ("live", "live-all", "loss-terms", "watch")  # a training cut short may have no logged iteration
EXTRA = {
    "00_start_here": ("all_labels",),
    "01_ssnet": ("supervised", "without_smoothness"),
    "02_ugmcl": ("supervised", "with_distance"),
    "03_tracoco": ("supervised", "without_translation"),
    "04_cpam_trcm": ("supervised", "without_trcm"),
}
LABELED = {"00_start_here": 4, "01_ssnet": 8, "02_ugmcl": 16, "03_tracoco": 16, "04_cpam_trcm": 4}
SMALL = {"patch": [32, 32, 16], "stride": [32, 32, 16], "filters": 2}
SOLID = {"dataset_options": {"size": [32, 32, 16]}, "settings": SMALL}
FLAT = {"settings": {"patch": [32, 32], "stride": [32, 32], "filters": 2}}
FLAT_OPTIONS = {"dims": 2, "size": 32}


def execute(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **parameters: Any) -> dict[str, Any]:
    """The notebook as papermill leaves it."""
    import papermill

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("SSMIS_RUNS", raising=False)
    monkeypatch.delenv("PLOTLY_RENDERER", raising=False)
    out = folder / f"{name}.ipynb"
    papermill.execute_notebook(
        str(NOTEBOOKS / f"{name}.ipynb"), str(out), parameters=parameters, cwd=str(folder), progress_bar=False
    )
    assert out.stat().st_size < LARGEST
    return json.loads(out.read_text())


def figures(notebook: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """{tag without "figure-": plotly outputs} of the executed cells."""
    found: dict[str, list[dict[str, Any]]] = {}
    for cell in notebook["cells"]:
        for tag in cell["metadata"].get("tags", []):
            if tag.startswith("figure-"):
                outputs = cell.get("outputs", [])
                found[tag.removeprefix("figure-")] = [o["data"][PLOTLY] for o in outputs if PLOTLY in o.get("data", {})]
    return found


def printed(notebook: dict[str, Any]) -> str:
    """All that the cells of an executed notebook printed."""
    outputs = (output for cell in notebook["cells"] for output in cell.get("outputs", []))
    return "".join("".join(output["text"]) for output in outputs if output["output_type"] == "stream")


def assert_figures(notebook: dict[str, Any], names: list[str]) -> None:
    """No error, and every figure once, with title and description."""
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    assert [o for o in outputs if o["output_type"] == "error"] == []
    drawn = figures(notebook)
    assert {tag: len(found) for tag, found in drawn.items()} == dict.fromkeys(names, 1)
    for tag, (figure,) in drawn.items():
        assert figure["layout"]["title"]["text"], tag
        assert figure["layout"]["meta"]["alt"], tag
        assert figure["data"] or figure["layout"].get("shapes") or tag in MAY_BE_EMPTY, tag


def assert_whole(notebook: dict[str, Any], name: str, run: Path, *, test_cases: int = 20) -> None:
    """No error, every figure once with title and description, and complete run folders."""
    assert_figures(notebook, FIGURES[name])
    for folder in (run, *(run / "extra" / extra for extra in EXTRA[name])):
        assert [file for file in FILES if not (folder / file).is_file()] == []
        assert len(list((folder / "predictions").glob("*.nii.gz"))) == test_cases


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_a_notebook_runs_on_volumes_and_shows_every_figure(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = execute(name, tmp_path, monkeypatch, iterations=3, labeled=4, run_dir=str(tmp_path / "run"), **SOLID)
    assert_whole(notebook, name, tmp_path / "run")


def test_ugmcl_runs_on_slices_with_several_classes_into_a_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {**FLAT_OPTIONS, "num_classes": 4}
    notebook = execute("02_ugmcl", tmp_path, monkeypatch, iterations=3, dataset_options=options, beta=0.5, **FLAT)
    (run,) = (tmp_path / "runs").iterdir()
    assert run.name.startswith("02_ugmcl-phantom-16-quick-seed0-")
    assert json.loads((run / "run.json").read_text())["configuration"]["options"]["beta"] == 0.5
    assert_whole(notebook, "02_ugmcl", run)


@pytest.mark.slow  # the quick tests have the same with UG-MCL, as the next
def test_ssnet_runs_on_slices_with_several_classes_as_released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {**FLAT_OPTIONS, "num_classes": 4}
    own = {"variant": "released", "epsilon": 2.0, "run_dir": str(tmp_path / "run")}
    notebook = execute("01_ssnet", tmp_path, monkeypatch, iterations=3, dataset_options=options, **own, **FLAT)
    chosen = json.loads((tmp_path / "run" / "run.json").read_text())["configuration"]["options"]
    assert (chosen["epsilon"], chosen["prototypes"]) == (2.0, "lowest")
    assert_whole(notebook, "01_ssnet", tmp_path / "run")


@pytest.mark.slow
def test_tracoco_runs_on_slices_with_several_classes_and_without_boxes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, run = {**FLAT_OPTIONS, "num_classes": 4}, tmp_path / "run"
    own = {"variant": "released", "cutmix": "none", "positive": 0.3, "run_dir": str(run)}
    notebook = execute("03_tracoco", tmp_path, monkeypatch, iterations=3, dataset_options=options, **own, **FLAT)
    assert json.loads((run / "run.json").read_text())["configuration"]["options"]["positive"] == 0.3
    assert_whole(notebook, "03_tracoco", run)


@pytest.mark.parametrize(
    "options",
    [{"size": [33, 32, 18]}, pytest.param({"dims": 2, "size": 48, "num_classes": 4}, marks=pytest.mark.slow)],
)
def test_the_metrics_are_shown_on_volumes_and_on_slices_with_several_classes(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = execute("05_metrics", tmp_path, monkeypatch, dataset_options=options, device="cpu")
    assert_figures(notebook, WITHOUT_TRAINING["05_metrics"])
    assert "phantom-080: " in printed(notebook)


def test_the_metrics_are_shown_on_the_left_atrium(
    real_la: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = execute("05_metrics", tmp_path, monkeypatch, dataset="la", data_root=str(real_la), device="cpu")
    assert_figures(notebook, WITHOUT_TRAINING["05_metrics"])
    assert "la: supervised 77.3 % Dice, UG-MCL 76.2 %, 20 test cases" in printed(notebook)


@pytest.mark.parametrize("name", ["02_ugmcl", pytest.param("04_cpam_trcm", marks=pytest.mark.slow)])
def test_a_training_that_is_cut_short_leaves_the_other_cells_working(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {"iterations": 10_000, "max_seconds": 0.2, "run_dir": str(tmp_path / "run")}
    notebook = execute(name, tmp_path, monkeypatch, dataset_options=FLAT_OPTIONS, **limits, **FLAT)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "stopped"
    assert_whole(notebook, name, tmp_path / "run")


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_a_notebook_takes_the_parameters_that_all_share(name: str) -> None:
    notebook = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text())
    cells = [c for c in notebook["cells"] if "parameters" in c["metadata"].get("tags", [])]
    values: dict[str, Any] = {}
    exec("".join(cells[0]["source"]), {}, values)
    assert len(cells) == 1
    shared = {"dataset": "phantom", "data_root": None, "preset": "quick", "iterations": None, "max_seconds": None}
    shared |= {"seed": 0, "device": "auto", "variant": "paper", "run_dir": None, "dataset_options": None}
    assert {key: values[key] for key in shared} == shared
    assert values["labeled"] == LABELED[name]


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_what_an_exercise_sets_is_a_parameter_or_a_setting_that_the_baseline_has_too(name: str) -> None:
    """`settings` goes to every training of a notebook, so an option of one method alone would stop the controls."""
    from ssmis_core.cli_values import setting_types

    cells = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text())["cells"]
    (given,) = ("".join(c["source"]) for c in cells if "parameters" in c["metadata"].get("tags", []))
    prose = "".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    exercises = prose.partition("## Exercises")[2].partition("## References")[0]
    known: dict[str, Any] = {}
    exec(given, {}, known)
    assert set(re.findall(r"`(\w+)=", exercises)) <= known.keys()
    assert set(re.findall(r"[Ss]et `(\w+)`", exercises)) <= known.keys()
    for settings in re.findall(r"settings=\{(.*?)\}", exercises):
        assert set(re.findall(r'"(\w+)":', settings)) <= setting_types("supervised").keys()


@pytest.mark.parametrize("name", sorted(FIGURES | WITHOUT_TRAINING | OWN_SCANS | COMPARED))
def test_the_cells_of_a_notebook_are_short_and_a_third_of_them_are_prose(name: str) -> None:
    cells = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text())["cells"]
    code = [c for c in cells if c["cell_type"] == "code"]
    longest = max(len(c["source"]) for c in code if "parameters" not in c["metadata"].get("tags", []))
    assert longest <= 18
    assert 3 * (len(cells) - len(code)) >= len(cells)
    assert len(cells) <= 60
