"""The anatomy of the phantom: how a heart and a chest are put together from ellipsoids and tubes.

Everything is in canonical units: x, y and z run from -1 to 1 over the field of view, with +x to
the patient's right, +y anterior and +z superior. In 2D the same anatomy is drawn without its z axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssmis_core.datasets.phantom_shapes import TINY, Draws, Ellipsoid, Shape, Tube, rotation

if TYPE_CHECKING:
    from ssmis_core.datasets.phantom import Knobs

LEFT_ATRIUM, LEFT_VENTRICLE, RIGHT_ATRIUM = 1, 2, 3

# Where the neighbours lie as seen from the left atrium, and where veins and appendage leave it.
TOWARDS_VENTRICLE = (-0.66, 0.58, -0.48)
TOWARDS_RIGHT_ATRIUM = (0.78, 0.60, -0.15)
TOWARDS_AORTA = (0.10, 1.0, 0.25)
TOWARDS_DESCENDING = (-0.45, -0.9, 0.0)
TOWARDS_PULMONARY_ARTERY = ((-0.55, 0.80), (-0.20, 0.35, 0.90))  # 2D, 3D: in 3D it crosses the atrium's roof
VEINS = ((0.90, -0.20, 0.45), (-0.90, -0.25, 0.45), (-0.80, -0.60, -0.30), (0.80, -0.65, -0.30), (1.0, -0.45, 0.05))
APPENDAGE = (-0.93, 0.36, 0.20)


@dataclass(frozen=True)
class Part:
    """One organ: a smooth union of shapes, the tissue that fills it, and its class (0: not a class)."""

    tissue: str
    shapes: tuple[Shape, ...]
    label: int = 0
    blend: float = TINY


def heart(draw: Draws, dims: int, knobs: Knobs) -> list[Part]:
    """The heart in painting order, the left atrium (at the origin) last; neighbours reach into it, so they touch."""
    atrium = _ellipsoid(draw, dims, np.zeros(dims), knobs.atrium_radii, knobs)
    ventricle = _neighbour(draw, dims, atrium, TOWARDS_VENTRICLE, knobs.ventricle_radii, knobs, aligned=True)
    right = _neighbour(draw, dims, atrium, TOWARDS_RIGHT_ATRIUM, knobs.right_atrium_radii, knobs)
    wall = draw.uniform(knobs.ventricle_wall)
    myocardium = Ellipsoid(ventricle.centre, ventricle.radii + wall, ventricle.rotation)
    # The right ventricle closes the front of the heart, between right atrium and left ventricle.
    middle = 0.5 * (ventricle.centre + right.centre) + _vector((0.0, draw.uniform((0.25, 0.4)), -0.1), dims)
    right_ventricle = _ellipsoid(draw, dims, middle, knobs.right_ventricle_radii, knobs)
    sack = Ellipsoid(0.6 * middle, np.full(dims, draw.uniform(knobs.sack_radius)), np.eye(dims))
    vessels = [
        Part("vena cava", (_great_vessel(draw, dims, right, (0.3, 0.1, 1.0), knobs.cava_radius, knobs),)),
        Part("aorta", (_great_vessel(draw, dims, atrium, TOWARDS_AORTA, knobs.aorta_radius, knobs),)),
        Part("pulmonary artery", (_pulmonary_artery(draw, dims, atrium, knobs),)),
    ]
    if draw.chance(knobs.descending_touches):
        tube = _great_vessel(draw, dims, atrium, TOWARDS_DESCENDING, knobs.descending_radius, knobs)
        vessels.append(Part("aorta", (tube,)))
    return [
        Part("fat", (sack,)),
        Part("myocardium", (Ellipsoid(middle, right_ventricle.radii + 0.04, right_ventricle.rotation),)),
        Part("right ventricle", (right_ventricle,)),
        Part("myocardium", (myocardium,)),
        Part("left ventricle", (ventricle,), LEFT_VENTRICLE),
        *vessels,
        Part("right atrium", (right,), RIGHT_ATRIUM),
        _left_atrium(draw, dims, atrium, knobs),
    ]


def chest(draw: Draws, dims: int, knobs: Knobs) -> list[Part]:
    """Body, lungs with their vessels, spine, oesophagus and a few blobs, in painting order."""
    shift = draw.array((dims,), knobs.chest_shift)
    body = np.array([draw.uniform(knobs.body_radius), draw.uniform(knobs.body_radius) - 0.12, 9.0])[:dims]
    centre = _vector((0.0, draw.uniform((-0.15, 0.05)), 0.0), dims) + shift
    straight = np.eye(dims)
    parts = [
        Part("skin fat", (Ellipsoid(centre, body, straight),)),
        Part("muscle", (Ellipsoid(centre, body - draw.uniform(knobs.fat_layer), straight),)),
    ]
    for side in (-1.0, 1.0):
        middle = _vector((side * draw.uniform((0.85, 1.05)), -0.2, 0.1), dims) + shift
        radii = np.array([draw.uniform(knobs.lung_radius), draw.uniform((0.6, 0.85)), 1.1])[:dims]
        tilt = rotation(draw, dims, [(-15.0, 15.0)] * 3)
        parts.append(Part("lung", (Ellipsoid(middle, radii, tilt),)))
        for _ in range(draw.integer(knobs.lung_vessels)):
            start = middle + draw.array((dims,), 0.4)
            tube = Tube(np.stack([start, start + draw.array((dims,), 0.35)]), np.array([0.035, 0.015]))
            parts.append(Part("right ventricle", (tube,)))
    spine = _vector((0.05, -0.92, 0.0), dims) + shift
    parts.append(Part("spine", (_upright(spine, draw.uniform(knobs.spine_radius), dims),)))
    parts.append(Part("fat", (_upright(spine - _vector((0.0, 0.2, 0.0), dims), 0.07, dims),)))
    for _ in range(draw.integer(knobs.blobs)):
        spot = draw.array((dims,), 0.9) * np.array([1.0, 1.0, 0.7])[:dims]
        parts.append(Part("blob", (_ellipsoid(draw, dims, spot, ((0.06, 0.17),) * 3, knobs),)))
    return parts


def _left_atrium(draw: Draws, dims: int, body: Ellipsoid, knobs: Knobs) -> Part:
    """Body, a second lobe that makes it less of an ellipsoid, 3 to 5 veins and the appendage, smoothly joined."""
    offset = draw.array((dims,), 0.55) * body.radii
    shapes: list[Shape] = [body, Ellipsoid(offset, body.radii * draw.uniform((0.6, 0.8)), body.rotation)]
    for towards in VEINS[: draw.integer(knobs.veins)]:
        width = draw.uniform(knobs.vein_radius)
        shapes.append(_branch(draw, dims, body, towards, knobs.vein_length, (width, width * knobs.vein_taper), knobs))
    width = draw.uniform(knobs.appendage_radius)
    shapes.append(_branch(draw, dims, body, APPENDAGE, knobs.appendage_length, (width, 0.6 * width), knobs))
    return Part("left atrium", tuple(shapes), LEFT_ATRIUM, draw.uniform(knobs.ostium_blend))


def _branch(
    draw: Draws,
    dims: int,
    body: Ellipsoid,
    towards: Sequence[float],
    length: tuple[float, float],
    width: tuple[float, float],
    knobs: Knobs,
) -> Tube:
    """A curved, tapered tube that starts inside the body and leaves it in about the given direction."""
    way = _jittered(draw, towards, dims, knobs.branch_jitter)
    start, total = 0.7 * body.radius(way), draw.uniform(length)
    bend = draw.array((dims,), knobs.branch_bend)
    t = np.linspace(0.0, 1.0, 5)[:, None]
    reach = 0.3 * body.radius(way) + total
    return Tube(way * (start + reach * t) + bend * t**2, width[0] + (width[1] - width[0]) * t[:, 0])


def _neighbour(
    draw: Draws,
    dims: int,
    atrium: Ellipsoid,
    towards: Sequence[float],
    radii: Sequence[tuple[float, float]],
    knobs: Knobs,
    *,
    aligned: bool = False,
) -> Ellipsoid:
    """A chamber pushed against the atrium so far that the two overlap by a fraction of its radius."""
    way = _jittered(draw, towards, dims, knobs.neighbour_jitter)
    chamber = _ellipsoid(draw, dims, np.zeros(dims), radii, knobs)
    if aligned:  # the first radius is the long axis, from the atrium to the apex
        chamber = Ellipsoid(chamber.centre, chamber.radii, _frame_along(way))
    gap = atrium.radius(way) + chamber.radius(way) * (1.0 - draw.uniform(knobs.neighbour_overlap))
    return Ellipsoid(way * gap, chamber.radii, chamber.rotation)


def _great_vessel(
    draw: Draws, dims: int, chamber: Ellipsoid, towards: Sequence[float], radius: tuple[float, float], knobs: Knobs
) -> Tube:
    """An upright vessel that touches a chamber (in 2D its round cross-section)."""
    way = _jittered(draw, towards, 2, knobs.neighbour_jitter)
    way = np.append(way, 0.0)[:dims]
    width = draw.uniform(radius)
    foot = chamber.centre + way * (chamber.radius(way) + width * (1.0 - draw.uniform(knobs.neighbour_overlap)))
    if dims == 2:
        return _upright(foot, width, dims)
    lean = np.append(draw.array((2,), 0.3), 1.0)
    low = draw.uniform((-1.3, -0.1))
    return Tube(np.stack([foot + low * lean, foot + 0.1 * lean, foot + 1.3 * lean]), np.full(3, width))


def _pulmonary_artery(draw: Draws, dims: int, atrium: Ellipsoid, knobs: Knobs) -> Tube:
    """In 3D it runs across over the atrium's roof, in 2D it passes beside the appendage."""
    way = _jittered(draw, TOWARDS_PULMONARY_ARTERY[dims - 2], dims, knobs.neighbour_jitter)
    width = draw.uniform(knobs.artery_radius)
    middle = way * (atrium.radius(way) + width * (1.0 - draw.uniform(knobs.neighbour_overlap)))
    across = _vector((0.9, -0.25, 0.1), dims) + draw.array((dims,), 0.15)
    if dims == 2:
        across = np.array([-way[1], way[0]])
    knots = np.stack([middle - 0.35 * across, middle, middle + (0.15 if dims == 2 else 0.6) * across])
    return Tube(knots, width * np.array([1.0, 1.0, 0.8]))


def _ellipsoid(
    draw: Draws, dims: int, centre: np.ndarray, radii: Sequence[tuple[float, float]], knobs: Knobs
) -> Ellipsoid:
    turn = rotation(draw, dims, [(-knobs.part_turn, knobs.part_turn)] * 3)
    return Ellipsoid(centre, np.array([draw.uniform(r) for r in radii])[:dims], turn)


def _upright(foot: np.ndarray, radius: float, dims: int) -> Tube:
    up = _vector((0.0, 0.0, 2.0), dims)
    return Tube(np.stack([foot - up, foot + up]), np.full(2, radius))


def _vector(xyz: Sequence[float], dims: int) -> np.ndarray:
    return np.array(xyz[:dims], dtype=np.float64)


def _jittered(draw: Draws, towards: Sequence[float], dims: int, jitter: float) -> np.ndarray:
    """A unit vector: the direction plus a random vector of at most `jitter` along each axis."""
    way = _vector(towards, dims)
    way = way / np.sqrt(way @ way) + draw.array((dims,), jitter)
    return way / np.sqrt(way @ way)


def _frame_along(way: np.ndarray) -> np.ndarray:
    """A rotation whose first column is `way`."""
    if len(way) == 2:
        return np.array([[way[0], -way[1]], [way[1], way[0]]])
    side = np.cross(way, (0.0, 0.0, 1.0) if abs(way[2]) < 0.9 else (1.0, 0.0, 0.0))
    side /= np.sqrt(side @ side)
    return np.stack([way, side, np.cross(way, side)], axis=1)
