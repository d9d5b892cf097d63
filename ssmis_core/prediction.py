"""Label one image file with a trained run: NIfTI, NRRD, MetaImage, DICOM or h5 in, NIfTI labels on its grid out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ssmis_core.datasets import DATASETS
from ssmis_core.datasets.cases import Case, check_case
from ssmis_core.datasets.formats import ENDINGS, is_image, stem
from ssmis_core.datasets.grids import on_original_grid
from ssmis_core.datasets.h5_files import h5_file, read_array
from ssmis_core.datasets.preparation.one_case import read_scan
from ssmis_core.errors import UserError
from ssmis_core.voxel_size import unlike

if TYPE_CHECKING:
    from ssmis_core.runs import Run

HDF5 = (".h5", ".hdf5")


@dataclass(frozen=True)
class ImageFile:
    """An image as the network is to see it, and where it lies.

    image: float32 [channels, *spatial]; affine: 4x4 voxel-to-world (mm), or the identity when the voxel size is not
    known; spacing: mm along each spatial axis of the image, or None; note: what was done or assumed, in a line; shape:
    of the labels in a file with as many axes as the image's; case: of a run on one's own scans, the scan as its network
    takes it, whose labels go back to the file's grid.
    """

    image: np.ndarray
    affine: np.ndarray
    spacing: tuple[float, ...] | None
    note: str
    shape: tuple[int, ...]
    case: Case | None = None


@dataclass(frozen=True)
class Prediction:
    """What `predict_file` wrote. shape: of the labels in the file.

    voxels: count of each class but the background; millilitres: their volumes, None for planes, whose thickness is not
    a part of the structure, and where the voxel size is not known.
    warning: what speaks against the labels, in a line, or "".
    """

    path: Path
    shape: tuple[int, ...]
    voxels: tuple[int, ...]
    millilitres: tuple[float, ...] | None
    note: str
    warning: str = ""


def predict_file(
    run: Run,
    image: str | os.PathLike[str],
    *,
    output: str | os.PathLike[str] | None = None,
    device: str = "auto",
    largest_component: bool = False,
    precision: str = "float32",
    overwrite: bool = False,
) -> Prediction:
    """Predict the labels of an image file and write them as NIfTI with the image's voxel-to-world matrix.

    image: NIfTI, NRRD, MetaImage or a folder of DICOM slices, whose grey values are scaled here as those of the run's
    data set are (ACDC: to [0, 1]; others: to mean 0, standard deviation 1 over all voxels); or an .h5 file with a
    dataset `image`, taken as it is, since the public files are scaled already, with its axes in the order of that data
    set's files.
    Axes and voxel size are the file's own: nothing is turned or resampled to the grid of the training data; voxels of
    another size than those have a warning.
    For a run on one's own scans (nifti_folder) it is any file or DICOM folder that `ssmis data prepare` takes; it is
    turned, resampled and normalised as that did with the training data, and its labels lie on the file's own grid.
    output: a .nii.gz file (default: in the current folder, named after the image); not replaced without overwrite.
    Raises UserError for a file that cannot be read, has another number of axes or channels than the training data (a
    single slice where that is volumes, also of a run that learns from slices), has NaN or is constant, and for an
    output that cannot be.
    """
    source = Path(image).expanduser()
    target = _target(source, output, overwrite=overwrite)
    shape = run.info.get("shape")
    if not shape:
        raise UserError(f"{run.path}: no weights yet (status: {run.status}); train it first")
    config = run.config
    if config.dataset == "nifti_folder":
        file = _read_own(source, config.dataset_options)
    else:
        file = read_image(source, dims=config.case_dims, channels=shape["channels"], dataset=config.dataset)
        if config.case_dims == 3 and 1 in file.image.shape[1:]:
            raise UserError(f"{source}: is a single slice, expected 3 spatial axes, as the run's data set has")

    from ssmis_core.devices import choose_device
    from ssmis_core.evaluation import save_nifti
    from ssmis_core.inference import predict_labels

    where = choose_device(device)
    method = run.method(where)
    how: dict[str, Any] = {"largest_component": largest_component, "precision": precision}
    labels = predict_labels(method, file.image, config, device=where, **how)
    if file.case is not None:
        labels, _ = on_original_grid(labels, file.case)
    labels = labels.reshape(file.shape)
    save_nifti(target, labels, file.affine, flat=True)
    voxels = tuple(int(count) for count in np.bincount(labels.ravel(), minlength=shape["num_classes"])[1:])
    millilitre = abs(float(np.linalg.det(file.affine[:3, :3]))) / 1000.0
    volumes = tuple(count * millilitre for count in voxels) if config.case_dims == 3 and file.spacing else None
    warning = unlike(file.spacing, run.info.get("training", {}).get("spacing"))
    return Prediction(target, labels.shape, voxels, volumes, file.note, warning)


def read_image(path: Path, *, dims: int, channels: int, dataset: str) -> ImageFile:
    """An image file as a case of a data set with `dims` axes and `channels` channels; see `predict_file`."""
    packed = path.name.lower().endswith(HDF5)
    if not packed and not is_image(path):
        known = ", ".join((*ENDINGS, *HDF5))
        raise UserError(f"{path}: expected an image file that ends in {known}, or a folder of DICOM slices")
    if not path.exists():
        raise UserError(f"{path}: no such image file")
    info = DATASETS[dataset]
    volume = None if packed else read_scan(path)
    raw = _read_hdf5(path) if volume is None else volume.array
    if volume is None and info.h5_axes == "zyx":
        raw = raw.T
    if raw.dtype.kind not in "biuf":
        raise UserError(f"{path}: image has voxels of type {raw.dtype}, expected numbers")
    with np.errstate(over="ignore"):  # a value too large for float32 becomes infinite, which is reported below
        image = np.ascontiguousarray(_channels_first(raw, dims, channels, path), dtype=np.float32)
    case = Case(path.stem, image, None, np.eye(4), None, "")
    check_case(case, num_classes=2, dims=dims, channels=channels, source=str(path))
    scale, done, already = SCALINGS[info.scaling]
    if volume is not None:
        note = f"{volume.note}; {done}" if volume.note else done
        shape = (*image.shape[1:], *[1] * (volume.axes - dims))
        return ImageFile(scale(image), volume.affine, volume.spacing[:dims], note, shape)
    as_it_is = f"the image was taken as it is, expected to be {already}"
    if dataset == "la":
        from ssmis_core.datasets.la import SPACING_MM

        return ImageFile(image, np.diag([SPACING_MM] * 3 + [1.0]), (SPACING_MM,) * 3, as_it_is, image.shape[1:])
    unknown = f"{as_it_is}; it has no voxel size, the labels are written with 1 mm"
    return ImageFile(image, np.eye(4), None, unknown, image.shape[1:])


def _read_own(path: Path, options: Mapping[str, Any]) -> ImageFile:
    """A scan in the form that the run's data was prepared in, with the affine of its file."""
    from ssmis_core.datasets.nifti_folder import scan
    from ssmis_core.datasets.preparation import Recipe

    case, note = scan(path, Recipe.from_dict(options["recipe"]))
    assert case.original is not None
    return ImageFile(case.image, case.original.affine, case.spacing, note, case.original.shape, case)


def z_score(image: np.ndarray) -> np.ndarray:
    """(x - mean) / standard deviation over the voxels of each channel; float32 [channels, *spatial] to the same."""
    axes = tuple(range(1, image.ndim))
    wide = image.astype(np.float64)
    return ((wide - wide.mean(axes, keepdims=True)) / wide.std(axes, keepdims=True)).astype(np.float32)


def unit_range(image: np.ndarray) -> np.ndarray:
    """(x - min) / (max - min) over the voxels of each channel; float32 [channels, *spatial] to the same."""
    axes = tuple(range(1, image.ndim))
    wide = image.astype(np.float64)
    low = wide.min(axes, keepdims=True)
    return ((wide - low) / (wide.max(axes, keepdims=True) - low)).astype(np.float32)


# by name: how a file's grey values are scaled, and what is said of it
SCALINGS = {
    "z_score": (z_score, "z-scored: mean 0, standard deviation 1 over all voxels", "z-scored already"),
    "min_max": (unit_range, "scaled to [0, 1] over all voxels", "scaled to [0, 1] already"),
}


def _target(source: Path, output: str | os.PathLike[str] | None, *, overwrite: bool) -> Path:
    """Where the labels go, checked before any work is done."""
    target = Path(f"{_case_name(source)}-labels.nii.gz") if output is None else Path(output).expanduser()
    if not target.name.endswith(".nii.gz"):
        raise UserError(f"output {target}: expected a file that ends in .nii.gz")
    if target.resolve() == source.resolve():
        raise UserError(f"output {target}: is the image itself, expected another file")
    if target.exists() and not overwrite:
        way = "replace it with --overwrite (in Python: overwrite=True)"
        raise UserError(f"output {target}: is there already; name another file, or {way}")
    return target


def _case_name(source: Path) -> str:
    """The file's name without its ending; the LA files are all called alike, in a folder a case."""
    name = source.stem if source.name.lower().endswith(HDF5) else stem(source)
    return source.resolve().parent.name if name == "mri_norm2" else name


def _read_hdf5(path: Path) -> np.ndarray:
    """The dataset `image`; the file says nothing of where it lies."""
    import h5py

    with h5_file(path) as file:
        if not isinstance(file.get("image"), h5py.Dataset):
            found = ", ".join(repr(name) for name in sorted(file)) or "nothing"
            raise UserError(f"{path}: no dataset 'image' (found {found}), expected one")
        return np.asarray(read_array(file, "image", path))


def _channels_first(raw: np.ndarray, dims: int, channels: int, path: Path) -> np.ndarray:
    """[*spatial] or [*spatial, channels] to [channels, *spatial]; axes of one voxel too many are dropped."""
    wanted = dims if channels == 1 else dims + 1
    image = raw
    while image.ndim > wanted and image.shape[-1] == 1:
        image = image[..., 0]
    if dims == 2 and image.ndim == wanted + 1 and image.shape[2] == 1:
        image = image[:, :, 0]
    if image.ndim != wanted or (channels > 1 and image.shape[-1] != channels):
        more = f" and {channels} channels on the last" if channels > 1 else ""
        raise UserError(
            f"{path}: image has shape {raw.shape}, expected {dims} spatial axes{more}, as the run's data set has"
        )
    return image[None] if channels == 1 else np.moveaxis(image, -1, 0)
