"""What the tests of the command line share: tiny commands, small files, and how a mistake must end."""

from __future__ import annotations

from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest

from ssmis_core import cli
from ssmis_core.datasets import data_directory
from ssmis_core.datasets.la import FILE, FOLDER

NETWORK = ["--set", "filters=2", "--set", "norm=batch", "--set", "patch=16", "--set", "stride=16", "--device", "cpu"]
PHANTOM = ["--data-option", "size=16", *NETWORK, "--set", "unlabeled_per_batch=0", "--set", "log_every=1"]
FLAT = ["supervised", "--labeled", "2", "--data-option", "dims=2", *PHANTOM, "--iterations", "3"]
LA = ["supervised", "--dataset", "la", "--labeled", "2", *NETWORK, "--set", "factor=1", "--iterations", "1"]
AFFINE = np.array([[0, -1.5, 0, 7], [2, 0, 0, -3], [0, 0, 3, 11], [0, 0, 0, 1]], dtype=float)


def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fixture: each test runs in a folder of its own, with nothing said about data in the environment."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("SSMIS_DATA", raising=False)
    monkeypatch.delenv("SSMIS_DEBUG", raising=False)
    monkeypatch.delenv("SSMIS_RUNS", raising=False)
    return folder


def write_la(root: Path) -> Path:
    """Small files in the layout of LA: the cases that `LA` above trains on, and the test list."""
    lists = [(data_directory() / "la" / name).read_text().split() for name in ("train.list", "test.list")]
    random = np.random.default_rng(0)
    for case in (*lists[0][:2], *lists[1]):
        label = np.zeros((16, 16, 16), np.uint8)
        label[4:12, 4:12, 4:12] = 1
        write_case(root / FOLDER / case / FILE, random.normal(size=label.shape).astype(np.float32), label)
    return root


def write_case(path: Path, image: np.ndarray, label: np.ndarray | None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["image"] = image
        if label is not None:
            file["label"] = label
    return path


def first_case(root: Path, which: str, number: int = 1) -> Path:
    """The file of the first case of a list, or of a later one."""
    return root / FOLDER / (data_directory() / "la" / f"{which}.list").read_text().split()[number - 1] / FILE


def write_nifti(path: Path, image: np.ndarray) -> Path:
    nibabel.save(nibabel.Nifti1Image(image, AFFINE), path)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a mistake ends in; exit code 2 and nothing written here."""
    capsys.readouterr()
    before = contents(Path.cwd())
    code = cli.run(arguments)
    told = capsys.readouterr()
    assert code == 2, told
    assert told.err.startswith("ssmis: ") and told.err.endswith("\n") and told.err.count("\n") == 1, told.err
    assert told.out == ""
    assert contents(Path.cwd()) == before
    return told.err
