"""Choosing a device, and the settings that follow from it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ssmis_core.errors import UserError, unknown


def choose_device(name: str | torch.device = "auto") -> torch.device:
    """The torch device for "auto" (CUDA when there is one), "cpu", "cuda", "cuda:1"; UserError when it is not there."""
    told = f"device {str(name)!r}"
    if str(name) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise UserError(f"{told}: expected auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"{told}: expected auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"{told}: this machine has no CUDA device that torch {torch.__version__} can use")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"{told}: this machine has {torch.cuda.device_count()} CUDA device(s), numbered from 0")
    return device


def memory_format(dims: int) -> torch.memory_format:
    """Of networks and their features in 2 or 3 dimensions: channels-last, which convolutions need no copies from."""
    return torch.channels_last_3d if dims == 3 else torch.channels_last


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Mixed precision for a forward pass: "bf16", "float32", or "auto" (bf16 on CUDA, float32 elsewhere)."""
    enabled = precision == "bf16" or (precision == "auto" and device.type == "cuda")
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


@contextmanager
def inference_precision(precision: str, device: torch.device) -> Iterator[None]:
    """Forward passes of a trained network: "float32", or "bf16", which is faster on a GPU and rounds to 3 digits.

    float32 is whole: a GPU may not shorten the numbers it multiplies (TF32), which moves a probability by up to 1e-3.
    UserError for another precision.
    """
    if precision not in ("float32", "bf16"):
        raise unknown("precision", precision, ("float32", "bf16"))
    convolutions, products = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    try:
        torch.backends.cudnn.allow_tf32 = False
        torch.set_float32_matmul_precision("highest")
        with autocast(precision, device):
            yield
    finally:
        torch.backends.cudnn.allow_tf32 = convolutions
        torch.set_float32_matmul_precision(products)


def has_room(device: torch.device, nbytes: int) -> bool:
    """Whether a device can keep so many bytes and has more than half of its free memory left; a CPU always.

    What torch holds of it and does not use counts as free.
    """
    if device.type != "cuda":
        return True
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return nbytes < 0.4 * (torch.cuda.mem_get_info(device)[0] + unused)


@contextmanager
def reproducible(deterministic: bool) -> Iterator[None]:
    """Keep the caller's random state, and use deterministic algorithms while the block runs if asked to."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    before = torch.are_deterministic_algorithms_enabled()
    changes = deterministic and not before  # the call alone imports the compiler, seconds on a small machine
    if deterministic and devices:  # read when a process multiplies its first matrices there
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    with torch.random.fork_rng(devices):
        if changes:
            torch.use_deterministic_algorithms(True)
        try:
            yield
        finally:
            if changes:
                torch.use_deterministic_algorithms(False)
