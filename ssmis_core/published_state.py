"""Tensors of a file that somebody else wrote: nothing in it is run, and only plain tensors of numbers are taken."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ssmis_core.errors import UserError

# Names that a state lies under in a checkpoint.
WRAPPERS = ("net", "state_dict", "model", "model_state_dict", "network")

REALS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by their published names, without prefixes that wrappers add; no code in it is run."""
    if not path.is_file():
        raise UserError(f"{path}: no such file, expected an author's weights (.pth)")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # what a damaged pickle ends in is whatever its bytes happen to say
        raise UserError(
            f"{path}: cannot be read as weights alone; expected a state dict saved by torch "
            "(a file that holds a whole network would run its code, so it is not opened)"
        ) from error
    state = content
    for _ in range(3):  # a wrapper may be wrapped again
        wrapper = next((key for key in WRAPPERS if key in state), None) if _is_named(state) else None
        state = state[wrapper] if wrapper else state
    if not _is_named(state) or not all(isinstance(value, Tensor) for value in state.values()):
        keys = ", ".join(list(map(str, content))[:6]) if isinstance(content, Mapping) else type(content).__name__
        raise UserError(f"{path}: holds no state dict (found {keys or 'nothing'}), expected names of tensors")
    plain = {key.removeprefix("module."): value for key, value in state.items()}
    if len(plain) < len(state):
        raise UserError(f"{path}: has tensors both with and without the prefix module., expected one network")
    return plain


def check_tensors(state: Mapping[str, Tensor], path: Path) -> None:
    """UserError for a tensor that cannot be a trained weight, before its shape is believed or its numbers are read."""
    for key, value in state.items():
        if found := _oddity(key, value):
            raise UserError(f"{path}: {key} is {found}; expected a plain tensor of real numbers")
    bad = [key for key, value in state.items() if not bool(torch.isfinite(value.float()).all())]
    if bad:
        raise UserError(f"{path}: {len(bad)} tensors are not finite, {bad[0]} the first; expected trained weights")


def _oddity(key: str, value: Tensor) -> str | None:
    """What a tensor is where that is no weight. A later question is only asked of what an earlier one let pass."""
    if value.layout is not torch.strided or value.is_nested:
        return "sparse" if "sparse" in str(value.layout) else "nested"
    if value.is_meta:
        return "without numbers (on the device meta)"
    counts = INTEGERS if key.endswith("num_batches_tracked") else ()
    if value.is_quantized or value.dtype not in (*REALS, *counts):
        return f"of type {str(value.dtype).removeprefix('torch.')}"
    if value.numel() == 0:
        return f"empty, {'x'.join(map(str, value.shape))}"
    if value.untyped_storage().nbytes() < value.numel() * value.element_size():
        return f"expanded, a shape {'x'.join(map(str, value.shape))} over fewer numbers"
    return None


def _is_named(content: Any) -> bool:
    return isinstance(content, Mapping) and all(isinstance(key, str) for key in content)
