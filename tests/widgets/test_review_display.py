"""Where no window can be opened a review ends in one line and exit code 2, before Qt is started."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from ssmis_core.errors import UserError
from widgets.review import display, review
from widgets.review.display import check_display

NAPARI = importlib.util.find_spec("napari") is not None


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if napari and a Qt were here; a display is named."""
    real = importlib.util.find_spec
    there = SimpleNamespace()
    monkeypatch.setattr(
        display.importlib.util, "find_spec", lambda name: there if name in ("napari", "PySide6") else real(name)
    )
    monkeypatch.setattr(display.sys, "platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    monkeypatch.setenv("DISPLAY", ":77")


def answers(monkeypatch: pytest.MonkeyPatch, code: int, stderr: str = "") -> None:
    """As if the trial process ended so."""
    done = SimpleNamespace(returncode=code, stderr=stderr)
    monkeypatch.setattr(display.subprocess, "run", lambda *_, **__: done)


@pytest.mark.parametrize(
    ("lacking", "told"), [("napari", "napari is not installed"), ("PySide6", "no Qt is installed")]
)
def test_what_is_not_installed_is_named_with_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, lacking: str, told: str
) -> None:
    monkeypatch.setattr(
        display.importlib.util, "find_spec", lambda name: object() if name == "napari" != lacking else None
    )
    with pytest.raises(UserError, match=rf"{told}.*pip install 'ssmis-workbench\[viewer\]'"):
        check_display()


def test_without_a_display_nothing_is_tried(installed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY")
    monkeypatch.setattr(display.subprocess, "run", lambda *_, **__: pytest.fail("Qt was started"))
    with pytest.raises(UserError, match="DISPLAY is not set"):
        check_display()


def test_a_display_that_does_not_answer_is_named_with_the_reason(
    installed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, -6, "warning: x\nqt.qpa.xcb: could not connect to display :77\nand much more\n")
    with pytest.raises(UserError, match=r"^display ':77' cannot be used: qt\.qpa\.xcb: could not connect to"):
        check_display()
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    answers(monkeypatch, display.NO_OPENGL)
    with pytest.raises(UserError, match="':77' with QT_QPA_PLATFORM=offscreen has no OpenGL"):
        check_display()

    def hang(*_: Any, **__: Any) -> None:
        raise subprocess.TimeoutExpired("python", 1)

    monkeypatch.setattr(display.subprocess, "run", hang)
    with pytest.raises(UserError, match="did not answer within 1 s"):
        check_display(timeout=1)


def test_a_display_that_works_is_taken(installed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, 0)
    check_display()


def test_the_desktop_of_windows_and_macos_needs_no_name(installed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY")
    monkeypatch.setattr(display.sys, "platform", "darwin")
    answers(monkeypatch, 0)
    check_display()


def test_a_kernel_lives_on_where_no_window_can_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match="DISPLAY is not set" if NAPARI else "napari is not installed"):
        review("nowhere")


def test_the_command_ends_in_one_line_and_code_2(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    code = (
        "from ssmis_core import cli; from widgets.review.command import review\n"
        "if 'review' not in [one.name for one in cli.app.registered_commands]: cli.app.command()(review)\n"
        "raise SystemExit(cli.run(['review', 'nowhere']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("ssmis: ") and ("DISPLAY is not set" if NAPARI else "napari is not installed") in line


def test_the_command_is_light_until_it_is_called() -> None:
    code = "import widgets.review.command, sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"torch", "numpy", "plotly", "napari", "qtpy"} & set(done.stdout.split()) == set()
