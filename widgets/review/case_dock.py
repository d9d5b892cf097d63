"""The dock of a review: which case, its scores, flag, note, and the buttons."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QGridLayout,
    QHeaderView,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from widgets.review.remarks import Remark
from widgets.review.texts import KEYS, keys_line

TYPING = 700  # ms after the last key until a note is written


class CaseDock(QWidget):
    """What a reader sees and presses; it decides nothing and tells what was pressed by its signals."""

    chosen = Signal(int)  # place of a case in the list
    stepped = Signal(int)  # +1 or -1
    flagged = Signal(bool)
    noted = Signal(str)
    correcting = Signal()
    saving = Signal()

    def __init__(self, legend: str):
        super().__init__()
        self.cases, self.flag, self.note = QComboBox(), QCheckBox(f"flag this case ({KEYS['flag']})"), QPlainTextEdit()
        self.scores, self.line = QTableWidget(0, 3), QLabel()
        self.buttons = {name: QPushButton(f"{name} ({KEYS[name]})") for name in ("previous", "next", "correct", "save")}
        self._typed = QTimer(self, singleShot=True, interval=TYPING)
        self._lay_out(legend)
        self._connect()

    def show_case(
        self, titles: Sequence[str], place: int, scores: Sequence[tuple[str, str, str]], remark: Remark
    ) -> None:
        """Fill everything in for a case, without telling anybody that it changed."""
        for widget in (self.cases, self.flag, self.note):
            widget.blockSignals(True)
        self.cases.clear()
        self.cases.addItems(list(titles))
        self.cases.setCurrentIndex(place)
        self.flag.setChecked(remark.flag)
        if self.note.toPlainText().strip() != remark.note:
            self.note.setPlainText(remark.note)
        for widget in (self.cases, self.flag, self.note):
            widget.blockSignals(False)
        self._typed.stop()
        self.scores.setRowCount(len(scores))
        for row, cells in enumerate(scores):
            for column, text in enumerate(cells):
                item = QTableWidgetItem(text)
                item.setTextAlignment(Qt.AlignVCenter | (Qt.AlignRight if column else Qt.AlignLeft))
                self.scores.setItem(row, column, item)
        self.scores.setMinimumHeight(min(len(scores), 6) * 26 + 30)

    def say(self, text: str) -> None:
        """One line for the reader: what was done, or what is wrong."""
        self.line.setText(text)

    def flush(self) -> None:
        """Tell of a note that was typed and not told of yet."""
        if self._typed.isActive():
            self._typed.stop()
            self.noted.emit(self.note.toPlainText())

    def _lay_out(self, legend: str) -> None:
        self.scores.setHorizontalHeaderLabels(["", "prediction", "corrected"])
        self.scores.verticalHeader().hide()
        self.scores.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.scores.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.scores.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.note.setPlaceholderText("note on this case")
        self.note.setMaximumHeight(90)
        colours, keys = QLabel(legend), QLabel(keys_line())
        for label in (self.line, colours, keys):
            label.setWordWrap(True)
        grid = QGridLayout()
        for number, button in enumerate(self.buttons.values()):
            grid.addWidget(button, number // 2, number % 2)
        layout = QVBoxLayout(self)
        for one in (self.cases, self.scores, colours, self.flag, self.note):
            layout.addWidget(one)
        layout.addLayout(grid)
        layout.addWidget(keys)
        layout.addWidget(self.line)
        layout.addStretch()

    def _connect(self) -> None:
        self.cases.activated.connect(self.chosen)
        self.flag.toggled.connect(self.flagged)
        self.note.textChanged.connect(self._typed.start)
        self._typed.timeout.connect(lambda: self.noted.emit(self.note.toPlainText()))
        self.buttons["previous"].clicked.connect(lambda: self.stepped.emit(-1))
        self.buttons["next"].clicked.connect(lambda: self.stepped.emit(+1))
        self.buttons["correct"].clicked.connect(self.correcting)
        self.buttons["save"].clicked.connect(self.saving)
