"""A dock that puts what a method's loss sees of a case into the viewer: choose run, case and view."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QComboBox, QFileDialog, QFormLayout, QHBoxLayout, QLabel, QLineEdit, QPushButton, QWidget

from ssmis_core.errors import UserError
from widgets.kept_cases import load
from widgets.review.layers import role_of
from widgets.review.placing import PATCH_ROLES
from widgets.review.screen import Solid, add_layers, go_to, remove_layers, turn_axes
from widgets.review.view_layers import TOPICS, cases_of, clearest_slice, topics_of, view_layers
from widgets.scene import Scene


class ViewDock(QWidget):
    """Shows the five views (see `TOPICS`) in a viewer, each where its patch lies in the scan.

    scene: a method with its data; None: the reader names a run folder. "show" computes the views by the method's own
    loss, on a batch that holds the case; layers of other origin are switched off meanwhile and come back with "clear".
    """

    def __init__(self, napari_viewer: Any, scene: Scene | None = None, *, solid: Solid | None = None):
        super().__init__()
        self.viewer, self.solid = napari_viewer, solid or Solid(napari_viewer)
        self.scene: Scene | None = None
        self.folder, self.line = QLineEdit(), QLabel()
        self.case, self.slice, self.topic, self.patch = (QComboBox() for _ in range(4))
        self.buttons = {name: QPushButton(name) for name in ("open", "show", "clear")}
        self._computed: tuple[str, Any] | None = None  # (sample, views)
        self._hidden: list[Any] = []
        self._lay_out(named=scene is not None)
        self._connect()
        if scene is not None:
            self.use(scene)

    def use(self, scene: Scene) -> None:
        """Look at this method and its data."""
        self.scene, self._computed = scene, None
        self.form.setRowVisible(self.slice, scene.sliced)
        for box, entries in ((self.case, scene.cases), (self.topic, list(TOPICS)), (self.patch, [])):
            box.clear()
            box.addItems(entries)
        self.say(f"{scene.config.method}, {scene.trained}")

    def open(self, folder: str | None = None) -> None:
        """Use the run in a folder, by default the one that is named in the field or chosen in a dialog."""
        folder = folder or self.folder.text() or QFileDialog.getExistingDirectory(self, "a run folder")
        if folder:
            self.folder.setText(folder)
            self._tried(lambda: self.use(Scene.of(Path(folder).expanduser())))

    def show_view(self) -> None:
        """Put the chosen view of the chosen case into the viewer."""
        self._tried(self._show)

    def clear(self) -> None:
        """Take the view's layers away, and show those again that it had switched off."""
        remove_layers(self.viewer, lambda kept: kept["role"] in PATCH_ROLES)
        for layer in self._hidden:
            layer.visible = True
        self._hidden = []

    def say(self, text: str) -> None:
        """One line for the reader."""
        self.line.setText(text)

    def _show(self) -> None:
        if self.scene is None:
            raise UserError("no run is open, expected a run folder in the field above")
        scene, topic = self.scene, self.topic.currentText()
        sample = (self.slice if scene.sliced else self.case).currentText()
        if self._computed is None or self._computed[0] != sample:
            self._computed = (sample, scene.look(scene.example(sample))[1])
        views = self._computed[1]
        if topic not in topics_of(views):
            known = ", ".join(topics_of(views)) or "none of these views"
            raise UserError(f"method {scene.config.method} does not show {topic!r}, it shows: {known}")
        shown = self._patch(cases_of(views, topic), sample)
        scan = load(scene.dataset, scene.case_of(shown))
        where: dict[str, Any] = {"grid": scene.config.grid, "sample": shown}
        layers = view_layers(views, topic, scan, class_names=scene.dataset.class_names, **where)
        self.clear()
        self._hidden = [layer for layer in self.viewer.layers if layer.visible]
        for layer in self._hidden:
            layer.visible = False
        added = add_layers(self.viewer, layers)
        turn_axes(self.viewer, len(scan.shape))
        go_to(self.viewer, clearest_slice(views, topic, scan, **where))
        self.viewer.layers.selection.active = next(one for one in added if role_of(one) == "view")
        self.solid.arrange()
        self.viewer.fit_to_view()
        self.say(TOPICS[topic].reading)

    def _slices(self, case: str) -> None:
        """Offer the slices of a case, where the method sees them one by one."""
        self.slice.clear()
        if self.scene is not None and self.scene.sliced and case:
            self.slice.addItems(self.scene.samples(case))
            self.slice.setCurrentText(self.scene.sample(case))

    def _patch(self, known: list[str], case: str) -> str:
        """The case whose patch is shown: the reader's choice where the batch has it, else the case itself."""
        chosen = self.patch.currentText()
        if [self.patch.itemText(n) for n in range(self.patch.count())] != known:
            self.patch.clear()
            self.patch.addItems(known)
            chosen = case if case in known else known[0]
            self.patch.setCurrentText(chosen)
        return chosen

    def _tried(self, action: Any) -> None:
        try:
            action()
        except UserError as error:
            self.say(str(error))

    def _lay_out(self, *, named: bool) -> None:
        self.line.setWordWrap(True)
        form, row = QFormLayout(self), QHBoxLayout()
        self.form = form
        if not named:
            row.addWidget(self.folder)
            row.addWidget(self.buttons["open"])
            form.addRow("run folder", row)
        self.patch.setToolTip("scans of the same batch: those with a label, and the others")
        rows = {"case": self.case, "slice": self.slice, "view": self.topic, "patch of": self.patch}
        for name, box in rows.items():
            form.addRow(name, box)
        form.setRowVisible(self.slice, False)
        pressed = QHBoxLayout()
        pressed.addWidget(self.buttons["show"])
        pressed.addWidget(self.buttons["clear"])
        form.addRow(pressed)
        form.addRow(self.line)

    def _connect(self) -> None:
        self.buttons["open"].clicked.connect(lambda: self.open())
        self.buttons["show"].clicked.connect(self.show_view)
        self.buttons["clear"].clicked.connect(self.clear)
        self.case.currentTextChanged.connect(lambda case: self._tried(lambda: self._slices(case)))
