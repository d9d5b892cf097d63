"""What a person is told while a training runs, and how they stop it."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from ssmis_core import progress
from ssmis_core.interrupts import stop_requests
from ssmis_core.progress import Progress, TerminalReporter, silent


def test_a_line_has_the_iteration_the_times_and_the_terms() -> None:
    line = Progress(50, 300, 75.4, 375.0, {"loss": 0.61234, "dice": 0.5}).line()
    assert line == "50/300  1:15 < 6:15  loss 0.6123  dice 0.5"


def test_the_last_line_says_how_it_ended() -> None:
    line = Progress(300, 300, 3725.0, 0.0, {}, "finished").line()
    assert line == "finished at iteration 300 of 300 after 1:02:05"


def test_outside_a_terminal_a_line_comes_every_few_seconds_and_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    report = TerminalReporter(every=10.0)
    for now[0], done in ((0.0, 1), (4.0, 2), (9.0, 3), (11.0, 4)):
        report(Progress(done, 5, now[0], 0.0, {}))
    report(Progress(5, 5, 12.0, 0.0, {}, "finished"))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines] == ["1/5", "4/5", "finished"]


def test_on_a_terminal_one_line_is_rewritten_in_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    report = TerminalReporter()
    report(Progress(1, 2, 0.0, 0.0, {"a_long_name": 1.0}))
    report(Progress(2, 2, 0.0, 0.0, {}, "finished"))
    text = capsys.readouterr().err
    first, second = text.split("\r")[1:]
    assert "\n" not in first and second.endswith("\n") and len(second.rstrip("\n")) >= len(first)


def test_a_line_on_a_terminal_never_wraps(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    TerminalReporter()(Progress(1, 2, 0.0, 0.0, {f"term_{n}": 1.0 for n in range(9)}))
    assert len(capsys.readouterr().err.removeprefix("\r")) == 39


def test_silent_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    silent(Progress(1, 2, 0.0, 0.0, {}))
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_for_a_stop_and_the_old_handlers_come_back(number: signal.Signals, tmp_path: Path) -> None:
    before = signal.getsignal(number)
    with stop_requests(tmp_path) as stop:
        assert not stop
        os.kill(os.getpid(), number)
        assert stop
    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_does_not_wait(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), stop_requests(tmp_path):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):  # a signal is seen between two bytecodes
            pass
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_outside_the_main_thread_training_goes_on_without_signals(tmp_path: Path) -> None:
    seen: list[bool] = []

    def work() -> None:
        with stop_requests(tmp_path) as stop:
            seen.append(bool(stop))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
