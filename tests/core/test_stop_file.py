"""A file named `stop` in the run folder ends a training cleanly, from any process; an old one is not heard."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ssmis_core import Run, UserError, cli
from ssmis_core.configuration import Configuration
from ssmis_core.files import alone, is_taken
from ssmis_core.interrupts import ask_to_stop
from ssmis_core.observers import Observer

Tiny = Callable[..., Configuration]
Quietly = Callable[..., Run]
Same = Callable[[Run, Run], None]


def asking(folder: Path, at: int, ask: Callable[[Path], object] = ask_to_stop) -> Observer:
    """Somebody who asks for a stop while iteration `at` (from 0) is done."""
    return Observer(lambda clock, *_: ask(folder) if clock.t == at else None, every=1)


def test_a_stop_is_heard_at_the_next_row_and_the_training_goes_on_to_the_same_end(
    tiny: Tiny, quietly: Quietly, same_training: Same, tmp_path: Path
) -> None:
    config, folder = tiny(iterations=8, log_every=3), tmp_path / "run"
    run = quietly(config, folder, observers=[asking(folder, 3)])
    assert (run.status, run.info["iterations_done"]) == ("stopped", 6)
    assert run.method().training is False and not (folder / "stop").exists()
    same_training(quietly(config, folder), quietly(config, tmp_path / "whole"))


def test_a_stop_between_two_stages_keeps_the_second_from_beginning(
    tiny: Tiny, quietly: Quietly, same_training: Same, tmp_path: Path
) -> None:
    config, folder = tiny("cpam", pretraining=0.5, log_every=10), tmp_path / "run"
    run = quietly(config, folder, observers=[asking(folder, 1)])
    assert (run.status, run.info["iterations_done"]) == ("stopped", 3)
    same_training(quietly(config, folder), quietly(config, tmp_path / "whole"))


def test_a_file_from_before_stops_nothing_and_one_after_the_last_row_is_cleared_away(
    tiny: Tiny, quietly: Quietly, tmp_path: Path
) -> None:
    config, folder = tiny("supervised"), tmp_path / "run"
    run = quietly(config, folder, max_seconds=0)
    (folder / "stop").touch()
    run = quietly(config, folder, observers=[asking(folder, 5)])
    assert run.status == "finished" and not (folder / "stop").exists()


def test_a_training_in_another_thread_hears_it_too(tiny: Tiny, quietly: Quietly, tmp_path: Path) -> None:
    folder, done = tmp_path / "run", []
    train = threading.Thread(
        target=lambda: done.append(quietly(tiny("supervised"), folder, observers=[asking(folder, 0)]).status)
    )
    train.start()
    train.join()
    assert done == ["stopped"]


def test_the_command_writes_it_and_says_how_to_go_on(
    tiny: Tiny, quietly: Quietly, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, codes = tmp_path / "run", []
    run = quietly(
        tiny("supervised"), folder, observers=[asking(folder, 0, lambda f: codes.append(cli.run(["stop", str(f)])))]
    )
    assert codes == [0] and run.status == "stopped" and run.info["iterations_done"] == 2
    assert "ends at its next logged iteration" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (None, "not a run folder (it has no run.json)"),
        ("finished", "is finished, expected a training in progress"),
        ("running", "its training ended without a word (killed?)"),
    ],
)
def test_where_nothing_trains_there_is_nothing_to_stop(
    status: str | None, told: str, tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if status:
        Run.create(tmp_path / "run", tiny()).update(status=status)
    assert cli.run(["stop", str(tmp_path / "run")]) == 2
    shown = capsys.readouterr().err
    assert told in shown and shown.count("\n") == 1
    assert not (tmp_path / "run" / "stop").exists()


def test_a_folder_is_taken_while_somebody_writes_there(tmp_path: Path) -> None:
    assert is_taken(tmp_path) is False and is_taken(tmp_path / "nowhere") is None
    with alone(tmp_path, what="training"):
        assert is_taken(tmp_path) is True
        with pytest.raises(UserError, match="another training is writing here"), alone(tmp_path, what="training"):
            pass
    assert is_taken(tmp_path) is False


def test_a_stop_that_comes_with_the_last_row_changes_nothing(
    tiny: Tiny, quietly: Quietly, same_training: Same, tmp_path: Path
) -> None:
    config, folder = tiny("supervised"), tmp_path / "run"
    same_training(quietly(config, folder, observers=[asking(folder, 5)]), quietly(config, tmp_path / "whole"))
