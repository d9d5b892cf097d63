"""A review in a napari viewer: layers of the case that is open, keys, and the dock beside them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QMessageBox

from ssmis_core.errors import UserError
from widgets.review.case_dock import CaseDock
from widgets.review.layers import CORRECTION, UNCERTAINTY, case_layers, role_of, uncertainty_layer, worst_slice
from widgets.review.screen import Solid, add_layers, go_to, remove_layers, turn_axes
from widgets.review.state import Review, Reviewed
from widgets.review.texts import KEYS, case_title, legend, saved_line, score_table
from widgets.review.view_dock import ViewDock
from widgets.scene import Scene


def told(action: Callable[..., Any]) -> Callable[..., Any]:
    """An action of the window whose mistakes are said in the dock, in their one line."""

    @wraps(action)
    def tried(self: ReviewWindow, *values: Any) -> Any:
        try:
            return action(self, *values)
        except UserError as error:
            self.dock.say(str(error))
            return None

    return tried


class ReviewWindow:
    """Shows a review in a viewer and passes on what the reader does. Layers that others added are left alone.

    ask: a question to "save", "discard" or "cancel" with, for edits that would be lost; default: a dialog.
    """

    def __init__(self, review: Review, viewer: Any, *, ask: Callable[[str], str] | None = None):
        self.review, self.viewer, self.ask = review, viewer, ask or ask_reader
        self.seen: Reviewed | None = review.open()  # before anything is added to the viewer: it may not be readable
        self._saved: np.ndarray | None = None  # the correction as it was opened or saved last
        self._worker: Any = None
        self._asked = ""  # the case that the network was asked about last
        self.solid = Solid(viewer)
        self.dock = CaseDock(legend(review.dataset.class_names))
        self.views: ViewDock | None = None
        self.docks: list[Any] = []
        if review.has_weights:
            self.views = ViewDock(viewer, Scene.of(review.run, data_root=review.data_root), solid=self.solid)
            self.docks.append(viewer.window.add_dock_widget(self.views, name="views", area="right"))
        # last, so that it is the one in front
        self.docks.append(viewer.window.add_dock_widget(self.dock, name="review", area="right", tabify=True))
        self._guard = Guard(self)
        self._connect()
        self.show(self.seen)

    def show(self, seen: Reviewed) -> None:
        """Show a case."""
        if self.views is not None:
            self.views.clear()  # a reader's own layers that a view had switched off are seen again
        remove_layers(self.viewer, lambda _: True)
        add_layers(self.viewer, case_layers(seen, self.review.dataset.class_names))
        self.seen, self._saved = seen, self.layer(CORRECTION).data.copy()
        turn_axes(self.viewer, len(seen.case.shape))
        go_to(self.viewer, worst_slice(seen))
        self.solid.arrange()
        self.viewer.fit_to_view()
        self.dock.say("")
        self.tell()
        if self.views is not None and seen.case.id in self.review.dataset.test:
            self.views.case.setCurrentText(seen.case.id)
        self.compute_uncertainty()

    def tell(self) -> None:
        """Fill the dock with what is known of the case."""
        review, remarks = self.review, self.review.remarks.read()
        ranked = review.ranked[review.case]
        nothing = review.remarks.of("")
        titles = [case_title(review.ranked[c], n, remarks.get(c, nothing)) for n, c in enumerate(review.order)]
        scores = score_table(ranked, review.corrections.rows(review.case))
        self.dock.show_case(titles, review.place, scores, remarks.get(review.case, nothing))

    @told
    def step(self, count: int) -> None:
        """On to the next case, or back."""
        there = self.review.place + count
        if 0 <= there < len(self.review.order):
            self.go(there)
        else:
            self.dock.say("that was the last case" if count > 0 else "this is the first case")

    @told
    def go(self, place: int) -> None:
        """To a case by its place in the list; one that cannot be opened leaves everything as it is."""
        self.dock.flush()  # or a note that was typed just now would be lost
        before = self.review.place
        if place != before and self.leave():
            try:
                self.review.place = place
                self.show(self.review.open())
            except UserError:
                self.review.place = before
                self.tell()
                raise
        else:
            self.tell()

    @told
    def flag(self, on: bool | None = None) -> None:
        """Flag the case, or take the flag away; None: the other way round."""
        self.dock.flush()
        now = self.review.remarks.of(self.review.case).flag
        self.review.remark(flag=not now if on is None else on)
        self.tell()

    @told
    def note(self, text: str) -> None:
        """Keep a note on the case."""
        self.review.remark(note=text)

    @told
    def correct(self) -> None:
        """Make the correction the layer that is painted on, with a brush at hand; one that was removed comes back."""
        layer = self.layer(CORRECTION)
        if layer is None:
            stored = case_layers(self.review.open(), self.review.dataset.class_names)
            (layer,) = add_layers(self.viewer, stored[-1:])
            self.solid.arrange()
        layer.visible = True
        self.viewer.layers.selection.active = layer
        layer.mode, layer.selected_label = "paint", 1
        self.dock.say("paint on the correction; label 0 erases; then save")

    @told
    def save(self) -> None:
        """Write the correction beside the run."""
        self.dock.flush()
        layer = self.layer(CORRECTION)
        if layer is None:
            raise UserError(
                f"the correction was removed from the layers; {KEYS['correct']} brings it back as it was saved"
            )
        labels = np.asarray(layer.data)
        rows = self.review.save(labels)
        self._saved = labels.copy()
        self.tell()
        self.dock.say(saved_line(rows))

    def leave(self) -> bool:
        """Write the note and settle unsaved edits; False when the reader would rather stay."""
        self.dock.flush()
        if not self.edited:
            return True
        answer = self.ask(f"{self.review.case}: the correction is not saved")
        if answer == "save":
            self.save()
            return not self.edited
        return answer == "discard"

    def close(self) -> bool:
        """Settle what is unsaved, then take docks, layers and keys away; False when the reader would rather stay."""
        if not self.leave():
            return False
        self.seen = None
        self._guard.release()
        if self.views is not None:
            self.views.clear()
        self.solid.release()
        remove_layers(self.viewer, lambda _: True)
        for dock in self.docks:
            self.viewer.window.remove_dock_widget(dock)
        for key in KEYS.values():
            self.viewer.bind_key(key, None)
        return True

    @property
    def edited(self) -> bool:
        """Whether the correction differs from what was opened or saved."""
        layer = self.layer(CORRECTION)
        return layer is not None and self._saved is not None and not np.array_equal(layer.data, self._saved)

    def layer(self, role: str) -> Any:
        """The layer that shows this; None where the reader has removed it."""
        return next((layer for layer in self.viewer.layers if role_of(layer) == role), None)

    def compute_uncertainty(self) -> None:
        """Ask the network in a thread of its own; the layer comes when it has answered. One at a time."""
        if self.seen is None or not self.review.has_weights or self._worker is not None:
            return
        from napari.qt.threading import create_worker

        case = self.seen.case
        self._asked = case.id
        self._worker = create_worker(self.review.uncertainty, case)
        self._worker.returned.connect(lambda entropy: self._answered(case, entropy))
        self._worker.errored.connect(lambda error: self.dock.say(f"no uncertainty: {error}"))
        self._worker.finished.connect(self._free)
        self._worker.start()

    def _answered(self, case: Any, entropy: np.ndarray) -> None:
        if self.seen is not None and self.seen.case.id == case.id and self.layer(UNCERTAINTY) is None:
            active = self.viewer.layers.selection.active
            (layer,) = add_layers(self.viewer, [uncertainty_layer(entropy, case, self.review.dataset.num_classes)])
            self.viewer.layers.move(self.viewer.layers.index(layer), len(case.image))
            self.viewer.layers.selection.active = active

    def _free(self) -> None:
        self._worker = None
        if self.seen is not None and self.seen.case.id != self._asked:
            self.compute_uncertainty()  # the reader has gone on meanwhile

    def _connect(self) -> None:
        dock, bind = self.dock, self.viewer.bind_key
        dock.chosen.connect(self.go)
        dock.stepped.connect(self.step)
        dock.flagged.connect(self.flag)
        dock.noted.connect(self.note)
        dock.correcting.connect(lambda: self.correct())
        dock.saving.connect(lambda: self.save())
        actions = {"next": lambda: self.step(+1), "previous": lambda: self.step(-1)}
        actions |= {"flag": lambda: self.flag(), "correct": lambda: self.correct(), "save": lambda: self.save()}
        for name, key in KEYS.items():
            bind(key, lambda _viewer, act=actions[name]: act(), overwrite=True)


class Guard(QObject):
    """Asks about unsaved edits when the napari window is closed."""

    def __init__(self, review: ReviewWindow):
        super().__init__()
        self.review, self.frame = review, review.viewer.window.main_menu.window()  # napari offers no other way to it
        self.frame.installEventFilter(self)

    def eventFilter(self, _watched: Any, event: Any) -> bool:
        """Qt asks this before it closes the window; True: it stays open."""
        if event.type() != QEvent.Type.Close:
            return False
        if self.review.leave():
            self.release()
            return False
        event.ignore()
        return True

    def release(self) -> None:
        """Ask no more."""
        self.frame.removeEventFilter(self)


def ask_reader(question: str) -> str:
    """ "save", "discard" or "cancel", from a dialog."""
    buttons = QMessageBox.StandardButton
    answers = {buttons.Save: "save", buttons.Discard: "discard", buttons.Cancel: "cancel"}
    chosen = QMessageBox.question(
        None, "SSMIS review", question, buttons.Save | buttons.Discard | buttons.Cancel, buttons.Save
    )
    return answers.get(chosen, "cancel")
