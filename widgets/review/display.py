"""Whether a window can be opened, found out before Qt is started: Qt ends the whole process where it cannot."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

from ssmis_core.errors import UserError

BINDINGS = ("PySide6", "PyQt6", "PyQt5", "PySide2")
INSTALL = "install it with `pip install 'ssmis-workbench[viewer]'` (in a clone: `make viewer`)"
# Starts Qt and OpenGL in a process of its own, which may die of it.
PROBE = """
import sys
from qtpy.QtGui import QGuiApplication, QOffscreenSurface, QOpenGLContext
application = QGuiApplication([])
surface, context = QOffscreenSurface(), QOpenGLContext()
surface.create()
sys.exit(0 if context.create() and context.makeCurrent(surface) else 3)
"""
NO_OPENGL = 3


def check_display(timeout: float = 60.0) -> None:
    """Raise UserError, one line with what to do, unless napari is installed and a window with OpenGL opens here."""
    if importlib.util.find_spec("napari") is None:
        raise UserError(f"napari is not installed, and a review opens in it; {INSTALL}")
    if not any(importlib.util.find_spec(name) for name in BINDINGS):
        raise UserError(f"no Qt is installed (looked for {', '.join(BINDINGS)}), and napari needs one; {INSTALL}")
    if named_display() is None:
        raise UserError(
            "no display to open a window on (DISPLAY is not set): run this on a desktop, over `ssh -X`, "
            "or on a virtual screen with `xvfb-run -a`"
        )
    screen = " with ".join([f"display {named_display()!r}", *platform()])
    try:
        done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise UserError(f"{screen} did not answer within {timeout:.0f} s") from None
    if done.returncode == NO_OPENGL:
        raise UserError(f"{screen} has no OpenGL, which napari draws with; install its drivers")
    if done.returncode:
        raise UserError(f"{screen} cannot be used: {reason(done.stderr)}")


def named_display() -> str | None:
    """The display of this process; on Windows and macOS the desktop, which needs no name; None: there is none."""
    if sys.platform in ("win32", "darwin"):
        return "desktop"
    return os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY") or None


def platform() -> list[str]:
    """The way of drawing that Qt is told to take, where it is told one."""
    told = os.environ.get("QT_QPA_PLATFORM")
    return [f"QT_QPA_PLATFORM={told}"] if told else []


def reason(stderr: str) -> str:
    """The line of what Qt wrote that says most."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    telling = [line for line in lines if "could not connect" in line or "Could not load" in line or "Error" in line]
    return (telling or lines or ["Qt ended without a word"])[0]
