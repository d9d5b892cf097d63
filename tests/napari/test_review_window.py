"""A review in a napari window, driven by keys, buttons and the brush: what is seen, written and there again."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import nibabel
import numpy as np
import pytest

from ssmis_core.files import read_csv
from ssmis_core.metrics import evaluate
from ssmis_core.runs import Run
from tests.napari.conftest import picture, settle, share_of
from tests.widgets.explorer_scenes import scene
from widgets import style
from widgets.review.state import Review

pytestmark = pytest.mark.napari


def open_window(viewer: Any, run: Run, **options: Any) -> Any:
    from widgets.review.window import ReviewWindow

    answers = options.pop("answers", [])
    window = ReviewWindow(Review(run, who="anna", **options), viewer, ask=lambda _: answers.pop(0))
    settle(done=lambda: window.layer("uncertainty") is not None)
    return window


def press(viewer: Any, key: str, *, shift: bool = False) -> None:
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    held = Qt.KeyboardModifier.ShiftModifier if shift else Qt.KeyboardModifier.NoModifier
    QTest.keyClick(viewer.window._qt_viewer.canvas.native, getattr(Qt.Key, f"Key_{key}"), held)
    settle()


def names(viewer: Any) -> list[str]:
    return [layer.name for layer in viewer.layers]


@pytest.mark.parametrize("dims", [2, 3])
def test_a_session_from_opening_to_reopening(viewer: Any, copied: Callable[[int], Run], dims: int) -> None:
    run = copied(dims)
    before = {path: path.read_bytes() for path in sorted(run.path.rglob("*")) if path.is_file()}
    window = open_window(viewer, run)
    review = window.review
    assert names(viewer) == ["image", "uncertainty", "error", "reference", "prediction", "correction"]
    assert window.dock.cases.currentText().startswith(f"1. {review.order[0]} (Dice ")

    press(viewer, "N")
    assert review.case == review.order[1] and window.dock.cases.currentIndex() == 1
    press(viewer, "G")
    assert window.dock.flag.isChecked() and "flagged" in window.dock.cases.currentText()
    window.dock.note.setPlainText("left vein missed")

    press(viewer, "K")
    correction = window.layer("correction")
    assert viewer.layers.selection.active is correction and correction.mode == "paint" and correction.visible
    seen = window.seen
    label = seen.case.label
    middle = tuple(int(np.median(axis)) for axis in np.nonzero(label))
    correction.brush_size = 6
    correction.paint(middle, 1)
    correction.data[label > 0] = 1
    assert window.edited
    press(viewer, "K", shift=True)
    assert window.dock.line.text().startswith("saved: ") and not window.edited

    (row,) = read_csv(run.path / "corrections.csv", text=("case", "class", "who", "when"))
    dice = evaluate(correction.data, label).dice
    assert row["dice_after"] == pytest.approx(dice) and row["dice_after"] > row["dice_before"]
    assert (row["case"], row["who"]) == (review.order[1], "anna")
    corrected = {window.dock.scores.item(r, 0).text(): window.dock.scores.item(r, 2).text() for r in range(2)}
    assert corrected["Dice (%)"] == f"{100 * dice:.1f}"
    stored = nibabel.load(run.path / "corrections" / f"{review.order[1]}.nii.gz")
    predicted = nibabel.load(run.path / "predictions" / f"{review.order[1]}.nii.gz")
    assert np.array_equal(stored.affine, predicted.affine)
    saved = correction.data.copy()

    press(viewer, "N")
    press(viewer, "N", shift=True)
    assert window.dock.note.toPlainText() == "left vein missed"
    assert window.close()
    assert all(path.read_bytes() == content for path, content in before.items())

    again = open_window(viewer, run)
    again.go(1)
    assert np.array_equal(again.layer("correction").data, saved) and again.layer("correction").visible
    assert again.dock.flag.isChecked() and again.dock.note.toPlainText() == "left vein missed"
    assert np.array_equal(again.layer("prediction").data, seen.prediction)


@pytest.mark.parametrize("dims", [2, 3])
def test_what_is_on_the_screen(viewer: Any, copied: Callable[[int], Run], dims: int) -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        window = open_window(viewer, copied(dims))
        flat = picture(viewer, f"review-{dims}d-slice")
        if dims == 3:
            own = {layer.name: layer.visible for layer in viewer.layers}
            viewer.dims.ndisplay = 3
            solid = picture(viewer, "review-3d-solid")
            assert flat.shape != solid.shape or np.abs(flat.astype(int) - solid).mean() > 5
            viewer.dims.ndisplay = 2
            assert {layer.name: layer.visible for layer in viewer.layers} == own
    assert [str(one.message) for one in heard if "Contours" in str(one.message)] == []
    window.layer("error").visible = False
    clean = picture(viewer, f"review-{dims}d-lines")
    assert share_of(clean, style.PREDICTION) > 0.001
    window.layer("prediction").visible = False
    assert share_of(picture(viewer, f"review-{dims}d-reference"), style.PREDICTION) < 0.0005


def test_layers_lie_in_mm_and_only_the_correction_can_be_painted_on(viewer: Any, copied: Callable[[int], Run]) -> None:
    window = open_window(viewer, copied(3))
    spacing = window.seen.case.spacing
    for layer in viewer.layers:
        assert tuple(layer.scale) == pytest.approx(spacing)
        assert {str(unit) for unit in layer.units} == {"millimeter"}
    editable = [layer.name for layer in viewer.layers if type(layer).__name__ == "Labels" and layer.editable]
    assert editable == ["correction"]
    assert tuple(viewer.dims.order) == (2, 1, 0)


def test_leaving_an_edit_asks_and_does_what_is_answered(viewer: Any, copied: Callable[[int], Run]) -> None:
    run = copied(2)
    window = open_window(viewer, run, answers=["cancel", "discard", "save"])
    first = window.review.case

    def edit() -> None:
        window.layer("correction").data[:3] = 1 - window.layer("correction").data[:3]

    edit()
    press(viewer, "N")
    assert window.review.case == first and window.edited
    press(viewer, "N")
    assert window.review.case != first and not (run.path / "corrections").exists()
    edit()
    press(viewer, "N")
    assert [path.name for path in (run.path / "corrections").iterdir()] == [f"{window.review.order[1]}.nii.gz"]


def test_mistakes_are_said_in_the_dock_and_change_nothing(viewer: Any, copied: Callable[[int], Run]) -> None:
    run = copied(2)
    window = open_window(viewer, run)
    press(viewer, "K", shift=True)
    assert "nothing to save" in window.dock.line.text()
    press(viewer, "N", shift=True)
    assert window.dock.line.text() == "this is the first case" and window.review.place == 0
    (run.path / "predictions" / f"{window.review.order[1]}.nii.gz").write_bytes(b"no")
    press(viewer, "N")
    assert "not a whole NIfTI file" in window.dock.line.text()
    assert window.review.place == 0 and window.seen.case.id == window.review.case


def test_a_note_typed_just_before_a_save_or_a_choice_is_kept(viewer: Any, copied: Callable[[int], Run]) -> None:
    run = copied(2)
    window = open_window(viewer, run)
    window.layer("correction").data[:4] = 1
    window.dock.note.setPlainText("typed before the save")
    window.save()
    assert window.dock.note.toPlainText() == Review(run).open().remark.note == "typed before the save"
    assert window.dock.line.text().startswith("saved: ")
    window.dock.note.setPlainText("typed before a choice")
    window.go(window.review.place)
    assert window.dock.note.toPlainText() == Review(run).open().remark.note == "typed before a choice"


def test_a_correction_that_was_removed_comes_back_as_it_was_saved(viewer: Any, copied: Callable[[int], Run]) -> None:
    window = open_window(viewer, copied(3))
    window.layer("correction").data[:4] = 1
    window.save()
    saved = window.layer("correction").data.copy()
    viewer.layers.remove(window.layer("correction"))
    window.save()
    assert "was removed" in window.dock.line.text() and not window.edited
    window.correct()
    layer = window.layer("correction")
    assert (layer.data == saved).all() and layer.visible and layer.mode == "paint" and not window.edited


def test_closing_the_window_asks_about_an_edit(viewer: Any, copied: Callable[[int], Run]) -> None:
    run = copied(2)
    window = open_window(viewer, run, answers=["cancel", "save"])
    window.layer("correction").data[:4] = 1
    window.dock.note.setPlainText("typed just before")
    frame = viewer.window._qt_window
    assert not frame.close() and frame.isVisible()
    assert frame.close()
    assert [path.name for path in (run.path / "corrections").iterdir()] == [f"{window.review.case}.nii.gz"]
    assert Review(run).open().remark.note == "typed just before"


def test_a_readers_layer_that_a_view_switched_off_is_seen_again_with_the_next_case(
    viewer: Any, copied: Callable[[int], Run]
) -> None:
    window = open_window(viewer, copied(3))
    own = viewer.add_points([[1, 1, 1]], name="my points")
    window.views.use(
        scene(3, "ugmcl", dataset_options={"size": (48, 44, 40)}, factor=1)
    )  # the run's method has no views
    window.views.topic.setCurrentText("uncertainty mask")
    window.views.show_view()
    settle()
    assert not own.visible and any(layer.visible for layer in viewer.layers)
    press(viewer, "N")
    assert own in viewer.layers and own.visible


def test_layers_of_others_stay_and_closing_takes_ours_away(viewer: Any, copied: Callable[[int], Run]) -> None:
    viewer.add_points(np.zeros((1, 3)), name="mine")
    window = open_window(viewer, copied(3))
    window.step(+1)
    assert "mine" in names(viewer) and len(names(viewer)) >= 6
    settle(done=lambda: window._worker is None)
    assert window.close() and names(viewer) == ["mine"]
    press(viewer, "N")
    assert names(viewer) == ["mine"]
