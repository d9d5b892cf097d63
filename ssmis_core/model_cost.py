"""What a method costs: parameters, multiply-adds of an answer, seconds an iteration."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ssmis_core.methods.base import Method
from ssmis_core.runs import Run


@dataclass(frozen=True)
class ModelCost:
    """parameters: of the network that answers; trained: of all that an optimiser steps; multiply_adds: of the answer
    to one patch; seconds: an iteration of the training took, on the run's machine (NaN where none was done).
    """

    parameters: int
    trained: int
    multiply_adds: int
    seconds: float


def model_cost(run: Run) -> ModelCost:
    """The cost of a run's method. UserError where it has no weights."""
    method, done = run.method(), run.info.get("iterations_done") or 0
    seconds = run.info.get("seconds", math.nan) / done if done else math.nan
    answering = sum(p.numel() for p in method.answering_network().parameters())
    trained = sum(p.numel() for p in method.parameters() if p.requires_grad)
    return ModelCost(answering, trained, multiply_adds(method, run.config.patch), seconds)


def multiply_adds(method: Method, patch: tuple[int, ...]) -> int:
    """Multiply-adds of `predict` on one patch: half of the operations that torch counts in convolutions."""
    from torch.utils.flop_counter import FlopCounterMode

    x = torch.zeros((1, method.channels, *patch))
    with FlopCounterMode(display=False) as counter:
        method.eval().predict(x)
    return counter.get_total_flops() // 2
