"""The phantom: the same everywhere, of any size, hard for a threshold, anatomically as promised."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from benchmarks.phantom_difficulty import LEVELS, best_threshold, best_window, window_dice
from ssmis_core.datasets import open_dataset
from ssmis_core.datasets import phantom as phantom_module
from ssmis_core.datasets.phantom import KNOBS, Phantom, generate
from ssmis_core.errors import UserError

# Case phantom-000 of two classes. A change of these without a new VERSION breaks everyone's comparisons.
PINNED = {2: "05b373612b728063", 3: "325caec5046c05c6"}
SOME = ("phantom-000", "phantom-041", "phantom-080", "phantom-097")


@cache
def phantom(dims: int, num_classes: int) -> Phantom:
    data = open_dataset("phantom", dims=dims, num_classes=num_classes)
    assert isinstance(data, Phantom)
    return data


def hash_of(dims: int) -> str:
    image, label = generate(0, dims=dims, num_classes=2, size=phantom(dims, 2).size)
    return hashlib.sha256(image.tobytes() + label.tobytes()).hexdigest()[:16]


def fingerprint(data: Phantom, case_ids: tuple[str, ...]) -> str:
    return data.fingerprint_of(data.load(case_id) for case_id in case_ids)


@pytest.mark.parametrize("dims", [2, 3])
def test_a_case_has_the_bytes_it_had_when_its_version_was_made(dims):
    assert hash_of(dims) == PINNED[dims]


def test_another_process_makes_the_same_case():
    code = (
        "import hashlib; from ssmis_core.datasets.phantom import open;"
        "case = open(dims=2).load('phantom-000');"
        "print(hashlib.sha256(case.image.tobytes() + case.label.tobytes()).hexdigest()[:16])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == PINNED[2]


def test_cases_made_twice_have_equal_fingerprints(made):
    first = fingerprint(open_dataset("phantom", dims=2), SOME)
    phantom_module._memory.clear()
    again = open_dataset("phantom", dims=2)
    assert fingerprint(again, SOME) == first and len(made) == 2 * len(SOME)
    assert fingerprint(again, SOME[:2]) != fingerprint(again, SOME[2:])


def test_options_open_the_same_data_again():
    one = open_dataset("phantom", dims=2, num_classes=3, size=(40, 33))
    other = open_dataset("phantom", **one.options())
    assert fingerprint(one, SOME[:1]) == fingerprint(other, SOME[:1])


def test_every_case_differs_from_every_other():
    data = phantom(2, 2)
    assert len({data.load(case_id).image.tobytes() for case_id in (*data.train, *data.test)}) == 100


def test_dims_classes_and_size_each_change_what_is_drawn():
    def label(**options):
        return open_dataset("phantom", dims=2, **options).load("phantom-000").label == 1

    base = label(size=32)
    assert not np.array_equal(base, label(size=32, num_classes=3))
    assert not np.array_equal(base, label(size=(33, 32))[:32])


def test_what_a_caller_writes_does_not_reach_the_next_caller():
    data = open_dataset("phantom", dims=2, size=32)
    first = data.load("phantom-003")
    kept = first.image.copy()
    first.image[:] = 0.0
    first.label[:] = 1
    again = data.load("phantom-003")
    assert np.array_equal(again.image, kept)
    assert again.label.min() == 0


def test_train_and_test_are_disjoint_and_there_is_no_validation_list():
    data = phantom(3, 2)
    assert (len(data.train), len(data.test), data.validation) == (80, 20, ())
    assert not set(data.train) & set(data.test)
    assert data.train[0] == "phantom-000" and data.test[-1] == "phantom-099"


@pytest.mark.parametrize("num_classes", [2, 3, 4])
@pytest.mark.parametrize("dims", [2, 3])
def test_a_case_keeps_its_contract(dims, num_classes):
    data = phantom(dims, num_classes)
    assert len(data.class_names) == num_classes
    for case_id in SOME:
        case = data.load(case_id)
        assert case.image.shape == (1, *data.size) and case.label.shape == data.size
        assert case.image.dtype == np.float32 and case.label.dtype == np.uint8
        assert np.array_equal(np.unique(case.label), np.arange(num_classes))
        assert abs(case.image.mean()) < 1e-3 and abs(case.image.std() - 1.0) < 1e-3
        assert case.spacing == (1.25,) * dims and case.modality == "synthetic MR"
        centre = case.affine @ np.array([*((n - 1) / 2 for n in data.size), *[0.0] * (3 - dims), 1.0])
        assert np.allclose(centre[:3], 0.0)


@pytest.mark.parametrize("dims", [2, 3])
def test_each_class_is_one_connected_piece_of_a_fair_size(dims):
    for case_id in SOME:
        label = phantom(dims, 4).load(case_id).label
        for value in (1, 2, 3):
            assert ndimage.label(label == value)[1] == 1
        assert 0.008 < (label == 1).mean() < 0.25


@pytest.mark.parametrize("dims", [2, 3])
def test_the_atrium_touches_neighbours_of_nearly_its_own_intensity(dims):
    overlaps = []
    for case_id in SOME:
        case = phantom(dims, 4).load(case_id)
        away = ndimage.distance_transform_edt(case.label != 1)
        assert min(away[case.label == value].min() for value in (2, 3)) <= 2.0
        overlaps += [histogram_overlap(*(case.image[0][case.label == k] for k in (1, value))) for value in (2, 3)]
    assert np.mean(overlaps) > 0.4


def histogram_overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Shared area of two normalised histograms: 1 for equal distributions, 0 for disjoint ones."""
    edges = np.linspace(-4.0, 8.0, 61)
    return float(np.minimum(*(np.histogram(x, edges)[0] / x.size for x in (a, b))).sum())


def test_neighbours_are_brighter_in_some_cases_and_darker_in_others():
    brighter = []
    for case_id in phantom(2, 4).test:
        case = phantom(2, 4).load(case_id)
        brighter.append(case.image[0][case.label == 3].mean() > case.image[0][case.label == 1].mean())
    assert 0.1 < np.mean(brighter) < 0.9


@pytest.mark.parametrize(("dims", "size", "levels"), [(2, None, LEVELS[1::2]), (3, (32, 32, 24), LEVELS[1::2])])
def test_no_intensity_window_finds_the_atrium(dims, size, levels):
    assert levels[-1] == float("inf")
    dice = window_dice(dims=dims, size=size, levels=levels)
    for best in (best_threshold(dice), best_window(dice)):
        assert 0.05 < dice[best].mean() <= 0.5


@settings(max_examples=15)
@given(st.lists(st.integers(16, 45), min_size=2, max_size=3), st.integers(2, 4), st.integers(0, 99))
def test_odd_and_anisotropic_sizes_work(size, num_classes, index):
    dims = len(size)
    data = open_dataset("phantom", dims=dims, num_classes=num_classes, size=size)
    case = data.load(f"phantom-{index:03d}")
    assert case.shape == tuple(size)
    assert (case.label == 1).any() and case.label.max() < num_classes
    view = np.array([64, 64, 64] if dims == 3 else [96, 96]) * 1.25
    assert np.allclose(np.array(case.spacing) * size, view)


def test_one_number_is_a_size_for_all_sides():
    assert open_dataset("phantom", dims=3, size=20).size == (20, 20, 20)
    assert open_dataset("phantom", dims=2, size=np.int64(20)).size == (20, 20)


@pytest.mark.parametrize(
    "options",
    [
        {"size": 15},
        {"size": (64, 64)},
        {"size": (64, 64, 8)},
        {"size": (64, 64, 48.0)},
        {"size": "big"},
        {"size": True},
        {"version": 2},
        {"size": 0.5},
        {"dims": 4},
        {"dims": "3"},
        {"num_classes": 1},
        {"num_classes": 5},
        {"num_classes": [2]},
    ],
)
def test_impossible_options_are_refused_in_one_line_that_names_them(options):
    with pytest.raises(UserError) as caught:
        open_dataset("phantom", **options)
    name, value = next(iter(options.items()))
    assert f"{name}={value!r}" in str(caught.value) and "expected" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_case_is_refused_with_the_range_of_ids():
    with pytest.raises(UserError, match=r"'phantom-100'.*phantom-000 to phantom-099"):
        phantom(2, 2).load("phantom-100")


def test_old_cases_leave_memory_when_new_ones_need_it(monkeypatch, made):
    monkeypatch.setattr("ssmis_core.datasets.phantom.CACHE_BYTES", 3 * 16 * 16 * 5)
    data = open_dataset("phantom", dims=2, size=16)
    for index in (0, 1, 2, 0, 3, 0, 1):  # 1 was pushed out by 3, the least recently used
        data.load(f"phantom-{index:03d}")
    assert made == [0, 1, 2, 3, 1]


def test_equal_phantoms_share_their_cases_and_callers_get_copies(made):
    first, second = (open_dataset("phantom", dims=2, size=17) for _ in range(2))
    image = first.load("phantom-000").image
    image[:] = 0.0
    assert second.load("phantom-000").image.any() and made == [0]
    open_dataset("phantom", dims=2, size=17, num_classes=3).load("phantom-000")
    assert made == [0, 0]


@pytest.fixture
def made(monkeypatch):
    """Numbers of the cases that are generated, in a process that remembers none yet."""
    numbers, generate = [], phantom_module.generate
    monkeypatch.setattr(phantom_module, "_memory", type(phantom_module._memory)())
    monkeypatch.setattr(
        phantom_module, "generate", lambda index, **key: (numbers.append(index), generate(index, **key))[1]
    )
    return numbers


def test_every_knob_is_a_range_from_low_to_high():
    for knobs in KNOBS.values():
        for name, value in vars(knobs).items():
            ranges = value if isinstance(value, tuple) and isinstance(value[0], tuple) else [value]
            assert all(not isinstance(r, tuple) or (len(r) == 2 and r[0] <= r[1]) for r in ranges), name


@pytest.mark.parametrize("labeled", [0, 81, -1, 4.5, None, "4"])
def test_a_count_of_labels_that_cannot_be_is_a_user_error(labeled: object) -> None:
    with pytest.raises(UserError, match="phantom has 80 training cases; choose 1 to 80"):
        phantom(3, 2).split(labeled)  # type: ignore[arg-type]
