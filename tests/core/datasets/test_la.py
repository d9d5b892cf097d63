"""The LA reader, on generated files of the published layout and on the real volumes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ssmis_core.datasets import data_directory, la, open_dataset
from ssmis_core.datasets.check import survey
from tests.core.datasets.la_helpers import CASE, FOLDER, TEST, TRAIN, one_line, volume, write

# --- what a case is --------------------------------------------------------------------------------------------------


def test_a_case_comes_as_the_file_has_it_with_the_published_spacing(root: Path) -> None:
    dataset = open_dataset("la", root)
    case = dataset.load(CASE)
    image, label = volume()
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
    image, label = volume(seed, shape)
    image = image.astype(kind)
    write(root / FOLDER, image=image, label=label.astype(np.int16))
    case = la.open(root).load(CASE)
    np.testing.assert_array_equal(case.image[0], image.astype(np.float32))
    np.testing.assert_array_equal(case.label, label)


def test_opening_needs_neither_torch_nor_h5py(repository: Path) -> None:
    code = "import sys, ssmis_core.datasets.la, ssmis_core.datasets.check, ssmis_core.datasets.download\n"
    code += "print([name for name in ('torch', 'h5py', 'pooch', 'requests', 'tqdm') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- where the files are ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("below", [FOLDER, f"LA/{FOLDER}", f"la/{FOLDER}", "."])
def test_the_layouts_in_use_are_all_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str) -> None:
    write(tmp_path / below)
    monkeypatch.delenv("SSMIS_DATA", raising=False)
    assert open_dataset("la", tmp_path).load(CASE).shape == (12, 10, 8)
    monkeypatch.setenv("SSMIS_DATA", str(tmp_path))
    assert open_dataset("la").load(CASE).shape == (12, 10, 8)


def test_the_argument_wins_over_the_environment_and_the_environment_over_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("argument", "shared", "repository/la"):
        write(tmp_path / name / FOLDER)
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
    message = one_line(lambda: open_dataset("la", tmp_path / "nowhere"))
    assert str(tmp_path / "nowhere") in message and "ssmis data fetch la" in message
    (tmp_path / "la").mkdir()
    for listed in ("train.list", "test.list"):
        (tmp_path / "la" / listed).write_text(CASE)
    monkeypatch.setattr(la, "data_directory", lambda: tmp_path)
    monkeypatch.setenv("SSMIS_DATA", str(tmp_path / "shared"))
    message = one_line(la.open)
    assert str(tmp_path / "shared") in message and str(tmp_path / "la") in message


# --- the real volumes ------------------------------------------------------------------------------------------------


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
