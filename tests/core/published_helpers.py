"""Files of published weights for tests: the stored states of every kind, whole and with parts left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

Load = Callable[[str], dict[str, np.ndarray]]
FILES = {  # the stored state of each kind of file, and how one is made from another with the same network
    "ssnet": ("ssnet_vnet_forward", ""),
    "bcp": ("ssnet_vnet_forward", ""),
    "uamt": ("ssnet_vnet_forward", "flat"),
    "tracoco": ("ssnet_vnet_forward", "flat"),
    "dtc": ("dtc_forward", ""),
    "ugmcl": ("ugmcl_unet3d_dt_forward", ""),
    "mcnet": ("mcnet_forward", ""),
}
PHANTOM: dict[str, Any] = {"dataset": "phantom", "labeled": 4, "dataset_options": {"size": (32, 16, 16)}}


def published_states(golden: Load) -> Callable[[str], dict[str, Tensor]]:
    """`published("dtc")`: the tensors of a file by the authors' names."""

    def state(source: str, name: str | None = None) -> dict[str, Tensor]:
        stored, form = (name, "") if name else FILES[source]
        tensors = {k.removeprefix("w."): torch.from_numpy(v) for k, v in golden(stored).items() if k.startswith("w.")}
        return flat(tensors) if form == "flat" else tensors

    return state


def save(content: Any, name: str = "weights.pth") -> Path:
    torch.save(content, name)
    return Path(name)


def without(state: dict[str, Tensor], *parts: str) -> dict[str, Tensor]:
    return {key: value for key, value in state.items() if not any(part in key for part in parts)}


def flat(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.split(".", 1)[1]: value for key, value in state.items()}
