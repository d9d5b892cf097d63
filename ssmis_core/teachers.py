"""Averaged teachers: a copy of a network that follows it slowly."""

from __future__ import annotations

import copy

import torch
from torch import nn


def make_teacher(student: nn.Module) -> nn.Module:
    """A copy of the student that takes no gradient."""
    teacher = copy.deepcopy(student)
    for parameter in teacher.parameters():
        parameter.requires_grad_(False)
    return teacher


def teacher_decay(t: int, decay: float) -> float:
    """min(1 - 1/(t + 1), decay): a plain mean at first, so the teacher is a copy after the first step (t = 0).

    Source: Tarvainen & Valpola (2017), the released code's start-up rule.
    """
    return min(1.0 - 1.0 / (t + 1), decay)


@torch.no_grad()
def update_teacher(teacher: nn.Module, student: nn.Module, decay: float) -> None:
    """teacher = decay teacher + (1 - decay) student, over parameters only; BatchNorm statistics stay its own."""
    torch._foreach_lerp_(list(teacher.parameters()), list(student.parameters()), 1.0 - decay)
