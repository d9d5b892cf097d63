"""Facts of cases as tests make them up."""

from __future__ import annotations

from typing import Any

from ssmis_core.datasets.check import CaseFacts
from ssmis_core.datasets.check.facts import Intensities


def grey(
    low: float = 0, dark: float = 1, middle: float = 50, bright: float = 99, high: float = 100, same: float = 0.1
) -> Intensities:
    return Intensities(low, dark, middle, bright, high, same)


def fact(name: str, split: str = "train", *, label: int | None = 1000, **changes: Any) -> CaseFacts:
    """A usual case of 20 x 20 x 20 voxels of 1 mm with so many labelled ones (None: no label)."""
    usual: dict[str, Any] = {
        "shape": (20, 20, 20),
        "source": f"{name}.nii",
        "spacing": (1.0, 1.0, 1.0),
        "orientation": "RAS",
        "intensities": (grey(),),
        "voxels": None if label is None else {0: 8000 - label, **({1: label} if label else {})},
        "image_hash": f"image of {name}",
        "label_hash": "" if not label else f"label of {name}",
    }
    return CaseFacts(name, split, **{**usual, **changes})


def usual(count: int = 6, split: str = "train") -> list[CaseFacts]:
    """Cases with nothing to be said about them."""
    return [fact(f"{split}{number}", split, label=1000 + 10 * number) for number in range(count)]
