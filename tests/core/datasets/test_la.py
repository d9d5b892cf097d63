"""The LA reader and the integrity check, on generated files of the published layout and on the real volumes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ssmis_core.datasets import data_directory, la, open_dataset
from ssmis_core.datasets.check import check, survey
from ssmis_core.errors import UserError

FOLDER = "2018LA_Seg_Training Set"
TRAIN = (data_directory() / "la" / "train.list").read_text().split()
TEST = (data_directory() / "la" / "test.list").read_text().split()
CASE = TRAIN[0]


def _volume(seed: int = 0, shape: tuple[int, ...] = (12, 10, 8)) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    label = np.zeros(shape, np.uint8)
    label[tuple(slice(2, 6) for _ in shape)] = 1
    return (draw.normal(size=shape) + label).astype(np.float32), label


def _write(folder: Path, case: str = CASE, **arrays: object) -> Path:
    """A case file with the given datasets; without any, a good one."""
    if not arrays:
        arrays = dict(zip(("image", "label"), _volume(), strict=True))
    path = folder / case / "mri_norm2.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array)
    return path


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one good case; SSMIS_DATA is not set."""
    monkeypatch.delenv("SSMIS_DATA", raising=False)
    _write(tmp_path / FOLDER)
    return tmp_path


def _one_line(call: Callable[[], object]) -> str:
    with pytest.raises(UserError) as error:
        call()
    assert "\n" not in str(error.value)
    return str(error.value)


# --- what a case is -------------------------------------------------------------------------------------------------


def test_a_case_comes_as_the_file_has_it_with_the_published_spacing(root: Path) -> None:
    dataset = open_dataset("la", root)
    case = dataset.load(CASE)
    image, label = _volume()
    assert case.id == CASE and case.modality == "LGE MRI" and case.original is None
    assert case.image.dtype == np.float32 and case.image.flags.c_contiguous
    assert case.label is not None and case.label.dtype == np.uint8
    np.testing.assert_array_equal(case.image, image[None])
    np.testing.assert_array_equal(case.label, label)
    assert case.spacing == (0.625, 0.625, 0.625)
    np.testing.assert_array_equal(case.affine, np.diag([0.625, 0.625, 0.625, 1]))


def test_the_lists_are_the_published_ones_disjoint_and_without_a_validation_set(root: Path) -> None:
    dataset = open_dataset("la", root)
    assert (dataset.dims, dataset.channels, dataset.num_classes) == (3, 1, 2)
    assert tuple(dataset.class_names) == ("background", "left atrium")
    assert list(dataset.train) == TRAIN and list(dataset.test) == TEST and tuple(dataset.validation) == ()
    assert len(set(TRAIN)) == 80 and len(set(TEST)) == 20 and not set(TRAIN) & set(TEST)
    labeled, unlabeled = dataset.split(16)
    assert labeled == TRAIN[:16] and unlabeled == TRAIN[16:]


SHAPES = st.tuples(*[st.integers(3, 9)] * 3)


@given(seed=st.integers(0, 99), shape=SHAPES, kind=st.sampled_from(["<f4", ">f4", "<f8", "<f2"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
def test_any_shape_and_float_type_round_trips(root: Path, seed: int, shape: tuple[int, ...], kind: str) -> None:
    image, label = _volume(seed, shape)
    image = image.astype(kind)
    _write(root / FOLDER, image=image, label=label.astype(np.int16))
    case = la.open(root).load(CASE)
    np.testing.assert_array_equal(case.image[0], image.astype(np.float32))
    np.testing.assert_array_equal(case.label, label)


def test_opening_needs_neither_torch_nor_h5py(repository: Path) -> None:
    code = "import sys, ssmis_core.datasets.la, ssmis_core.datasets.check, ssmis_core.datasets.download\n"
    code += "print([name for name in ('torch', 'h5py', 'pooch', 'requests', 'tqdm') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- where the files are --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("below", [FOLDER, f"LA/{FOLDER}", f"la/{FOLDER}", "."])
def test_the_layouts_in_use_are_all_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str) -> None:
    _write(tmp_path / below)
    monkeypatch.delenv("SSMIS_DATA", raising=False)
    assert open_dataset("la", tmp_path).load(CASE).shape == (12, 10, 8)
    monkeypatch.setenv("SSMIS_DATA", str(tmp_path))
    assert open_dataset("la").load(CASE).shape == (12, 10, 8)


def test_the_argument_wins_over_the_environment_and_the_environment_over_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("argument", "shared", "repository/la"):
        _write(tmp_path / name / FOLDER)
    for listed in ("train.list", "test.list"):
        (tmp_path / "repository/la" / listed).write_text((data_directory() / "la" / listed).read_text())
    monkeypatch.setattr(la, "data_directory", lambda: tmp_path / "repository")
    monkeypatch.setenv("SSMIS_DATA", str(tmp_path / "shared"))
    assert la.open(tmp_path / "argument").folder == tmp_path / "argument" / FOLDER
    assert la.open().folder == tmp_path / "shared" / FOLDER
    monkeypatch.setenv("SSMIS_DATA", str(tmp_path / "elsewhere"))
    assert la.open().folder == tmp_path / "repository/la" / FOLDER


def test_missing_data_is_one_line_with_the_places_and_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = _one_line(lambda: open_dataset("la", tmp_path / "nowhere"))
    assert str(tmp_path / "nowhere") in message and "ssmis data fetch la" in message
    (tmp_path / "la").mkdir()
    for listed in ("train.list", "test.list"):
        (tmp_path / "la" / listed).write_text(CASE)
    monkeypatch.setattr(la, "data_directory", lambda: tmp_path)
    monkeypatch.setenv("SSMIS_DATA", str(tmp_path / "shared"))
    message = _one_line(la.open)
    assert str(tmp_path / "shared") in message and str(tmp_path / "la") in message


# --- what can be wrong with a file ----------------------------------------------------------------------------------


def test_a_missing_file_is_named_with_the_command_that_gets_it(root: Path) -> None:
    message = _one_line(lambda: la.open(root).load(TEST[0]))
    assert str(root / FOLDER / TEST[0] / "mri_norm2.h5") in message and "ssmis data fetch la" in message


def test_an_unknown_case_suggests_the_nearest(root: Path) -> None:
    assert f"did you mean {CASE!r}" in _one_line(lambda: la.open(root).load(CASE[:-1] + "_"))


@pytest.mark.parametrize("keep", [0.0, 0.05, 0.5, 0.99])
def test_a_file_cut_short_is_named(root: Path, keep: float) -> None:
    path = root / FOLDER / CASE / "mri_norm2.h5"
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    message = _one_line(lambda: la.open(root).load(CASE))
    assert str(path) in message and "not a whole HDF5 file" in message and "ssmis data fetch la" in message


@given(place=st.floats(0, 1, exclude_max=True), count=st.integers(1, 600), seed=st.integers(0, 999))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_a_damaged_file_either_reads_or_is_one_line_never_another_error(
    root: Path, place: float, count: int, seed: int
) -> None:
    path = _write(root / FOLDER)
    content = bytearray(path.read_bytes())
    start = int(place * len(content))
    noise = np.random.default_rng(seed).bytes(count)
    content[start : start + count] = noise[: len(content) - start]
    path.write_bytes(bytes(content))
    try:
        la.open(root).load(CASE)
    except UserError as error:
        assert str(path) in str(error) and "\n" not in str(error)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["label"], "no dataset 'image' (found 'label')"),
        (["image", "mask"], "no dataset 'label' (found 'image', 'mask')"),
        (["x"], "no dataset 'image' or 'label' (found 'x')"),
    ],
)
def test_a_dataset_that_lacks_is_named_with_what_was_found(root: Path, names: list[str], message: str) -> None:
    path = _write(root / FOLDER, **{name: _volume()[0] for name in names})
    told = _one_line(lambda: la.open(root).load(CASE))
    assert str(path) in told and message in told


def test_a_group_in_place_of_a_dataset_is_one_line(root: Path) -> None:
    path = root / FOLDER / CASE / "mri_norm2.h5"
    with h5py.File(path, "w") as file:
        file.create_group("image")
        file.create_dataset("label", data=_volume()[1])
    assert "no dataset 'image'" in _one_line(lambda: la.open(root).load(CASE))


IMAGE, LABEL = _volume()
HOLED = np.where(np.arange(IMAGE.size).reshape(IMAGE.shape) == 5, np.nan, IMAGE)


@pytest.mark.parametrize(
    ("image", "label", "message"),
    [
        (IMAGE[0], LABEL[0], "expected 1 channel(s) and 3 spatial axes"),
        (IMAGE, LABEL[:-1], "differ in shape"),
        (IMAGE, LABEL[None], "differ in shape"),
        (HOLED, LABEL, "1 NaN or infinite voxels"),
        (IMAGE.astype(np.float64) * 1e300, LABEL, "NaN or infinite voxels"),
        (np.full_like(IMAGE, 3), LABEL, "image is constant (3 everywhere)"),
        (IMAGE, LABEL * 255, "label has values up to 255, expected 0 to 1"),
        (IMAGE, LABEL.astype(np.int16) * 256, "label (int16) has 64 voxels like 256"),
        (IMAGE, -LABEL.astype(np.int8), "label (int8) has 64 voxels like -1"),
        (IMAGE, LABEL * np.float32(0.5), "label (float32) has 64 voxels like 0.5"),
        (IMAGE.astype("S4"), LABEL, "dataset 'image' is of type |S4, expected float32"),
        (IMAGE, LABEL.astype("S4"), "dataset 'label' is of type |S4, expected uint8"),
        (IMAGE[:0], LABEL[:0], "image is empty (shape (0, 10, 8))"),
    ],
)
def test_unusable_content_is_one_line_that_names_the_file(
    root: Path, image: np.ndarray, label: np.ndarray, message: str
) -> None:
    path = _write(root / FOLDER, image=image, label=label)
    told = _one_line(lambda: la.open(root).load(CASE))
    assert told.startswith(str(path)) and message in told


# --- the integrity check --------------------------------------------------------------------------------------------


def test_a_whole_data_set_has_no_problems_and_a_table(root: Path) -> None:
    for number, case in enumerate((*TRAIN[:3], *TEST[:2])):
        image, label = _volume(number, (12, 10 + number, 8))
        _write(root / FOLDER, case, image=image, label=label)
    dataset = la.open(root)
    chosen = {"train": TRAIN[:3], "test": TEST[:2]}
    assert check(dataset, chosen) == []
    steps: list[tuple[int, int]] = []
    outcome = survey(dataset, chosen, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(done, 5) for done in range(1, 6)]
    train, test = (line.split() for line in outcome.table().splitlines()[1:])
    assert train[:5] == ["train", "3/3", "12x10x8", "12x11x8", "12x12x8"]
    assert test[:5] == ["test", "2/2", "12x13x8", "12x13.5x8", "12x14x8"]
    assert train[5:] == [f"{100 * 64 / voxels:.1f}" for voxels in (12 * 12 * 8, 12 * 11 * 8, 12 * 10 * 8)]


def test_each_bad_case_is_one_line_and_the_rest_is_still_read(root: Path) -> None:
    good, cut, holed, labels, shape, gone = TRAIN[:6]
    path = _write(root / FOLDER, cut)
    path.write_bytes(path.read_bytes()[:1000])
    _write(root / FOLDER, holed, image=HOLED, label=LABEL)
    _write(root / FOLDER, labels, image=IMAGE, label=LABEL * 7)
    _write(root / FOLDER, shape, image=IMAGE, label=LABEL[1:])
    problems = check(la.open(root), TRAIN[:6])
    wanted = {cut: "HDF5", holed: "NaN", labels: "values up to 7", shape: "differ in shape", gone: "no such file"}
    assert len(problems) == len(wanted) and not any("\n" in line for line in problems)
    for (case, word), line in zip(wanted.items(), problems, strict=True):
        assert case in line and word in line
    assert [case.id for case in survey(la.open(root), TRAIN[:6]).cases] == [good]


def test_by_default_every_listed_case_is_opened_and_empty_splits_tabulate(root: Path) -> None:
    outcome = survey(la.open(root))
    assert outcome.counted == {"train": 80, "test": 20} and len(outcome.problems) == 99
    assert outcome.table().splitlines()[2].split() == ["test", "0/20"] + ["-"] * 6


def test_a_case_in_two_lists_is_a_problem(root: Path) -> None:
    problems = check(la.open(root), {"train": [CASE], "test": [CASE]})
    assert problems == [f"la: case {CASE!r} is listed 2 times (train, test), expected once"]


def test_a_reader_that_breaks_is_reported_and_not_raised(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = la.open(root)

    def broken(case_id: str) -> None:
        raise OSError("stale\nfile handle")

    monkeypatch.setattr(dataset, "read", broken)
    (line,) = check(dataset, [CASE])
    assert line == f"{dataset.source(CASE)}: cannot be read (OSError: stale file handle)"


# --- the real volumes -----------------------------------------------------------------------------------------------


def test_the_real_volumes_are_whole_and_as_the_data_card_says(real_la: Path) -> None:
    dataset = open_dataset("la", real_la)
    outcome = survey(dataset)
    assert outcome.problems == []
    assert {split: count for split, count in outcome.counted.items()} == {"train": 80, "test": 20}
    shapes = np.array([case.shape for case in outcome.cases])
    assert shapes.min(0).tolist() == [148, 132, 88] and shapes.max(0).tolist() == [244, 160, 88]
    shares = [case.label_share for case in outcome.cases]
    assert min(shares) > 0.03 and max(shares) < 0.20


def test_the_real_crops_follow_the_label_as_the_data_card_warns(real_la: Path) -> None:
    dataset = open_dataset("la", real_la)
    for case_id in (TRAIN[0], TRAIN[40], TEST[0], TEST[19]):
        label = dataset.load(case_id).label
        assert label is not None
        for axis, widest in ((0, 25), (1, 45)):
            inside = np.flatnonzero(label.any(axis=tuple(a for a in range(3) if a != axis)))
            margins = (inside[0], label.shape[axis] - 1 - inside[-1])
            assert min(margins) >= 9 and max(margins) <= widest
