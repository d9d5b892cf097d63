"""Methods at a glance: where each comes from, how many networks it trains, and what an iteration of it costs.

The networks are counted in the method itself. The cost is measured: `benchmarks/method_cost.py` times an iteration of
every method beside one of supervised learning on patches of the same size and writes costs.csv in this folder. Counted
passes or operations would be the same on every machine, but leave out what is neither (distance maps, components,
the memory that they move), and a person waits for seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from ssmis_core.files import read_csv
from ssmis_core.methods import create_method, method_class
from ssmis_core.methods.base import Method
from ssmis_core.networks import NETWORKS

COSTS = Path(__file__).with_name("costs.csv")


@dataclass(frozen=True)
class Overview:
    """What a list of methods shows of one.

    trained: networks that an optimiser steps; averaged: networks that take no gradient and follow one of those;
    cost: {dims: seconds an iteration over those of supervised}, of the paper's variant; empty where not measured.
    """

    name: str
    title: str
    paper: str
    year: int
    variants: tuple[str, ...]
    trained: int
    averaged: int
    cost: Mapping[int, float]


def overview(name: str) -> Overview:
    """What there is to know of a method before it is trained; UserError for an unknown one."""
    cls = method_class(name)
    with torch.random.fork_rng([]):
        trained, averaged = count_networks(create_method(name, dims=2, filters=2))
    card = cls.card
    return Overview(name, card.title, card.paper, card.year, tuple(cls.VARIANTS), trained, averaged, cost(name))


def count_networks(method: Method) -> tuple[int, int]:
    """(trained, averaged) backbones of a method. Heads, selectors and memories beside them are not networks."""
    backbones = [module for module in method.modules() if isinstance(module, tuple(NETWORKS.values()))]
    trained = sum(any(p.requires_grad for p in backbone.parameters()) for backbone in backbones)
    return trained, len(backbones) - trained


def cost(name: str, variant: str = "paper", *, costs: Path = COSTS) -> dict[int, float]:
    """{dims: seconds an iteration, relative to supervised learning}; empty for a method that was not measured."""
    rows = read_csv(costs) if costs.is_file() else []
    return {row["dims"]: row["relative"] for row in rows if (row["method"], row["variant"]) == (name, variant)}
