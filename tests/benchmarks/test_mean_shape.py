"""The mean shape of ACDC's training labels: where half of the slices agree, on every slice of the test cases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from ssmis_core.datasets import open_dataset
from ssmis_core.datasets.acdc import ACDC
from ssmis_core.files import read_csv
from tests.core.datasets.acdc_helpers import TEST, TRAIN, heart, preprocessed


@pytest.fixture
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ACDC:
    """Two training cases of three slices, one of them all empty but one slice, and two test cases."""
    for number, case in enumerate((*TRAIN[:2], *TEST[:2])):
        preprocessed(tmp_path, case, number, shape=((40, 32, 5), (60, 48, 6))[number % 2])
    data = open_dataset("acdc", tmp_path)
    monkeypatch.setattr(data, "train", TRAIN[:2])
    monkeypatch.setattr(data, "test", TEST[:2])
    return data


def test_shares_are_counted_over_all_training_slices(few: ACDC, script: Callable[[str], ModuleType]) -> None:
    shares = script("mean_shape").class_shares(few, 40)
    assert shares.shape == (4, 40, 40)
    np.testing.assert_allclose(shares.sum(0), 1.0, rtol=1e-6)
    assert shares[3, 20, 20] == pytest.approx((3 + 4) / (5 + 6))  # the outermost slices of both are empty
    assert shares[0, 0, 0] == 1.0


def test_the_shape_is_the_likeliest_class_where_enough_slices_have_it(script: Callable[[str], ModuleType]) -> None:
    shares = np.array([[[0.1, 0.9, 0.4]], [[0.5, 0.1, 0.35]], [[0.4, 0.0, 0.25]]])
    assert script("mean_shape").mean_shape(shares, 0.5).tolist() == [[1, 0, 0]]
    assert script("mean_shape").mean_shape(shares, 0.3).tolist() == [[1, 0, 1]]


def test_it_is_the_same_on_every_slice_and_of_the_size_of_the_case(
    few: ACDC, script: Callable[[str], ModuleType]
) -> None:
    module, case = script("mean_shape"), few.load(TEST[1])
    labels = module.on_each_slice(np.eye(24, dtype=np.uint8), case, few)
    assert labels.shape == case.shape == (60, 48, 6) and labels.dtype == np.uint8
    assert (
        all((labels[:, :, z] == labels[:, :, 0]).all() for z in range(6)) and labels[0, 0, 0] == labels[-1, -1, 0] == 1
    )


def test_a_perfect_shape_is_wrong_on_the_empty_slices_alone(
    few: ACDC, script: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    preprocessed(tmp_path, TEST[1], shape=(40, 40, 5))
    shape = heart(0, (40, 40, 5))[1][:, :, 2]
    assert script("mean_shape").mean_dice(shape, [few.load(TEST[1])], few) == pytest.approx(2 * 3 / (5 + 3))


def test_the_table_has_each_structure_at_one_half_and_at_the_best_share(
    few: ACDC, script: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, out = script("mean_shape"), tmp_path / "out.csv"
    monkeypatch.setattr(module, "open_dataset", lambda *_: few)
    monkeypatch.setattr("sys.argv", ["mean_shape.py", "--size", "40", "--out", str(out)])
    assert module.main() == 0
    rows = read_csv(out)
    assert [row["class"] for row in rows] == [*few.class_names[1:], "mean"] * 2
    half, best = rows[3], rows[7]
    assert half["at_least"] == 0.5 and best["dice"] >= half["dice"] > 0.3
    assert half["dice"] == pytest.approx(np.mean([row["dice"] for row in rows[:3]]), abs=1e-4)
    assert {row["cases"] for row in rows} == {2}
