"""From anatomy to image: paint the organs onto the voxel grid, then do to the picture what a scanner does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from ssmis_core.datasets.phantom_anatomy import LEFT_ATRIUM, Part, chest, heart
from ssmis_core.datasets.phantom_shapes import TINY, Draws, Shape, rotate, rotation

if TYPE_CHECKING:
    from ssmis_core.datasets.phantom import Knobs

HALF_VIEW = (1.0, 1.0, 1.0)  # canonical half-widths of the field of view
LEVELS = 4095  # 12-bit, as scanners store
FAR = 9.0
OTHER_BLOOD = ("left ventricle", "right atrium", "right ventricle", "aorta", "pulmonary artery", "vena cava")
SWIRLING = (*OTHER_BLOOD, "spine", "blob")

Window = tuple[slice, ...]


class Frame:
    """The voxel grid seen in an organ's own coordinates: `points` [dims, *size], after pose and warp."""

    def __init__(self, world: np.ndarray, shift: np.ndarray, turn: np.ndarray, scale: float, margin: float) -> None:
        self.size = world.shape[1:]
        self.shift, self.turn, self.scale, self.margin = shift, turn, scale, margin
        self.points = rotate(turn.T / scale, world - shift.reshape(-1, *[1] * len(shift)))

    def window(self, shapes: tuple[Shape, ...], extra: float) -> Window:
        """A box of voxels outside of which every shape is farther than `extra` (it can be empty)."""
        corners = [self.scale * (s.anchors @ self.turn.T) + self.shift for s in shapes]
        pads = [self.scale * (s.reach + extra) + self.margin for s in shapes]
        low = np.min([c.min(axis=0) - pad for c, pad in zip(corners, pads, strict=True)], axis=0)
        high = np.max([c.max(axis=0) + pad for c, pad in zip(corners, pads, strict=True)], axis=0)
        box = []
        for start, stop, half, n in zip(low, high, HALF_VIEW, self.size, strict=False):
            first, last = ((edge / half * n + n - 1) / 2 for edge in (start, stop))
            box.append(slice(min(n, max(0, int(np.floor(first)))), min(n, max(0, int(np.ceil(last)) + 1))))
        return tuple(box)

    def distance(self, part: Part, extra: float) -> tuple[Window, np.ndarray]:
        """(window, smooth minimum over the part's shapes in it, in canonical units of the world)."""
        outer = self.window(part.shapes, extra + part.blend)
        best = np.full([axis.stop - axis.start for axis in outer], FAR)
        for shape in part.shapes:
            window = self.window((shape,), extra + part.blend)
            one = best[tuple(slice(w.start - o.start, w.stop - o.start) for w, o in zip(window, outer, strict=True))]
            if one.size:
                other = shape.distance(self.points[(slice(None), *window)])
                overlap = np.maximum(part.blend - np.abs(one - other), 0.0)
                one[...] = np.minimum(one, other) - overlap * overlap / (4.0 * part.blend)
        return outer, best * self.scale


def paint(draw: Draws, size: tuple[int, ...], num_classes: int, knobs: Knobs) -> tuple[np.ndarray, np.ndarray]:
    """Noise-free image (fractions of the scanner's range) and label; later organs cover earlier ones."""
    dims = len(size)
    voxel = float(np.mean([2 * half / n for half, n in zip(HALF_VIEW, size, strict=False)]))
    levels, still, beating = _tissues(draw, knobs), *_frames(draw, size, knobs)
    image, label = np.zeros(size), np.zeros(size, dtype=np.uint8)
    swirl = _swirl(draw, size, knobs)
    parts = [(still, part) for part in chest(draw, dims, knobs)]
    parts += [(beating, part) for part in heart(draw, dims, knobs)]
    for frame, part in parts:
        window, distance = frame.distance(part, voxel)
        inside, classes = image[window], label[window]  # views: writing to them paints
        if part.label == LEFT_ATRIUM:
            _paint_wall(draw, inside, classes, distance, levels["myocardium"], knobs)
        level = _muscle(draw, levels, size)[window] if part.tissue == "muscle" else levels[part.tissue]
        share = knobs.tissue_swirl if part.tissue in ("fat", "muscle") else float(part.tissue in SWIRLING)
        level = level * (1.0 + share * swirl[window])
        inside += np.clip(0.5 - distance / voxel, 0.0, 1.0) * (level - inside)
        classes[distance < 0.0] = part.label if part.label < num_classes else 0
    for value in range(1, num_classes):
        _keep_largest(label, value)
    return image, label


def scan(draw: Draws, image: np.ndarray, knobs: Knobs) -> np.ndarray:
    """Texture, blur, bias field and Rician noise (Gudbjartsson and Patz, MRM 1995); int64 from 0 to 4095."""
    texture = ndimage.gaussian_filter(draw.array(image.shape), 1.5, truncate=2.5)
    texture *= draw.uniform(knobs.texture) / (texture.std() + TINY)
    image = ndimage.gaussian_filter(image * (1.0 + texture), draw.uniform(knobs.blur), truncate=3.0)
    image *= np.exp(draw.uniform(knobs.bias) * smooth_field(draw, image.shape, cells=2))
    real, square = draw.noise(image.shape)
    sigma = draw.uniform(knobs.noise)
    magnitude = np.sqrt(image * (image + 2.0 * sigma * real) + sigma**2 * square)  # |image + sigma n|
    return np.rint(np.clip(magnitude / 1.8, 0.0, 1.0) * LEVELS).astype(np.int64)


def smooth_field(draw: Draws, size: tuple[int, ...], cells: int) -> np.ndarray:
    """A random field of about [-1, 1]: a uniform cubic B-spline over cells + 3 control points an axis."""
    field = draw.array([cells + 3] * len(size), 2.0)
    for n in size:  # the first axis is expanded and goes last, until all have had their turn
        field = np.einsum("i...,ni->...n", field, _spline_matrix(n, cells))
    return field


def _spline_matrix(n: int, cells: int) -> np.ndarray:
    """Weights [n, cells + 3] of the uniform cubic B-spline at n voxel centres."""
    position = (np.arange(n) + 0.5) / n * cells
    offset = np.abs(position[:, None] + 1.0 - np.arange(cells + 3)[None])
    near, far = 2.0 / 3.0 - offset**2 + offset**3 / 2.0, np.maximum(2.0 - offset, 0.0) ** 3 / 6.0
    return np.where(offset < 1.0, near, far)


def _frames(draw: Draws, size: tuple[int, ...], knobs: Knobs) -> tuple[Frame, Frame]:
    """(the chest's frame, the heart's frame): one warp for both, so that organs that touch still touch."""
    dims = len(size)
    axes = [((np.arange(n) + 0.5) / n * 2.0 - 1.0) * half for n, half in zip(size, HALF_VIEW, strict=False)]
    warp = np.stack([knobs.warp * smooth_field(draw, size, cells=3) for _ in size])
    margin = float(np.sqrt((warp**2).sum(axis=0).max())) + 0.02
    world = np.stack(np.meshgrid(*axes, indexing="ij")) + warp
    chest_turn = rotation(draw, dims, [(-12.0, 12.0)] * 3)
    still = Frame(world, np.zeros(dims), chest_turn, 1.0, margin)
    shift = np.array([0.0, -0.12, 0.0])[:dims] + draw.array((dims,), knobs.heart_shift)
    beating = Frame(world, shift, rotation(draw, dims, knobs.heart_turn), draw.uniform(knobs.heart_scale), margin)
    return still, beating


def _tissues(draw: Draws, knobs: Knobs) -> dict[str, float]:
    """Intensity of each tissue: one blood level, from which every chamber and vessel differs a little."""
    blood = draw.uniform(knobs.blood)
    muscle = blood * draw.uniform(knobs.muscle_of_blood)
    if draw.chance(knobs.dark_blood):
        blood, muscle = muscle, blood
    levels = {name: blood * (1.0 + draw.uniform(knobs.blood_contrast)) for name in OTHER_BLOOD}
    levels["left atrium"] = blood
    levels["muscle"], levels["myocardium"] = muscle * draw.uniform((0.8, 1.1)), muscle
    levels["fat"], levels["skin fat"] = _fat(draw, blood, knobs), draw.uniform(knobs.fat)
    levels["lung"] = draw.uniform(knobs.lung)
    levels["spine"] = draw.uniform((0.3, 0.8))
    levels["blob"] = blood * draw.uniform((0.8, 1.2))
    return levels


def _fat(draw: Draws, blood: float, knobs: Knobs) -> float:
    """A level from the range of fat that leaves out what could not be told from blood."""
    low, high = knobs.fat
    darker, brighter = (low, (1.0 - knobs.fat_contrast) * blood), ((1.0 + knobs.fat_contrast) * blood, high)
    widths = [max(0.0, stop - start) for start, stop in (darker, brighter)]
    return draw.uniform(darker if draw.uniform((0.0, sum(widths))) < widths[0] else brighter)


def _muscle(draw: Draws, levels: dict[str, float], size: tuple[int, ...]) -> np.ndarray:
    """Muscle of the chest, streaked with fat."""
    streaks = np.clip(0.5 + 1.5 * (smooth_field(draw, size, cells=8) - 0.5), 0.0, 1.0)
    return levels["muscle"] + streaks * (levels["fat"] - levels["muscle"])


def _swirl(draw: Draws, size: tuple[int, ...], knobs: Knobs) -> np.ndarray:
    """Relative unevenness of tissue other than the left atrium's blood, which is slow and alike everywhere."""
    grain = draw.uniform(knobs.grain)
    sigma = [grain * n / (2 * half) for half, n in zip(HALF_VIEW, size, strict=False)]
    field = ndimage.gaussian_filter(draw.array(size), sigma, truncate=2.5)
    return field * (draw.uniform(knobs.swirl) / (field.std() + TINY))


def _paint_wall(
    draw: Draws, image: np.ndarray, label: np.ndarray, distance: np.ndarray, level: float, knobs: Knobs
) -> None:
    """The atrium's thin wall, open where a smooth field is low: there blood meets blood."""
    thickness = draw.uniform(knobs.atrium_wall)
    opacity = np.clip(0.5 + 1.5 * smooth_field(draw, image.shape, cells=4), 0.0, 1.0)
    opacity[(distance < 0.0) | (distance > thickness)] = 0.0
    image += opacity * (level - image)
    label[opacity > 0.5] = 0


def _keep_largest(label: np.ndarray, value: int) -> None:
    """Clear all but the largest face-connected component of a class."""
    components, count = ndimage.label(label == value)
    if count > 1:
        sizes = np.bincount(components.ravel())
        sizes[0] = 0
        label[(components > 0) & (components != int(sizes.argmax()))] = 0
