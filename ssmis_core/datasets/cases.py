"""What every data set hands out: cases, and the lists that say what each case is for."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

import numpy as np

from ssmis_core.background import in_background
from ssmis_core.errors import UserError


@dataclass(frozen=True)
class Grid:
    """The voxel grid that a file had on disk: its shape (of two axes for some planes) and its 4x4 voxel-to-world matrix
    (mm)."""

    shape: tuple[int, ...]
    affine: np.ndarray

    @property
    def solid(self) -> Grid:
        """The same grid with three axes: of two, the third has one voxel."""
        return Grid((*self.shape, 1), self.affine) if len(self.shape) == 2 else self


@dataclass(frozen=True)
class Case:
    """One scan.

    image: float32 [channels, *spatial]; label: uint8 [*spatial] with values 0..K-1, or None when there is none;
    affine: 4x4 voxel-to-world; spacing: mm along each spatial axis, or None when it is not known (then metrics in
    mm are refused); original: the grid of the file, when it differs from the one here.
    """

    id: str
    image: np.ndarray
    label: np.ndarray | None
    affine: np.ndarray
    spacing: tuple[float, ...] | None
    modality: str
    original: Grid | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.image.shape[1:])

    @property
    def nbytes(self) -> int:
        return self.image.nbytes + (0 if self.label is None else self.label.nbytes)


@dataclass(frozen=True)
class Truth:
    """What a prediction of a case is scored against.

    label: uint8 [*spatial]; spacing: mm along each axis, or None when it is not known; grid: FILE_GRID when the label
    lies on the grid of the scan's own file, to which the prediction is brought first, and "" for the case's own grid.
    """

    label: np.ndarray
    spacing: tuple[float, ...] | None
    grid: str = ""


FILE_GRID = "file"
READ_AHEAD = 2


def own_truth(case: Case) -> Truth:
    """A case's label on the case's grid; UserError for a case without a label."""
    if case.label is None:
        raise UserError(f"case {case.id}: has no label to evaluate against")
    return Truth(case.label, case.spacing)


class Dataset(ABC):
    """A named collection of cases with published lists; those of the first n subjects of `train` are the labeled ones.

    Sub-classes set the attributes and write `read`; users call `load`, which checks what was read.
    dims: spatial axes of a case. slice_axis: of a volume that is to be taken apart, the axis along which its slices lie
    (networks see one slice at a time, evaluation sees the volume put together again); None: networks see it whole.
    subjects: what `labeled` counts, for messages; several cases may be of one subject (see `subject`).
    """

    name: str
    title: str
    dims: int
    slice_axis: int | None = None
    subjects: str = "cases"
    channels: int = 1
    num_classes: int
    class_names: Sequence[str]
    train: Sequence[str]
    validation: Sequence[str] = ()
    test: Sequence[str]

    @abstractmethod
    def read(self, case_id: str) -> Case:
        """The case as its file has it, unchecked."""

    def options(self) -> dict[str, object]:
        """What `open_dataset` needs, besides name and root, to open the same data again (kept in run.json)."""
        return {}

    def source(self, case_id: str) -> str:
        """Where the case comes from (a path, or the generator's name), for error messages."""
        return f"{self.name}:{case_id}"

    def load(self, case_id: str) -> Case:
        """Read and check one case; raises UserError with one line that names the file and what is wrong."""
        case = self.read(case_id)
        source = self.source(case_id)
        check_case(case, num_classes=self.num_classes, dims=self.dims, channels=self.channels, source=source)
        return case

    def truth(self, case: Case) -> Truth:
        """What predictions of a case are scored against; UserError for a case without a label."""
        return own_truth(case)

    def stream(self, case_ids: Iterable[str]) -> Generator[Case]:
        """`load` each case in turn, while threads read the next ones: a few cases are in memory at a time, not all.

        Whoever may stop early closes it (`contextlib.closing`), so that nothing is read for no one.
        """
        return in_background((partial(self.load, case_id) for case_id in case_ids), READ_AHEAD)

    def contents(self, case_id: str) -> tuple[str, ...]:
        """A digest of each file with voxels of the case's image, where they are known: the same scan has the same."""
        return ()

    def subject(self, case_id: str) -> str:
        """Whose scan it is; cases of one subject are labeled, or held out, together."""
        return case_id

    def by_subject(self, case_ids: Iterable[str]) -> list[list[str]]:
        """The cases of each subject, subjects in the order of their first case."""
        groups: dict[str, list[str]] = {}
        for case_id in case_ids:
            groups.setdefault(self.subject(case_id), []).append(case_id)
        return list(groups.values())

    def split(self, labeled: int) -> tuple[list[str], list[str]]:
        """(labeled ids, unlabeled ids): the training cases of the first `labeled` subjects, and the rest."""
        groups = self.by_subject(self.train)
        if not isinstance(labeled, int | np.integer) or not 1 <= labeled <= len(groups):
            n = len(groups)
            raise UserError(f"labeled={labeled!r}: {self.name} has {n} training {self.subjects}; choose 1 to {n}")
        return list(chain(*groups[:labeled])), list(chain(*groups[labeled:]))

    @staticmethod
    def fingerprint_of(cases: Iterable[Case]) -> str:
        """The fingerprint of cases at hand."""
        fingerprint = Fingerprint()
        for case in cases:
            fingerprint.add(case)
        return fingerprint.hexdigest()


class Fingerprint:
    """SHA-256 over ids, images and labels, case by case in order: equal data has equal fingerprints."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, case: Case) -> Case:
        """Take a case in, and hand it on."""
        self._digest.update(case.id.encode())
        self._digest.update(np.ascontiguousarray(case.image).data)
        if case.label is not None:
            self._digest.update(np.ascontiguousarray(case.label).data)
        return case

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


def check_case(case: Case, *, num_classes: int, dims: int, channels: int, source: str) -> None:
    """Raise UserError with one line when a case cannot be trained on or evaluated."""
    for _, told in faults_of(case, num_classes=num_classes, dims=dims, channels=channels):
        raise UserError(f"{source}: {told}")


def faults_of(case: Case, *, num_classes: int, dims: int, channels: int) -> Iterator[tuple[str, str]]:
    """Why a case cannot be trained on or evaluated: (kind, what was found and expected), the first of each kind.

    Kinds: "axes", "empty", "label-shape", "nan", "constant", "label-values". Where the axes are wrong, nothing else
    is looked at.
    """
    image, label = case.image, case.label
    if image.ndim != dims + 1 or image.shape[0] != channels:
        expected = f"{channels} channel(s) and {dims} spatial axes"
        yield "axes", f"image has shape {tuple(image.shape)}, expected {expected}"
        return
    if image.size == 0:
        yield "empty", f"image is empty (shape {tuple(image.shape[1:])}), expected voxels"
        return
    if label is not None and label.shape != image.shape[1:]:
        yield "label-shape", f"image {tuple(image.shape[1:])} and label {tuple(label.shape)} differ in shape"
    if not np.isfinite(image).all():
        count = int((~np.isfinite(image)).sum())
        yield "nan", f"image has {count} NaN or infinite voxels, expected finite values"
    for channel in image:
        if channel.min() == channel.max():
            yield "constant", f"image is constant ({float(channel.min()):g} everywhere), expected varying intensities"
            break
    if label is not None and label.size:
        top = int(label.max())
        if top >= num_classes:
            yield "label-values", f"label has values up to {top}, expected 0 to {num_classes - 1}"


@dataclass(frozen=True)
class DatasetInfo:
    """One row of `ssmis data list`, and what is known without a file at hand.

    get: how to get the files, where `ssmis data fetch` cannot; scaling: the grey values that its cases have ("z_score"
    or "min_max", over the volume); h5_axes: the order of the axes in its h5 files.
    """

    name: str
    title: str
    module: str
    needs_files: bool
    options: tuple[str, ...] = field(default=())
    get: str = ""
    scaling: str = "z_score"
    h5_axes: str = "xyz"
