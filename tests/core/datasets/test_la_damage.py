"""LA files that cannot be used: one line that names the file and says what is wrong."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ssmis_core.datasets import la
from ssmis_core.errors import UserError
from tests.core.datasets.la_helpers import CASE, FOLDER, HOLED, IMAGE, LABEL, TEST, one_line, volume, write


def test_a_missing_file_is_named_with_the_command_that_gets_it(root: Path) -> None:
    message = one_line(lambda: la.open(root).load(TEST[0]))
    assert str(root / FOLDER / TEST[0] / "mri_norm2.h5") in message and "ssmis data fetch la" in message


def test_an_unknown_case_suggests_the_nearest(root: Path) -> None:
    assert f"did you mean {CASE!r}" in one_line(lambda: la.open(root).load(CASE[:-1] + "_"))


@pytest.mark.parametrize("keep", [0.0, 0.05, 0.5, 0.99])
def test_a_file_cut_short_is_named(root: Path, keep: float) -> None:
    path = root / FOLDER / CASE / "mri_norm2.h5"
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    message = one_line(lambda: la.open(root).load(CASE))
    assert str(path) in message and "not a whole HDF5 file" in message and "ssmis data fetch la" in message


@given(place=st.floats(0, 1, exclude_max=True), count=st.integers(1, 600), seed=st.integers(0, 999))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_a_damaged_file_either_reads_or_is_one_line_never_another_error(
    root: Path, place: float, count: int, seed: int
) -> None:
    path = write(root / FOLDER)
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
    path = write(root / FOLDER, **{name: volume()[0] for name in names})
    told = one_line(lambda: la.open(root).load(CASE))
    assert str(path) in told and message in told


def test_a_group_in_place_of_a_dataset_is_one_line(root: Path) -> None:
    path = root / FOLDER / CASE / "mri_norm2.h5"
    with h5py.File(path, "w") as file:
        file.create_group("image")
        file.create_dataset("label", data=volume()[1])
    assert "no dataset 'image'" in one_line(lambda: la.open(root).load(CASE))


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
    path = write(root / FOLDER, image=image, label=label)
    told = one_line(lambda: la.open(root).load(CASE))
    assert told.startswith(str(path)) and message in told


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (2000, "dataset 'image' says to be 2000x2000x2000, expected a volume below 1.6 GB in memory"),
        (420, "0 bytes unpack to 420 x 420 x 420 voxels that are nearly all alike, expected a scan"),
    ],
)
def test_voxels_that_are_not_there_take_no_memory(root: Path, size: int, message: str) -> None:
    path = root / FOLDER / CASE / "mri_norm2.h5"
    with h5py.File(path, "w") as file:
        for name, kind in (("image", "f4"), ("label", "u1")):
            file.create_dataset(name, (size,) * 3, kind, chunks=True, compression="gzip")
    told = one_line(lambda: la.open(root).load(CASE))
    assert told.startswith(str(path)) and message in told
