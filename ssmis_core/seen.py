"""What a run was trained on, as run.json tells it: enough to know later what it has seen, and what it is used to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ssmis_core.datasets import Case, Dataset, Fingerprint
from ssmis_core.voxel_size import range_of


class Seen:
    """Takes in each training case on its way to the network.

    chosen_by: further cases that the weights may be selected by.
    """

    def __init__(self, dataset: Dataset, chosen_by: Sequence[str] = ()):
        self.dataset, self.chosen_by = dataset, chosen_by
        self._fingerprint = Fingerprint()
        self._ids: list[str] = []
        self._spacings: list[tuple[float, ...] | None] = []

    def add(self, case: Case) -> Case:
        """Take a case in, and hand it on."""
        self._ids.append(case.id)
        self._spacings.append(case.spacing)
        return self._fingerprint.add(case)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that was taken in."""
        return self._fingerprint.hexdigest()

    def told(self) -> dict[str, Any]:
        """Entries of run.json: data_fingerprint; training: {class_names, spacing (see `range_of`), contents}.

        contents: digests of the files with the images' voxels, where the data set knows them.
        """
        contents = {digest for one in (*self._ids, *self.chosen_by) for digest in self.dataset.contents(one)}
        training: dict[str, Any] = {"class_names": list(self.dataset.class_names), "spacing": range_of(self._spacings)}
        if contents:
            training["contents"] = sorted(contents)
        return {"data_fingerprint": self.fingerprint, "training": training}
