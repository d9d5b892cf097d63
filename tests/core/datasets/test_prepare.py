"""`ssmis data prepare`: what it makes of a folder, that it resumes, and that it notices changes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssmis_core.datasets import open_dataset
from ssmis_core.datasets.cases import Case
from ssmis_core.datasets.grids import axis_codes, on_original_grid
from ssmis_core.datasets.preparation import Preparation, prepare_folder
from ssmis_core.datasets.preparation.one_case import prepare
from ssmis_core.datasets.preparation.recipe import Recipe, body_of, normalise
from ssmis_core.errors import UserError
from tests.core.datasets.own_helpers import OBLIQUE, affine_of, blocks, right_handed, scan, write_image, write_source
from tests.core.datasets.test_grids import places


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_source(tmp_path / "scans")


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file with its time of change and its content."""
    return {
        str(p.relative_to(folder)): (p.stat().st_mtime_ns, p.read_bytes())
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def manifest(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text())


def test_labels_written_back_equal_their_files(source: Path, tmp_path: Path) -> None:
    done = prepare_folder("own", source, tmp_path / "out")
    assert (len(done.made), done.problems) == (8, ())
    data = open_dataset("nifti_folder", tmp_path / "out")
    for case_id in (*data.train, *data.validation, *data.test):
        case = data.load(case_id)
        file = nibabel.load(source / "images" / f"{case_id}.nii.gz")
        assert case.original is not None and case.original.shape == file.shape
        np.testing.assert_allclose(case.original.affine, file.affine)
        assert case.spacing == pytest.approx((1.1, 3.0, 0.7), abs=1e-4)  # to the right, the front, up
        if case.label is None:
            assert int(case_id[-1]) >= 6
            continue
        back, affine = on_original_grid(case.label, case)
        label = nibabel.load(source / "labels" / f"{case_id}.nii.gz")
        np.testing.assert_array_equal(back, np.asarray(label.dataobj))
        np.testing.assert_allclose(affine, label.affine)


@given(places(), st.integers(0, 999))
@settings(max_examples=20)
def test_any_place_is_prepared_and_written_back_exactly(affine: np.ndarray, seed: int) -> None:
    shape = tuple(int(size) for size in np.random.default_rng(seed).integers(2, 12, 3))
    label = np.random.default_rng(seed).integers(0, 3, shape).astype(np.uint8)
    with TemporaryDirectory() as folder:
        image = write_image(Path(folder) / "a.nii.gz", scan(shape, seed), affine)
        truth = write_image(Path(folder) / "b.nrrd", label, affine)
        prepared = prepare((image,), truth, Recipe())
    case = Case("a", prepared.image, prepared.label, prepared.grid.affine, None, "MR", prepared.original)
    assert prepared.label is not None and axis_codes(prepared.grid.affine) == "RAS"
    back, place = on_original_grid(prepared.label, case)
    np.testing.assert_array_equal(back, label)
    np.testing.assert_allclose(place, affine, atol=1e-3)


def test_a_second_run_does_nothing(source: Path, tmp_path: Path) -> None:
    prepare_folder("own", source, tmp_path / "out")
    before = state(tmp_path / "out")
    done = prepare_folder("own", source, tmp_path / "out")
    assert (done.made, len(done.kept), dict(done.anew)) == ((), 8, {})
    assert state(tmp_path / "out") == before


def test_workers_make_the_same_bytes(source: Path, tmp_path: Path) -> None:
    prepare_folder("own", source, tmp_path / "one")
    prepare_folder("own", source, tmp_path / "two", workers=2)
    one, two = ({k: v[1] for k, v in state(tmp_path / name).items()} for name in ("one", "two"))
    assert one == two


def test_a_changed_source_is_noticed_and_told(source: Path, tmp_path: Path) -> None:
    prepare_folder("own", source, tmp_path / "out")
    first = open_dataset("nifti_folder", tmp_path / "out").options()
    path = source / "labels" / "case_1.nii.gz"
    then = path.stat()
    write_image(path, blocks(scan((13, 10, 9)).shape, seed=77), OBLIQUE)
    os.utime(path, ns=(then.st_atime_ns, then.st_mtime_ns))  # the content counts, not the time
    (source / "images" / "case_7.nii.gz").unlink()
    done = prepare_folder("own", source, tmp_path / "out")
    assert done.made == ("case_1",) and done.gone == ("case_7",)
    assert "labels/case_1.nii.gz changed" in str(done) and "left out: case_7" in str(done)
    assert "case_7" not in open_dataset("nifti_folder", tmp_path / "out").train
    with pytest.raises(UserError, match="its scans or its split are others"):
        open_dataset("nifti_folder", tmp_path / "out", **first)


@pytest.mark.parametrize(("written", "named"), [(".nhdr", ".nrrd"), (".mhd", ".mha"), (".mhd", ".mhd")])
def test_changed_voxels_beside_a_header_are_noticed_whatever_its_ending(
    source: Path, tmp_path: Path, written: str, named: str
) -> None:
    header = write_image(source / "images" / f"case_8{written}", scan(seed=8), OBLIQUE)
    header.rename(header.with_suffix(named))
    prepare_folder("own", source, tmp_path / "out")
    before = open_dataset("nifti_folder", tmp_path / "out").load("case_8").image
    header.with_suffix(".raw").write_bytes(scan(seed=9).tobytes())
    assert prepare_folder("own", source, tmp_path / "out").made == ("case_8",)
    assert not np.array_equal(open_dataset("nifti_folder", tmp_path / "out").load("case_8").image, before)


def test_another_recipe_needs_another_folder_or_a_word(source: Path, tmp_path: Path) -> None:
    prepare_folder("own", source, tmp_path / "out")
    first = open_dataset("nifti_folder", tmp_path / "out").options()
    with pytest.raises(UserError, match=r"was prepared otherwise \(spacing: \[2\.0, 2\.0, 2\.0\], not None\)"):
        prepare_folder("own", source, tmp_path / "out", spacing=(2,))
    done = prepare_folder("own", source, tmp_path / "out", spacing=(2,), overwrite=True)
    assert len(done.anew) == 8 and "another recipe" in str(done)
    data = open_dataset("nifti_folder", tmp_path / "out")
    case = data.load(data.train[0])
    assert case.spacing == (2.0, 2.0, 2.0) and case.label is not None
    back, _ = on_original_grid(case.label, case)
    assert case.original is not None and back.shape == case.original.shape
    with pytest.raises(UserError, match="was prepared otherwise than the run's data"):
        open_dataset("nifti_folder", tmp_path / "out", recipe=first["recipe"])


def running(folder: Path) -> bool:
    """Whether a process that was started in the folder still runs (where the system tells)."""
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            if Path(os.readlink(link)) == folder:
                return True
    return False


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_anywhere_it_goes_on_where_it_was(tmp_path: Path, workers: int) -> None:
    source, out = write_source(tmp_path / "scans", cases=24, unlabeled=0), tmp_path / "out"
    code = (
        "from ssmis_core.datasets.preparation import prepare_folder\n"
        "import sys\n"
        "if __name__ == '__main__':\n    prepare_folder('own', *sys.argv[1:3], workers=int(sys.argv[3]))\n"
    )
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    script = tmp_path / "prepare_own_scans.py"
    script.write_text(code)
    process = subprocess.Popen(
        [sys.executable, str(script), str(source), str(out), str(workers)], cwd=tmp_path, env=here
    )
    deadline = time.monotonic() + 120
    while len(list(out.glob("cases/*.h5"))) < 3 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    while running(tmp_path) and time.monotonic() < deadline:  # its workers end with it
        time.sleep(0.05)
    assert not running(tmp_path)
    (out / "cases" / ".case_9.h5.part").write_bytes(b"half a case")
    whole = {p.stem for p in out.glob("cases/*.h5")}
    assert len(whole) >= 3
    if not (out / "manifest.json").is_file():
        with pytest.raises(UserError, match="not prepared to its end"):
            open_dataset("nifti_folder", out)
    done = prepare_folder("own", source, out)
    assert whole <= set(done.kept) and len(done.made) + len(done.kept) == 24
    assert not list(out.glob("cases/.*"))
    prepare_folder("own", source, tmp_path / "fresh")
    assert {k: v[1] for k, v in state(out).items()} == {k: v[1] for k, v in state(tmp_path / "fresh").items()}


def test_layouts_and_formats_are_mixed_as_they_come(tmp_path: Path) -> None:
    source = tmp_path / "scans"
    array, affine = right_handed(scan(), affine_of(spacing=(1, 1, 2)))
    for name, ending in (("a", ".nii.gz"), ("b", ".nrrd"), ("c", ".mha"), ("d", ".mhd"), ("e", "")):
        write_image(source / "imagesTr" / f"{name}{ending}", array, affine)
    write_image(source / "labelsTr" / "a_seg.mha", blocks(), affine)
    write_image(source / "labelsTr" / "e.nii.gz", blocks(), affine)
    (source / "labelsTr" / "notes.txt").write_text("drawn on a Monday")
    (source / "imagesTr" / "f.nii.bz2").write_bytes(b"a scan, but not for us")
    (source / "dataset.json").write_text(json.dumps({"labels": {"0": "background", "1": "head", "2": "tail"}}))
    done = prepare_folder("own", source, tmp_path / "out")
    data = open_dataset("nifti_folder", tmp_path / "out")
    assert done.problems == () and tuple(data.class_names) == ("background", "head", "tail")
    assert "passed over, since they are no scans: imagesTr/f.nii.bz2 (expected .nii.gz" in str(done)
    images = {name: data.load(name).image for name in "abcde"}
    for name in "bcde":
        np.testing.assert_allclose(images[name], images["a"], rtol=1e-6)
    assert {name for name in "abcde" if data.load(name).label is not None} == {"a", "e"}
    assert data.train[0] in "ae" and len(data.test) == 1
    with pytest.raises(UserError, match="only 1 of the 4 training cases have a label"):
        data.split(2)


def test_channels_come_by_name_or_on_the_last_axis(tmp_path: Path) -> None:
    one, two = scan(), scan(seed=1)
    for name in ("a", "b"):
        write_image(tmp_path / "named" / "images" / f"{name}_0000.nii.gz", one, OBLIQUE)
        write_image(tmp_path / "named" / "images" / f"{name}_0001.nii.gz", two, OBLIQUE)
        write_image(tmp_path / "last" / "images" / f"{name}.nii.gz", np.stack([one, two], -1), OBLIQUE)
        for source in ("named", "last"):
            write_image(tmp_path / source / "labels" / f"{name}.nii.gz", blocks(), OBLIQUE)
    images = []
    for source in ("named", "last"):
        prepare_folder("own", tmp_path / source, tmp_path / f"{source}-out")
        data = open_dataset("nifti_folder", tmp_path / f"{source}-out")
        assert data.channels == 2
        images.append(data.load("a").image)
    np.testing.assert_array_equal(*images)
    (tmp_path / "named" / "images" / "b_0001.nii.gz").unlink()
    write_image(tmp_path / "named" / "images" / "b_0002.nii.gz", two, OBLIQUE)
    with pytest.raises(UserError, match="case 'b' has no channel 0001"):
        prepare_folder("own", tmp_path / "named", tmp_path / "x")


def test_channels_that_change_places_are_another_fingerprint(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for channel in range(2):
            write_image(tmp_path / "s" / "images" / f"{name}_000{channel}.nii", scan(seed=channel), OBLIQUE)
        write_image(tmp_path / "s" / "labels" / f"{name}.nii", blocks(), OBLIQUE)
    prepare_folder("own", tmp_path / "s", tmp_path / "out")
    first = open_dataset("nifti_folder", tmp_path / "out").options()
    one, two = (tmp_path / "s" / "images" / f"a_000{channel}.nii" for channel in range(2))
    content = one.read_bytes(), two.read_bytes()
    two.write_bytes(content[0])
    one.write_bytes(content[1])
    prepare_folder("own", tmp_path / "s", tmp_path / "out")
    with pytest.raises(UserError, match="its scans or its split are others"):
        open_dataset("nifti_folder", tmp_path / "out", **first)


def test_planes_make_a_data_set_of_two_axes(tmp_path: Path) -> None:
    for number in range(4):
        write_image(tmp_path / "s" / "images" / f"{number}.nii.gz", scan((1, 10, 8), number), affine_of())
        write_image(tmp_path / "s" / "labels" / f"{number}.nii.gz", blocks((1, 10, 8), number), affine_of())
    prepare_folder("own", tmp_path / "s", tmp_path / "out")
    data = open_dataset("nifti_folder", tmp_path / "out")
    case = data.load("2")
    assert data.dims == 2 and case.shape == (10, 8) and case.label is not None
    back, _ = on_original_grid(case.label, case)
    np.testing.assert_array_equal(back, blocks((1, 10, 8), 2))


def test_values_with_gaps_are_named(source: Path, tmp_path: Path) -> None:
    for path in (source / "labels").iterdir():
        array = np.asarray(nibabel.load(path).dataobj)
        write_image(path, np.where(array == 2, 255, array).astype(np.uint8), OBLIQUE)
    with_gaps: Preparation = prepare_folder("own", source, tmp_path / "a", classes=["x", "y"])
    assert "has values from 0 to 255; name them: --classes 255=lesion" in with_gaps.problems[0]
    done = prepare_folder("own", source, tmp_path / "b", classes=["1=head", "255=tail"])
    data = open_dataset("nifti_folder", tmp_path / "b")
    assert done.classes == ("background", "head", "tail") and data.num_classes == 3
    label = data.load(data.train[0]).label
    assert label is not None and set(np.unique(label)) <= {0, 1, 2}
    told = prepare_folder("own", source, tmp_path / "c", classes=["1=head"]).problems
    assert len(told) == 6 and "has values from 0 to 255; name them" in told[0]
    told = prepare_folder("own", source, tmp_path / "d", classes=["255=tail"]).problems
    assert len(told) == 6 and "voxels of value 1, expected only 0, 255" in told[0]


def test_mr_is_scored_by_the_body_and_ct_cut_to_its_window() -> None:
    image = np.random.default_rng(0).normal(10, 3, (20, 20, 20)).clip(0).astype(np.float32)  # air
    image[5:15, 5:15, 5:15] = np.random.default_rng(1).normal(500, 50, (10, 10, 10))
    body = body_of(image)
    assert body[5:15, 5:15, 5:15].all() and body.sum() == 1000
    scored, how = normalise(image, Recipe(), "a")
    assert abs(float(scored[body].mean())) < 1e-4 and float(scored[body].std()) == pytest.approx(1, abs=1e-4)
    assert "12 % of the voxels" in how
    ct, _ = normalise(np.array([[-1000.0, -125, 75, 275, 3000]]), Recipe(modality="ct"), "a")
    np.testing.assert_allclose(ct, [[-1, -1, 0, 1, 1]])
    with pytest.raises(UserError, match="constant inside the window"):
        normalise(np.array([[-1000.0, -900]]), Recipe(modality="ct"), "a")
