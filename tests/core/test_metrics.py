import subprocess
import sys
from math import isnan, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from ssmis_core import surface_distance
from ssmis_core.errors import UserError
from ssmis_core.metrics import (
    Scores,
    dice_of_classes,
    evaluate,
    evaluate_classes,
    evaluate_classes_in,
    surface_distances,
)


@pytest.fixture(scope="module")
def binary(require):
    """medpy's metrics, what the published tables were made with."""
    require("medpy", "pip install MedPy")
    from medpy.metric import binary

    return binary


@pytest.fixture(scope="module")
def from_medpy(binary):
    """`from_medpy(prediction, reference, spacing=None)`: (dice, jaccard, hd95, asd)."""

    def scores(prediction, reference, spacing=None):
        return (
            binary.dc(prediction, reference),
            binary.jc(prediction, reference),
            binary.hd95(prediction, reference, voxelspacing=spacing),
            binary.asd(prediction, reference, voxelspacing=spacing),
        )

    return scores


def blob(shape, seed, density=0.5, smooth=1.0):
    """A random mask of smooth pieces that may touch the border; never empty."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), smooth)
    mask = noise >= np.quantile(noise, 1 - density)
    mask.flat[noise.argmax()] = True
    return mask


def numbers(scores):
    return scores.dice, scores.jaccard, scores.hd95, scores.asd


shapes = st.one_of(
    st.tuples(*[st.integers(1, 17)] * 2),
    st.tuples(*[st.integers(1, 13)] * 3),
)
densities = st.floats(0.02, 1.0)
seeds = st.integers(0, 2**31)
steps = st.floats(0.2, 6.0)


@settings(max_examples=120)
@given(shape=shapes, seed=seeds, densities=st.tuples(densities, densities), smooth=st.floats(0.0, 2.5), data=st.data())
def test_scores_equal_medpy_in_2d_and_3d_in_voxels_and_mm(from_medpy, shape, seed, densities, smooth, data):
    prediction, reference = (blob(shape, seed + i, densities[i], smooth) for i in range(2))
    spacing = data.draw(st.none() | st.tuples(*[steps] * len(shape)))
    assert numbers(evaluate(prediction, reference, spacing)) == pytest.approx(
        from_medpy(prediction, reference, spacing), abs=1e-6
    )


@pytest.mark.parametrize("spacing", [None, (0.625, 0.625, 5.0), (10.0, 0.1, 1.0), (1.5, 1.5, 1.5)])
def test_far_and_near_surfaces_together_equal_medpy(spacing, from_medpy):
    reference = blob((40, 31, 22), 1, 0.1, 3.0)
    prediction = np.roll(reference, 2, axis=0)
    prediction[:3, :3, :3] = True  # a false positive in the corner
    expected = from_medpy(prediction, reference, spacing)
    assert numbers(evaluate(prediction, reference, spacing)) == pytest.approx(expected, abs=1e-6)


def test_objects_that_fill_the_array_have_their_surface_at_its_border(from_medpy):
    full = np.ones((7, 6, 5), dtype=bool)
    hole = full.copy()
    hole[3, 3, 2] = False
    assert numbers(evaluate(full, hole)) == pytest.approx(from_medpy(full, hole), abs=1e-6)


@given(shape=shapes, seed=seeds, density=densities)
@settings(max_examples=30)
def test_a_mask_against_itself_is_perfect(shape, seed, density):
    mask = blob(shape, seed, density)
    assert evaluate(mask, mask) == Scores(1.0, 1.0, 0.0, 0.0)


@given(shape=shapes, seed=seeds)
@settings(max_examples=30)
def test_dice_jaccard_hd95_and_two_sided_asd_do_not_depend_on_the_order(shape, seed):
    a, b = blob(shape, seed, 0.3), blob(shape, seed + 1, 0.4)
    for rule in ("pooled", "max"):
        forth, back = (evaluate(*pair, hd95=rule, asd="two-sided") for pair in ((a, b), (b, a)))
        assert numbers(forth) == pytest.approx(numbers(back), abs=1e-12)


@given(shape=shapes, seed=seeds, factor=steps)
@settings(max_examples=30)
def test_equal_spacing_scales_the_distances_and_nothing_else(shape, seed, factor):
    a, b = blob(shape, seed, 0.2), blob(shape, seed + 1, 0.3)
    voxels, mm = evaluate(a, b), evaluate(a, b, [factor] * len(shape))
    assert (mm.dice, mm.jaccard) == (voxels.dice, voxels.jaccard)
    assert (mm.hd95, mm.asd) == pytest.approx((voxels.hd95 * factor, voxels.asd * factor), rel=1e-9)


@given(seed=seeds, before=st.integers(0, 9), after=st.integers(0, 9))
@settings(max_examples=20)
def test_background_around_both_objects_changes_nothing(seed, before, after):
    a, b = (np.pad(blob((8, 7, 6), seed + i, 0.3), 1) for i in range(2))
    margin = [(before, after)] * 3
    assert evaluate(np.pad(a, margin), np.pad(b, margin)) == evaluate(a, b)


def test_one_voxel_objects_are_as_far_apart_as_their_centres():
    a, b = np.zeros((9, 9, 9), dtype=np.uint8), np.zeros((9, 9, 9), dtype=np.uint8)
    a[0, 0, 0] = b[8, 6, 0] = 1
    assert evaluate(a, b) == Scores(0.0, 0.0, 10.0, 10.0)
    assert evaluate(a, b, (1, 2, 5)).asd == pytest.approx(sqrt(8**2 + 12**2))


def test_hd95_max_is_the_larger_directed_percentile_and_pooled_puts_the_sets_together():
    prediction, reference = np.zeros((40, 3), dtype=bool), np.zeros((40, 3), dtype=bool)
    prediction[:, 1] = True
    reference[:20, 1] = True
    there = np.maximum(np.arange(40) - 19, 0)
    assert evaluate(prediction, reference, hd95="max").hd95 == pytest.approx(np.percentile(there, 95))
    pooled = np.percentile(np.concatenate((there, np.zeros(20))), 95)
    assert evaluate(prediction, reference).hd95 == pytest.approx(pooled)


def test_one_sided_asd_misses_what_the_prediction_lacks_and_two_sided_does_not(binary):
    reference = np.zeros((40, 3), dtype=bool)
    reference[:, 1] = True
    half = reference.copy()
    half[20:] = False
    assert evaluate(half, reference).asd == 0
    assert evaluate(half, reference, asd="two-sided").asd == pytest.approx(binary.assd(half, reference))


EMPTY, OBJECT = np.zeros((5, 5), dtype=np.uint8), np.eye(5, dtype=np.uint8)


def test_a_missed_object_has_no_distance_and_is_marked():
    scores = evaluate(EMPTY, OBJECT)
    assert (scores.dice, scores.jaccard, scores.missed, scores.false_alarm) == (0, 0, True, False)
    assert isnan(scores.hd95) and isnan(scores.asd)


def test_a_false_alarm_has_no_distance_and_is_marked():
    scores = evaluate(OBJECT, EMPTY)
    assert (scores.dice, scores.jaccard, scores.missed, scores.false_alarm) == (0, 0, False, True)
    assert isnan(scores.hd95) and isnan(scores.asd)


def test_two_empty_masks_have_nothing_to_score():
    scores = evaluate(EMPTY, EMPTY)
    assert all(isnan(number) for number in numbers(scores))
    assert not scores.missed and not scores.false_alarm


@pytest.mark.parametrize("pair", [(EMPTY, OBJECT), (OBJECT, EMPTY), (EMPTY, EMPTY)])
def test_the_papers_policy_scores_zeros_and_still_marks_what_was_missed(pair):
    scores = evaluate(*pair, empty="zero")
    assert numbers(scores) == (0, 0, 0, 0)
    assert scores.missed == (pair[1].any() and not pair[0].any())
    assert scores.false_alarm == (pair[0].any() and not pair[1].any())


@given(shape=shapes, seed=seeds, num_classes=st.integers(2, 5), rules=st.sampled_from([{}, {"hd95": "max"}]))
@settings(max_examples=40)
def test_classes_score_as_each_would_alone(shape, seed, num_classes, rules):
    generator = np.random.default_rng(seed)
    prediction, reference = (generator.integers(0, num_classes, shape).astype(np.uint8) for _ in range(2))
    spacing = [1.0 + axis for axis in range(len(shape))]
    found = evaluate_classes(prediction, reference, num_classes, spacing, "nan", **rules)
    alone = [evaluate(prediction == k, reference == k, spacing, **rules) for k in range(1, num_classes)]
    assert len(found) == num_classes - 1
    np.testing.assert_array_equal(
        np.array([list(scores.as_dict().values()) for scores in found], dtype=float),
        np.array([list(scores.as_dict().values()) for scores in alone], dtype=float),
    )


@given(
    shape=shapes,
    seed=seeds,
    num_classes=st.integers(2, 4),
    mm=steps,
    thick=steps,
    empty=st.sampled_from(["nan", "zero"]),
)
@settings(max_examples=30)
def test_scores_in_several_units_at_once_are_those_one_by_one(shape, seed, num_classes, mm, thick, empty):
    maps = np.random.default_rng(seed).integers(0, num_classes, (2, *shape))
    spacings = [None, (mm,) * len(shape), (thick, *[mm] * (len(shape) - 1))]
    found = evaluate_classes_in(spacings, *maps, num_classes, empty)
    for unit, spacing in enumerate(spacings):
        for scores, alone in zip(found, evaluate_classes(*maps, num_classes, spacing, empty), strict=True):
            assert scores[unit].as_dict() == pytest.approx(alone.as_dict(), nan_ok=True)


def test_voxels_and_millimetres_of_even_voxels_take_one_search(monkeypatch):
    searches = []
    real = surface_distance._distances
    monkeypatch.setattr(surface_distance, "_distances", lambda *given: searches.append(given[2]) or real(*given))
    label = np.zeros((8, 9, 10), np.uint8)
    label[2:5, 2:5, 2:5], label[6:, 6:, 6:] = 1, 2
    evaluate_classes_in([None, (0.6, 0.6, 0.6)], label, np.roll(label, 1, 0), 3)
    assert len(searches) == 2 * 2  # a class and direction each
    evaluate_classes_in([None, (0.6, 0.6, 1.2)], label, np.roll(label, 1, 0), 3)
    assert len(searches) == 2 * 2 + 2 * 2 * 2


def test_classes_that_both_maps_lack_have_nothing_to_score():
    for shape in ((6, 6), (4, 5, 6)):
        blank = np.zeros(shape, dtype=np.int64)
        assert all(isnan(scores.dice) and not scores.missed for scores in evaluate_classes(blank, blank, 4))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_any_dtype_and_memory_order_gives_the_same_scores(dtype, order):
    a, b = blob((9, 8, 7), 3, 0.4), blob((9, 8, 7), 4, 0.4)
    expected = evaluate(a, b)
    assert evaluate(np.asarray(a, dtype=dtype, order=order), b) == expected
    assert evaluate_classes(np.asarray(a, dtype=dtype, order=order), b, 2) == [expected]


def test_inputs_are_left_as_they_were():
    a, b = blob((9, 8), 3), blob((9, 8), 4)
    kept = a.copy(), b.copy()
    evaluate(a, b)
    evaluate_classes(a, b, 2)
    assert (a == kept[0]).all() and (b == kept[1]).all()


def test_scores_as_dict_are_the_columns_of_a_table():
    assert list(Scores(1, 1, 0, 0).as_dict()) == ["dice", "jaccard", "hd95", "asd", "missed", "false_alarm"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"prediction": OBJECT * 2}, "evaluate_classes"),
        ({"reference": OBJECT * 255}, "reference has the value 255"),
        ({"prediction": OBJECT * 0.4}, "prediction has the value 0.4"),
        ({"prediction": OBJECT * np.nan}, "prediction has the value nan"),
        ({"prediction": -OBJECT.astype(int)}, "prediction has the value -1"),
        ({"prediction": OBJECT.astype(str)}, "prediction holds"),
        ({"prediction": OBJECT[:4]}, "prediction has shape (4, 5) and reference (5, 5)"),
        ({"prediction": OBJECT[0], "reference": OBJECT[0]}, "expected 2 or 3 axes"),
        ({"prediction": OBJECT[:0], "reference": OBJECT[:0]}, "at least one voxel"),
        ({"spacing": (1, 1, 1)}, "expected 2 positive numbers"),
        ({"spacing": 0.625}, "expected 2 positive numbers"),
        ({"spacing": (1, 0)}, "expected 2 positive numbers"),
        ({"spacing": (1, float("nan"))}, "expected 2 positive numbers"),
        ({"empty": "skip"}, "unknown empty policy"),
        ({"hd95": "mean"}, "unknown hd95 rule"),
        ({"asd": "both"}, "unknown asd rule"),
    ],
)
def test_bad_input_is_told_in_one_line(change, told):
    with pytest.raises(UserError) as error:
        evaluate(**{"prediction": OBJECT, "reference": OBJECT} | change)
    assert told in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("value", "num_classes", "told"),
    [(4, 4, "expected whole values 0 to 3"), (1.5, 4, "value 1.5"), (-1, 4, "value -1"), (0, 1, "num_classes=1")],
)
def test_label_values_outside_the_classes_are_told(value, num_classes, told):
    with pytest.raises(UserError, match=told):
        evaluate_classes(EMPTY + np.asarray(value), EMPTY, num_classes)


def test_metrics_import_without_torch_or_medpy():
    code = "import sys, ssmis_core.metrics; sys.exit(any(name in sys.modules for name in ('torch', 'medpy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("spacing", [None, (0.5, 2.0, 1.25)])
def test_surface_distances_are_what_the_scores_are_made_of(spacing):
    prediction, reference = np.zeros((2, 15, 14, 13), np.uint8)
    prediction[2:9, 3:8, 4:9] = 1
    reference[4:12, 3:7, 4:11] = 1
    there, back = surface_distances(prediction, reference, spacing)
    pooled, other = (evaluate(prediction, reference, spacing, hd95=rule) for rule in ("pooled", "max"))
    both = np.concatenate((there, back))
    assert pooled.hd95 == np.percentile(both, 95)
    assert other.hd95 == max(np.percentile(there, 95), np.percentile(back, 95))
    assert pooled.asd == there.mean() and evaluate(prediction, reference, spacing, asd="two-sided").asd == both.mean()
    swapped = surface_distances(reference, prediction, spacing)
    np.testing.assert_array_equal(swapped[0], back)


def test_surface_distances_of_an_object_that_is_missing_are_none():
    full, nothing = np.ones((4, 4)), np.zeros((4, 4))
    for pair in ((full, nothing), (nothing, full), (nothing, nothing)):
        assert [one.size for one in surface_distances(*pair)] == [0, 0]
    with pytest.raises(UserError, match="expected equal shapes"):
        surface_distances(full, np.ones((4, 5)))
    with pytest.raises(UserError, match="takes one binary object"):
        surface_distances(2 * full, full)


@pytest.mark.parametrize("empty", ["nan", "zero"])
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 5), dims=st.integers(2, 3))
def test_dice_of_classes_is_the_dice_of_the_scores(empty, seed, classes, dims):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 7, dims))
    pair = [rng.integers(0, rng.integers(1, classes + 1), shape) for _ in range(2)]  # classes are often missing
    wanted = [one.dice for one in evaluate_classes(*pair, classes, empty=empty)]
    np.testing.assert_allclose(dice_of_classes(*pair, classes, empty=empty), wanted, rtol=1e-12)


def test_dice_of_classes_refuses_what_the_scores_refuse():
    label = np.ones((4, 4))
    for pair, classes, told in (
        ((label, np.ones((4, 5))), 2, "expected equal shapes"),
        ((3 * label, label), 2, "expected whole values 0 to 1"),
        ((label, label), 1, "num_classes=1"),
    ):
        with pytest.raises(UserError, match=told):
            dice_of_classes(*pair, classes)
