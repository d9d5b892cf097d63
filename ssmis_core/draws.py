"""Randomness by name: every draw is a pure function of (seed, stage, iteration, rank, name).

No generator state is ever saved, so a resumed run draws what the uninterrupted one would have drawn. Integers and
other small parameters come from the CPU and are the same on every device; voxel noise is made on the device.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Clock:
    """Where training is: the stage's name, the iteration t (from 0) and the stage's length T."""

    stage: str
    t: int
    T: int


class Draws:
    """Named random draws of one iteration.

    `fixed(name=value)` returns draws in which the named ones have the given values: an explorer's slider or a golden
    test replaces a draw without touching the method.
    """

    def __init__(
        self, seed: int, stage: str = "main", t: int = 0, rank: int = 0, *, _fixed: dict[str, Any] | None = None
    ):
        self.seed, self.stage, self.t, self.rank = seed, stage, t, rank
        self._fixed = _fixed or {}

    def at(self, clock: Clock) -> Draws:
        """The draws of another iteration of the same run."""
        return Draws(self.seed, clock.stage, clock.t, self.rank, _fixed=self._fixed)

    def fixed(self, **values: Any) -> Draws:
        """The same draws, but with the named ones replaced by the given values."""
        return Draws(self.seed, self.stage, self.t, self.rank, _fixed={**self._fixed, **values})

    def key(self, name: str) -> int:
        """A 63-bit number that identifies one draw."""
        text = f"{self.seed}/{self.stage}/{self.t}/{self.rank}/{name}"
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1

    def generator(self, name: str) -> np.random.Generator:
        """A numpy generator of this draw's own (Philox, the same on every machine)."""
        return np.random.Generator(np.random.Philox(self.key(name)))

    def integers(
        self, name: str, low: int, high: int | Sequence[int], size: int | tuple[int, ...] | None = None
    ) -> Any:
        """Integers in [low, high); of several highs, one integer each."""
        return self._fixed[name] if name in self._fixed else self.generator(name).integers(low, high, size=size)

    def uniform(self, name: str, low: float, high: float, size: int | tuple[int, ...] | None = None) -> Any:
        """Floats in [low, high): parameters of an augmentation, never voxel noise."""
        return self._fixed[name] if name in self._fixed else self.generator(name).uniform(low, high, size=size)

    def beta(self, name: str, a: float, b: float, size: int | tuple[int, ...] | None = None) -> Any:
        """Floats from Beta(a, b)."""
        return self._fixed[name] if name in self._fixed else self.generator(name).beta(a, b, size=size)

    def permutation(self, name: str, n: int) -> np.ndarray:
        """A shuffled range(n)."""
        return self._fixed[name] if name in self._fixed else self.generator(name).permutation(n)

    def normal_like(self, name: str, x: Tensor) -> Tensor:
        """Standard normal noise of x's shape, float32, made on x's device."""
        return self._noise(name, x, "normal_")

    def uniform_like(self, name: str, x: Tensor) -> Tensor:
        """Uniform noise in [0, 1) of x's shape, float32, made on x's device."""
        return self._noise(name, x, "uniform_")

    def seed_dropout(self) -> None:
        """Seed torch's own generators for this iteration: dropout is the one draw that has no name."""
        torch.manual_seed(self.key("dropout"))

    def _noise(self, name: str, x: Tensor, fill: str) -> Tensor:
        if name in self._fixed:
            return torch.as_tensor(self._fixed[name], dtype=torch.float32, device=x.device).expand(x.shape)
        generator = torch.Generator(device=x.device).manual_seed(self.key(name))
        noise = torch.empty_like(x, dtype=torch.float32, memory_format=torch.contiguous_format)
        return getattr(noise, fill)(generator=generator)
