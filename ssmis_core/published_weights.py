"""Weights that authors published (.pth), as run folders that evaluate and predict like one's own.

    run = import_weights("ssnet_la_16.pth", "ssnet", dataset="la", labeled=16, run_dir="runs/ssnet-authors")

The network is recognised from the names and shapes in the file. Only tensors are read: a file that would run code is
refused.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ssmis_core.configuration import Configuration, configure
from ssmis_core.datasets import open_dataset
from ssmis_core.errors import UserError, unknown
from ssmis_core.files import staged
from ssmis_core.methods import create_method, method_class
from ssmis_core.networks.published_keys import (
    Rename,
    fitted,
    load_published,
    several_decoders_key,
    unet2d_key,
    unet3d_key,
    vnet_key,
)
from ssmis_core.published_state import check_tensors, read_state
from ssmis_core.runs import Run

# Parts of names that tell a network; several of each, since a file may lack the one or the other.
KINDS = {
    "block_": "vnet",
    "in_conv.": "unet2d",
    "conv_conv.": "unet2d",
    "conv1.conv1.": "unet3d",
    "up_concat": "unet3d",
}


@dataclass(frozen=True)
class Source:
    """Whose files: the method that they belong to, and which of its networks they fill.

    backbones: those that its files come with; two_heads: whether `out_conv` is the distance head and `out_conv2` the
    logits; several: an encoder and decoders 1, 2 ...
    """

    method: str
    networks: tuple[str, ...]
    backbones: tuple[str, ...] = ("vnet", "unet2d")
    two_heads: bool = False
    several: bool = False


SOURCES = {
    "ssnet": Source("ssnet", ("network",)),
    "mcnet": Source("mcnet", ("network",), several=True),
    "dtc": Source("dtc", ("network",), ("vnet",), two_heads=True),
    "uamt": Source("uamt", ("student", "teacher")),
    "ugmcl": Source("ugmcl", ("student", "teacher"), ("unet3d",)),
    "tracoco": Source("tracoco", ("network_1", "network_2")),
    "bcp": Source("bcp", ("student", "teacher")),
}


@dataclass(frozen=True)
class Recognised:
    """What names and shapes in a file tell: method and network with their settings, and our name of each parameter."""

    method: str
    options: Mapping[str, Any]
    shape: Mapping[str, int]
    rename: Rename


def import_weights(
    file: str | os.PathLike[str],
    source: str,
    *,
    dataset: str,
    labeled: int,
    run_dir: str | os.PathLike[str],
    data_root: str | os.PathLike[str] | None = None,
    dataset_options: Mapping[str, Any] | None = None,
) -> Run:
    """Write a run folder with an author's weights; it evaluates, predicts and is reviewed like a trained one.

    file: .pth or .pt, a state dict or a checkpoint that holds one; source: one of SOURCES; dataset, labeled: what they
    were trained on, which decides patch, stride and grid (preset `full`, variant `released`). Networks that a file
    does not hold (the teacher beside a student, the second of two networks) get the same weights.
    Raises UserError, before anything is written, for a file that is none, for another network's, which lists what is
    missing, for a data set with other classes or dimensions, and for a run_dir that is not empty or cannot be made.
    """
    if source not in SOURCES:
        raise unknown("source of weights", source, SOURCES)
    path, wanted, folder = Path(file), SOURCES[source], Path(run_dir)
    _check_free(folder)
    content = read_state(path)
    found = recognise(content, wanted, path)
    _check_fit(found, wanted, content, path)
    where: dict[str, Any] = {"dataset": dataset, "data_root": data_root, "dataset_options": dataset_options}
    config = _configured(found, path, labeled=labeled, **where)
    method = create_method(config.method, variant=config.variant, **found.shape, **config.options)
    _fill([getattr(method, name) for name in wanted.networks], content, found.rename, path)
    told = {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "from": source,
        "left_out": [key for key in content if found.rename(key) is None],
    }
    root = None if data_root is None else str(Path(data_root).resolve())
    _make_parent(folder)
    with staged(folder) as fresh:  # an import that is stopped leaves nothing that bars the next
        run = Run.create(fresh, config)
        run.save_weights(method.state_dict())
        run.update(status="imported", iterations_done=0, shape=dict(found.shape), data_root=root, imported=told)
    return Run(folder)


def _configured(found: Recognised, path: Path, *, dataset: str, labeled: int, **where: Any) -> Configuration:
    """The run that a file stands for; UserError where its network is not one for that data set."""
    options, root = where["dataset_options"] or {}, where["data_root"]
    data = open_dataset(dataset, root, **options)
    variant = "released" if "released" in method_class(found.method).VARIANTS else "paper"
    given: dict[str, Any] = {"dataset": dataset, "labeled": labeled, "preset": "full", "variant": variant, **where}
    config = configure(found.method, **given, **found.options)
    shape = {"num_classes": data.num_classes, "dims": config.dims, "channels": data.channels}
    odd = [f"{key} {found.shape[key]}, not {shape[key]}" for key in shape if found.shape[key] != shape[key]]
    if odd:
        raise UserError(f"{path}: its network has {'; '.join(odd)} as {dataset} has")
    return config


def _check_free(folder: Path) -> None:
    """UserError for a folder that holds something, or that lies under a file."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: is there and not empty; choose an empty or new run_dir")
    above = next((parent for parent in folder.parents if parent.exists()), None)
    if above is not None and not above.is_dir():
        raise UserError(f"{folder}: cannot be a folder, {above} is a file; choose an empty or new run_dir")


def _make_parent(folder: Path) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written, its folder cannot be made ({error.strerror})") from error


def _check_fit(found: Recognised, source: Source, content: Mapping[str, Tensor], path: Path) -> None:
    """UserError where a file does not fit, before memory is asked for: how much it would be is the file's to say."""
    try:
        with torch.device("meta"):
            method = create_method(found.method, **{**found.options, **found.shape})
        for name in source.networks:
            fitted(getattr(method, name), content, found.rename)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _fill(networks: Iterable[nn.Module], content: Mapping[str, Tensor], rename: Rename, path: Path) -> None:
    """The same weights into several networks."""
    for network in networks:
        try:
            load_published(network, content, rename)
        except UserError as error:
            raise UserError(f"{path}: {error}") from error


def recognise(state: Mapping[str, Tensor], source: Source, path: Path) -> Recognised:
    """Network and settings by the names and shapes of a state; UserError where it is none of this field's.

    What a file leaves open gets a usual value: it lacks the very tensor that would tell, which the fit then names.
    """
    network = next((kind for part, kind in KINDS.items() if any(part in key for key in state)), None)
    if network is None:
        keys = ", ".join(list(state)[:4])
        raise UserError(
            f"{path}: is no V-Net or U-Net of this field (found {keys} ...), expected keys like block_one.conv.0.weight"
        )
    if network not in source.backbones:
        raise UserError(f"{path}: is a {network}, but files of {source.method} are {' or '.join(source.backbones)}")
    rename: Rename = {"vnet": vnet_key, "unet2d": unet2d_key, "unet3d": unet3d_key}[network]
    options: dict[str, Any] = {"network": network}
    method = source.method
    if network == "vnet":
        options["norm"] = _norm(state)
        rename = partial(vnet_key, two_heads=source.two_heads, norms=options["norm"] != "none")
    elif network == "unet3d":
        options["norm"] = "instance"
    if source.several:
        method = _by_decoders(state, path)
        rename = partial(several_decoders_key, of_one=rename)
    check_tensors({key: value for key, value in state.items() if rename(key) is not None}, path)
    places = {new: value for key, value in state.items() if (new := rename(key)) is not None and value.ndim >= 4}
    dims = 2 if network == "unet2d" else 3
    first = places.get("down.0.0.weight", torch.empty(16, 1, *[3] * dims, device="meta"))
    head = places.get("head.weight", torch.empty(1 if source.two_heads else 2, device="meta"))
    shape = {
        # a sigmoid head leaves the background out; another's single channel is for the fit to name
        "num_classes": max(2, head.shape[0] + (1 if source.two_heads else 0)),
        "dims": first.ndim - 2,
        "channels": first.shape[1],
    }
    return Recognised(method, {**options, "filters": first.shape[0]}, shape, rename)


def _norm(state: Mapping[str, Tensor]) -> str:
    """ "none" where a V-Net's convolutions follow each other as nothing lies between them but a ReLU, else "batch".

    Statistics that are not there are no sign of a network without norms: what "batch" lacks is told as missing.
    """
    places = (key for key in state if re.search(r"block_[a-z]+\.conv\.2\.weight$", key))
    return "none" if any(state[key].ndim >= 4 for key in places) else "batch"


def _by_decoders(state: Mapping[str, Tensor], path: Path) -> str:
    """MC-Net or MC-Net+; UserError for decoders that neither has."""
    numbers = sorted({int(match[1]) for key in state if (match := re.match(r"decoder(\d+)\.", key))})
    if not {1, 2, 3}.issuperset(numbers):
        found = ", ".join(map(str, numbers))
        raise UserError(f"{path}: has decoders {found}; expected 1 and 2 (MC-Net) or 1, 2 and 3 (MC-Net+)")
    return "mcnet_plus" if 3 in numbers else "mcnet"
