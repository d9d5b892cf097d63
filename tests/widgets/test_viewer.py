"""The three-plane viewer: what is sent to the browser, what it costs, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ssmis_core.errors import UserError
from widgets import style
from widgets.explorer import slices_of
from widgets.viewer import Viewer, as_bytes, at_once, link


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], list[Any]]]:
    """Every message that viewers send, with its buffers."""
    messages: list[tuple[dict[str, Any], list[Any]]] = []
    monkeypatch.setattr(Viewer, "send", lambda self, content, buffers=None: messages.append((content, buffers or [])))
    return messages


def test_an_array_goes_once_as_bytes_in_row_major_order(ball: np.ndarray, sent: list[Any]) -> None:
    image = np.random.default_rng(0).normal(size=ball.shape)
    viewer = Viewer(image, spacing=(1.0, 1.0, 2.5), title="case")
    ((content, (values, colours)),) = sent
    (told,) = content["layers"]
    low, high = np.percentile(image, (0.5, 99.5))
    assert told["kind"] == "image" and (told["low"], told["high"]) == pytest.approx((low, high))
    share = np.clip((image.ravel() - low) / (high - low), 0, 1)  # the last axis fastest
    assert np.abs(np.frombuffer(values, np.uint8) / 255 - share).max() <= 0.51 / 255 and len(colours.tobytes()) == 1024
    assert viewer.shape == [24, 20, 16] and viewer.spacing == [1.0, 1.0, 2.5] and viewer.window == [low, high]
    viewer.cursor = [1, 2, 3]
    viewer.looks = {"image": {"opacity": 0.5, "visible": True}}
    assert len(sent) == 1  # moving and looking send no array


def test_a_page_that_opens_late_gets_every_layer(ball: np.ndarray, sent: list[Any]) -> None:
    viewer = Viewer(ball.astype(float))
    viewer.show_labels("reference", ball)
    viewer.show_map("noise", ball - 0.5, "noise")
    sent.clear()
    viewer._handle_custom_msg({"type": "ready"}, [])
    ((content, buffers),) = sent
    assert [told["name"] for told in content["layers"]] == ["image", "reference", "noise"] and len(buffers) == 6
    assert bytes(buffers[2]) == ball.tobytes()  # two a layer: values, then colours


def test_what_is_shown_at_once_goes_in_one_message_and_in_the_end(ball: np.ndarray, sent: list[Any]) -> None:
    viewer = Viewer(ball.astype(float))
    viewer.show_labels("old", ball)
    sent.clear()
    with at_once(viewer):
        viewer.show_map("noise", ball - 0.5, "noise")
        viewer.show_labels("reference", ball)
        viewer.show_map("noise", ball - 0.7, "noise")  # only what stands in the end
        viewer.remove("old")
        assert not sent
    ((content, buffers),) = sent
    assert [told["name"] for told in content["layers"]] == ["noise", "reference"] and content["gone"] == ["old"]
    assert bytes(buffers[0]) == viewer.layers["noise"].values.tobytes() and len(buffers) == 4
    with pytest.raises(ZeroDivisionError), at_once(viewer):
        viewer.show_labels("reference", 1 - ball)
        raise ZeroDivisionError
    assert len(sent) == 2 and list(viewer.looks) == ["image", "noise", "reference"]  # as it was before the mistake
    with at_once(viewer):
        pass
    assert len(sent) == 2
    with at_once(viewer):
        viewer.show_labels("outer", ball)
        with at_once(viewer):
            viewer.show_labels("inner", ball)
    assert [told["name"] for told in sent[2][0]["layers"]] == ["outer", "inner"] and len(sent) == 3


def test_viewers_of_one_answer_are_drawn_with_the_last_one_that_has_something_new(
    ball: np.ndarray, sent: list[Any]
) -> None:
    first, second, third = (Viewer(ball.astype(float)) for _ in range(3))
    sent.clear()
    with at_once(first, second, third):
        first.show_labels("reference", ball)
        second.show_labels("reference", ball)
        third.show_image(ball.astype(float))  # as it was
        with at_once(second):
            second.show_map("noise", ball - 0.5, "noise")
    assert [content["more"] for content, _ in sent] == [True, False]
    assert [[told["name"] for told in content["layers"]] for content, _ in sent] == [
        ["reference"],
        ["reference", "noise"],
    ]


def test_a_layer_that_is_there_already_does_not_travel_again(ball: np.ndarray, sent: list[Any]) -> None:
    viewer = Viewer(ball.astype(float))
    viewer.show_labels("reference", ball)
    sent.clear()
    viewer.show_labels("reference", ball.copy())
    assert not sent
    viewer.show_labels("reference", ball, dashed=True)
    viewer.show_labels("reference", ball, colours=["#123456"], dashed=True)
    viewer.show_labels("reference", 1 - ball, colours=["#123456"], dashed=True)
    viewer.remove("reference")
    viewer.show_labels("reference", 1 - ball, colours=["#123456"], dashed=True)
    assert [len(content["layers"]) for content, _ in sent] == [1, 1, 1, 0, 1]
    viewer.show_volume(ball.astype(float))  # the page begins anew and has nothing
    assert [told["name"] for told in sent[-1][0]["layers"]] == ["image"]


def test_labels_have_a_colour_a_class_and_background_is_clear(ball: np.ndarray, sent: list[Any]) -> None:
    label = ball.copy()
    label[:5] = 2
    viewer = Viewer(ball.astype(float))
    viewer.show_labels("reference", label, ("background", "atrium", "ventricle"))
    content, (values, colours) = sent[-1]
    (told,) = content["layers"]
    table = np.frombuffer(colours, np.uint8).reshape(256, 4)
    assert bytes(values) == label.tobytes()
    assert told["legend"] == [
        ["reference, atrium", style.CLASS_COLOURS[0]],
        ["reference, ventricle", style.CLASS_COLOURS[1]],
    ]
    assert table[0, 3] == 0 and (table[1:3, 3] == 255).all() and not table[3:].any()


@pytest.mark.parametrize("classes", [2, 7, 14])
def test_there_is_a_colour_for_any_number_of_classes(classes: int, ball: np.ndarray) -> None:
    names = [f"organ {k}" for k in range(classes)]
    viewer = Viewer(ball.astype(float))
    viewer.show_labels("reference", ball * np.uint8(classes - 1), names)
    assert len(viewer.layers["reference"].legend) == len(style.class_colours(classes, predicted=True)) == classes - 1


@pytest.mark.parametrize(
    ("kind", "top", "ends", "clear"),
    [("probability", None, (0.0, 1.0), 0), ("uncertainty", 0.7, (0.0, 0.7), 0), ("noise", None, (-3.0, 3.0), 127)],
)
def test_a_map_has_the_ends_of_its_kind_and_is_clear_where_it_says_nothing(
    kind: str, top: float | None, ends: tuple[float, float], clear: int, sent: list[Any]
) -> None:
    values = np.linspace(-3.0, 2.0, 24).reshape(2, 3, 4)
    viewer = Viewer(values)
    viewer.show_map("map", values, kind, top=top)
    content, (_, colours) = sent[-1]
    (told,) = content["layers"]
    assert (told["low"], told["high"]) == pytest.approx(ends)
    opacity = np.frombuffer(colours, np.uint8).reshape(256, 4)[:, 3]
    assert opacity[clear] <= 1 and opacity[255] == 255


def test_bytes_are_whole_at_the_ends_and_nan_is_the_lowest() -> None:
    assert as_bytes(np.array([-9.0, 0.0, 0.5, 1.0, 9.0, np.nan]), 0.0, 1.0).tolist() == [0, 0, 128, 255, 255, 0]


@pytest.mark.parametrize("shape", [(7,), (0, 3), (2, 2, 2, 2)])
def test_an_image_that_is_neither_2d_nor_3d_is_one_line(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"viewer: image has shape .*, expected \[X, Y\] or \[X, Y, Z\]"):
        Viewer(np.zeros(shape))


def test_a_layer_of_another_shape_is_one_line_and_changes_nothing(ball: np.ndarray, sent: list[Any]) -> None:
    viewer = Viewer(ball.astype(float))
    with pytest.raises(UserError, match=r"'other' has shape \(3, 3, 3\), expected that of the image, \(24, 20, 16\)"):
        viewer.show_labels("other", np.zeros((3, 3, 3)))
    assert list(viewer.layers) == ["image"] == list(viewer.looks) and len(sent) == 1


def test_the_crosshair_goes_to_the_fullest_slice_and_stays_for_an_empty_mask(ball: np.ndarray) -> None:
    viewer = Viewer(ball.astype(float))
    viewer.look_at(np.zeros_like(ball))
    assert viewer.cursor == [12, 10, 8]
    mask = np.zeros_like(ball)
    mask[2:5, 3:6, 11] = mask[3, 4, 2] = 1
    viewer.look_at(mask)
    assert viewer.cursor == [3, 4, 11]


def test_a_slice_is_a_volume_of_one_plane() -> None:
    viewer = Viewer(np.eye(5), spacing=(2.0, 2.0))
    assert viewer.shape == [5, 5, 1] and viewer.spacing == [2.0, 2.0, 1.0]
    viewer.look_at(np.eye(5) > 0)
    assert viewer.cursor == [2, 2, 0]


def test_a_layer_that_is_removed_takes_its_look_along(ball: np.ndarray, sent: list[Any]) -> None:
    viewer = Viewer(ball.astype(float))
    viewer.show_labels("reference", ball)
    viewer.remove("reference")
    viewer.remove("reference")
    assert list(viewer.layers) == ["image"] == list(viewer.looks)
    assert [(len(told["layers"]), told["gone"]) for told, _ in sent] == [(1, []), (1, []), (0, ["reference"])]


def test_viewers_of_other_shapes_are_not_linked(ball: np.ndarray) -> None:
    first, second = Viewer(ball.astype(float)), Viewer(ball.astype(float))
    first.cursor = [1, 2, 3]
    link(first, second)
    assert second.cursor == [1, 2, 3] and first.group == second.group != ""
    second.cursor = [4, 4, 4]
    assert first.cursor == [4, 4, 4]
    with pytest.raises(UserError, match="expected equal ones"):
        link(first, Viewer(np.eye(4)))


def test_a_window_that_was_moved_stays_when_the_image_changes(ball: np.ndarray) -> None:
    viewer = Viewer(ball.astype(float))
    viewer.show_image(3.0 * ball)
    assert viewer.window == [0.0, 3.0]
    viewer.window = [1.0, 2.0]
    viewer.show_image(5.0 * ball)
    assert viewer.window == [1.0, 2.0] and list(viewer.layers) == ["image"]


def test_another_volume_of_any_shape_begins_anew_and_keeps_what_overlays_looked_like(ball: np.ndarray) -> None:
    viewer = Viewer(ball.astype(float), spacing=(1.0, 1.0, 2.0))
    viewer.show_labels("reference", ball)
    viewer.looks = {**viewer.looks, "reference": {"opacity": 0.2, "visible": False}}
    viewer.window = [0.2, 0.4]
    other = np.ones((7, 9, 5))
    other[3] = 4.0
    viewer.show_volume(other, spacing=(0.5, 0.5, 3.0))
    assert viewer.shape == [7, 9, 5] and viewer.spacing == [0.5, 0.5, 3.0] and viewer.cursor == [3, 4, 2]
    assert list(viewer.layers) == ["image"] and viewer.window == [1.0, 4.0] and viewer.volume == 1
    viewer.show_labels("reference", other > 1)
    assert viewer.looks["reference"] == {"opacity": 0.2, "visible": False}
    with pytest.raises(UserError, match=r"image has shape \(4, 4\), expected 3 axes with voxels"):
        viewer.show_volume(np.ones((4, 4)))
    assert viewer.shape == [7, 9, 5]


def test_a_place_in_the_volume_before_is_moved_inside(ball: np.ndarray) -> None:
    first, second = Viewer(ball.astype(float)), Viewer(ball.astype(float))
    link(first, second)
    for viewer in (first, second):
        viewer.show_volume(np.ones((7, 30, 5)))
        assert first.cursor == [3, 15, 2]
    first.set_state({"cursor": [23, 19, -1]})  # as a page tells that has not heard of the new volume yet
    assert first.cursor == second.cursor == [6, 19, 0]
    assert slices_of(first).data


def test_closing_frees_the_arrays(ball: np.ndarray) -> None:
    viewer = Viewer(ball.astype(float))
    viewer.close()
    assert not viewer.layers and viewer.comm is None
