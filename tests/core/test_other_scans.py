"""A run on one's own scans is taken to scans of somebody else: scored with a word of it, or refused in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssmis_core import Run, cli
from ssmis_core.datasets.preparation import Wish, prepare_folder
from tests.core.cli_helpers import contents, empty_folder, refused
from tests.core.datasets.own_helpers import OBLIQUE, affine_of, blocks, scan, write_image
from tests.core.other_scans import NAMES, others, run_on_own_scans

fresh = pytest.fixture(autouse=True)(empty_folder)
here = pytest.fixture(scope="module")(run_on_own_scans)


@pytest.fixture
def run(here: Path, tmp_path: Path) -> Path:
    """A copy of the run, to evaluate anew."""
    return Path(shutil.copytree(here / "run", tmp_path / "run"))


def test_other_scans_are_scored_beside_the_runs_own_result_with_a_clear_word(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there, before = others(tmp_path / "there"), contents(run)
    assert cli.run(["evaluate", str(run), "--data-root", str(there), "--device", "cpu"]) == 0
    told = capsys.readouterr().out
    assert "Other scans than the run's" in told and "2 external-theirs cases" in told and str(there) in told
    found = Run(run)
    assert len(found.rows("cases-external-theirs")) == 4
    assert len(list((run / "predictions-external-theirs").iterdir())) == 2
    said = json.loads((run / "summary-external-theirs.json").read_text())["conventions"]
    assert said["split"] == "external-theirs" and "not the data that the run was trained on" in said["external"]
    assert "voxel_size" not in said
    assert [row["split"] for row in found.rows("evaluations")] == ["test"] * 4 + ["external-theirs"] * 4
    after = contents(run)
    assert {name for name in before if after[name] != before[name]} == {"evaluations.csv"}
    assert cli.run(["evaluate", str(run), "--device", "cpu"]) == 0
    assert "Other scans" not in capsys.readouterr().out


def test_scores_of_another_folder_of_the_same_name_are_not_overwritten(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = others(tmp_path / "first"), others(tmp_path / "second", affine=affine_of(spacing=(1, 1, 2)))
    command = ["evaluate", str(run), "--device", "cpu", "--data-root"]
    assert cli.run([*command, str(first)]) == 0
    before = contents(run)
    told = refused([*command, str(second)], capsys)
    assert f"has the scores of {first}" in told and f"prepare {second} under another name" in told
    assert contents(run) == before
    moved = shutil.copytree(first.parent, tmp_path / "moved") / first.name
    for own in (first, first / ".." / first.name, moved):  # its own again, by other names too
        assert cli.run([*command, str(own)]) == 0
    (run / "summary-external-theirs.json").write_text("{")
    assert cli.run([*command, str(first)]) == 0 and Run(run).summary_of("-external-theirs")["cases"] == 2


def test_other_voxel_sizes_are_told(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = others(tmp_path / "there", affine=affine_of(spacing=(1.1, 3.0, 1.4)))
    assert cli.run(["evaluate", str(run), "--data-root", str(there), "--device", "cpu"]) == 0
    assert "2 of 2 scans differ by more than 25 % from all training scans" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"classes": ["tail", "head"]}, "classes background, tail, head, expected background, head, tail"),
        ({"classes": ["head", "tail", "toe"]}, "number of classes 4, expected 3"),
        ({"modality": "ct", "window": (0.0, 500.0)}, "modality of the recipe ct, expected mr"),
    ],
)
def test_scans_that_do_not_fit_are_one_line(
    run: Path, tmp_path: Path, how: dict[str, Any], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    there = others(tmp_path / "there", **how)
    assert told in refused(["evaluate", str(run), "--data-root", str(there)], capsys)


def test_channels_must_be_as_many(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "scans"
    for number in range(2):
        two = np.stack([scan(seed=number), scan(seed=number + 5)], -1)
        write_image(source / "images" / f"a{number}.nii.gz", two, OBLIQUE)
        write_image(source / "labels" / f"a{number}.nii.gz", blocks(seed=number), OBLIQUE)
    prepare_folder("theirs", source, tmp_path / "out", classes=NAMES)
    told = refused(["evaluate", str(run), "--data-root", str(tmp_path / "out")], capsys)
    assert "channels 2, expected 1" in told


def test_scans_that_training_used_are_refused_also_under_other_names(
    here: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run's own folder split anew, and a training scan among another's scans."""
    prepare_folder("mine", here / "scans", tmp_path / "again", classes=NAMES, wish=Wish(seed=3, test_share=0.8))
    told = refused(["evaluate", str(run), "--data-root", str(tmp_path / "again")], capsys)
    assert "training used this very scan" in told and "and" in told
    there = tmp_path / "there"
    trained = Run(run).dataset(here / "out").split(2)[0][0]
    for kind in ("images", "labels"):
        (there / "scans" / kind).mkdir(parents=True)
        shutil.copy(here / "scans" / kind / f"{trained}.nii.gz", there / "scans" / kind / "zed.nii.gz")
    others(there, wish=Wish(test=("zed", "case_1")))
    told = refused(["evaluate", str(run), "--data-root", str(there / "out")], capsys)
    assert "zed.h5: training used this very scan, expected" in told


def test_an_older_run_says_that_it_cannot_know(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there, info = others(tmp_path / "there"), json.loads((run / "run.json").read_text())
    del info["training"]
    (run / "run.json").write_text(json.dumps(info))
    assert cli.run(["evaluate", str(run), "--data-root", str(there), "--device", "cpu"]) == 0
    assert "run.json does not tell whether its training used some of them" in capsys.readouterr().out
