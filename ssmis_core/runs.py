"""The run folder: one training, everything that is known of it, readable at any time.

run.json             configuration, versions, git revision, machine, data fingerprint, status
history.csv          named loss terms, learning rate and seconds at every log interval
evaluations.csv      iteration, split, case, class, metrics at every validation and at the end
cases.csv            the test cases: case, class, dice, jaccard, hd95, asd, ...
summary.json         means, spread, counts and the conventions they were made with
weights.safetensors  the selected weights
checkpoint.pt        the state that training goes on from
predictions/         one <case>.nii.gz a test case
quality.csv          pseudo-labels against the truth, where somebody asked for it (see `quality`)
stop                 asks a training to end, which then deletes it (see `interrupts`)

An evaluation on another list than the test list has files of its own: cases-<split>.csv, summary-<split>.json and
predictions-<split>/. So has one on other scans than the run's, with external-<name> for the split.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssmis_core.configuration import Configuration
from ssmis_core.errors import UserError
from ssmis_core.files import read_json, read_table, write_atomic, write_csv, write_json

if TYPE_CHECKING:
    import torch

    from ssmis_core.datasets import Dataset
    from ssmis_core.methods.base import Method

NAMES = ("stage", "split", "case", "class", "answer", "grid")  # columns that are never numbers
INFO: dict[str, type] = {"configuration": dict, "status": str}  # of run.json
NOT_TERMS = ("iteration", "stage", "learning_rate", "seconds")  # columns of a history that are no loss terms
TABLES: dict[str, dict[str, type]] = {  # columns that others than their writers count on
    "history": {"iteration": int, "stage": str, "seconds": float},
    "evaluations": {"iteration": int, "split": str, "case": str, "class": str},
    "cases": {"case": str, "class": str, **dict.fromkeys(("dice", "jaccard", "hd95", "asd"), float)},
    "quality": {"iteration": int, "answer": str},
}
VERSIONED = ("torch", "numpy", "scipy", "h5py", "nibabel", "MedPy", "safetensors")


class Run:
    """A run folder, open for reading. Training and evaluation write to it through this class."""

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        if not (self.path / "run.json").is_file():
            raise UserError(f"{self.path}: not a run folder (it has no run.json)")
        _ = self.config  # a damaged run.json shows here rather than in the middle of something

    @classmethod
    def create(cls, path: str | os.PathLike[str], config: Configuration) -> Run:
        """The run folder at `path`: a new one, or the one of the same configuration that is there already.

        Raises UserError when the folder holds a run of another configuration, or files that are not a run.
        """
        path = Path(path)
        if (path / "run.json").is_file():
            run = cls(path)
            differences = config.differences(run.config)
            if differences:
                raise UserError(
                    f"{path}: holds a run with another configuration ({'; '.join(differences[:4])}); "
                    "choose another run_dir"
                )
            return run
        # a process killed at its very first write leaves a part of run.json, which bars nobody
        harmless = ("extra", ".run.json.part")
        if path.exists() and (not path.is_dir() or any(p.name not in harmless for p in path.iterdir())):
            raise UserError(f"{path}: exists and is not a run folder; choose an empty or new run_dir")
        write_json(
            path / "run.json", {"configuration": config.as_dict(), "status": "new", "environment": environment()}
        )
        return cls(path)

    @classmethod
    def finished(cls, path: str | os.PathLike[str], config: Configuration) -> bool:
        """Whether the folder has this training whole; UserError where training would spoil what it has."""
        status = cls.create(path, config).status if Path(path, "run.json").is_file() else "new"
        if status == "imported":
            raise UserError(f"{path}: holds imported weights, which training would replace; choose another run_dir")
        return status == "finished"

    @property
    def info(self) -> dict[str, Any]:
        """run.json; UserError when it is damaged."""
        return read_json(self.path / "run.json", keys=INFO, expected="what training writes")

    @property
    def config(self) -> Configuration:
        """The configuration in run.json; UserError when it is damaged."""
        try:
            return Configuration.from_dict(self.info["configuration"])
        except (KeyError, TypeError) as error:
            found = f"with no {error}" if isinstance(error, KeyError) else f"that does not fit: {error}"
            told = f"cannot be read (found a configuration {found}), expected what training writes"
            raise UserError(f"{self.path / 'run.json'}: {told}") from error

    @property
    def status(self) -> str:
        """ "new", "running", "stopped", "interrupted", "failed", "finished", or "imported" (see published_weights)."""
        return self.info["status"]

    def update(self, **values: Any) -> None:
        """Change entries of run.json."""
        write_json(self.path / "run.json", {**self.info, **values})

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Rows of history, evaluations or cases; none when the file is not there yet. See `read_rows`."""
        return read_rows(self.path / f"{name}.csv")

    def write_rows(self, name: str, rows: list[dict[str, Any]]) -> None:
        write_csv(self.path / f"{name}.csv", rows)

    @property
    def summary(self) -> dict[str, Any]:
        """summary.json; UserError when the run has not been evaluated or the file is damaged."""
        return self.summary_of("")

    def summary_of(self, ending: str) -> dict[str, Any]:
        """The summary of other cases than the test list's, by the ending of its file's name (see `EvaluatedData`)."""
        path = self.path / f"summary{ending}.json"
        if not path.is_file():
            raise UserError(f"{self.path}: not evaluated yet (no {path.name}); run `ssmis evaluate {self.path}`")
        expected = f"what `ssmis evaluate {self.path}` writes"
        return read_json(path, keys={"cases": int, "missed": int, "conventions": dict}, expected=expected)

    def dataset(self, data_root: str | os.PathLike[str] | None = None) -> Dataset:
        """The run's data set, at data_root, else where it was trained on, else where the data set looks by default."""
        from ssmis_core.datasets import open_dataset

        config, then = self.config, self.info.get("data_root")
        before = then if then and Path(then).is_dir() else None  # a run may have come from another machine
        return open_dataset(config.dataset, data_root or before, **config.dataset_options)

    def method(self, device: str | torch.device = "cpu") -> Method:
        """The run's method with its selected weights, in eval mode; of a run cut short, with its latest ones."""
        from ssmis_core.methods import create_method

        config, weights = self.config, self.load_weights()  # a run that never trained has no shape either
        method = create_method(config.method, variant=config.variant, **self.info["shape"], **config.options)
        try:
            method.load_state_dict(weights)
        except RuntimeError as error:  # torch lists every tensor that is missing, left over or of another size
            first = next(iter(str(error).split("\n\t")[1:]), str(error)).strip()
            raise UserError(
                f"{self.path / 'weights.safetensors'}: does not fit the {config.method} of run.json; {first}"
            ) from error
        return method.to(device).eval()

    def load_weights(self) -> dict[str, torch.Tensor]:
        """The tensors of weights.safetensors; UserError when there are none or they cannot be read."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = self.path / "weights.safetensors"
        if not path.is_file():
            raise UserError(f"{self.path}: no weights yet (status: {self.status}); train it first")
        try:
            return load_file(path)
        except SafetensorError as error:
            raise UserError(f"{path}: cannot be read as safetensors ({error})") from error

    def save_weights(self, state: dict[str, torch.Tensor]) -> None:
        from safetensors.torch import save

        # by way of memory: save_file makes files that nobody but their owner may read
        content = save({key: value.detach().cpu().contiguous().clone() for key, value in state.items()})
        write_atomic(self.path / "weights.safetensors", lambda temporary: temporary.write_bytes(content))

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        import torch

        buffer = io.BytesIO()  # by way of memory: torch's own file writer does not say that the disk is full
        torch.save(state, buffer)
        write_atomic(self.path / "checkpoint.pt", lambda temporary: temporary.write_bytes(buffer.getbuffer()))

    def load_checkpoint(self) -> dict[str, Any] | None:
        """What save_checkpoint wrote, or None; only tensors and plain values are read, no code is run."""
        import pickle

        import torch

        path = self.path / "checkpoint.pt"
        if not path.is_file():
            return None
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, ValueError) as error:
            reason = str(error).split(". ")[0].splitlines()[0] if str(error) else type(error).__name__
            raise UserError(f"{path}: cannot be read as a checkpoint ({reason}); delete it to start anew") from error


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a table of a run folder, none when it is not there yet; UserError for one that no run wrote."""
    if not path.is_file():
        return []
    return read_table(path, columns=TABLES[path.stem.split("-")[0]], text=NAMES, expected="what a run writes there")


def default_run_dir(
    config: Configuration, *, root: str | os.PathLike[str] | None = None, name: str | None = None
) -> Path:
    """Where a run goes when nobody says: <root>/<name>-<data set>-<labels>-<preset>-seed<seed>-<hash>.

    root: $SSMIS_RUNS where it is set, else "runs" here. name: the method's by default; a variant other than "paper"
    follows it. The hash is over the whole configuration, so another setting is another folder, and the same command or
    notebook finds its run again from the same place.
    """
    text = json.dumps(config.as_dict(), sort_keys=True, default=str)
    digest = hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
    variant = () if config.variant == "paper" else (config.variant,)
    parts = (name or config.method, *variant, config.dataset, config.labeled, config.preset, f"seed{config.seed}")
    return Path(root or runs_root()) / "-".join(map(str, (*parts, digest)))


def runs_root() -> Path:
    """The folder of the run folders for which nobody names one."""
    return Path(os.environ.get("SSMIS_RUNS") or "runs")


def environment() -> dict[str, Any]:
    """Versions, git revision and machine, for run.json."""
    versions = {"python": platform.python_version()}
    for name in VERSIONED:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "versions": versions,
        "git": _git_revision(),
        "machine": {"system": platform.platform(), "cpu": _cpu(), "cores": os.cpu_count()},
    }


def _git_revision() -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
