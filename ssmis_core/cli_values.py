"""Values that people type: `--set key=value` and `--data-option key=value`, turned into the types that are expected."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, get_origin, get_type_hints

from ssmis_core.errors import UserError, unknown

# Settings of a run that have an option of their own: one way to say a thing.
OWN_OPTION = {
    "method": "METHOD",
    "dataset": "--dataset",
    "dataset_options": "--data-option",
    "data_root": "--data-root",
    "labeled": "--labeled",
    "preset": "--preset",
    "variant": "--variant",
    "seed": "--seed",
    "iterations": "--iterations",
    "protocol": "--protocol",
    "validate_every": "--validate-every",
}
IN_WORDS = {bool: "true or false", int: "a whole number", float: "a number"}


def parse_value(text: str) -> Any:
    """The plain value that a text stands for: 3, 0.5 or 1e-3, true or false, a tuple "32,32,16", else the text itself.

    A tuple of one has a comma at its end ("rot_flip,"). "nan" and "inf" stay texts: no option takes them.
    """
    text = text.strip()
    if "," in text:
        return tuple(parse_value(part) for part in text.removesuffix(",").split(","))
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def parse_pairs(pairs: Iterable[str] | None, *, flag: str) -> dict[str, str]:
    """{key: text} of arguments like "beta=0.5"; UserError for one without "=", without a key, or given twice."""
    found: dict[str, str] = {}
    for pair in pairs or ():
        key, equals, text = pair.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key:
            raise UserError(f"{flag} {pair!r}: expected key=value")
        if key in found:
            raise UserError(f"{flag} {key}: given twice ({found[key]!r} and {text.strip()!r}), expected once")
        found[key] = text.strip()
    return found


def data_options(pairs: Iterable[str] | None) -> dict[str, Any]:
    """Options of a data set; the data set itself says which it knows and what they may be."""
    options = parse_pairs(pairs, flag="--data-option")
    if "root" in options:
        raise UserError(f"--data-option root={options['root']}: expected --data-root instead, which says the same")
    return {key: parse_value(text) for key, text in options.items()}


def run_settings(method: str, pairs: Iterable[str] | None) -> dict[str, Any]:
    """Options of a method and settings of the run (patch, stride, ...), each of the type it has there.

    Raises UserError for an unknown method or key (listing the known ones), and for a value of another type.
    """
    expected = setting_types(method)
    values = {}
    for key, text in parse_pairs(pairs, flag="--set").items():
        if key in OWN_OPTION:
            raise UserError(f"--set {key}={text}: expected {OWN_OPTION[key]} instead, which says the same")
        if key not in expected:
            raise unknown(f"option of {method}", key, expected)
        values[key] = _as(expected[key], key, text)
    return values


def setting_types(method: str) -> dict[str, Any]:
    """{name: type} of everything that `--set` takes for a method."""
    from ssmis_core.configuration import SETTINGS, Configuration
    from ssmis_core.methods import method_class

    run = get_type_hints(Configuration)
    settings = {key: run[key] for key in SETTINGS if key not in OWN_OPTION}
    return {**settings, **get_type_hints(method_class(method).Options)}


def _as(kind: Any, key: str, text: str) -> Any:
    """The text as a value of one type; a tuple may be given as a single value."""
    if kind is str:
        return text
    value = parse_value(text)
    if get_origin(kind) is tuple:
        if kind == tuple[str, ...]:
            return tuple(part.strip() for part in text.split(",") if part.strip())
        # one whole number stands for all axes, which `configure` knows
        return value if isinstance(value, tuple) or type(value) is int else (value,)
    fits = {bool: (bool,), int: (int,), float: (int, float)}.get(kind)
    if fits and type(value) not in fits:
        raise UserError(f"--set {key}={text}: expected {IN_WORDS[kind]}")
    return value
