"""The full configuration of a run, and `configure`, which fills one in from a preset."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssmis_core.datasets import Dataset, open_dataset
from ssmis_core.errors import UserError, unknown

if TYPE_CHECKING:
    from ssmis_core.working_grid import WorkingGrid

PROTOCOLS = ("last", "best-on-validation", "best-on-test")
PRECISIONS = ("auto", "float32", "bf16")


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """Everything that decides a run's result; written to run.json, and compared before a run is resumed.

    factor: block size of the coarser grid for training (1s: the file's own); patch, stride: in that grid; resize: size
    that each case is brought to before that, by nearest neighbour (empty: its own); slice_axis: the axis along which
    volumes are taken apart into slices, which the network sees one by one (None: whole volumes). All but slice_axis
    are along the axes that the network sees;
    validate_every: 0 for never (needed by the "best" protocols); precision "auto": bf16 on CUDA, else float32.
    options: every option of the method, resolved.
    """

    method: str
    variant: str
    dataset: str
    dataset_options: Mapping[str, Any] = field(default_factory=dict)
    labeled: int
    preset: str
    seed: int
    iterations: int
    factor: tuple[int, ...]
    patch: tuple[int, ...]
    stride: tuple[int, ...]
    options: Mapping[str, Any]
    protocol: str = "last"
    validate_every: int = 0
    log_every: int = 10
    precision: str = "auto"
    resize: tuple[int, ...] = ()
    slice_axis: int | None = None
    compile: bool = False
    deterministic: bool = False

    @property
    def dims(self) -> int:
        """Spatial axes that the network sees."""
        return len(self.patch)

    @property
    def case_dims(self) -> int:
        """Spatial axes of a case."""
        return self.dims + (self.slice_axis is not None)

    @property
    def grid(self) -> WorkingGrid:
        """The grid that the run works on."""
        from ssmis_core.working_grid import WorkingGrid  # torch, which a reader of run folders has no need of

        return WorkingGrid(self.factor, self.resize, self.slice_axis)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Configuration:
        """The configuration that `as_dict` wrote."""
        tuples = {key: tuple(values[key]) for key in ("factor", "patch", "stride")}
        return cls(**{**values, **tuples, "resize": tuple(values.get("resize", ()))})

    def differences(self, other: Configuration) -> list[str]:
        """One "key: mine, not theirs" line a setting that differs."""
        mine, theirs = _flat(self.as_dict()), _flat(other.as_dict())
        return [
            f"{key}: {mine.get(key)!r}, not {theirs.get(key)!r}"
            for key in {**mine, **theirs}
            if mine.get(key) != theirs.get(key)
        ]


SETTINGS = tuple(
    f.name
    for f in fields(Configuration)
    if f.name not in ("method", "variant", "dataset", "dataset_options", "options")
)


def configure(
    method: str,
    *,
    dataset: str = "phantom",
    labeled: int = 16,
    preset: str = "quick",
    variant: str = "paper",
    seed: int = 0,
    iterations: int | None = None,
    dataset_options: Mapping[str, Any] | None = None,
    data_root: str | Path | None = None,
    **settings: Any,
) -> Configuration:
    """A configuration from a preset, with `settings` on top.

    settings: settings of the run (patch, stride, protocol, ...) or options of the method (beta, filters, ...).
    Raises UserError with one line for an unknown name (listing the known ones) or a value that cannot be.
    """
    from ssmis_core.methods import method_options

    _check_whole("labeled", labeled, 1)
    data = open_dataset(dataset, data_root, **_dataset_options(dataset_options))
    data.split(labeled)
    axis = slice_axis(settings.pop("slice_axis", data.slice_axis), data)
    dims = data.dims - (axis is not None)
    table = preset_table(preset, dataset=dataset, dims=dims, method=method, variant=variant)
    own = {key: settings.pop(key) for key in list(settings) if key in SETTINGS}
    options = method_options(method, variant=variant, preset=table, **settings)
    run = {**{key: value for key, value in table.items() if key in SETTINGS}, **own}
    if iterations is not None:
        run["iterations"] = iterations
    for key in ("factor", "patch", "stride"):
        run[key] = _sizes(key, run.get(key), dims, preset, dataset)
    if run.get("resize"):
        run["resize"] = _sizes("resize", run["resize"], dims, preset, dataset)
    config = Configuration(
        method=method,
        variant=variant,
        dataset=dataset,
        dataset_options=dict(data.options()),
        labeled=labeled,
        preset=preset,
        seed=seed,
        slice_axis=axis,
        options={key: list(value) if isinstance(value, tuple) else value for key, value in asdict(options).items()},
        **run,
    )
    _check(config)
    if config.protocol == "last" and config.validate_every and not data.validation:
        raise UserError(
            f"validate_every={config.validate_every}: with protocol 'last' {data.name} has no cases to validate on; "
            "give protocol best-on-validation (holds out labeled cases) or best-on-test, or validate_every=0"
        )
    return config


def preset_table(preset: str, *, dataset: str, dims: int, method: str, variant: str = "paper") -> dict[str, Any]:
    """The flat table of a preset for one data set, method and variant, by the order that presets.toml starts with."""
    from ssmis_core.methods import variant_options

    presets = _presets()
    if preset not in presets:
        raise unknown("preset", preset, presets)
    general: dict[str, Any] = {}
    special: dict[str, Any] = {}
    for name in ("all", dataset, f"{dataset}-{dims}d"):
        layer = dict(presets[preset].get(name, {}))
        variants, methods = layer.pop("variants", {}), layer.pop("methods", {})
        general.update(layer)
        for one in (variants.get(variant, {}), methods.get(method, {}), methods.get(f"{method}-{variant}", {})):
            special.update(one)
    return {**general, **variant_options(method, variant), **special}


@cache
def _presets() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "presets.toml").read_text())


def slice_axis(value: Any, data: Dataset) -> int | None:
    """The axis of a case along which slices lie, checked; None for whole cases."""
    if value is None:
        return None
    if data.dims != 3 or type(value) is not int or not 0 <= value < 3:
        raise UserError(
            f"slice_axis={value!r}: expected none, or 0 to 2 for volumes ({data.name} has {data.dims} axes)"
        )
    return value


def _sizes(key: str, value: Any, dims: int, preset: str, dataset: str) -> tuple[int, ...]:
    if value is None:
        raise UserError(f"preset {preset!r} has no {key} for data set {dataset!r} in {dims}D: give {key}=")
    sizes = tuple(value) if isinstance(value, Sequence) else (value,) * dims
    if len(sizes) != dims or any(type(size) is not int or size < 1 for size in sizes):
        raise UserError(f"{key}={value!r}: expected {dims} whole numbers above 0")
    return sizes


def _check(config: Configuration) -> None:
    for key, least in (("iterations", 1), ("log_every", 1), ("validate_every", 0), ("seed", 0)):
        _check_whole(key, getattr(config, key), least)
    for key in ("compile", "deterministic"):
        if not isinstance(getattr(config, key), bool):
            raise UserError(f"{key}={getattr(config, key)!r}: expected True or False")
    if config.protocol not in PROTOCOLS:
        raise unknown("checkpoint protocol", config.protocol, PROTOCOLS)
    if config.precision not in PRECISIONS:
        raise unknown("precision", config.precision, PRECISIONS)
    if config.protocol != "last" and config.validate_every < 1:
        raise UserError(f"protocol {config.protocol!r} needs validate_every above 0, found {config.validate_every}")
    if config.protocol == "best-on-validation" and config.labeled < 2:
        raise UserError("protocol 'best-on-validation' holds out a labeled case: labeled=1 leaves none to train on")
    sizes = [-(-size // f) for size, f in zip(config.resize, config.factor, strict=False)]
    if any(size < side for size, side in zip(sizes, config.patch, strict=False)):
        coarse = f"by factor {list(config.factor)}, is {sizes}"
        raise UserError(f"resize={list(config.resize)}: {coarse}; expected at least the patch, {list(config.patch)}")
    if any(step > size for step, size in zip(config.stride, config.patch, strict=True)):
        raise UserError(f"stride={list(config.stride)}: expected at most the patch, {list(config.patch)}, an axis")


def _dataset_options(options: Any) -> Mapping[str, Any]:
    """Options by name; none for None."""
    options = {} if options is None else options
    if not isinstance(options, Mapping) or not all(isinstance(name, str) for name in options):
        raise UserError(f"dataset_options={options!r}: expected options by name, such as {{'dims': 2}}")
    for name, instead in (("name", "dataset"), ("root", "data_root")):
        if name in options:
            raise UserError(f"dataset_options {name}={options[name]!r}: expected {instead}= instead")
    return options


def _check_whole(key: str, value: Any, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UserError(f"{key}={value!r}: expected a whole number of at least {least}")


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat.update({f"{key}.{k}": v for k, v in value.items()} if isinstance(value, Mapping) else {key: value})
    return flat
