"""Ramps and learning-rate schedules: pure functions of the iteration, named so that a preset can hold them as data.

Ramps give the weight of a loss term; schedules give a factor on the learning rate. `t` counts from 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ssmis_core.errors import unknown


def sigmoid_rampup(t: float, length: float) -> float:
    """Gaussian ("sigmoid") ramp-up w(t) = exp(-5 (1 - min(t, R)/R)^2), from 0.0067 to 1 (Laine & Aila 2017, sec. 4).

    length: R, in the unit of t; 0 means no ramp (always 1).
    """
    if length == 0:
        return 1.0
    return math.exp(-5.0 * (1.0 - min(max(t, 0.0), length) / length) ** 2)


def exponential_rampup(t: float, length: float) -> float:
    """exp(-5 (1 - min(t, R)/R)): the Gaussian ramp with its square left out, as UG-MCL's paper prints it."""
    if length == 0:
        return 1.0
    return math.exp(-5.0 * (1.0 - min(max(t, 0.0), length) / length))


def linear_rampup(t: float, length: float) -> float:
    """min(t, R)/R, from 0 to 1."""
    if length == 0:
        return 1.0
    return min(max(t, 0.0), length) / length


def cosine_rampdown(t: float, length: float) -> float:
    """(cos(pi t / R) + 1)/2, from 1 to 0 at t = R (Loshchilov & Hutter 2017, eq. 5)."""
    return 0.5 * (math.cos(math.pi * min(max(t, 0.0), length) / length) + 1.0)


def no_ramp(t: float, length: float) -> float:
    """Always 1."""
    return 1.0


RAMPS: dict[str, Callable[[float, float], float]] = {
    "sigmoid": sigmoid_rampup,
    "exponential": exponential_rampup,
    "linear": linear_rampup,
    "none": no_ramp,
}


def ramp(kind: str, t: float, length: float) -> float:
    """The named ramp at t; UserError for an unknown name."""
    if kind not in RAMPS:
        raise unknown("ramp", kind, RAMPS)
    return RAMPS[kind](t, length)


def constant(t: int, iterations: int) -> float:
    """The base rate throughout."""
    return 1.0


def step(t: int, iterations: int, *, every: int = 2500, factor: float = 0.1) -> float:
    """factor^floor(t / every): the field's /10 every 2,500 iterations."""
    return factor ** (t // every)


def poly(t: int, iterations: int, *, power: float = 0.9) -> float:
    """(1 - t/T)^power."""
    return (1.0 - t / iterations) ** power


def one_cycle(t: int, iterations: int, *, warmup: float = 0.3, start: float = 0.04, end: float = 1e-4) -> float:
    """Cosine from `start` up to 1 over the first `warmup` share, then cosine down to `end` (Smith & Topin 2019)."""
    peak = max(1.0, warmup * iterations)
    if t < peak:
        return 1.0 + (start - 1.0) * cosine_rampdown(t, peak)
    return end + (1.0 - end) * cosine_rampdown(t - peak, max(1.0, iterations - 1 - peak))


SCHEDULES: dict[str, Callable[..., float]] = {"constant": constant, "step": step, "poly": poly, "one_cycle": one_cycle}


def learning_rate_factor(kind: str, t: int, iterations: int, **settings: Any) -> float:
    """The named schedule's factor at iteration t of T; UserError for an unknown name."""
    if kind not in SCHEDULES:
        raise unknown("learning-rate schedule", kind, SCHEDULES)
    return SCHEDULES[kind](t, iterations, **settings)
