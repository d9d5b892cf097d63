"""Watch a training from anywhere: curves of its terms that grow while it runs, and a button that stops it."""

from __future__ import annotations

import html
import os
import threading
import weakref
from pathlib import Path
from typing import Any

import ipywidgets
import plotly.graph_objects as go

from ssmis_core.errors import UserError
from ssmis_core.interrupts import ask_to_stop
from ssmis_core.runs import Run
from widgets import style
from widgets.chart import Chart
from widgets.explorer import Explorer, live
from widgets.tail import Tail
from widgets.watch_figures import Choice, curve_names, curves, layout

READING = (
    "Each point is a mean over the iterations since the one before. Below, where the training was told to watch its "
    "pseudo-labels: unlabeled cases against the truth, which the method never sees; one batch a point, so they scatter."
)
WIDTH = 940  # pixels
_following: weakref.WeakValueDictionary[Path, Watcher] = weakref.WeakValueDictionary()


def watch(run_dir: Run | str | os.PathLike[str], *, every: float = 1.0) -> Watcher:
    """The curves of a training in a run folder, which another process may be writing, or nobody yet.

    Looks for news every so many seconds, in a thread of its own that ends with `close()`; without a reader it draws
    what is there. The run need not have been started from a notebook: `ssmis train --watch-quality` in a terminal
    does as well. A second watcher of a folder in one kernel takes over from the first.
    Raises UserError for a file in the folder's place, or an interval that is not above 0.
    """
    folder = Path(run_dir.path if isinstance(run_dir, Run) else run_dir)
    if folder.is_file():
        raise UserError(f"{folder}: is a file, expected a run folder")
    if not every > 0:
        raise UserError(f"every={every:g}: expected seconds above 0")
    watcher = Watcher(folder, every)
    if live():
        watcher.follow()
    return watcher


class Watcher(Explorer):
    """See `watch`. `tail` holds what was read; `look()` reads and draws now; `stop()` asks the training to end."""

    children: Any

    def __init__(self, folder: Path, every: float):
        self.tail, self.every = Tail(folder), every
        self.chart = Chart()  # no FigureWidget: a page that is opened later would not see what changed before
        self.checks: dict[str, ipywidgets.Checkbox] = {}
        self._lock, self._ended = threading.RLock(), threading.Event()
        self._thread: threading.Thread | None = None
        self._boxes = ipywidgets.Box(layout=ipywidgets.Layout(flex_flow="row wrap", grid_gap="0px 10px"))
        self.button = ipywidgets.Button(icon="stop", layout=ipywidgets.Layout(width="190px"))
        self.button.on_click(lambda _: self.stop())
        self._caption = ipywidgets.HTML()
        ways = ipywidgets.ToggleButtons(options=[("log", True), ("linear", False)], description="vertical axis")
        against = ipywidgets.ToggleButtons(options=[("iterations", False), ("seconds", True)], description="against")
        for one in (ways, against):
            one.style.button_width = "85px"
        controls = {
            "log": ways,
            "seconds": against,
            "smoothing": ipywidgets.IntSlider(1, min=1, max=50, description="mean over points"),
        }
        self.tail.look()
        super().__init__("What is the training doing?", READING, controls, [], self._compute)
        frame = self.frame
        row = ipywidgets.HBox([self.button, self._caption])
        self.children = (frame.head, row, frame.line, frame.controls, self._boxes, self.chart, frame.numbers)

    def look(self) -> None:
        """Read what is new, and draw it."""
        with self._lock:
            if self.tail.look():
                self.refresh()
            else:
                self._tell()
            for one in (self.button, self.chart, *self.controls.values(), *self.checks.values()):
                hear_while_busy(one)

    def follow(self) -> None:
        """Begin to look again and again, until `close`; a watcher of the same folder before this one ends."""
        before = _following.pop(self.tail.folder, None)
        if before is not None:
            before.leave()
        _following[self.tail.folder] = self
        self._thread = threading.Thread(target=self._follow, daemon=True, name=f"watching {self.tail.folder.name}")
        self._thread.start()

    def leave(self) -> None:
        """Look no more; what is drawn stays."""
        self._ended.set()
        if self._thread and self._thread is not threading.current_thread():
            self._thread.join(timeout=10 * self.every)

    def stop(self) -> None:
        """Ask the training to end; what cannot be stopped is told in a line."""
        try:
            ask_to_stop(self.tail.folder)
        except UserError as error:
            self.complain(str(error))
        with self._lock:
            self._tell()

    def refresh(self) -> None:
        """Draw what was read, as the controls say."""
        with self._lock:
            super().refresh()

    def still(self) -> go.Figure:
        """The picture as it is now."""
        choice = self._choice()
        figure = go.Figure(curves(self.tail, choice), layout(self.tail, choice))
        numbers = ", ".join(f"{name} {value}" for name, value in self.numbers.items())
        title = f"{self.title}<br><span style='font-size:13px'>{html.escape(self.tail.caption())}</span>"
        height = int(figure.layout.height)
        alt = f"{self.tail.caption()}. {READING} Last: {numbers or 'nothing yet'}."
        return style.finish(figure, title=title, alt=alt, height=height, width=WIDTH)

    def close(self) -> None:
        """Look no more, and free everything."""
        self.leave()
        with self._lock:
            super().close()

    def _compute(self, **_: Any) -> dict[str, Any]:
        """Draw, and the newest number of everything that is shown."""
        self._offer()
        choice, tail = self._choice(), self.tail
        drawn, frame = curves(tail, choice), layout(tail, choice)
        frame["margin"] |= {"t": 15}  # the title is on the page already
        figure = go.Figure(drawn, frame)
        alt = f"Terms of the loss, and how good the pseudo-labels are; {tail.caption()}."
        self.chart.show(figure.update_layout(template="plotly_white", font_size=13, width=WIDTH, meta={"alt": alt}))
        self._tell()
        return {"iteration": tail.done} | {one.name: float(one.y[-1]) for one in drawn if len(one.y)}

    def _choice(self) -> Choice:
        hidden = frozenset(name for name, check in self.checks.items() if not check.value)
        return Choice(hidden, **{name: one.value for name, one in self.controls.items()})

    def _offer(self) -> None:
        """A check box for every curve that there is; those that stay keep their ticks."""
        names = curve_names(self.tail)
        if list(self.checks) == names:
            return
        for name in [name for name in self.checks if name not in names]:
            gone = self.checks.pop(name)
            for part in (gone.layout, gone.style, gone):
                part.close()
        for name in names:
            if name not in self.checks:
                self.checks[name] = ipywidgets.Checkbox(True, description=name, indent=False, layout={"width": "auto"})
                self.checks[name].observe(self._moved, names="value")
        self.checks = {name: self.checks[name] for name in names}
        self._boxes.children = tuple(self.checks.values())

    def _tell(self) -> None:
        """Where the training is, and what the button can do."""
        self._caption.value = f"<span class='ssmis-status' role='status'>{html.escape(self.tail.caption())}</span>"
        stopping = self.tail.stopping
        self.button.disabled = self.tail.status != "running" or stopping
        self.button.description = "Stop asked for" if stopping else "Stop the training"

    def _follow(self) -> None:
        while not self._ended.wait(self.every):
            try:
                self.look()
            except Exception as error:  # told on the page: what a thread raises is seen by nobody
                self.complain(f"{type(error).__name__}: {error}")


def hear_while_busy(widget: ipywidgets.Widget) -> None:
    """Let a widget be heard while a cell runs, as where a training is watched from the notebook that it runs in.

    JupyterLab sends what widgets say to a thread of its own in the kernel. ipykernel 7.4 sends it on to where the
    widget spoke from last, the thread that runs the cells, unless that is forgotten. Others know nothing of it.
    """
    if widget.comm is not None:
        vars(widget.comm).pop("_reply_subshell_id", None)
