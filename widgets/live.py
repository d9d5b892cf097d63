"""Curves that grow while a method trains, in JupyterLab and in a notebook that runs without a reader."""

from __future__ import annotations

import json
import time
from typing import Any

import plotly.graph_objects as go

from ssmis_core.progress import Progress, duration
from ssmis_core.runs import Run
from widgets import style
from widgets.curves import log_axis, term_curves

PLOTLY = "application/vnd.plotly.v1+json"


class LiveCurves:
    """A reporter for `train(report=...)`: one figure that is redrawn in place, at most every `every` seconds.

        live = LiveCurves("UG-MCL")
        run = train(config, run_dir="runs/mine", report=live)
        live.finish(run)

    Where there is no notebook (a script, a test) it only collects. `finish` draws the whole history of the run folder,
    so a training that was resumed, or had been finished before, shows all of its curve.
    """

    def __init__(self, name: str, *, every: float = 4.0):
        self.name, self.every = name, every
        self.rows: list[dict[str, Any]] = []
        self.caption = "waiting for the first report"
        self._last = float("-inf")

    def __call__(self, progress: Progress) -> None:
        """Take one report; draw when it is time to."""
        if progress.terms and (not self.rows or self.rows[-1]["iteration"] != progress.done):
            self.rows.append({"iteration": progress.done, **progress.terms})
        left = f", about {duration(progress.remaining)} left" if progress.status == "running" else ""
        where = f"{progress.status}: {progress.done} of {progress.total} iterations"
        self.caption = f"{where} in {progress.seconds:.0f} s{left}"
        now = time.monotonic()
        if progress.status != "running" or now - self._last >= self.every:
            self._last = now
            self.draw()

    def figure(self) -> go.Figure:
        """The curves so far."""
        figure = term_curves(self.rows)
        figure.update_layout(yaxis=log_axis(self.rows), margin={"t": 75, "l": 75, "b": 50})
        alt = f"Loss terms of {self.name} while it trains; {self.caption}."
        return style.finish(figure, title=f"{self.name}, {self.caption}", alt=alt, height=380)

    def finish(self, run: Run) -> None:
        """Draw the whole history of the run, with its status."""
        self.rows = run.rows("history")
        info = run.info
        done, total, seconds = info.get("iterations_done", 0), run.config.iterations, info.get("seconds", 0.0)
        self.caption = f"{run.status}: {done} of {total} iterations in {seconds:.0f} s of training"
        self.draw()

    def draw(self) -> None:
        """Put the figure in the cell's output, in the place of the one before; nothing without a notebook."""
        if _in_notebook():
            # the output is cleared, not updated: JupyterLab's plotly renderer keeps the first figure of an output
            from IPython.display import clear_output, display

            figure = self.figure()
            clear_output(wait=True)
            display({PLOTLY: json.loads(figure.to_json()), "text/plain": style.alt_text(figure)}, raw=True)


class LiveLine:
    """A reporter for `train(report=...)` that keeps one line of text up to date; for trainings beside the main one."""

    def __init__(self, name: str, *, every: float = 2.0):
        self.name, self.every, self.text = name, every, ""
        self._handle: Any = None
        self._last = float("-inf")

    def __call__(self, progress: Progress) -> None:
        """Take one report; show it when it is time to."""
        self.text = f"{self.name}: {progress.line()}"
        now = time.monotonic()
        if _in_notebook() and (progress.status != "running" or now - self._last >= self.every):
            self._last = now
            self._handle = _show(self._handle, {"text/plain": self.text})


def _show(handle: Any, bundle: dict[str, Any]) -> Any:
    """Put a bundle into the cell's output, in the place of what the handle showed before; returns the handle."""
    from IPython.display import display

    if handle is None:
        return display(bundle, raw=True, display_id=True)
    handle.update(bundle, raw=True)
    return handle


def _in_notebook() -> bool:
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return getattr(get_ipython(), "kernel", None) is not None
