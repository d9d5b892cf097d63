"""The dock from napari's plugin menu that opens a run folder for review."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QFileDialog, QFormLayout, QHBoxLayout, QLabel, QLineEdit, QPushButton, QWidget

from ssmis_core.errors import UserError
from widgets.review.state import Review
from widgets.review.window import ReviewWindow


class RunDock(QWidget):
    """Asks for a run folder and opens its review in the viewer, as `ssmis review` does in one of its own."""

    def __init__(self, napari_viewer: Any):
        super().__init__()
        self.viewer = napari_viewer
        self.window: ReviewWindow | None = None
        self.folder, self.data, self.line = QLineEdit(), QLineEdit(), QLabel()
        self.data.setPlaceholderText("where the run says, or $SSMIS_DATA")
        self.line.setWordWrap(True)
        choose, start = QPushButton("choose..."), QPushButton("review")
        row = QHBoxLayout()
        row.addWidget(self.folder)
        row.addWidget(choose)
        form = QFormLayout(self)
        form.addRow("run folder", row)
        form.addRow("data folder", self.data)
        form.addRow(start)
        form.addRow(self.line)
        choose.clicked.connect(self.choose)
        start.clicked.connect(self.start)

    def choose(self) -> None:
        """Name the run folder in a dialog."""
        self.folder.setText(QFileDialog.getExistingDirectory(self, "a run folder") or self.folder.text())

    def start(self) -> None:
        """Open the review; what is wrong with the folder is said in a line."""
        try:
            if not self.folder.text():
                raise UserError("no run folder is named, expected one that `ssmis evaluate` has filled")
            root = self.data.text() or None
            review = Review(Path(self.folder.text()).expanduser(), data_root=root)
            if self.window is not None and not self.window.close():
                return
            self.window = ReviewWindow(review, self.viewer)
            self.line.setText("")
        except UserError as error:
            self.line.setText(str(error))
