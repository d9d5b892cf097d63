"""The page on adding a method: its example, word for word, is trained, evaluated, listed and drawn."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ssmis_core import cli
from ssmis_core.configuration import Configuration
from ssmis_core.datasets import open_dataset
from ssmis_core.errors import UserError
from ssmis_core.evaluation import evaluate_run
from ssmis_core.methods import METHODS, from_other_packages, method_class
from ssmis_core.runs import Run

PAGE = Path(__file__).parents[2] / "docs" / "add_a_method.md"


def blocks(language: str) -> list[str]:
    """The pieces of code on the page."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture
def pi_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The example saved and registered as the page says."""
    code, register, _ = blocks("python")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "pi_model.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path / "code")
    before = dict(METHODS)
    exec(register, {})
    yield "pi_model"
    METHODS.clear()
    METHODS.update(before)
    sys.modules.pop("pi_model", None)


def test_the_example_trains_resumes_evaluates_and_is_listed_and_drawn(
    pi_model: str,
    tiny: Callable[..., Configuration],
    quietly: Callable[..., Run],
    same_training: Callable[[Run, Run], None],
    clockwork: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from widgets.method_views import every_view
    from widgets.replay import example_batch, look

    config = tiny(pi_model, iterations=3)
    run = quietly(config, tmp_path / "run")
    for _ in range(3):
        parts = quietly(config, tmp_path / "parts", max_seconds=1, observers=[clockwork.observer()])
    same_training(parts, run)
    assert [row["consistency"] > 0 for row in run.rows("history")] == [True, True]
    assert 0 <= evaluate_run(run, device="cpu", save_predictions=False)["mean"]["dice"] <= 1

    assert cli.run(["methods"]) == 0
    assert re.search(r"pi_model +Pi-model +2017 +paper +1 ", capsys.readouterr().out)
    assert cli.run(["methods", "--options", "pi_model"]) == 0
    assert "ramp_iterations" in capsys.readouterr().out

    method = run.method()
    example = example_batch(config, method, open_dataset("phantom", **config.dataset_options))
    figure = every_view(look(method, example)[1], example, sample=0)
    titles = {note.text for note in figure.layout.annotations}
    assert titles == {"image", "noisy image", "probability", "noisy probability"}


def test_the_example_is_as_short_as_the_page_says_a_method_is() -> None:
    code = [line for line in blocks("python")[0].splitlines() if line.strip() and not line.startswith("from ")]
    assert len(code) <= 20


def test_the_lines_for_a_notebook_train_score_and_draw_it(
    pi_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = blocks("python")[2].replace("labeled=4)", "labeled=4, iterations=2)")
    found: dict[str, Any] = {}
    exec(lines.replace("every_view(look", "figure = every_view(look"), found)
    assert (tmp_path / "runs" / "pi_model" / "cases.csv").is_file() and len(found["figure"].data) > 3


def test_a_package_of_ones_own_is_found_by_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (told,) = blocks("toml")
    folder = tmp_path / "other-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    group, line = re.findall(r'"(ssmis\.methods)"\]\n(.*)', told)[0]
    (folder / "entry_points.txt").write_text(f"[{group}]\n{line.replace(chr(34), '')}\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert from_other_packages() == {"pi_model": "pi_model:PiModel"}


@pytest.mark.parametrize("place", ["nowhere:Thing", "json:Nope", "json", "json:dumps", "json:JSONDecoder"])
def test_a_package_that_is_broken_is_one_line(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "broken", place)
    with pytest.raises(UserError, match=f"method broken: {place} of another package cannot be had") as caught:
        method_class("broken")
    assert "\n" not in str(caught.value)


def test_a_module_that_fails_when_it_is_imported_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "failing_package.py").write_text("raise ZeroDivisionError('no licence')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(METHODS, "broken", "failing_package:Thing")
    with pytest.raises(UserError, match=r"method broken: .* cannot be had \(no licence\)"):
        method_class("broken")


def test_a_broken_package_is_named_below_the_methods_that_are_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(METHODS, "broken", "nowhere:Thing")
    assert cli.run(["methods"]) == 0
    told = capsys.readouterr().out
    assert "Supervised baseline" in told and "left out: method broken: nowhere:Thing" in told


def test_files_that_the_page_names_exist_and_have_what_it_says() -> None:
    text = PAGE.read_text()
    methods = PAGE.parents[1] / "ssmis_core" / "methods"
    for told, files in re.findall(r"^\| [^|]+ \| ([^|]+) \| ((?:`\w+\.py`(?:, )?)+) \|$", text, re.MULTILINE):
        for file in re.findall(r"`(\w+\.py)`", files):
            code = (methods / file).read_text()
            assert any(name in code for name in re.findall(r"`(?:self\.)?(\w+)", told)), (file, told)
