"""Run folders that are damaged, half made or something else: one line that names the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssmis_core import Run, UserError, evaluate_run
from ssmis_core.configuration import Configuration
from ssmis_core.runs import default_run_dir

Tiny = Callable[..., Configuration]
Quietly = Callable[..., Run]


def test_a_kill_before_anything_was_written_does_not_bar_the_folder(
    tiny: Tiny, quietly: Quietly, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".run.json.part").write_text('{"half')
    assert quietly(tiny("supervised", iterations=1), tmp_path / "run").status == "finished"


def test_a_damaged_checkpoint_is_one_line_that_names_it(
    tiny: Tiny, quietly: Quietly, clockwork: Any, tmp_path: Path
) -> None:
    run = quietly(tiny(), tmp_path / "run", max_seconds=2, observers=[clockwork.observer()])
    path = run.path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"checkpoint\.pt: cannot be read"):
        quietly(tiny(), run.path)


def test_whoever_may_read_the_run_may_read_its_weights(tiny: Tiny, quietly: Quietly, tmp_path: Path) -> None:
    run = quietly(tiny("supervised", iterations=1), tmp_path / "run")
    assert len({path.stat().st_mode for path in run.path.iterdir()}) == 1


def test_damaged_weights_are_one_line_that_names_them(tiny: Tiny, quietly: Quietly, tmp_path: Path) -> None:
    run = quietly(tiny("supervised", iterations=1), tmp_path / "run")
    (run.path / "weights.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(UserError, match=r"weights\.safetensors: cannot be read"):
        evaluate_run(run, device="cpu")
    (run.path / "weights.safetensors").unlink()
    with pytest.raises(UserError, match=r"no weights yet \(status: finished\)"):
        evaluate_run(run, device="cpu")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"configuration": {"met', "23 bytes that are not whole JSON: Unterminated string"),
        ("", "an empty file"),
        ("\xff", "1 bytes that are not whole JSON"),
        ("[]", "a list"),
        ("{}", "no 'configuration' and no 'status'"),
        ('{"configuration": {}, "status": "new"}', "a configuration with no 'factor'"),
        (
            '{"configuration": 3, "status": "new"}',
            "int for 'configuration', not dict",
        ),
        ('{"configuration": {}, "status": 1}', "int for 'status', not str"),
    ],
)
def test_a_damaged_run_json_is_one_line_that_names_it(text: str, found: str, tiny: Tiny, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", tiny())
    (run.path / "run.json").write_bytes(text.encode("latin-1"))
    for read in (lambda: Run(run.path), lambda: run.config, lambda: Run.create(run.path, tiny())):
        with pytest.raises(UserError) as caught:
            read()
        told = str(caught.value)
        assert told.startswith(f"{run.path / 'run.json'}: cannot be read (found {found}") and "\n" not in told
        assert told.endswith("), expected what training writes")


def test_a_damaged_summary_is_one_line_that_says_how_to_write_it_anew(
    tiny: Tiny, quietly: Quietly, tmp_path: Path
) -> None:
    run = quietly(tiny("supervised", iterations=1), tmp_path / "run")
    evaluate_run(run, save_predictions=False, device="cpu")
    path = run.path / "summary.json"
    for text, found in (
        (path.read_text()[:-10], "that are not whole JSON"),
        ('{"cases": 2, "missed": 0}', "conventions"),
        ('{"cases": 2, "missed": 0, "conventions": []}', "list for 'conventions', not dict"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=rf"summary\.json: cannot be read \(found .*{found}") as caught:
            _ = run.summary
        assert str(caught.value).endswith(f"expected what `ssmis evaluate {run.path}` writes")
    evaluate_run(run, save_predictions=False, device="cpu")
    assert run.summary["cases"] == 2


@pytest.mark.parametrize("name", ["history", "evaluations", "cases", "cases-validation", "quality"])
def test_a_foreign_table_is_one_line_that_names_it(name: str, tiny: Tiny, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", tiny())
    assert run.rows(name) == []
    for text in (
        "name,score\na,1\n",
        "iteration,answer,case,class,split,stage,seconds,dice,jaccard,hd95,asd\nx" + ",x" * 10,
    ):
        (run.path / f"{name}.csv").write_text(text + "\n")
        with pytest.raises(
            UserError, match=rf"{name}\.csv: cannot be read .*, expected what a run writes there"
        ) as caught:
            run.rows(name)
        assert "\n" not in str(caught.value)


def test_a_damaged_table_of_evaluations_is_told_before_the_work_and_changes_nothing(
    tiny: Tiny, quietly: Quietly, tmp_path: Path
) -> None:
    config = tiny("supervised", iterations=2)
    run = quietly(config, tmp_path / "run", max_seconds=0)
    (run.path / "evaluations.csv").write_text("name\na\n")
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    for work in (lambda: evaluate_run(run, device="cpu"), lambda: quietly(config, run.path)):
        with pytest.raises(UserError, match=r"evaluations\.csv: cannot be read \(found no column iteration"):
            work()
        assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before


def test_a_run_that_never_trained_has_no_weights(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no weights yet \(status: new\); train it first"):
        evaluate_run(Run.create(tmp_path / "run", tiny()), device="cpu")


def test_a_run_from_another_machine_looks_for_its_data_where_they_lie_here(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, roots = Run.create(tmp_path / "run", tiny()), []
    monkeypatch.setattr("ssmis_core.datasets.open_dataset", lambda name, root, **options: roots.append(root))
    for recorded in (tmp_path / "not here", tmp_path):
        run.update(data_root=str(recorded))
        run.dataset()
    run.dataset("given")
    assert roots == [None, str(tmp_path), "given"]


def test_a_folder_that_is_not_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"not a run folder \(it has no run\.json\)"):
        Run(tmp_path)


def test_the_default_folder_is_the_same_for_the_same_settings_and_another_for_any_other(tiny: Tiny) -> None:
    first, again, other = (
        default_run_dir(tiny("supervised", seed=seed, filters=f)) for seed, f in ((0, 2), (0, 2), (0, 4))
    )
    assert first == again != other and first.name.startswith("supervised-phantom-4-quick-seed0-")


def test_the_default_folder_lies_in_the_folder_that_the_environment_names(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So notebooks, which work in their own folder, and the command line find the same runs."""
    monkeypatch.setenv("SSMIS_RUNS", str(tmp_path))
    assert default_run_dir(tiny()).parent == tmp_path
    monkeypatch.delenv("SSMIS_RUNS")
    assert default_run_dir(tiny()).parent == Path("runs")


def test_versions_machine_and_threads_are_kept(tiny: Tiny, quietly: Quietly, tmp_path: Path) -> None:
    info = quietly(tiny("supervised", iterations=1), tmp_path / "run").info
    assert {"python", "torch", "numpy"} <= info["environment"]["versions"].keys()
    assert info["environment"]["machine"]["cores"] >= 1 and info["threads"] >= 1 and info["device"] == "cpu"
