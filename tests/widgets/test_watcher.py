"""The watcher of a run folder: what it shows is what the folder says, from before its beginning to after its end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np
import pytest

from ssmis_core.configuration import configure
from ssmis_core.errors import UserError
from ssmis_core.files import alone
from ssmis_core.runs import Run
from widgets.style import alt_text
from widgets.tail import SILENT
from widgets.watch_figures import trailing_mean
from widgets.watcher import Watcher, watch


@pytest.fixture
def begin(tmp_path: Path) -> Callable[..., Run]:
    """`begin(rows, quality)`: a run folder as a training leaves it after so many rows."""

    def make(rows: int, *, quality: bool = True, status: str = "running") -> Run:
        config = configure("ugmcl", labeled=4, iterations=100, dataset_options={"dims": 2, "size": 32})
        run = Run.create(tmp_path / "run", config)
        run.update(status=status)
        history = [
            {"iteration": 10 * n, "stage": "main", "learning_rate": 0.1, "loss": 4.0 / n, "cross_task": 1.0 / n}
            | {"consistency_weight": 0.01 * n, "seconds": 5.0 * n}
            for n in range(1, rows + 1)
        ]
        run.write_rows("history", history)
        nothing = dict.fromkeys(("certain", "right_where_certain", "right_elsewhere"), math.nan)
        if quality and rows:
            found = [
                [
                    {
                        "iteration": 10 * n,
                        "stage": "main",
                        "answer": "network",
                        "dice": 0.1 * n,
                        "right": 0.9,
                        **nothing,
                    },
                    {"iteration": 10 * n, "stage": "main", "answer": "teacher", "dice": 0.05 * n, "right": 0.8}
                    | {"certain": 0.5, "right_where_certain": 0.95, "right_elsewhere": 0.4},
                ]
                for n in range(1, rows + 1)
            ]
            run.write_rows("quality", [row for pair in found for row in pair])
        return run

    return make


def traces(watcher: Watcher) -> dict[str, Any]:
    return {trace.name: trace for trace in watcher.still().data}


def test_it_waits_for_a_folder_says_so_and_goes_along_as_it_grows(begin: Callable[..., Run], tmp_path: Path) -> None:
    watcher = watch(tmp_path / "run")
    assert watcher.tail.caption() == f"waiting for a training in {tmp_path / 'run'}: it does not exist yet"
    assert watcher.numbers == {"iteration": 0} and watcher.button.disabled
    (tmp_path / "run").mkdir()
    watcher.look()
    assert "it has no run.json yet" in watcher.tail.caption()
    assert "no training here yet" in watcher.still().layout.annotations[0].text
    (tmp_path / "run").rmdir()
    for rows in (0, 1, 3):
        run = begin(rows)
        watcher.look()
        assert watcher.numbers["iteration"] == 10 * rows and not watcher.button.disabled
    assert watcher.tail.caption() == "running: 30 of 100 iterations in 0:15, about 0:35 left"
    for name, column in (
        ("loss", "loss"),
        ("cross task", "cross_task"),
        ("consistency weight (right)", "consistency_weight"),
    ):
        assert list(traces(watcher)[name].y) == [row[column] for row in run.rows("history")]
    assert watcher.numbers["loss"] == pytest.approx(4 / 3) and not watcher.still().layout.annotations
    watcher.close()


def test_pseudo_labels_stand_below_in_percent_of_the_truth(begin: Callable[..., Run]) -> None:
    run = begin(2)
    watcher = watch(run)
    drawn = traces(watcher)
    assert set(drawn) >= {"network: Dice", "teacher: Dice", "teacher: share certain", "teacher: right where certain"}
    assert "network: share certain" not in drawn  # it has none
    assert list(drawn["teacher: Dice"].y) == pytest.approx([5, 10]) and drawn["teacher: Dice"].yaxis == "y3"
    assert watcher.numbers["teacher: right where certain"] == pytest.approx(95)
    watcher.close()


def test_each_control_changes_the_picture(begin: Callable[..., Run]) -> None:
    watcher = watch(begin(4))
    assert watcher.still().layout.yaxis.type == "log"
    watcher.controls["log"].value = False
    assert watcher.still().layout.yaxis.type == "linear"
    watcher.controls["seconds"].value = True
    assert list(traces(watcher)["loss"].x) == list(traces(watcher)["teacher: Dice"].x) == [5, 10, 15, 20]
    watcher.controls["smoothing"].value = 3
    assert watcher.numbers["loss"] == pytest.approx((4 / 2 + 4 / 3 + 4 / 4) / 3)
    assert list(traces(watcher)["consistency weight (right)"].y) == pytest.approx([0.01, 0.02, 0.03, 0.04])  # as it is
    for name in ("cross task", "consistency weight", "network (pseudo-labels)"):
        before = len(traces(watcher))
        watcher.checks[name].value = False
        assert len(traces(watcher)) == before - 1
    assert "cross task" not in watcher.numbers
    watcher.close()


def test_a_mean_over_points_leaves_out_what_is_not_there() -> None:
    y = np.array([2.0, math.nan, 4.0, 6.0])
    assert trailing_mean(y, 2) == pytest.approx([2, math.nan, 4, 5], nan_ok=True)
    assert trailing_mean(y, 10) == pytest.approx([2, math.nan, 3, 4], nan_ok=True)
    assert trailing_mean(y, 1) == pytest.approx(y, nan_ok=True) and len(trailing_mean([], 3)) == 0


def test_the_button_asks_the_training_to_stop(begin: Callable[..., Run]) -> None:
    run = begin(1)
    watcher = watch(run)
    with alone(run.path, what="training"):
        watcher.button.click()
        assert (run.path / "stop").exists() and watcher.button.disabled
        assert "a stop is asked for, and comes with the next row (every 10 iterations)" in watcher.tail.caption()
    (run.path / "stop").unlink()
    run.update(status="stopped", iterations_done=10)
    watcher.look()
    assert watcher.tail.caption() == "stopped: 10 of 100 iterations in 0:05" and watcher.button.disabled
    watcher.stop()
    assert "is stopped, expected a training in progress" in watcher.frame.line.value
    watcher.close()


def test_a_training_that_was_killed_is_told_from_one_that_is_slow(
    begin: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(1)
    watcher, now = watch(run), time.time()
    monkeypatch.setattr("widgets.tail.time.time", lambda: now + 5 * SILENT)
    assert "its process has ended without a word" in watcher.tail.caption()
    with alone(run.path, what="training"):
        assert "nothing new for 1:1" in watcher.tail.caption()
    watcher.close()


@pytest.mark.parametrize("status", ["finished", "stopped", "interrupted", "failed"])
def test_a_run_that_has_ended_is_shown_as_it_is(status: str, begin: Callable[..., Run]) -> None:
    run = begin(3, quality=False, status=status)
    run.update(iterations_done=33, error="loss term 'dice' became NaN")
    watcher = watch(run.path)
    assert watcher.tail.caption().startswith(f"{status}: 33 of 100 iterations in 0:15")
    assert ("became NaN" in watcher.tail.caption()) == (status == "failed")
    still = watcher.still()
    assert "pseudo" not in str([trace.name for trace in still.data]) and still.layout.yaxis3.visible is False
    assert still.layout.title.text.startswith("What is the training doing?") and "33 of 100" in alt_text(still)
    watcher.close()


def test_a_damaged_run_is_one_line_and_bad_wishes_are_refused(begin: Callable[..., Run], tmp_path: Path) -> None:
    run = begin(1)
    (run.path / "history.csv").write_text("iteration,stage,seconds\n10,main,soon\n")
    watcher = watch(run.path)
    assert "history.csv: cannot be read (found 'soon' under seconds in row 1)" in watcher.tail.caption()
    watcher.close()
    (run.path / "history.csv").write_text("iteration,stage,seconds\n10,main,\n")  # cut short
    watcher = watch(run.path)
    assert "10 of 100 iterations in" in watcher.tail.caption()
    watcher.close()
    (run.path / "run.json").write_text("{")
    watcher = watch(run.path)
    assert "run.json: cannot be read" in watcher.tail.caption() and "\n" not in watcher.tail.caption()
    watcher.close()
    with pytest.raises(UserError, match="is a file, expected a run folder"):
        watch(run.path / "run.json")
    with pytest.raises(UserError, match="every=0: expected seconds above 0"):
        watch(run.path, every=0)


@pytest.fixture
def in_jupyterlab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "somebody's notebook")


def until(done: Callable[[], Any]) -> None:
    end = time.monotonic() + 20
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_live_it_follows_in_a_thread_that_close_ends(begin: Callable[..., Run], in_jupyterlab: None) -> None:
    run = begin(1)
    watcher = watch(run, every=0.05)
    assert [trace.name for trace in watcher.chart.figure.data][:2] == ["loss", "cross task"]
    begin(3)
    until(lambda: watcher.numbers["iteration"] == 30)
    assert list(watcher.chart.figure.data[0].y) == [row["loss"] for row in run.rows("history")]
    watcher.checks["loss"].value = False
    assert watcher.chart.figure.data[0].name == "cross task"
    thread = watcher._thread
    assert thread is not None and thread.is_alive()
    watcher.close()
    assert not thread.is_alive()


def test_a_second_watcher_of_a_folder_takes_over(begin: Callable[..., Run], in_jupyterlab: None) -> None:
    run = begin(1)
    first = watch(run, every=0.05)
    second = watch(run.path, every=0.05)
    assert first._thread is not None and not first._thread.is_alive()
    assert second._thread is not None and second._thread.is_alive()
    first.close()
    second.close()


def test_opening_and_closing_leaves_nothing_behind(begin: Callable[..., Run], in_jupyterlab: None) -> None:
    counts = []
    for cycle in range(10):
        watcher = watch(begin(1 + cycle % 3), every=0.05)
        watcher.checks["loss"].value = False
        begin(1)
        watcher.look()
        watcher.close()
        counts.append(len(ipywidgets.widgets.widget._instances))
    assert counts[9] == counts[1]
