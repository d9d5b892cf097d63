"""Methods by name: `create_method("ugmcl", num_classes=2, dims=3, variant="paper", beta=0.5)`.

How to add one: docs/add_a_method.md.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from dataclasses import fields
from importlib.metadata import entry_points
from typing import Any, get_args, get_origin, get_type_hints

from ssmis_core.devices import memory_format
from ssmis_core.errors import UserError, unknown
from ssmis_core.methods.base import Method
from ssmis_core.networks import FIXED

# The baselines by year, then the four papers that are walked through.
METHODS: dict[str, str] = {
    "supervised": "ssmis_core.methods.supervised:Supervised",
    "entropy_minimisation": "ssmis_core.methods.entropy_minimisation:EntropyMinimisation",
    "mean_teacher": "ssmis_core.methods.mean_teacher:MeanTeacher",
    "vat": "ssmis_core.methods.vat:VAT",
    "uamt": "ssmis_core.methods.uamt:UAMT",
    "sassnet": "ssmis_core.methods.sassnet:SASSNet",
    "fixmatch": "ssmis_core.methods.fixmatch:FixMatch",
    "dtc": "ssmis_core.methods.dtc:DTC",
    "urpc": "ssmis_core.methods.urpc:URPC",
    "mcnet": "ssmis_core.methods.mcnet:MCNet",
    "cps": "ssmis_core.methods.cps:CPS",
    "mcnet_plus": "ssmis_core.methods.mcnet:MCNetPlus",
    "bcp": "ssmis_core.methods.bcp:BCP",
    "unimatch": "ssmis_core.methods.unimatch:UniMatch",
    "ssnet": "ssmis_core.methods.ssnet:SSNet",
    "ugmcl": "ssmis_core.methods.ugmcl:UGMCL",
    "tracoco": "ssmis_core.methods.tracoco:TraCoCo",
    "cpam": "ssmis_core.methods.cpam:CPAM",
    "cpam_trcm": "ssmis_core.methods.cpam:CPAMTRCM",
}


def from_other_packages() -> dict[str, str]:
    """Methods that installed packages bring: their entry points of the group "ssmis.methods", as module:Class."""
    return {found.name: found.value for found in entry_points(group="ssmis.methods")}


METHODS.update({name: place for name, place in from_other_packages().items() if name not in METHODS})


def method_class(name: str) -> type[Method]:
    """The class of a method; UserError for an unknown name, or one of another package that cannot be had."""
    if name not in METHODS:
        raise unknown("method", name, METHODS)
    module, _, attribute = METHODS[name].partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
        if not (isinstance(found, type) and issubclass(found, Method)):
            raise TypeError("no subclass of ssmis_core.methods.base.Method")
        return found
    except Exception as error:  # what another package's module does when it is imported can be anything
        if module.startswith("ssmis_core."):
            raise
        raise UserError(f"method {name}: {METHODS[name]} of another package cannot be had ({error})") from error


def variant_options(name: str, variant: str) -> Mapping[str, Any]:
    """The options that a variant of a method sets; UserError for an unknown method or variant."""
    variants = method_class(name).VARIANTS
    if variant not in variants:
        raise unknown(f"variant of {name}", variant, variants)
    return variants[variant]


def method_options(
    name: str, *, variant: str = "paper", preset: Mapping[str, Any] | None = None, **options: Any
) -> Any:
    """The typed options of a method: its defaults, then the variant's, then the preset's, then those given here.

    Raises UserError for an unknown method, variant or option (listing the known ones) or a value of the wrong type.
    A preset (`configuration.preset_table`, which knows what of the variant stays) may name options that only other
    methods have; those are left out.
    """
    cls, own = method_class(name), variant_options(name, variant)
    known = {f.name for f in fields(cls.Options)}
    for option in options:
        if option not in known:
            raise unknown(f"option of {name}", option, known)
    shared = {key: value for key, value in (preset or {}).items() if key in known}
    merged = {**own, **shared, **options}
    # a default or a preset may name what the network has no choice of; only what is given by hand is refused
    merged.update(FIXED.get(merged.get("network", cls.Options.network), {}), **options)
    return cls.Options(**{key: _typed(cls, name, key, value) for key, value in merged.items()})


def create_method(
    name: str, *, num_classes: int = 2, dims: int = 3, channels: int = 1, variant: str = "paper", **options: Any
) -> Method:
    """A method with fresh networks, ready to train or to be given weights; they are channels-last, see `memory_format`.

    num_classes: K including the background; dims: 2 or 3; channels: of the images; variant: "paper" (the text) or
    "released" (the authors' code) where the two differ; options: those of the method's options dataclass.
    """
    if dims not in (2, 3) or num_classes < 2:
        raise UserError(f"dims={dims}, num_classes={num_classes}: expected 2 or 3 dimensions and 2 or more classes")
    settings = method_options(name, variant=variant, **options)
    method = method_class(name)(settings, num_classes=num_classes, dims=dims, channels=channels)
    return method.to(memory_format=memory_format(dims))  # type: ignore[call-overload]  # torch's hints leave it out


def _typed(cls: type[Method], method: str, option: str, value: Any) -> Any:
    expected = get_type_hints(cls.Options)[option]
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    plain = get_origin(expected) or expected  # tuple of tuple[int, ...]
    if plain is tuple and isinstance(value, list):
        value = tuple(value)
    fits = isinstance(value, plain) and (plain is bool or not isinstance(value, bool))
    if not fits or (plain is tuple and any(type(one) is not get_args(expected)[0] for one in value)):
        raise UserError(f"option {option}={value!r} of {method}: expected {getattr(expected, '__name__', expected)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"option {option}={value!r} of {method}: expected a finite number")
    return value
