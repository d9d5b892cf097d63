"""From a network that sees patches to the prediction of a whole scan: sliding windows, labels, the largest component.

The rules are those of the released semi-supervised code (the test functions of UA-MT, SS-Net, UG-MCL and others).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice, product
from math import ceil, prod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from torch import Tensor

from ssmis_core.devices import has_room, inference_precision
from ssmis_core.errors import UserError
from ssmis_core.host_memory import freed_memory_kept
from ssmis_core.losses import most_probable

if TYPE_CHECKING:
    from ssmis_core.configuration import Configuration
    from ssmis_core.methods.base import Method

__all__ = [
    "decide",
    "keep_largest_component",
    "largest_component",
    "predict_labels",
    "predict_probabilities",
    "sliding_window",
    "window_starts",
]

# Voxels of the largest volume that torch convolves faster twice at once than by itself, on one core and on two.
SLOW_ALONE = 48**3


def window_starts(size: int, patch: int, stride: int) -> list[int]:
    """Where the windows begin along one axis of `size` voxels: 0, stride, 2 stride, ... and the last at size - patch.

    There are ceil((size - patch) / stride) + 1 windows; the last one is moved back to end with the axis. An axis that
    is smaller than the patch counts as padded to it: one window at 0.
    Raises UserError unless 1 <= stride <= patch (a longer stride would leave voxels out) and size >= 1.
    """
    if patch < 1 or size < 1:
        raise UserError(f"patch={patch} on an axis of {size} voxels: expected at least 1 of each")
    if not 1 <= stride <= patch:
        raise UserError(f"stride={stride}: expected 1 to {patch}, the patch's size on that axis (no voxel is left out)")
    last = max(size - patch, 0)
    return [min(index * stride, last) for index in range(ceil(last / stride) + 1)]


@torch.no_grad()
def sliding_window(
    image: Tensor,
    predict: Callable[[Tensor], Tensor],
    *,
    patch: Sequence[int],
    stride: Sequence[int],
    batch_size: int = 4,
) -> Tensor:
    """Class probabilities of a whole scan [K, *spatial], averaged with equal weights over overlapping windows.

    An axis that is smaller than the patch is padded with zeros on both sides (half of them, rounded down, before the
    image) and the padding is cut off at the end; `window_starts` says where the windows lie.

    image: [C, *spatial], two or three spatial axes, on any device.
    predict: [N, C, *patch] -> probabilities [N, K, *patch]; it applies the softmax itself, and its network should be
    in eval mode (BatchNorm in train mode would make the answer depend on batch_size).
    patch, stride: voxels along each spatial axis, stride <= patch. batch_size: windows that are predicted at once.
    Returns float32 probabilities on the image's device; no gradient is kept. The labels are the argmax over K.
    Raises UserError for sizes that do not fit together and for a prediction of another shape.
    """
    patch, stride = _check_sizes(image, patch, stride, batch_size)
    spatial = tuple(image.shape[1:])
    before = [max(p - s, 0) // 2 for s, p in zip(spatial, patch, strict=True)]
    padded = _pad(image, patch, before)
    starts = [window_starts(*sizes) for sizes in zip(padded.shape[1:], patch, stride, strict=True)]
    windows = iter([tuple(slice(c, c + p) for c, p in zip(corner, patch, strict=True)) for corner in product(*starts)])
    total: Tensor | None = None
    count = torch.zeros(padded.shape[1:], device=image.device)
    while batch := list(islice(windows, batch_size)):
        inputs = torch.stack([padded[(slice(None), *window)] for window in batch])
        outputs = predict(inputs)
        _check_output(outputs, inputs)
        if total is None:
            total = torch.zeros((outputs.shape[1], *padded.shape[1:]), device=image.device)
        for window, output in zip(batch, outputs.to(total), strict=True):
            total[(slice(None), *window)] += output
            count[window] += 1
    assert total is not None  # there is always at least one window
    inside = tuple(slice(b, b + s) for b, s in zip(before, spatial, strict=True))
    return total[(slice(None), *inside)] / count[inside]


def largest_component(mask: ArrayLike, connectivity: int | None = None) -> NDArray[np.bool_]:
    """The largest connected component of a mask [X, Y] or [X, Y, Z]; of equally large ones, the first in raster order.

    connectivity: along how many axes at once neighbours may differ (1: faces only); None: all, which is 8 neighbours
    in 2D and 26 in 3D, as the released code has it. An empty mask stays empty. Voxels that are not 0 are the object.
    """
    array = np.asarray(mask) != 0
    if array.ndim not in (2, 3):
        raise UserError(f"mask has shape {array.shape}, expected 2 or 3 axes")
    if connectivity is not None and not 1 <= connectivity <= array.ndim:
        raise UserError(f"connectivity={connectivity}: expected 1 to {array.ndim}, or None for {array.ndim}")
    result = np.zeros_like(array)
    boxes = ndimage.find_objects(array.view(np.uint8))
    if not boxes:
        return result
    structure = ndimage.generate_binary_structure(array.ndim, connectivity or array.ndim)
    components, found = ndimage.label(array[boxes[0]], structure)
    sizes = np.bincount(components.ravel(), minlength=found + 1)[1:]
    result[boxes[0]] = components == 1 + int(sizes.argmax())
    return result


def keep_largest_component(labels: ArrayLike, num_classes: int) -> NDArray[Any]:
    """A label map in which each of the classes 1 to num_classes - 1 keeps its largest component; the rest becomes 0.

    labels: [X, Y] or [X, Y, Z], whole values 0 to num_classes - 1; the result is a new array of the same dtype.
    Components are 8-connected in 2D and 26-connected in 3D.
    """
    array = np.asarray(labels)
    if array.size and not (array.min() >= 0 and array.max() < num_classes):
        raise UserError(f"labels have values {array.min()} to {array.max()}, expected 0 to {num_classes - 1}")
    result = np.zeros_like(array)
    for label in range(1, num_classes):
        result[largest_component(array == label)] = label
    return result


def _check_sizes(
    image: Tensor, patch: Sequence[int], stride: Sequence[int], batch_size: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Patch and stride as tuples; that each stride fits its patch is `window_starts`'s to check."""
    if image.ndim not in (3, 4):
        raise UserError(f"image has shape {tuple(image.shape)}, expected channels and 2 or 3 spatial axes")
    axes = image.ndim - 1
    for name, sizes in (("patch", patch), ("stride", stride)):
        if len(sizes) != axes or any(int(size) != size or size < 1 for size in sizes):
            raise UserError(f"{name}={tuple(sizes)}: expected {axes} whole numbers of at least 1 (one an axis)")
    if batch_size < 1:
        raise UserError(f"batch_size={batch_size}: expected at least 1")
    return tuple(int(size) for size in patch), tuple(int(size) for size in stride)


def _pad(image: Tensor, patch: Sequence[int], before: Sequence[int]) -> Tensor:
    """The image with zeros around it up to the patch; the image itself where it is large enough."""
    margins: list[int] = []
    for size, full, left in reversed(list(zip(image.shape[1:], patch, before, strict=True))):
        margins += [left, max(full - size, 0) - left]
    return F.pad(image, margins) if any(margins) else image


def _check_output(outputs: Tensor, inputs: Tensor) -> None:
    """Raise UserError when a prediction does not lie on the voxels that it was asked for."""
    if outputs.ndim != inputs.ndim or outputs.shape[0] != inputs.shape[0] or outputs.shape[2:] != inputs.shape[2:]:
        expected = f"[{inputs.shape[0]}, classes, {', '.join(str(size) for size in inputs.shape[2:])}]"
        raise UserError(f"predict returned shape {tuple(outputs.shape)} for {tuple(inputs.shape)}, expected {expected}")


def predict_probabilities(
    method: Method,
    image: np.ndarray,
    config: Configuration,
    *,
    device: torch.device | str = "cpu",
    precision: str = "float32",
) -> torch.Tensor:
    """Class probabilities [K, *spatial] of an image [C, *spatial], on the image's own grid, in float32.

    The image is brought to the run's grid and scaled as in training, predicted window by window (of a volume whose
    slices the network sees one by one: windows of one slice), and the probabilities brought back. Image and
    probabilities lie on the device; on the host where it has no room for them, and then only windows are on the device.
    precision: of the network's passes, see `inference_precision`.
    """
    device, grid = torch.device(device), config.grid
    voxels = max(prod(image.shape[1:]), prod(grid.size(image.shape[1:])))
    held = 4 * voxels * (2 * len(image) + 3 * method.num_classes)  # on both grids, and the sums
    x = torch.from_numpy(np.ascontiguousarray(image)).to(device if has_room(device, held) else "cpu")
    predict = grid.predictor(partial(_predict, method, device))
    patch, stride = grid.across(config.patch, 1), grid.across(config.stride, 1)
    with inference_precision(precision, device), freed_memory_kept(device):
        maps = sliding_window(method.prepare(grid.image(x)), predict, patch=patch, stride=stride)
    return grid.back(maps, x.shape[1:])


def _predict(method: Method, device: torch.device, windows: torch.Tensor) -> torch.Tensor:
    """`method.predict`; a small volume by itself goes in twice on a CPU, where torch convolves one sample slowly."""
    windows = windows.to(device)
    alone = len(windows) == 1 and windows.ndim == 5 and windows[0, 0].numel() <= SLOW_ALONE and device.type == "cpu"
    return method.predict(windows.repeat(2, *[1] * (windows.ndim - 1)))[:1] if alone else method.predict(windows)


def predict_labels(
    method: Method, image: np.ndarray, config: Configuration, *, largest_component: bool = False, **how: Any
) -> np.ndarray:
    """`predict_probabilities`, which `how` is for, and `decide` in one: uint8 [*spatial]."""
    return decide(predict_probabilities(method, image, config, **how), largest_component=largest_component)


def decide(maps: torch.Tensor, *, largest_component: bool = False) -> np.ndarray:
    """The most probable class of probabilities [K, *spatial], uint8 [*spatial]; or one component a class of it."""
    labels = most_probable(maps[None])[0].to(torch.uint8).cpu().numpy()
    return keep_largest_component(labels, len(maps)) if largest_component else labels
