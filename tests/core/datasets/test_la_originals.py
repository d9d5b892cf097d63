"""`ssmis data prepare la`: the challenge's own scans become the files that the data set reads."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssmis_core import cli, open_dataset
from ssmis_core.datasets.la import FILE, FOLDER
from ssmis_core.datasets.preparation.left_atrium import crop_box, drawn_margins, prepare_la
from tests.core.cli_helpers import contents, empty_folder, refused
from tests.core.datasets.la_helpers import TEST, TRAIN, one_line
from tests.core.datasets.own_helpers import affine_of, write_image

fresh = pytest.fixture(autouse=True)(empty_folder)
CASES = [TRAIN[0], TRAIN[1], TEST[0]]
SHAPE = (170, 160, 6)
AFFINE = affine_of((0, 1, 2), (-1, -1, 1), (0.625,) * 3, (0.2, 0.1, -0.1), (90.0, 70.0, -40.0))
ATRIUM = (slice(60, 100), slice(70, 90), slice(2, 5))


def scan(seed: int, shape: tuple[int, ...] = SHAPE) -> tuple[np.ndarray, np.ndarray]:
    """(image, label) as the challenge has them: uint8, the atrium 255."""
    label = np.zeros(shape, np.uint8)
    label[ATRIUM] = 255
    image = np.random.default_rng(seed).integers(0, 120, shape) + label // 4
    return image.astype(np.uint8), label


def write_case(folder: Path, image: np.ndarray, label: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    write_image(folder / "lgemri.nrrd", image, affine, packed=True)
    write_image(folder / "laendo.nrrd", label, affine, packed=True)
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Three listed cases and one of no list."""
    for number, case in enumerate((*CASES, "NOTLISTED")):
        write_case(tmp_path / "challenge" / "Training Set" / case, *scan(number))
    return tmp_path / "challenge"


# --- what is made ----------------------------------------------------------------------------------------------------


def test_cases_are_normalised_as_a_whole_and_then_cropped_around_the_label(source: Path, tmp_path: Path) -> None:
    done = prepare_la(source, tmp_path / "la")
    assert done.made == tuple(CASES) and done.problems == ()
    assert "not in the source: 97 of the 100 listed cases" in str(done)
    assert "in no published list, left out: 1 cases, such as NOTLISTED" in str(done)
    data = open_dataset("la", tmp_path / "la")
    for number, case_id in enumerate(CASES):
        image, label = scan(number)
        case = data.load(case_id)
        (left, right), (back, front) = drawn_margins(case_id, 0)
        widen_x, widen_y = (112 - 39) // 2, (112 - 19) // 2
        box = (slice(60 - left - widen_x, 99 + right + widen_x), slice(70 - back - widen_y, 89 + front + widen_y))
        assert case.shape == (*(one.stop - one.start for one in box), SHAPE[2]) and case.shape[0] < SHAPE[0]
        np.testing.assert_allclose(case.image[0], ((image - image.mean()) / image.std())[box], rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(case.label, (label == 255)[box])
        corner = AFFINE @ [box[0].start, box[1].start, 0, 1]
        np.testing.assert_allclose(case.affine @ [0, 0, 0, 1], corner, atol=1e-3)
        assert case.spacing == (0.625,) * 3
        np.testing.assert_allclose(case.affine[:3, :3], AFFINE[:3, :3], atol=1e-5)


def test_margins_are_those_of_the_case_and_seed_on_every_machine(source: Path, tmp_path: Path) -> None:
    assert drawn_margins(CASES[0], 0) == [[15, 14], [16, 17]]
    drawn = np.array([drawn_margins(f"case{k}", 1) for k in range(400)])
    assert set(np.unique(drawn)) == set(range(10, 20))
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        prepare_la(source, tmp_path / name, seed=seed)
    a, b, c = (contents(tmp_path / name) for name in "abc")
    assert a == b and a != c


def test_whole_scans_are_kept_on_request(source: Path, tmp_path: Path) -> None:
    assert cli.run(["data", "prepare", "la", "--source", str(source), "--out", "whole", "--no-crop", "--quiet"]) == 0
    case = open_dataset("la", "whole").load(CASES[0])
    assert case.shape == SHAPE and case.label is not None and case.label[ATRIUM].all()
    assert abs(float(case.image.mean())) < 1e-4 and float(case.image.std()) == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(case.affine, AFFINE, atol=1e-4)


@given(st.data())
@settings(max_examples=60)
def test_a_crop_holds_the_label_with_its_margins_or_reaches_the_edge(data: st.DataObject) -> None:
    shape = (data.draw(st.integers(20, 300)), data.draw(st.integers(20, 300)), 2)
    label = np.zeros(shape, bool)
    ends = [sorted(data.draw(st.tuples(*[st.integers(0, size - 1)] * 2))) for size in shape[:2]]
    for x, y in zip(*ends, strict=True):
        label[x, y, 1] = True
    margins = [data.draw(st.tuples(*[st.integers(10, 19)] * 2)) for _ in range(2)]
    for (first, last), box, (before, after), size in zip(ends, crop_box(label, margins), margins, shape, strict=False):
        assert 0 <= box.start <= first and last < box.stop <= size
        assert box.start == 0 or first - box.start >= before
        assert box.stop == size or box.stop - 1 - last >= after - 1
        assert box.start == 0 or box.stop == size or box.stop - box.start >= 131


def test_the_published_crops_are_such_boxes(real_la: Path) -> None:
    """Nothing of the originals is needed: a crop that did not reach the edge tells its margins."""
    data, seen = open_dataset("la", real_la), set()
    for case_id in (*data.train[::8], *data.test[::4]):
        label = data.load(case_id).label
        assert label is not None and label.shape[2] == 88
        for axis in (0, 1):
            inside = np.flatnonzero(label.any(axis=(1 - axis, 2)))
            widen = max(112 - int(inside[-1] - inside[0]), 0) // 2
            seen.add(int(inside[0]) - widen)
            seen.add(label.shape[axis] - int(inside[-1]) - widen)
    assert seen <= set(range(10, 20)) and len(seen) == 10


# --- running it again ------------------------------------------------------------------------------------------------


def test_it_goes_on_where_it_was_and_a_second_run_does_nothing(source: Path, tmp_path: Path) -> None:
    folder = source / "Training Set"
    (folder / CASES[1]).rename(tmp_path / "later")
    prepare_la(source, tmp_path / "la")
    (tmp_path / "later").rename(folder / CASES[1])
    half = tmp_path / "la" / FOLDER / CASES[0] / f".{FILE}.part"
    half.write_bytes(b"half a case")
    done = prepare_la(source, tmp_path / "la", workers=2)
    assert (done.made, set(done.kept)) == ((CASES[1],), {CASES[0], CASES[2]}) and not half.exists()
    before = contents(tmp_path / "la")
    done = prepare_la(source, tmp_path / "la")
    assert (done.made, set(done.kept)) == ((), set(CASES)) and contents(tmp_path / "la") == before
    write_case(folder / CASES[2], *scan(99))
    done = prepare_la(source, tmp_path / "la")
    assert done.made == (CASES[2],) and "lgemri.nrrd changed" in str(done)


def test_any_folder_above_the_cases_is_the_same_source(source: Path, tmp_path: Path) -> None:
    prepare_la(source, tmp_path / "la")
    before = contents(tmp_path / "la")
    done = prepare_la(source / "Training Set", tmp_path / "la")
    assert (done.made, set(done.kept)) == ((), set(CASES)) and contents(tmp_path / "la") == before


def test_files_that_were_made_otherwise_are_not_replaced_without_a_word(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["data", "prepare", "la", "--source", str(source), "--out", "la", "--quiet"]
    assert cli.run(command) == 0
    assert "was prepared otherwise (crop: False, not True)" in refused([*command, "--no-crop"], capsys)
    assert "was prepared otherwise (seed: 3, not 0)" in refused([*command, "--seed", "3"], capsys)
    with h5py.File(Path("la") / FOLDER / CASES[1] / FILE, "w") as file:
        file["image"], file["label"] = scan(1)
    assert "is there already and was not prepared here (downloaded?)" in refused(command, capsys)
    assert cli.run([*command, "--no-crop", "--overwrite"]) == 0
    assert all(open_dataset("la", "la").load(case).shape == SHAPE for case in CASES)


# --- what cannot be prepared -----------------------------------------------------------------------------------------


def test_bad_cases_are_told_one_by_one_and_the_others_are_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "challenge"
    image, label = scan(0)
    for number in range(9):
        write_case(source / TRAIN[number], image, label)
    cut = source / TRAIN[0] / "lgemri.nrrd"
    cut.write_bytes(cut.read_bytes()[:-50])
    (source / TRAIN[1] / "laendo.nrrd").unlink()
    (source / TRAIN[1] / "laendo.nrrd").symlink_to("gone.nrrd")
    write_case(source / TRAIN[2], image, label.transpose(1, 0, 2))
    write_case(source / TRAIN[3], image, label[:, :-1])
    write_case(source / TRAIN[4], image, np.where(label, 3, 0).astype(np.uint8))
    write_case(source / TRAIN[5], image, np.zeros_like(label))
    write_case(source / TRAIN[6], np.full_like(image, 7), label)
    write_case(source / TRAIN[7], np.stack([image] * 3, -1), label)
    command = ["data", "prepare", "la", "--source", str(source), "--out", "la", "--workers", "1", "--quiet"]
    assert cli.run(command) == 1
    told = capsys.readouterr()
    assert "8 problem(s), the other cases are there" in told.err and told.err.count("\n") == 1
    lines = [line for line in told.out.splitlines() if line.startswith(str(source))]
    expected = (
        "lgemri.nrrd: its compressed voxels are cut short",
        "laendo.nrrd: is a link to nothing",
        f"has 160 x 170 x 6 voxels, but {TRAIN[2]}/lgemri.nrrd has 170 x 160 x 6; its axes seem to be swapped",
        f"has 170 x 159 x 6 voxels, but {TRAIN[3]}/lgemri.nrrd has 170 x 160 x 6",
        "voxels of value 3, expected only 0, 255",
        "label is empty, expected an atrium",
        "image is constant (7 everywhere)",
        "has 3 channels, expected one",
    )
    for case_id, line, part in zip(TRAIN, lines, expected, strict=False):
        assert case_id in line and part in line, line
    assert len(lines) == len(expected)
    assert [path.parent.name for path in Path("la").rglob("*") if path.is_file()] == [TRAIN[8]]


def test_places_that_contradict_each_other_are_not_kept(tmp_path: Path) -> None:
    image, label = scan(0)
    write_case(tmp_path / "s" / CASES[0], image, label, affine_of())  # 1 mm, which the challenge's scans have not
    elsewhere = AFFINE.copy()
    elsewhere[0, 3] += 50
    write_case(tmp_path / "s" / CASES[1], image, label)
    write_image(tmp_path / "s" / CASES[1] / "laendo.nrrd", label, elsewhere)
    done = prepare_la(tmp_path / "s", tmp_path / "la")
    assert "so the place is not kept: 2 cases" in str(done)
    case = open_dataset("la", tmp_path / "la").load(CASES[0])
    np.testing.assert_array_equal(case.affine, np.diag([0.625, 0.625, 0.625, 1]))


def test_wrong_requests_are_one_line(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["data", "prepare", "la", "--source", str(source), "--out", "la", "--quiet"]
    assert "--spacing: is for your own scans" in refused([*command, "--spacing", "1"], capsys)
    assert "--test-share: is for your own scans" in refused([*command, "--test-share", "0.5"], capsys)
    assert "no such folder" in one_line(lambda: prepare_la(tmp_path / "nowhere", tmp_path / "la"))
    assert "has no scans of the challenge" in one_line(lambda: prepare_la(tmp_path, tmp_path / "la"))
    for case in CASES:
        os.rename(source / "Training Set" / case, source / "Training Set" / f"x{case}")
    assert "no case of the published lists in it" in one_line(lambda: prepare_la(source, tmp_path / "la"))
    assert not (tmp_path / "la").exists()
