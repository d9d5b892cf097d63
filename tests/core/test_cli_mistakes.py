"""A mistake in the command or in the data ends in one line, exit code 2, and nothing written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ssmis_core import UserError, cli, configure, train
from tests.core.cli_helpers import FLAT, LA, empty_folder, first_case, refused, write_case, write_la

fresh = pytest.fixture(autouse=True)(empty_folder)


@pytest.fixture
def la_root(tmp_path: Path) -> Path:
    """Small files in the layout of LA: the cases that the command `LA` trains on, and the test list."""
    return write_la(tmp_path / "la")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--dataset", "fantom"], "unknown data set 'fantom'; did you mean 'phantom'? (known: "),
        (["--dataset", "LA"], "unknown data set 'LA'; did you mean 'la'? (known: "),
        (["--data-option", "sise=16"], "did you mean 'size'? (known: "),
        (["--data-option", "size=12"], "at least 16"),
        (["--data-option", "root=scans"], "expected --data-root instead"),
        (["--preset", "quikc"], "unknown preset 'quikc'; did you mean 'quick'? (known: full, quick)"),
        (["--variant", "papers"], "did you mean 'paper'? (known: paper)"),
        (["--set", "filtres=4"], "did you mean 'filters'? (known: "),
        (["--set", "filters=many"], "--set filters=many: expected a whole number"),
        (["--set", "filters=0"], "above 0"),
        (["--set", "dropout=2"], "dropout"),
        (["--set", "dropout=nan"], "expected a number"),
        (["--set", "compile=1"], "expected true or false"),
        (["--set", "patch=1.5"], "expected 3 whole numbers"),
        (["--set", "patch=16,16"], "expected 3 whole numbers"),
        (["--set", "patch=16", "--set", "stride=16"], "leaves one voxel"),
        (["--seed", "-1"], "seed=-1"),
        (["--set", "patch=24", "--set", "stride=8"], "multiple of 16"),
        (["--set", "stride=33"], "expected at most the patch"),
        (["--set", "network=resnet"], "known: "),
        (["--set", "seed=3"], "expected --seed instead"),
        (["--set", "beta"], "expected key=value"),
        (["--labeled", "81"], "80 training cases"),
        (["--labeled", "0"], "labeled=0"),
        (["--labeled", "two"], "--labeled"),
        (["--iterations", "0"], "iterations=0"),
        (["--max-seconds", "-1"], "max_seconds=-1: expected 0 or more"),
        (["--protocol", "best"], "known: best-on-test, best-on-validation, last"),
        (["--protocol", "best-on-test"], "needs validate_every above 0"),
        (["--device", "cuda:99"], "device 'cuda:99'"),
        (["--device", "gpu"], "expected auto, cpu, cuda or cuda:N"),
        (["--colour", "red"], "--colour"),
    ],
)
def test_a_mistake_in_the_command_is_one_line(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["train", "supervised", "--labeled", "2", "--iterations", "1", "--no-evaluate"]
    assert told in refused([*base, *arguments], capsys)


def test_a_defect_shows_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("not enough values to unpack")

    monkeypatch.setattr("ssmis_core.training.train", broken)
    with pytest.raises(ValueError, match="not enough values to unpack"):
        cli.run(["train", *FLAT])


def test_unknown_methods_commands_and_missing_arguments_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean 'ugmcl'? (known: " in refused(["train", "ugmlc"], capsys)
    assert "known: " in refused(["methods", "--options", "ugmlc"], capsys)
    assert "METHOD" in refused(["train"], capsys)
    assert "trian" in refused(["trian"], capsys)
    assert "known: la" in refused(["data", "fetch", "brats", "--quiet"], capsys)
    assert "data/acdc/README.md" in refused(["data", "fetch", "acdc", "--quiet"], capsys)
    assert "nothing to fetch" in refused(["data", "fetch", "phantom"], capsys)
    assert "known: " in refused(["data", "check", "atrium"], capsys)


def test_a_run_of_another_configuration_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["train", *FLAT, "--no-evaluate", "--run-dir", "r"]) == 0
    assert "seed: 1, not 0" in refused(["train", *FLAT, "--seed", "1", "--run-dir", "r"], capsys)
    Path("letters").mkdir()
    Path("letters/to-keep.txt").write_text("dear")
    assert "not a run folder" in refused(["train", *FLAT, "--run-dir", "letters"], capsys)


def spoil(path: Path, how: str) -> None:
    """Make one file of LA wrong in one way."""
    image, label = np.random.default_rng(4).normal(size=(16, 16, 16)).astype(np.float32), np.zeros((16,) * 3, np.uint8)
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:1000])
    elif how == "not HDF5":
        path.write_text("volume")
    elif how == "missing":
        path.unlink()
    elif how == "no image":
        with h5py.File(path, "w") as file:
            file["scan"] = image
    elif how == "shapes":
        write_case(path, image, label[1:])
    elif how == "NaN":
        image[3, 3, 3] = np.nan
        write_case(path, image, label)
    elif how == "constant":
        write_case(path, np.ones_like(image), label)
    elif how == "labels":
        label[5, 5, 5] = 2
        write_case(path, image, label)


@pytest.mark.parametrize("which", ["train", "test"])
@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("truncated", "not a whole HDF5 file"),
        ("not HDF5", "not a whole HDF5 file"),
        ("missing", "no such file"),
        ("no image", "found 'scan'"),
        ("shapes", "differ in shape"),
        ("NaN", "1 NaN or infinite voxels"),
        ("constant", "image is constant"),
        ("labels", "values up to 2, expected 0 to 1"),
    ],
)
def test_a_bad_file_stops_training_before_it_starts(
    la_root: Path, which: str, how: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = first_case(la_root, which)
    spoil(bad, how)
    message = refused(["train", *LA, "--data-root", str(la_root)], capsys)
    assert told in message and str(bad) in message


@pytest.mark.parametrize(("protocol", "number"), [("best-on-validation", 2), ("best-on-test", 1)])
def test_a_bad_file_that_only_the_protocol_scores_stops_training_before_it_starts(
    la_root: Path, protocol: str, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = first_case(la_root, "test" if protocol == "best-on-test" else "train", number)
    spoil(bad, "truncated")
    validated = [*LA, "--protocol", protocol, "--validate-every", "1", "--no-evaluate"]
    message = refused(["train", *validated, "--data-root", str(la_root)], capsys)
    assert "not a whole HDF5 file" in message and str(bad) in message
    config = configure("supervised", dataset="la", data_root=la_root, labeled=2, protocol=protocol, validate_every=1)
    with pytest.raises(UserError, match="not a whole HDF5 file"):
        train(config, run_dir="run", data_root=la_root, device="cpu")
    assert not Path("run").exists()


def test_a_missing_data_root_is_one_line_that_says_how_to_get_the_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refused(["train", *LA, "--data-root", str(tmp_path / "nowhere")], capsys)
    assert "nowhere" in message and "ssmis data fetch la" in message
    assert "nowhere" in refused(["data", "check", "la", "--data-root", str(tmp_path / "nowhere")], capsys)


def test_evaluate_and_predict_refuse_what_is_not_a_trained_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["train", *FLAT, "--no-evaluate", "--run-dir", "r"]) == 0
    assert "not a run folder" in refused(["evaluate", "nowhere"], capsys)
    assert "known: nan, zero" in refused(["evaluate", "r", "--empty", "none"], capsys)
    assert "known: bf16, float32" in refused(["evaluate", "r", "--precision", "half"], capsys)
    assert "known: " in refused(["evaluate", "r", "--split", "tset"], capsys)
    assert "no validation list" in refused(["evaluate", "r", "--split", "validation"], capsys)
    Path("half").mkdir()
    for text in ("{", "{}", '{"configuration": {"patch": 3}}', "[]"):
        Path("half/run.json").write_text(text)
        assert "half/run.json: cannot be read" in refused(["evaluate", "half"], capsys)
        assert "half/run.json: cannot be read" in refused(["train", *FLAT, "--run-dir", "half"], capsys)
    Path("half/run.json").write_text(Path("r/run.json").read_text())
    assert "no weights yet" in refused(["predict", "half", "scan.nii.gz"], capsys)


def test_data_list_says_what_is_here(la_root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setenv("SSMIS_DATA", str(la_root))
    assert cli.run(["data", "list"]) == 0
    shown = capsys.readouterr().out
    assert "made on the fly" in shown
    assert next(line for line in shown.splitlines() if line.startswith("la ")).endswith("here")


def test_data_check_lists_every_problem_and_exits_with_1(la_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first_case(la_root, "test").write_bytes(b"not HDF5")
    assert cli.run(["data", "check", "la", "--data-root", str(la_root)]) == 1
    shown = capsys.readouterr().out
    assert "19/20" in shown and str(first_case(la_root, "test")) in shown and "no such file" in shown
