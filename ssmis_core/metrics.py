"""How good one segmentation is: Dice, Jaccard, 95 % Hausdorff distance and average surface distance of one case.

The defaults are the convention of the published semi-supervised tables, whose numbers come from `medpy.metric.binary`
(dc, jc, hd95, asd): distances in voxels, hd95 over both directions pooled, asd one-sided. The numbers here equal
medpy's; the one default that differs is what an empty prediction scores (see `evaluate`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ssmis_core.boxes import box_around
from ssmis_core.errors import UserError, unknown
from ssmis_core.surface_distance import Distances, Mask, directed_distances

__all__ = [
    "ASD_RULES",
    "EMPTY_POLICIES",
    "HD95_RULES",
    "Scores",
    "dice_of_classes",
    "evaluate",
    "evaluate_classes",
    "evaluate_classes_in",
    "surface_distances",
]

EMPTY_POLICIES = ("nan", "zero")
HD95_RULES = ("pooled", "max")
ASD_RULES = ("one-sided", "two-sided")


@dataclass(frozen=True)
class Scores:
    """The scores of one object: dice and jaccard in [0, 1]; hd95 and asd in voxels, or in mm where a spacing was given.

    missed: the reference has the object and the prediction is empty. false_alarm: the other way round.
    """

    dice: float
    jaccard: float
    hd95: float
    asd: float
    missed: bool = False
    false_alarm: bool = False

    def as_dict(self) -> dict[str, float | bool]:
        """The scores by name, in the order of the columns of a table."""
        return {
            "dice": self.dice,
            "jaccard": self.jaccard,
            "hd95": self.hd95,
            "asd": self.asd,
            "missed": self.missed,
            "false_alarm": self.false_alarm,
        }


def evaluate(
    prediction: ArrayLike,
    reference: ArrayLike,
    spacing: Sequence[float] | None = None,
    empty: str = "nan",
    *,
    hd95: str = "pooled",
    asd: str = "one-sided",
) -> Scores:
    """Scores of one binary object, P predicted and R the reference.

    dice = 2 |P & R| / (|P| + |R|) and jaccard = |P & R| / |P | R|. The surface of an object is its voxels that have a
    face neighbour outside it (beyond the array is outside); d(a, B) is the Euclidean distance from the centre of
    surface voxel a to the nearest one of B.
    hd95: "pooled", the 95th percentile of {d(p, R)} and {d(r, P)} put together (medpy and the published tables);
    "max", the larger of the two directed 95th percentiles.
    asd: "one-sided", the mean of d(p, R) over P's surface only (medpy's asd and the published tables; it does not see
    parts of R that P lacks); "two-sided", the mean over both sets put together, the average symmetric surface distance
    (assd) of Heimann et al., IEEE TMI 2009, and of medpy 0.5.

    prediction, reference: [X, Y] or [X, Y, Z] of one shape and any dtype, with the values 0 and 1 only.
    spacing: mm between voxel centres along each axis, and distances are in mm; None: distances in voxels.
    empty: what there is to score when an object is missing:
        prediction empty       "nan": (0, 0, nan, nan), missed. "zero": (0, 0, 0, 0), missed, as the papers' released
                               code has it: a perfect boundary score for a miss.
        reference empty        "nan": (0, 0, nan, nan), false_alarm. "zero": (0, 0, 0, 0), false_alarm.
        both empty             "nan": all nan, nothing to score. "zero": (0, 0, 0, 0), since the released code looks at
                               the prediction alone. Neither missed nor a false alarm.
    Raises UserError for other values, other shapes, a bad spacing or an unknown option.
    """
    check_rules(empty, hd95, asd)
    predicted, true = _pair(prediction, reference)
    for name, array in (("prediction", predicted), ("reference", true)):
        _check_values(array, 2, name, "evaluate takes one binary object with values 0 and 1; use evaluate_classes")
    steps = _check_spacing(spacing, predicted.ndim)
    (scores,) = _score(predicted.astype(bool, copy=False), true.astype(bool, copy=False), [steps], empty, hd95, asd)
    return scores


def evaluate_classes(
    prediction: ArrayLike,
    reference: ArrayLike,
    num_classes: int,
    spacing: Sequence[float] | None = None,
    empty: str = "nan",
    *,
    hd95: str = "pooled",
    asd: str = "one-sided",
) -> list[Scores]:
    """Scores of the classes 1 to num_classes - 1 of two label maps, each class against all the rest.

    prediction, reference: [X, Y] or [X, Y, Z] of one shape, with whole values 0 to num_classes - 1 (0: background).
    The other options, the units and the errors are those of `evaluate`.
    """
    told = evaluate_classes_in([spacing], prediction, reference, num_classes, empty, hd95=hd95, asd=asd)
    return [scores for (scores,) in told]


def evaluate_classes_in(
    spacings: Sequence[Sequence[float] | None],
    prediction: ArrayLike,
    reference: ArrayLike,
    num_classes: int,
    empty: str = "nan",
    *,
    hd95: str = "pooled",
    asd: str = "one-sided",
) -> list[tuple[Scores, ...]]:
    """`evaluate_classes` in several units at once, voxels (None) and mm for one: a tuple of Scores a class.

    The surfaces are looked for once, and so are nearest voxels where units differ by a factor.
    """
    check_rules(empty, hd95, asd)
    predicted, true = _label_maps(prediction, reference, num_classes)
    units = [_check_spacing(spacing, predicted.ndim) for spacing in spacings]
    # The classes share one crop to everything that is not background; `_score` crops further for each.
    box = box_around((predicted != 0) | (true != 0))
    predicted, true = predicted[box], true[box]
    return [_score(predicted == k, true == k, units, empty, hd95, asd) for k in range(1, num_classes)]


def dice_of_classes(prediction: ArrayLike, reference: ArrayLike, num_classes: int, empty: str = "nan") -> list[float]:
    """Dice = 2 |P and R| / (|P| + |R|) of the classes 1 to num_classes - 1, as `evaluate_classes` has it, and no more.

    Many times as fast, for no surface is looked for. Arguments and errors are those of `evaluate_classes`.
    """
    check_rules(empty)
    predicted, true = _label_maps(prediction, reference, num_classes)
    both, in_predicted, in_true = (
        np.bincount(one.ravel().astype(np.intp, copy=False), minlength=num_classes)
        for one in (predicted[predicted == true], predicted, true)
    )
    sizes = in_predicted + in_true
    nothing = 0.0 if empty == "zero" else np.nan
    return [float(2 * both[k] / sizes[k]) if sizes[k] else nothing for k in range(1, num_classes)]


def surface_distances(
    prediction: ArrayLike, reference: ArrayLike, spacing: Sequence[float] | None = None
) -> tuple[Distances, Distances]:
    """({d(p, R)}, {d(r, P)}): what `evaluate` takes hd95 and asd of, a distance a surface voxel in raster order.

    Arguments, units and errors are those of `evaluate`. Two empty arrays where either object is missing.
    """
    predicted, true = _pair(prediction, reference)
    for name, array in (("prediction", predicted), ("reference", true)):
        _check_values(array, 2, name, "surface_distances takes one binary object with values 0 and 1")
    steps = _check_spacing(spacing, predicted.ndim)
    if not predicted.any() or not true.any():
        return np.empty(0), np.empty(0)
    return next(directed_distances(predicted.astype(bool, copy=False), true.astype(bool, copy=False), [steps]))


def _label_maps(prediction: ArrayLike, reference: ArrayLike, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Both label maps as arrays of one shape, with values that there are classes for; UserError for others."""
    if num_classes < 2:
        raise UserError(f"num_classes={num_classes}: expected 2 or more (the background is class 0)")
    predicted, true = _pair(prediction, reference)
    for name, array in (("prediction", predicted), ("reference", true)):
        _check_values(array, num_classes, name, f"expected whole values 0 to {num_classes - 1}")
    return predicted, true


def _score(
    prediction: Mask, reference: Mask, units: Sequence[tuple[float, ...]], empty: str, hd95: str, asd: str
) -> tuple[Scores, ...]:
    """The scores of two masks that were checked, in each unit."""
    size_p, size_r = int(np.count_nonzero(prediction)), int(np.count_nonzero(reference))
    if not size_p or not size_r:
        overlap = 0.0 if empty == "zero" or size_p or size_r else np.nan
        distance = 0.0 if empty == "zero" else np.nan
        return (Scores(overlap, overlap, distance, distance, missed=size_r > 0, false_alarm=size_p > 0),) * len(units)
    # Nothing outside the common box matters; contiguous copies make the passes that follow faster.
    box = box_around(prediction | reference)
    prediction, reference = np.ascontiguousarray(prediction[box]), np.ascontiguousarray(reference[box])
    common = int(np.count_nonzero(prediction & reference))
    dice, jaccard = 2 * common / (size_p + size_r), common / (size_p + size_r - common)
    found = []
    for there, back in directed_distances(prediction, reference, units):
        both = np.concatenate((there, back))
        if hd95 == "pooled":
            far = float(np.percentile(both, 95))
        else:
            far = float(max(np.percentile(there, 95), np.percentile(back, 95)))
        found.append(Scores(dice, jaccard, far, float(there.mean() if asd == "one-sided" else both.mean())))
    return tuple(found)


def _pair(prediction: ArrayLike, reference: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both as arrays, of one shape with two or three axes."""
    predicted, true = np.asarray(prediction), np.asarray(reference)
    if predicted.shape != true.shape:
        raise UserError(f"prediction has shape {predicted.shape} and reference {true.shape}, expected equal shapes")
    if predicted.ndim not in (2, 3) or not predicted.size:
        raise UserError(f"prediction has shape {predicted.shape}, expected 2 or 3 axes and at least one voxel")
    return predicted, true


def _check_values(array: NDArray[Any], num_classes: int, name: str, expected: str) -> None:
    """Raise UserError, naming the first value found that is not a whole number from 0 to num_classes - 1."""
    if array.dtype == bool:
        return
    if array.dtype.kind in "iu":
        if array.min() >= 0 and array.max() < num_classes:
            return
        wrong = (array < 0) | (array >= num_classes)
    elif array.dtype.kind == "f":
        wrong = ~((array >= 0) & (array < num_classes) & (array == np.floor(array)))  # NaN is wrong too
        if not wrong.any():
            return
    else:
        raise UserError(f"{name} holds {array.dtype}, {expected}")
    found, voxels = array[wrong].flat[0], int(np.count_nonzero(wrong))
    raise UserError(f"{name} has the value {found:g} ({voxels} such voxel{'s' if voxels > 1 else ''}), {expected}")


def _check_spacing(spacing: Sequence[float] | None, axes: int) -> tuple[float, ...]:
    """The spacing along each axis; one voxel where none was given."""
    if spacing is None:
        return (1.0,) * axes
    try:
        steps = tuple(float(step) for step in spacing)
    except (TypeError, ValueError):
        steps = ()
    if len(steps) != axes or not all(isfinite(step) and step > 0 for step in steps):
        raise UserError(f"spacing={spacing!r}: expected {axes} positive numbers (mm an axis), or None for voxels")
    return steps


def check_rules(empty: str, hd95: str = "pooled", asd: str = "one-sided") -> None:
    """UserError for a rule that `evaluate` does not know."""
    for what, value, known in (
        ("empty policy", empty, EMPTY_POLICIES),
        ("hd95 rule", hd95, HD95_RULES),
        ("asd rule", asd, ASD_RULES),
    ):
        if value not in known:
            raise unknown(what, value, known)
