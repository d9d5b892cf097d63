"""Which run folders are one contestant, what it is called, and which of them are never held against each other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from ssmis_core import cli
from ssmis_core.comparison_report import count_costs, make_report, tables
from ssmis_core.contestants import read_runs
from ssmis_core.difference_table import in_words
from ssmis_core.errors import UserError
from ssmis_core.runs import Run
from ssmis_core.scored_runs import data_in_words

CONVENTIONS = {"split": "test", "empty": "nan", "status": "finished"}
Make = Callable[..., Path]


@pytest.fixture
def evaluated(tiny: Callable[..., Any], tmp_path: Path) -> Make:
    """`evaluated("a", "ssnet", dice=0.5)`: an evaluated run folder, without the training."""

    def make(
        place: str,
        method: str = "supervised",
        *,
        dice: float = 0.5,
        cases: str = "xyz",
        info: dict[str, Any] | None = None,
        **changes: Any,
    ) -> Path:
        run = Run.create(tmp_path / place, tiny(method, **changes))
        told = {"status": "finished", "iterations_done": run.config.iterations, "seconds": 1.0, **(info or {})}
        run.update(**told)
        classes = range(1, run.config.dataset_options["num_classes"])
        scores = {"dice": dice, "jaccard": dice, "hd95": 2.0, "asd": 1.0}
        run.write_rows("cases", [{"case": case, "class": f"c{k}", **scores} for case in cases for k in classes])
        summary = {"cases": len(cases), "missed": 0, "mean": scores, "classes": {f"c{k}": {} for k in classes}}
        said = {**CONVENTIONS, "status": told["status"], "iteration": told["iterations_done"]}
        (run.path / "summary.json").write_text(json.dumps({**summary, "conventions": said}))
        return run.path

    return make


@pytest.mark.parametrize("changes", [{"num_classes": 4}, {"size": 48}])
def test_runs_on_other_data_are_never_paired(evaluated: Make, changes: dict[str, int]) -> None:
    other = {"dims": 2, "size": 32, **changes}
    runs = [evaluated("a"), evaluated("b", "ssnet", dataset_options=other)]
    report = make_report(read_runs(runs), baseline=None, costs={})
    assert len(report.settings) == 2 and not report.rows
    assert len({in_words(setting) for setting in report.settings}) == 2  # and the titles say which is which
    same = make_report(read_runs([runs[0], evaluated("c", "ssnet")]), baseline=None, costs={})
    assert len(same.settings) == 1 and same.rows


def test_the_data_of_a_prepared_folder_is_its_fingerprint() -> None:
    told = [data_in_words({"fingerprint": digit * 64, "recipe": {"dims": 3}}) for digit in "ab"]
    assert told == ["fingerprint=" + "a" * 12, "fingerprint=" + "b" * 12]
    assert data_in_words({"dims": 2, "size": [32, 48]}) == "size=32x48" and data_in_words({}) == ""


def test_the_same_data_scored_on_other_cases_is_refused(evaluated: Make) -> None:
    runs = [evaluated("a"), evaluated("b", "ssnet", cases="xyw")]
    with pytest.raises(UserError, match=r"b: was scored on other test cases .*a \(2 apart, w, c1 the first\)"):
        read_runs(runs)


def names(*folders: Path) -> list[str]:
    return [one.name for one in read_runs(folders)]


def test_imported_weights_are_no_seed_of_ones_own_trainings(evaluated: Make) -> None:
    def imported(place: str, file: str, digits: str) -> Path:
        told = {"file": file, "sha256": digits * 64, "from": "ssnet"}
        return evaluated(place, "ssnet", info={"status": "imported", "iterations_done": 0, "imported": told})

    own, theirs, other = evaluated("own", "ssnet"), imported("a", "best.pth", "a"), imported("b", "last.pth", "b")
    assert names(own, theirs, other) == ["ssnet", "ssnet (imported best.pth)", "ssnet (imported last.pth)"]
    again = imported("c", "best.pth", "c")  # many authors' files have the same name
    assert names(theirs, again) == ["ssnet (imported best.pth aaaaaaaa)", "ssnet (imported best.pth cccccccc)"]
    with pytest.raises(UserError, match="are runs of the same settings and seed"):
        names(theirs, imported("d", "best.pth", "a"))


def test_a_training_cut_short_is_no_seed_of_finished_ones(evaluated: Make) -> None:
    whole, cut = (
        evaluated(place, "ssnet", seed=seed, info=info)
        for place, seed, info in (("whole", 0, {}), ("cut", 1, {"status": "stopped", "iterations_done": 1}))
    )
    assert names(whole, cut) == ["ssnet", "ssnet (trained to iteration 1 of 6)"]
    Run(cut).update(status="finished", iterations_done=6)  # gone on with, but not evaluated again
    assert names(whole, cut) == ["ssnet", "ssnet (trained to iteration 1 of 6)"]


def test_names_do_not_depend_on_the_order_and_tell_what_the_preset_has_otherwise(evaluated: Make) -> None:
    plain, changed = evaluated("a", "mean_teacher"), evaluated("b", "mean_teacher", weight=0.5)
    assert names(changed, plain) == [*reversed(names(plain, changed))] == ["mean_teacher (weight=0.5)", "mean_teacher"]
    other = evaluated("c", "mean_teacher", weight=0.7)
    assert names(other, changed) == ["mean_teacher (weight=0.7)", "mean_teacher (weight=0.5)"]
    short = evaluated("d", iterations=3)  # every other setting of a tiny run is also that of its rivals
    assert names(plain, changed, short)[2] == "supervised (iterations=3)"
    report = make_report(read_runs([plain, changed, short]), baseline=None, costs={})
    assert [*report.baselines.values()] == [("supervised (iterations=3)", "paper")]


def test_scores_of_fewer_cases_than_the_summary_has_are_refused(evaluated: Make) -> None:
    folder = evaluated("a", dataset_options={"dims": 2, "size": 32, "num_classes": 4})
    lines = (folder / "cases.csv").read_text().splitlines()
    for kept, found in (
        (lines[:4], "1 test cases with 3"),
        (lines[:-1], "3 test cases with 8"),
        (None, "0 test cases"),
    ):
        (folder / "cases.csv").unlink() if kept is None else (folder / "cases.csv").write_text("\n".join(kept) + "\n")
        with pytest.raises(UserError, match=rf"a/cases.csv: has {found}.*, expected 3 with 9 as in summary.json"):
            read_runs([folder])


def test_runs_of_a_method_that_is_not_registered_any_more_are_compared_all_the_same(evaluated: Make) -> None:
    folders = [evaluated("a"), evaluated("b", "ssnet", dice=0.7)]
    text = (folders[1] / "run.json").read_text()
    (folders[1] / "run.json").write_text(text.replace('"method": "ssnet"', '"method": "forgotten"'))
    (folders[1] / "weights.safetensors").write_bytes(b"")
    scored = read_runs(folders)
    assert count_costs(scored) == {}
    shown = [table.rows for table in tables(make_report(scored, baseline=None, costs={}))]
    assert [row[0] for row in shown[0][1:]] == ["supervised", "forgotten"]
    assert shown[1][1][0] == "forgotten minus supervised"


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ('"filters":', '"forgotten": 1, "filters":', "forgotten"),
        ("", "", "weights.safetensors: does not fit the supervised of run.json; Missing key"),
    ],
)
def test_runs_of_another_version_have_no_cost_and_say_why(evaluated: Make, before: str, after: str, told: str) -> None:
    folder = evaluated("a")
    Run(folder).update(shape={"num_classes": 2, "dims": 2, "channels": 1})
    save_file({"network.other": torch.zeros(1)}, folder / "weights.safetensors")
    text = (folder / "run.json").read_text()
    (folder / "run.json").write_text(text.replace(before, after) if before else text)
    with pytest.raises(UserError, match=told):
        Run(folder).method()
    assert count_costs(read_runs([folder])) == {}


def test_where_one_destination_cannot_be_written_none_is(
    evaluated: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [str(evaluated("a")), str(evaluated("b", "ssnet"))]
    out, file = tmp_path / "out", tmp_path / "file"
    file.touch()
    for wrong, told in (
        (["--html", str(tmp_path)], "it is a folder"),
        (["--html", str(file / "page.html")], f"{file} is a file"),
        (["--csv", str(file)], f"{file} is a file"),
        (["--html", str(out / "new.tex")], "is asked for twice"),
    ):
        assert cli.run(["compare", *runs, "--no-costs", "--latex", str(out / "new.tex"), *wrong]) == 2
        error = capsys.readouterr().err
        assert told in error and error.count("\n") == 1 and not out.exists()
