"""Onlookers of a training: they see what the method saw, and change nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ssmis_core.batches import Batch
from ssmis_core.draws import Clock
from ssmis_core.methods.base import Step
from ssmis_core.views import Views
from ssmis_core.volume_bank import VolumeBank


@dataclass
class Observer:
    """Called after every `every`-th iteration with the batch, the step and the views of the training path.

    Views carry cases, corners and turns, so an observer can join them with the bank's labels of unlabeled cases;
    the method itself never sees those.
    """

    see: Callable[[Clock, Batch, Step, Views, VolumeBank], None]
    every: int = 10
