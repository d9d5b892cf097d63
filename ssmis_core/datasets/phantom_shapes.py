"""What the phantom is made of: portable random draws, ellipsoids and tapered tubes, in 2D and 3D.

Points are arrays [dims, ...] in canonical units (see phantom_anatomy).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

TINY = 1e-9


class Draws:
    """Random numbers from uniform doubles alone, so that they do not depend on a numpy version's other samplers."""

    def __init__(self, key: int) -> None:
        self._generator = np.random.Generator(np.random.Philox(key=key))

    def uniform(self, limits: tuple[float, float]) -> float:
        low, high = limits
        return low + (high - low) * float(self._generator.random())

    def integer(self, limits: tuple[int, int]) -> int:
        """A whole number from low to high, both included."""
        low, high = limits
        return low + int(self._generator.random() * (high - low + 1))

    def chance(self, probability: float) -> bool:
        return float(self._generator.random()) < probability

    def array(self, shape: Sequence[int], amplitude: float = 1.0) -> np.ndarray:
        """Uniform in [-amplitude, amplitude)."""
        return amplitude * (2.0 * self._generator.random(tuple(shape)) - 1.0)

    def noise(self, shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Complex standard normal noise n: (its real part, |n|^2) (Box and Muller, Ann. Math. Stat. 1958)."""
        square = -2.0 * np.log1p(-self._generator.random(tuple(shape)))
        angle = 2.0 * np.pi * self._generator.random(tuple(shape))
        return np.sqrt(square) * np.cos(angle), square


class Shape(Protocol):
    """A solid: `distance` is negative inside, about the distance in canonical units near the surface.

    It lies within `reach` of the convex hull of its `anchors` [n, dims].
    """

    @property
    def anchors(self) -> np.ndarray: ...

    @property
    def reach(self) -> float: ...

    def distance(self, points: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class Ellipsoid:
    """Centre [dims], radii [dims], rotation [dims, dims] whose columns are the axes."""

    centre: np.ndarray
    radii: np.ndarray
    rotation: np.ndarray

    @property
    def anchors(self) -> np.ndarray:
        return self.centre[None]

    @property
    def reach(self) -> float:
        return float(self.radii.max())

    def distance(self, points: np.ndarray) -> np.ndarray:
        """First-order distance to the surface: f (f - 1) / |grad|, with f = |q / radii|; points are [dims, ...]."""
        dims = len(self.radii)
        column = (dims, *[1] * (points.ndim - 1))
        q = rotate(self.rotation.T, points) - (self.rotation.T @ self.centre).reshape(column)
        q /= self.radii.reshape(column)
        level = _length(q)
        q /= self.radii.reshape(column)
        return level * (level - 1.0) / (_length(q) + TINY)

    def radius(self, direction: np.ndarray) -> float:
        """From the centre to the surface along a unit direction."""
        return float(1.0 / np.sqrt((((self.rotation.T @ direction) / self.radii) ** 2).sum()))


@dataclass(frozen=True)
class Tube:
    """A chain of rounded cones through knots [n, dims] with radii [n]."""

    knots: np.ndarray
    radii: np.ndarray

    @property
    def anchors(self) -> np.ndarray:
        return self.knots

    @property
    def reach(self) -> float:
        return float(self.radii.max())

    def distance(self, points: np.ndarray) -> np.ndarray:
        best = None
        for start, end, r0, r1 in zip(self.knots, self.knots[1:], self.radii, self.radii[1:], strict=False):
            along = end - start
            offset = points - start.reshape(-1, *[1] * (points.ndim - 1))
            t = np.clip(rotate(along[None], offset)[0] / (float(along @ along) + TINY), 0.0, 1.0)
            for component, step in zip(offset, along, strict=True):
                component -= step * t
            distance = _length(offset) - (r0 + (r1 - r0) * t)
            best = distance if best is None else np.minimum(best, distance)
        assert best is not None
        return best


def rotation(draw: Draws, dims: int, degrees: Sequence[tuple[float, float]]) -> np.ndarray:
    """A rotation from angles about z, then (in 3D) x and y, each drawn from its range in degrees."""
    turns = [np.deg2rad(draw.uniform(limits)) for limits in degrees[: 1 if dims == 2 else 3]]
    if dims == 2:
        return _planar(turns[0], 2, 0, 1)
    return _planar(turns[0], 3, 0, 1) @ _planar(turns[1], 3, 1, 2) @ _planar(turns[2], 3, 0, 2)


def _planar(angle: float, dims: int, i: int, j: int) -> np.ndarray:
    turn = np.eye(dims)
    turn[i, i] = turn[j, j] = np.cos(angle)
    turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
    return turn


def _length(vectors: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("i...,i...->...", vectors, vectors))


def rotate(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """matrix @ points [dims, ...]; not by BLAS, whose idle threads would take the processor from cases made beside."""
    return np.einsum("ij,j...->i...", matrix, points)
