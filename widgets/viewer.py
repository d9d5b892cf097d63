"""Three linked planes of a volume, with window and level, overlays, a crosshair, mouse and keyboard, in the browser."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import plotly.colors
import traitlets

from ssmis_core.errors import UserError
from widgets import style
from widgets.scripts import module
from widgets.slices import KINDS

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Layer:
    """What the viewer draws of one array: bytes, and the RGBA colour of each of the 256 values.

    kind: "labels", or a kind of map (see `widgets.slices.KINDS`), of which "image" is coloured by the window.
    low, high: the values that the bytes 0 and 255 stand for. classes: names of a label's values; legend: pairs of name
    and colour; outline: only the border of each region, dashed or not.
    """

    kind: str
    values: np.ndarray
    colours: np.ndarray = field(default_factory=lambda: np.zeros((256, 4), np.uint8))
    low: float = 0.0
    high: float = 255.0
    unit: str = ""
    classes: Sequence[str] = ()
    legend: Sequence[tuple[str, str]] = ()
    outline: bool = False
    dashed: bool = False

    def looks_like(self, other: Layer | None) -> bool:
        """Whether a page that has the other one needs nothing new."""
        if other is None or self.told != other.told:
            return False
        return np.array_equal(self.values, other.values) and np.array_equal(self.colours, other.colours)

    @property
    def told(self) -> dict[str, Any]:
        """All of it but the arrays, as the page reads it."""
        return {
            "kind": self.kind,
            "low": self.low,
            "high": self.high,
            "unit": self.unit,
            "classes": list(self.classes),
            "legend": [list(entry) for entry in self.legend],
            "outline": self.outline,
            "dashed": self.dashed,
        }


class Viewer(anywidget.AnyWidget):
    """Axial, coronal and sagittal planes of a volume [X, Y, Z], or the one plane of an image [X, Y].

        viewer = Viewer(case.image[0], spacing=case.spacing, title=case.id)
        viewer.show_labels("reference", case.label, data.class_names)

    Click or drag puts the crosshair, the wheel and PageUp / PageDown scroll, arrow keys move, "o" hides the overlays.
    name: of the image, in the list of layers. Arrays are sent once, as bytes (the image between its 0.5 and 99.5
    percentiles, maps between their own ends); every slice is drawn in the browser, which
    tells the kernel where the crosshair came to rest. `cursor` [voxels], `window` (lowest,
    highest value shown) and `looks` (opacity and visibility by name) can be set and observed from Python. `close()`
    frees the arrays.
    Raises UserError for an array of another shape than the image's.
    """

    _esm = module("elements.js", "plane.js", "viewer.js")
    _css = HERE / "viewer.css"
    title = traitlets.Unicode().tag(sync=True)
    shape: Any = traitlets.List().tag(sync=True)
    spacing: Any = traitlets.List().tag(sync=True)
    in_mm = traitlets.Bool().tag(sync=True)
    cursor: Any = traitlets.List().tag(sync=True)
    group = traitlets.Unicode().tag(sync=True)  # views of one group share the crosshair, see `link`
    window: Any = traitlets.List().tag(sync=True)
    looks: Any = traitlets.Dict().tag(sync=True)
    volume = traitlets.Int(0).tag(sync=True)  # counts `show_volume`: the page begins anew

    def __init__(
        self, image: np.ndarray, *, spacing: Sequence[float] | None = None, title: str = "", name: str = "image"
    ):
        self.name = name
        self.layers: dict[str, Layer] = {}
        self._waiting: set[str] | None = None  # names of layers that the page has yet to hear of, within `at_once`
        image = np.asarray(image)
        if image.ndim not in (2, 3) or 0 in image.shape:
            raise UserError(f"viewer: image has shape {image.shape}, expected [X, Y] or [X, Y, Z] with voxels")
        self.dims = image.ndim
        super().__init__(title=title, window=[0.0, 1.0], group=uuid.uuid4().hex, **_frame(image, spacing))
        self.on_msg(self._answer)
        self.show_image(image)

    @traitlets.validate("cursor")
    def _inside(self, proposal: Any) -> list[int]:
        """Within the volume: what a page tells of may be a place in the one that was shown before."""
        return [min(max(int(at), 0), n - 1) for at, n in zip(proposal["value"], self.shape, strict=True)]

    def show_volume(self, image: np.ndarray, *, spacing: Sequence[float] | None = None) -> None:
        """Begin anew with another volume, of any shape with as many axes; overlays go, what they looked like stays."""
        image = np.asarray(image)
        if image.ndim != self.dims or 0 in image.shape:
            raise UserError(f"viewer: image has shape {image.shape}, expected {self.dims} axes with voxels")
        self.layers.clear()
        with self.hold_sync():
            for name, value in _frame(image, spacing).items():
                setattr(self, name, value)
            self.volume += 1
        self.show_image(image)

    def show_image(self, image: np.ndarray) -> None:
        """Replace the image. A window that nobody moved goes along, to the image's 0.5 and 99.5 percentiles."""
        low, high = (float(v) for v in np.percentile(image, (0.5, 99.5)))
        high = max(high, low + 1e-6)
        before = self.layers.get(self.name)
        untouched = before is None or list(self.window) == [before.low, before.high]
        self._put(self.name, Layer("image", as_bytes(image, low, high), low=low, high=high))
        if untouched:
            self.window = [low, high]

    def show_labels(
        self,
        name: str,
        label: np.ndarray,
        class_names: Sequence[str] = ("outside", "inside"),
        *,
        colours: Sequence[str] | None = None,
        outline: bool = True,
        dashed: bool = False,
        opacity: float = 0.9,
    ) -> None:
        """Add or replace a label map (integers or booleans; 0 is clear): one colour a class, outlined or filled.

        dashed: the outline, to tell two label maps of the same colours apart.
        """
        wanted = list(colours or style.class_colours(len(class_names)))
        table = np.zeros((256, 4), np.uint8)
        for value, colour in enumerate(wanted, start=1):
            table[value] = (*plotly.colors.hex_to_rgb(colour), 255)
        several = len(class_names) > 2
        legend = [(f"{name}, {c}" if several else name, w) for c, w in zip(class_names[1:], wanted, strict=True)]
        values = np.asarray(label).astype(np.uint8)
        self._put(
            name,
            Layer("labels", values, table, classes=class_names, legend=legend, outline=outline, dashed=dashed),
            opacity,
        )

    def show_map(
        self, name: str, values: np.ndarray, kind: str, *, top: float | None = None, opacity: float = 0.6
    ) -> None:
        """Add or replace a map of numbers of a kind (see `widgets.slices.KINDS`), clear where it says nothing.

        top: the upper end of the scale where the kind leaves it open (default: the largest value). Clear is the lower
        end of a scale, or the middle of one that goes both ways.
        """
        _, low, high, unit = KINDS[kind]
        if high is None:
            high = top if top is not None else max(float(np.nanmax(np.abs(values))), 1e-6)
        low = -high if low is None else low
        table = _colours(kind, low < 0)
        self._put(name, Layer(kind, as_bytes(values, low, high), table, low=low, high=high, unit=unit or ""), opacity)

    def remove(self, name: str) -> None:
        """Take a layer away; nothing when it is not there."""
        if self.layers.pop(name, None) is not None:
            self.looks = {key: look for key, look in self.looks.items() if key != name}
            self._tell(name)

    def look_at(self, mask: np.ndarray) -> None:
        """Put the crosshair into the slice with the most of a mask, at its middle there; nothing for an empty mask."""
        inside = np.asarray(mask) != 0
        if inside.any():
            inside = inside.reshape(self.shape)
            z = int(inside.sum(axis=(0, 1)).argmax())
            x, y = (int(np.median(places)) for places in np.nonzero(inside[:, :, z]))
            self.cursor = [x, y, z]

    def close(self) -> None:
        """Free the arrays, here and in the browser."""
        self.layers.clear()
        super().close()

    def _put(self, name: str, layer: Layer, opacity: float = 1.0) -> None:
        values = layer.values.reshape(*layer.values.shape, *[1] * (3 - layer.values.ndim))
        if list(values.shape) != self.shape:
            told, wanted = layer.values.shape, tuple(self.shape[: self.dims])
            raise UserError(f"viewer: {name!r} has shape {told}, expected that of the image, {wanted}")
        before = self.layers.get(name)
        self.layers[name] = layer
        if name not in self.looks:
            self.looks = {**self.looks, name: {"opacity": opacity, "visible": True}}
        if not layer.looks_like(before):  # what is there already need not travel again
            self._tell(name)

    def _tell(self, *names: str, more: bool = False) -> None:
        """Send the layers of these names, or that they are gone. more: other viewers' follow, to be drawn with them."""
        if self._waiting is not None:
            self._waiting |= set(names)
            return
        there = {name: self.layers[name] for name in self.layers if name in names}
        gone = sorted(set(names) - set(there))
        arrays = [array for layer in there.values() for array in (layer.values, layer.colours)]
        if names:
            told = [{"name": name, **layer.told} for name, layer in there.items()]
            self.send(
                {"layers": told, "gone": gone, "more": more}, [np.ascontiguousarray(array).data for array in arrays]
            )

    def _answer(self, _widget: Any, content: Mapping[str, Any], _buffers: Any) -> None:
        """A page that begins to show the viewer asks for everything, so a second view or a reload has it too."""
        if content.get("type") == "ready":
            self._tell(*self.layers)


@cache
def _colours(kind: str, both_ways: bool) -> np.ndarray:
    """RGBA [256, 4] of a kind of map, clear at the lower end of its scale, or in the middle of one with two ends."""
    shares, scale = np.linspace(0.0, 1.0, 256), KINDS[kind][0]
    scale = plotly.colors.get_colorscale(scale) if isinstance(scale, str) else scale
    samples = plotly.colors.sample_colorscale(scale, list(shares), colortype="tuple")
    table = np.empty((256, 4), np.uint8)
    table[:, :3] = np.rint(255 * np.array(samples))
    table[:, 3] = np.rint(255 * (np.abs(2 * shares - 1) if both_ways else shares))
    table.setflags(write=False)
    return table


def _frame(image: np.ndarray, spacing: Sequence[float] | None) -> dict[str, Any]:
    """What a page must know of a volume before it draws it."""
    shape = [*image.shape, 1][:3]
    return {
        "shape": [int(n) for n in shape],
        "spacing": [float(s) for s in (*(spacing or (1.0,) * image.ndim), 1.0)][:3],
        "in_mm": spacing is not None,
        "cursor": [int(n) // 2 for n in shape],
    }


def as_bytes(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """uint8: 0 at `low` (and below, and for NaN), 255 at `high` (and above)."""
    share = (np.nan_to_num(np.asarray(values, np.float32), nan=low) - low) * (255.0 / (high - low))
    return np.rint(np.clip(share, 0.0, 255.0)).astype(np.uint8)


@contextmanager
def at_once(*viewers: Viewer) -> Iterator[None]:
    """All that these viewers are given within goes to the page together at the end, and is drawn there in one frame."""
    # others are within another block, which tells of this too
    held = [viewer for viewer in dict.fromkeys(viewers) if viewer._waiting is None]
    for viewer in held:
        viewer._waiting = set()
    try:
        with ExitStack() as states:
            for viewer in held:
                states.enter_context(viewer.hold_sync())
            yield
    finally:
        changed = [(viewer, viewer._waiting) for viewer in held if viewer._waiting]
        for viewer in held:
            viewer._waiting = None
        for left, (viewer, names) in zip(reversed(range(len(changed))), changed, strict=True):
            viewer._tell(*names, more=left > 0)


def link(*viewers: Viewer) -> list[traitlets.link]:
    """Let viewers of equal shape share crosshair and slices, at once in the browser; the links, to be undone with them.

    Raises UserError for other shapes.
    """
    if len({tuple(viewer.shape) for viewer in viewers}) > 1:
        shapes = ", ".join(str(tuple(viewer.shape)) for viewer in viewers)
        raise UserError(f"viewers of shapes {shapes}: expected equal ones to be linked")
    group = uuid.uuid4().hex
    for viewer in viewers:
        viewer.group = group
    return [traitlets.link((first, "cursor"), (second, "cursor")) for first, second in pairwise(viewers)]
