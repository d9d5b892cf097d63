"""The authors' released code, run as it stands: their training scripts in turns (see `turns`), or a module of theirs.

Nothing of it is in this repository: give a folder with their checkouts. A script is read, patched by the replacements
below and run: the size of the patch, names that Python and numpy no longer have, and without CUDA `.cuda()` does
nothing. Packages for logging and pictures that are not installed are stood in for by objects that accept any call,
which can only make the released side faster.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import multiprocessing
import os
import shutil
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import torch
from machine import positive
from turns import Watched

from ssmis_core.datasets import open_dataset
from ssmis_core.datasets.la import FOLDER
from ssmis_core.errors import UserError

LIST, CASES = "train.list", 80  # of LA's training cases
PATCH = (112, 112, 80)
STAND_INS = ("PIL", "cc3d", "cv2", "easydict", "imageio", "matplotlib", "medpy", "nibabel", "skimage", "yaml")
STAND_INS += ("tensorboardX", "torchvision", "tqdm", "wandb")
CHECKOUTS = "SS-Net (ycwu1997), UG-MCL (YichiZhang98), TraCoCo (yyliu01) and shuaiAIMedcalLab (shuaiaihang)"


def beside_released(told: str) -> ArgumentParser:
    """The command line of a benchmark on LA beside released code. told: the script's docstring."""
    parser = ArgumentParser(description=told, formatter_class=RawDescriptionHelpFormatter)
    path = {"type": lambda name: Path(name).resolve(), "required": True}  # a released script changes the folder
    parser.add_argument("--la", **path, help="the folder of the data set la")
    parser.add_argument("--released", **path, help="the folder with the authors' checkouts")
    parser.add_argument("--out", **path, help="the CSV to write")
    parser.add_argument("--threads", type=positive, default=torch.get_num_threads(), help="of each side, on a CPU")
    return parser


@dataclass(frozen=True)
class Released:
    """A released training: where it is, what is changed in it, and how it is started.

    checkout: its folder. root: the folder in it whose modules the script imports. script: below root. arguments: of
    its command line. patched: (file below root, text, replacement with {patch} for the three sizes of the patch, {x}
    and {z} for its first and last). optimisers: that step in an iteration. start: what to do with the script's names
    once it was read; None: it runs by itself.
    """

    checkout: str
    root: str
    script: str
    arguments: tuple[str, ...] = ()
    optimisers: int = 1
    patched: tuple[tuple[str, str, str], ...] = ()
    start: Callable[[dict[str, Any]], None] | None = None


def start_ugmcl(names: dict[str, Any]) -> None:
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True  # as the script's last lines do
    names["train"](names["args"], "model")


def start_cpam(names: dict[str, Any]) -> None:
    names["load_net"] = lambda net, path: None  # the second stage, self-training, from random weights
    names["self_train"](names["args"], "model", "model")


def start_tracoco(names: dict[str, Any]) -> None:
    torch.backends.cudnn.benchmark = True  # as the script's last lines do
    arguments = {"architecture": "vnet", "backbone": None, "unsup_weight": 1.0, "labeled_num": 16}
    names["main"](names["argparse"].Namespace(**arguments, max_iterations=9000, api_key=None))


SIZE = ("(112, 112, 80)", "({patch})")
GONE = "from asyncore import write\nimport imp\n", "from sre_parse import SPECIAL_CHARS\n"  # imported, never used
RELEASED = {
    "ssnet": Released(
        "SS-Net",
        "code",
        "train_ss_3d.py",
        patched=(("train_ss_3d.py", *SIZE), ("utils/test_3d_patch.py", "np.int)", "int)")),
    ),
    "ugmcl": Released(
        "UG-MCL",
        "code",
        "train_UGMCL_3D.py",
        patched=(
            ("train_UGMCL_3D.py", "96, 96, 96", "{patch}"),  # of BraTS; its paper's patch on LA is the others'
            ("train_UGMCL_3D.py", "default=50", "default=8"),
        ),
        start=start_ugmcl,
    ),
    "tracoco": Released(
        "TraCoCo",
        "Code/VnetLA",
        "main.py",
        optimisers=2,
        patched=(
            ("Dataloader/dataset.py", *SIZE),
            ("Dataloader/augmentation.py", "80", "{z}"),  # first: {x} may be 80
            ("Dataloader/augmentation.py", "112", "{x}"),  # counts on a patch that is as wide as it is high
            ("train.py", "np.int(", "int("),
        ),
        start=start_tracoco,
    ),
    "cpam_trcm": Released(
        "shuaiAIMedcalLab",
        "code",
        "LA_All_train.py",
        arguments=("--gpu", "0"),
        patched=(("LA_All_train.py", *SIZE), *(("LA_All_train.py", text, "") for text in GONE)),
        start=start_cpam,
    ),
}


def train_released(pipe: Connection, name: str, checkouts: Path, la: Path, scratch: Path, patch: Sequence[int]) -> None:
    """Train a released method on LA until there are no more turns."""
    released = RELEASED[name]
    multiprocessing.set_start_method("fork", force=True)  # as where the scripts were written: their loaders rely on it
    Watched(pipe, released.optimisers)
    lay_out(la, scratch)
    os.chdir(scratch)
    sys.argv = [released.script, *released.arguments]
    script = open_released(name, checkouts, scratch.parent / "code", patch) / released.script
    names: dict[str, Any] = {"__name__": "released" if released.start else "__main__", "__file__": str(script)}
    exec(compile(script.read_text(encoding="utf-8"), str(script), "exec"), names)
    if released.start:
        released.start(names)


def check_released(name: str, checkouts: Path) -> Path:
    """The folder whose modules a released script imports; UserError unless it is there, in the known version."""
    released = RELEASED[name]
    root = checkouts / released.checkout / released.root
    if not root.is_dir():
        raise UserError(f"{root}: no such folder, expected the checkouts of {CHECKOUTS}")
    for file, text in ((released.script, ""), *((file, text) for file, text, _ in released.patched)):
        if not (root / file).is_file():
            raise UserError(f"{root / file}: no such file; another version of the released code?")
        if text not in (root / file).read_text(encoding="utf-8"):
            raise UserError(f"{root / file}: has no {text!r}; another version of the released code?")
    return root


def check_la(la: Path) -> None:
    """UserError unless the data set is there, and as released scripts read it."""
    open_dataset("la", la)
    if not ((la / FOLDER).is_dir() and (la / LIST).is_file()):
        raise UserError(f"{la}: expected {LIST!r} and {FOLDER!r} in it, which released scripts read")


def open_released(name: str, checkouts: Path, copy: Path, patch: Sequence[int] = PATCH) -> Path:
    """Copy a released code, patch the copy and make its modules importable; returns the folder that they are in."""
    released = RELEASED[name]
    root = check_released(name, checkouts)
    shutil.copytree(root, copy, ignore=lambda _, files: [file for file in files if file.endswith((".pth", ".h5"))])
    values = {"patch": ", ".join(map(str, patch)), "x": patch[0], "z": patch[-1]}
    for file, text, replacement in released.patched:
        source = (copy / file).read_text(encoding="utf-8")
        (copy / file).write_text(source.replace(text, replacement.format(**values)), encoding="utf-8")
    sys.path.insert(0, str(copy))
    sys.meta_path.append(StandIns())
    if not torch.cuda.is_available():
        torch.Tensor.cuda = torch.nn.Module.cuda = lambda self, *_, **__: self  # type: ignore[method-assign,assignment]
    return copy


def lay_out(la: Path, scratch: Path) -> None:
    """LA's files at every place where the four scripts look for them, relative to the folder that they run in."""
    names = [line.strip() for line in (la / LIST).read_text(encoding="utf-8").splitlines() if line.strip()]
    folder = la / FOLDER
    links = {f"data/LA/{name}": folder for name in (folder.name, "2018LA_Seg")}
    links |= {"Datasets/Left_Atrium/data": folder, "data/LA/train.list": la / LIST}
    links |= {f"../data/BraTS2019/data/{name}.h5": folder / name / "mri_norm2.h5" for name in names}
    for place, target in links.items():
        (scratch / place).parent.mkdir(parents=True, exist_ok=True)
        if not (scratch / place).exists():
            (scratch / place).symlink_to(target.resolve())
    listed = (names * (250 // len(names) + 1))[:250]
    (scratch / "../data/BraTS2019/train.txt").write_text("\n".join(listed), encoding="utf-8")
    for place in ("code", "model", "Code/VnetLA/Dataloader/data"):
        (scratch / place).mkdir(parents=True, exist_ok=True)
    lists = scratch / "Code/VnetLA/Dataloader/data"
    for name in ("train.list", "eval.list"):
        (lists / name).write_text("\n".join([*names[:CASES], ""]) + "\n", encoding="utf-8")


class StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Last of the finders: modules for packages that are not installed and that no timed line needs."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        known = name.partition(".")[0] in STAND_INS
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if known else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = StandIn(spec.name)
        module.__path__ = []
        return module

    def exec_module(self, module: ModuleType) -> None:
        if module.__name__ == "tqdm":
            module.tqdm = tqdm  # type: ignore[attr-defined]
        if module.__name__ == "easydict":
            module.EasyDict = EasyDict  # type: ignore[attr-defined]
        if module.__name__ == "torchvision":
            module.transforms = SimpleNamespace(Compose=Compose)  # type: ignore[attr-defined]


class StandIn(ModuleType):
    """A module in which everything is found."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return MagicMock(name=f"{self.__name__}.{name}")


class EasyDict(dict[str, Any]):
    """A dictionary whose keys are attributes."""

    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__  # type: ignore[assignment]


class Compose:
    """Transforms one after the other."""

    def __init__(self, transforms: Iterable[Callable[[Any], Any]]):
        self.transforms = list(transforms)

    def __call__(self, sample: Any) -> Any:
        for transform in self.transforms:
            sample = transform(sample)
        return sample


def tqdm(items: Any, **_: Any) -> Any:
    return items
