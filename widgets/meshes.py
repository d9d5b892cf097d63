"""Surfaces of 3D objects: marching cubes on every second voxel or fewer, so that a notebook with them stays small."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ssmis_core.errors import UserError

MOST_STEPS = 42  # along the longest axis


def step_of(shape: Sequence[int]) -> int:
    """Voxels from one marching cube to the next: 2, and more for a large volume."""
    return max(2, -(-max(shape) // MOST_STEPS))


def surface(
    field: np.ndarray, level: float, *, spacing: Sequence[float] | None = None, step: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices [V, 3] float32 and triangles [F, 3] int32 where a field crosses a level, in mm or in voxels.

    The field [X, Y, Z] is low inside and closed at the array's edge; step: see `step_of`. Both arrays are empty where
    the field does not cross the level.
    """
    if field.ndim != 3:
        raise UserError(f"surface: field has shape {field.shape}, expected [X, Y, Z]")
    from skimage.measure import marching_cubes

    step = step or step_of(field.shape)
    padded = np.pad(np.asarray(field, np.float32), step, constant_values=float(field.max()))
    if not padded.min() < level < padded.max():
        return np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32)
    try:
        vertices, triangles, _, _ = marching_cubes(padded, level, step_size=step, gradient_direction="ascent")
    except RuntimeError:  # crossed by none of the cubes that are looked at: all of it lies between their corners
        return np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32)
    points = (vertices - step) * np.asarray(spacing if spacing else (1.0, 1.0, 1.0))
    return points.astype(np.float32), triangles.astype(np.int32)


def mesh(
    field: np.ndarray,
    level: float,
    *,
    colour: str,
    spacing: Sequence[float] | None = None,
    name: str = "",
    opacity: float = 1.0,
    step: int | None = None,
) -> go.Mesh3d:
    """The surface of a field [X, Y, Z] (low inside) at a level as a Mesh3d trace."""
    points, triangles = surface(field, level, spacing=spacing, step=step)
    corners = triangles.astype(np.uint16 if len(points) <= 1 << 16 else np.int32)  # half the size in a notebook
    light = {"ambient": 0.45, "diffuse": 0.75, "specular": 0.15, "roughness": 0.8}
    return go.Mesh3d(
        **dict(zip("xyz", points.T, strict=True)),
        **dict(zip("ijk", corners.T, strict=True)),
        color=colour,
        opacity=opacity,
        name=name,
        showlegend=bool(name),
        lighting=light,
        lightposition={"x": 1000, "y": -2000, "z": 2000},
        hoverinfo="name" if name else "skip",
    )


def mask_mesh(mask: np.ndarray, *, colour: str, **settings: Any) -> go.Mesh3d:
    """The surface of a mask [X, Y, Z]; settings as for `mesh`."""
    return mesh(1.0 - (np.asarray(mask) != 0), 0.5, colour=colour, **settings)


def scene(spacing: Sequence[float] | None) -> dict[str, Any]:
    """The frame of a 3D figure: axes in mm or voxels, true proportions."""
    unit = "mm" if spacing else "voxels"
    axes = {f"{name}axis": {"title": {"text": f"{name} ({unit})"}} for name in "xyz"}
    return {**axes, "aspectmode": "data", "camera": {"eye": {"x": 1.5, "y": -1.7, "z": 0.9}}}
