"""What napari.yaml promises: readers of run folders and label maps, and the phantom as sample data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from widgets.review.layers import LayerData

Reader = Callable[[str], list[LayerData]]
LABELS = (".nii.gz", ".nii")
MARKED = ("predictions", "corrections")  # folders of a run that hold label maps


def get_reader(path: str | Sequence[str]) -> Reader | None:
    """A reader for a run folder, or for a label map in one; None for anything else, which others may read."""
    if not isinstance(path, str):
        return None
    place = Path(path)
    if (place / "run.json").is_file():
        return read_run
    return read_label_map if place.name.endswith(LABELS) and run_of(place) is not None else None


def run_of(path: Path) -> Path | None:
    """The run folder that a label map lies in, as predictions/<case> or corrections/<case>; None where it does not."""
    folder = path.parent
    known = folder.name in MARKED or folder.name.startswith("predictions-")
    return folder.parent if known and (folder.parent / "run.json").is_file() else None


def read_run(path: str) -> list[LayerData]:
    """Layers of the run's worst test case, with reference, prediction and errors."""
    from widgets.review.layers import case_layers
    from widgets.review.state import Review

    review = Review(path)
    return case_layers(review.open(), review.dataset.class_names)


def read_label_map(path: str) -> list[LayerData]:
    """A label map as labels, with its voxel size and the colours of its role."""
    import numpy as np

    from ssmis_core.runs import Run
    from widgets.review.colours import class_colours
    from widgets.review.nifti import read_labels

    place = Path(path)
    folder = run_of(place)
    assert folder is not None
    labels, affine = read_labels(place)
    shape, role = Run(folder).info.get("shape") or {}, "correction" if place.parent.name == MARKED[1] else "prediction"
    size = tuple(np.sqrt((affine[:3, : labels.ndim] ** 2).sum(0)).tolist())
    case = place.name.removesuffix(".gz").removesuffix(".nii")
    kept = {"case": case, "role": "file", "affine": affine}
    look: dict[str, Any] = {"name": f"{case}, {role}", "scale": size, "units": ("mm",) * labels.ndim}
    colours = class_colours(shape.get("num_classes", max(2, int(labels.max()) + 1)), role)
    return [(labels, {**look, "colormap": colours, "opacity": 0.6, "metadata": {"ssmis": kept}}, "labels")]


def phantom_3d() -> list[LayerData]:
    """A synthetic left atrium and its label, made on the fly."""
    return _phantom(dims=3)


def phantom_2d() -> list[LayerData]:
    """A slice of one."""
    return _phantom(dims=2)


def _phantom(**options: Any) -> list[LayerData]:
    from ssmis_core.datasets import open_dataset
    from widgets.review.layers import REFERENCE, image_layers, label_layer

    dataset = open_dataset("phantom", **options)
    case = dataset.load(dataset.test[0])
    assert case.label is not None
    return [*image_layers(case), label_layer(case.label, REFERENCE, case, dataset.num_classes, opacity=0.5)]
