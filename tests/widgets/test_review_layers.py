"""Cases and views as napari layers: right numbers, right place, colours that differ; no napari needed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from ssmis_core.datasets import Case
from ssmis_core.errors import UserError
from ssmis_core.views import Views
from tests.widgets.explorer_scenes import METHOD_OF_VIEW, scene
from widgets.kept_cases import load
from widgets.replay import array
from widgets.review.layers import case_layers, uncertainty_layer, worst_slice
from widgets.review.order import Ranked
from widgets.review.remarks import Remark
from widgets.review.state import Reviewed
from widgets.review.texts import case_title, legend, saved_line, score_table
from widgets.review.view_layers import TOPICS, cases_of, clearest_slice, topics_of, view_layers
from widgets.scene import Scene


def reviewed(shape: tuple[int, ...] = (9, 7, 5), spacing: Any = (1.0, 2.0, 3.0), classes: int = 2) -> Reviewed:
    rng = np.random.default_rng(0)
    label = rng.integers(0, classes, shape).astype(np.uint8)
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    case = Case("a", rng.normal(size=(1, *shape)).astype(np.float32), label, affine, spacing, "MR")
    ranked = Ranked("a", 0.5, True, ({"case": "a", "class": "heart", "dice": 0.5, "hd95": math.nan},))
    return Reviewed(case, ranked, rng.integers(0, classes, shape).astype(np.uint8), None, Remark(flag=True))


def by_name(layers: list[Any]) -> dict[str, tuple[np.ndarray, dict[str, Any], str]]:
    return {look["name"]: (data, look, kind) for data, look, kind in layers}


@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 5)])
def test_layers_hold_the_arrays_of_the_case_at_its_voxel_size(shape: tuple[int, ...]) -> None:
    seen = reviewed(shape, (1.0, 2.0, 3.0)[: len(shape)])
    layers = by_name(case_layers(seen, ["background", "heart"]))
    assert list(layers) == ["image", "error", "reference", "prediction", "correction"]
    arrays = {"image": seen.case.image[0], "error": seen.errors, "reference": seen.case.label}
    for name, wanted in {**arrays, "prediction": seen.prediction, "correction": seen.prediction}.items():
        data, look, kind = layers[name]
        assert np.array_equal(data, wanted) and kind == ("image" if name == "image" else "labels")
        assert look["scale"] == (1.0, 2.0, 3.0)[: len(shape)] and set(look["units"]) == {"mm"}
        assert look["metadata"]["ssmis"]["role"] == name
        assert np.array_equal(look["metadata"]["ssmis"]["affine"], seen.case.affine)
    layers["correction"][0][:] = 0
    assert seen.prediction.any(), "painting on the correction must leave the prediction alone"


def test_without_a_spacing_a_voxel_is_a_pixel_and_not_a_millimetre() -> None:
    _, look, _ = case_layers(reviewed(spacing=None), ["background", "heart"])[0]
    assert look["scale"] == (1.0, 1.0, 1.0) and set(look["units"]) == {"pixel"}


@pytest.mark.parametrize("classes", [2, 4])
def test_colours_tell_roles_or_classes_apart_and_the_background_is_clear(classes: int) -> None:
    names = ["background", "a", "b", "c"][:classes]
    layers = by_name(case_layers(reviewed(classes=classes), names))
    colours = {name: look["colormap"] for name, (_, look, kind) in layers.items() if kind == "labels"}
    assert all(c[0] == c[None] == "transparent" for c in colours.values())
    if classes == 2:
        assert len({colours[role][1] for role in ("reference", "prediction", "correction")}) == 3
    else:
        assert len({colours["reference"][k] for k in range(1, classes)}) == classes - 1
    assert len(set(list(colours["error"].values())[2:])) == 3
    assert all(name in legend(names) for name in ("missed", "too much", *([] if classes == 2 else names[1:])))


def test_a_saved_correction_is_shown_and_an_unlabeled_case_has_no_errors() -> None:
    seen = reviewed()
    corrected = Reviewed(seen.case, seen.ranked, seen.prediction, 1 - seen.prediction, seen.remark)
    data, look, _ = by_name(case_layers(corrected, ["background", "heart"]))["correction"]
    assert np.array_equal(data, 1 - seen.prediction) and look["visible"]
    assert not by_name(case_layers(seen, ["background", "heart"]))["correction"][1]["visible"]
    unlabeled = Case("a", seen.case.image, None, seen.case.affine, seen.case.spacing, "MR")
    bare = Reviewed(unlabeled, seen.ranked, seen.prediction, None, seen.remark)
    assert list(by_name(case_layers(bare, ["background", "heart"]))) == ["image", "prediction", "correction"]


def test_the_uncertainty_goes_from_0_to_ln_k() -> None:
    seen = reviewed(classes=3)
    _, look, kind = uncertainty_layer(np.zeros(seen.case.shape), seen.case, 3)
    assert kind == "image" and look["contrast_limits"] == (0.0, math.log(3))


def test_the_first_slice_is_the_one_with_most_errors_beside_the_reference() -> None:
    label, predicted = np.zeros((6, 6, 4), np.uint8), np.zeros((6, 6, 4), np.uint8)
    label[:2, :2, 1] = label[:3, :3, 2] = 1
    predicted[:, :, 3] = 1
    base = reviewed((6, 6, 4))
    case = Case("a", base.case.image, label, base.case.affine, (1.0, 2.0, 3.0), "MR")
    assert worst_slice(Reviewed(case, base.ranked, predicted, None, Remark())) == 2 * 3.0
    assert worst_slice(Reviewed(case, base.ranked, label, None, Remark())) == 2 * 3.0
    assert worst_slice(reviewed((9, 7), (1.0, 2.0))) is None


def test_the_dock_says_scores_of_prediction_and_latest_correction() -> None:
    seen = reviewed()
    saves = [{"class": "heart", "dice_after": 0.6, "hd95_after": 4.0}, {"class": "heart", "dice_after": 0.75}]
    assert score_table(seen.ranked, saves) == [("Dice (%)", "50.0", "75.0"), ("95HD (voxels)", "", "")]
    assert case_title(seen.ranked, 0, seen.remark) == "1. a (Dice 50.0 %, missed, flagged)"
    told = saved_line([{"class": "heart", "voxels_changed": 12, "dice_change": 0.25}])
    assert told == "saved: 12 voxels, Dice +25.0 points"


def looked_at(topic: str, dims: int, classes: int = 2, **options: Any) -> tuple[Scene, Views, str]:
    """A scene of the topic's method on a grid twice as coarse as the scan's, and what it sees of a case."""
    data = {"dims": dims, "num_classes": classes, "size": (50, 45, 39)[:dims]}
    patch = {"patch": (16,) * dims, "stride": (16,) * dims, "factor": 2}
    one = scene(dims, METHOD_OF_VIEW[topic], classes=classes, dataset_options=data, **patch, **options)
    case = one.dataset.test[3]
    return one, one.look(one.example(case))[1], case


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("topic", TOPICS)
def test_a_view_lies_where_its_patch_was_cut(topic: str, dims: int) -> None:
    one, views, case = looked_at(topic, dims)
    scan = load(one.dataset, case)
    assert topic in topics_of(views) and case in cases_of(views, topic)
    layers = view_layers(views, topic, scan, grid=one.config.grid, class_names=one.dataset.class_names)
    assert np.array_equal(by_name(layers)["scan"][0], scan.image[0])
    size = np.array(scan.spacing)
    placed = [(d, look) for d, look, _ in layers if look["metadata"]["ssmis"]["role"] == "view"]
    images = [(d, look) for d, look in placed if look["metadata"]["ssmis"]["view"] in ("image", "second_image")]
    assert len(placed) > 2 and images
    for data, look in images:  # a voxel of a patch is the mean of the scan's voxels at that very place
        start, scale = np.array(look["translate"]), np.array(look["scale"])
        assert np.allclose(scale, 2 * size)
        rng, found = np.random.default_rng(0), []
        for index in rng.integers(0, data.shape, (100, dims)):
            first = np.round((start + index * scale) / size - 0.5).astype(int)
            if (first >= 0).all() and (first + 2 <= np.array(scan.shape)).all():
                block = scan.image[0][tuple(slice(f, f + 2) for f in first)]
                found.append((data[tuple(index)], block.mean()))
        assert len(found) > 30
        assert np.corrcoef(np.array(found).T)[0, 1] > 0.999  # a method may change range and brightness


@pytest.mark.parametrize("topic", TOPICS)
def test_a_view_shows_the_numbers_of_the_loss(topic: str) -> None:
    one, views, case = looked_at(topic, 3, classes=2)
    layers = view_layers(
        views, topic, load(one.dataset, case), grid=one.config.grid, class_names=one.dataset.class_names
    )
    about = TOPICS[topic].about
    (data, look, _) = next(item for item in layers if item[1]["metadata"]["ssmis"].get("view") == about)
    view = views[about]
    value = array(view, view.case.index(case))[0]
    how = TOPICS[topic].shown[about]
    assert np.array_equal(data, value == 0 if how in ("left out", "hole") else value)
    assert look["visible"]


def test_a_mix_is_shown_on_the_scan_that_it_is_pasted_into() -> None:
    one, views, case = looked_at("copy-paste mix", 2)
    everyone = cases_of(views, "copy-paste mix")
    assert case in everyone and len(everyone) > 1
    for name in everyone:
        scan = load(one.dataset, name)
        layers = view_layers(views, "copy-paste mix", scan, grid=one.config.grid, class_names=one.dataset.class_names)
        mixes = {look["metadata"]["ssmis"]["view"] for _, look, _ in layers if look["name"].startswith("mix")}
        assert mixes == {n for n, view in views.items() if n.startswith("mix_") and name in view.case}


def test_both_crops_of_an_overlap_have_a_frame_of_their_own() -> None:
    one, views, case = looked_at("translation overlap", 3, min_overlap=4)
    layers = view_layers(
        views, "translation overlap", load(one.dataset, case), grid=one.config.grid, class_names=one.dataset.class_names
    )
    row = views["image"].case.index(case)
    first, second = (tuple(views[name].corner[row].tolist()) for name in ("image", "second_image"))
    frames = [(data, look["metadata"]["ssmis"]["corner"]) for data, look, kind in layers if kind == "shapes"]
    assert {corner for _, corner in frames} == {first, second}
    spacing = np.array(load(one.dataset, case).spacing)
    for lines, corner in frames:
        low, high = np.min(lines, (0, 1)), np.max(lines, (0, 1))
        assert len(lines) == 12
        assert np.allclose(low, np.array(corner) * 2 * spacing - spacing / 2)
        assert np.allclose(high - low, 16 * 2 * spacing)


def test_the_slice_to_look_at_first_is_in_what_the_view_is_about() -> None:
    one, views, case = looked_at("translation overlap", 3, min_overlap=4)
    scan = load(one.dataset, case)
    z = clearest_slice(views, "translation overlap", scan, grid=one.config.grid)
    assert z is not None and scan.spacing is not None
    view = views["overlap"]
    row = view.case.index(case)
    depth = (round(z / scan.spacing[2]) - 2 * view.corner[row].tolist()[2]) // 2
    assert array(view, row)[0][:, :, depth].any()
    flat, seen, name = looked_at("translation overlap", 2)
    assert clearest_slice(seen, "translation overlap", load(flat.dataset, name), grid=flat.config.grid) is None


def test_several_classes_have_a_distance_map_each_and_one_is_shown() -> None:
    one, views, case = looked_at("signed distance map", 2, classes=4)
    layers = by_name(
        view_layers(
            views,
            "signed distance map",
            load(one.dataset, case),
            grid=one.config.grid,
            class_names=one.dataset.class_names,
        )
    )
    names = [name for name in layers if name.startswith("distance,")]
    assert names == [f"distance, {name}" for name in one.dataset.class_names[1:]]
    assert [layers[name][1]["visible"] for name in names] == [True, False, False]


def test_what_a_method_does_not_show_is_told_in_one_line() -> None:
    one, views, case = looked_at("uncertainty mask", 2)
    scan = load(one.dataset, case)
    known: dict[str, Any] = {"grid": one.config.grid, "class_names": one.dataset.class_names}
    with pytest.raises(UserError, match="does not show 'copy-paste mix', it shows: signed distance map, uncertainty"):
        view_layers(views, "copy-paste mix", scan, **known)
    with pytest.raises(UserError, match="unknown view 'noise'"):
        view_layers(views, "noise", scan, **known)
    other = load(one.dataset, one.dataset.test[0])
    with pytest.raises(UserError, match="has no part in this batch, expected one of"):
        view_layers(views, "uncertainty mask", other, **known)
