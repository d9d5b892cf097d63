"""From a preset and a few words to a full configuration, or to one line that says why not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from ssmis_core import UserError, configuration, configure
from ssmis_core.configuration import PROTOCOLS, Configuration, preset_table
from ssmis_core.draws import Clock
from ssmis_core.methods import METHODS, method_options, variant_options


@pytest.mark.parametrize("preset", ["quick", "full"])
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("method", METHODS)
def test_every_preset_configures_every_method_on_the_phantom(method: str, dims: int, preset: str) -> None:
    config = configure(method, dataset_options={"dims": dims}, preset=preset)
    assert len(config.patch) == len(config.stride) == len(config.factor) == dims
    assert all(step <= size for step, size in zip(config.stride, config.patch, strict=True))
    assert config.protocol == "last" and config.iterations >= 100


@pytest.mark.parametrize("preset", ["quick", "full"])
@pytest.mark.parametrize("dataset", ["phantom", "la"])
def test_every_preset_has_what_each_data_set_needs(dataset: str, preset: str) -> None:
    table = preset_table(preset, dataset=dataset, dims=3, method="ugmcl")
    assert {"factor", "patch", "stride", "iterations", "filters"} <= table.keys()


def test_a_variant_keeps_what_it_sets_in_full_and_its_ramp_fits_the_training() -> None:
    for dataset_options in ({"dims": 2}, {"dims": 3}):
        config = configure("ugmcl", variant="released", preset="full", dataset_options=dataset_options)
        set_by_variant = variant_options("ugmcl", "released")
        assert {key: config.options[key] for key in set_by_variant} == set_by_variant
        assert config.iterations == config.options["ramp_iterations"] == 30_000
    assert configure("ugmcl", preset="full").iterations == 6000


def test_a_quick_training_ramps_up_over_its_own_length_in_every_variant() -> None:
    for variant in ("paper", "released"):
        config = configure("ugmcl", variant=variant)
        options = method_options("ugmcl", **config.options)
        end = Clock("main", config.iterations, config.iterations)
        assert options.consistency_weight(end) == pytest.approx(options.weight)
    changed = {"ramp_iterations", "ramp_step", "schedule"}  # what presets.toml names, and no more
    set_by_variant = variant_options("ugmcl", "released")
    assert {key for key, value in set_by_variant.items() if config.options[key] != value} == changed


def test_a_special_table_wins_over_the_variant_and_a_general_one_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    special = {"ugmcl": {"ramp": "linear"}, "ugmcl-released": {"supervised_weight": 2.0}, "ugmcl-paper": {"beta": 0.9}}
    general = {"beta": 0.2, "ramp": "sigmoid", "supervised_weight": 3.0, "passes": 3, "methods": special}
    monkeypatch.setattr(configuration, "_presets", lambda: {"quick": {"all": general}})
    table = preset_table("quick", dataset="phantom", dims=3, method="ugmcl", variant="released")
    assert (table["beta"], table["ramp"], table["supervised_weight"], table["passes"]) == (0.5, "linear", 2.0, 3)


def test_a_table_of_a_variant_is_for_every_method_that_has_it_and_goes_before_that_of_a_method(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = {"ugmcl": {"beta": 0.7}, "ugmcl-released": {"ramp": "linear"}}
    tables = {"all": {"variants": {"released": {"beta": 0.1, "ramp": "sigmoid", "passes": 3}}, "methods": own}}
    monkeypatch.setattr(configuration, "_presets", lambda: {"quick": tables})
    table = preset_table("quick", dataset="phantom", dims=3, method="ugmcl", variant="released")
    assert (table["beta"], table["ramp"], table["passes"]) == (0.7, "linear", 3)
    assert "passes" not in preset_table("quick", dataset="phantom", dims=3, method="ugmcl", variant="paper")
    assert preset_table("quick", dataset="phantom", dims=3, method="uamt", variant="released")["passes"] == 3


def test_a_configuration_survives_json() -> None:
    config = configure("ugmcl", variant="released", patch=[64, 64, 32], beta=0.6, seed=3)
    again = Configuration.from_dict(json.loads(json.dumps(config.as_dict())))
    assert again == config and again.differences(config) == []
    assert config.options["beta"] == 0.6 and config.patch == (64, 64, 32)


def test_what_is_given_by_hand_wins_over_variant_and_preset() -> None:
    config = configure("ugmcl", variant="released", filters=4, beta=0.1, iterations=7, log_every=3)
    assert (config.options["filters"], config.options["beta"], config.iterations, config.log_every) == (4, 0.1, 7, 3)


def test_differences_name_each_setting_that_differs() -> None:
    a, b = configure("ugmcl"), configure("ugmcl", seed=2, beta=0.5)
    assert a.differences(b) == ["seed: 0, not 2", "options.beta: 0.75, not 0.5"]


def test_one_number_stands_for_every_axis() -> None:
    assert configure("supervised", dataset_options={"dims": 2}, patch=64, stride=32).patch == (64, 64)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"preset": "quik"}, r"unknown preset 'quik'; did you mean 'quick'\? \(known: full, quick\)"),
        ({"dataset": "phantm"}, r"unknown data set 'phantm'; did you mean 'phantom'"),
        ({"variant": "code"}, r"unknown variant of ugmcl 'code' \(known: paper, released\)"),
        ({"betta": 0.5}, r"unknown option of ugmcl 'betta'; did you mean 'beta'"),
        ({"protocol": "best"}, rf"unknown checkpoint protocol 'best'.*{', '.join(sorted(PROTOCOLS))}"),
        ({"precision": "fp16"}, r"unknown precision 'fp16'.*auto, bf16, float32"),
        ({"protocol": "best-on-test"}, r"protocol 'best-on-test' needs validate_every above 0, found 0"),
        ({"protocol": "best-on-validation", "validate_every": 5, "labeled": 1}, r"labeled=1 leaves none to train on"),
        ({"labeled": 81}, r"labeled=81: phantom has 80 training cases; choose 1 to 80"),
        ({"labeled": 0}, r"labeled=0: expected a whole number of at least 1"),
        ({"labeled": "4"}, r"labeled='4': expected a whole number of at least 1"),
        ({"iterations": 0}, r"iterations=0: expected a whole number of at least 1"),
        ({"iterations": 2.5}, r"iterations=2\.5: expected a whole number"),
        ({"seed": "one"}, r"seed='one': expected a whole number of at least 0"),
        ({"validate_every": 5}, r"validate_every=5: with protocol 'last' phantom has no cases.*best-on-validation"),
        ({"validate_every": -1}, r"validate_every=-1: expected a whole number of at least 0"),
        ({"patch": (64, 64)}, r"patch=\(64, 64\): expected 3 whole numbers above 0"),
        ({"patch": "64"}, r"patch='64': expected 3 whole numbers above 0"),
        ({"patch": 1.5}, r"patch=1\.5: expected 3 whole numbers above 0"),
        ({"factor": True}, r"factor=True: expected 3 whole numbers above 0"),
        ({"stride": {32}}, r"stride=\{32\}: expected 3 whole numbers above 0"),
        ({"compile": 1}, r"compile=1: expected True or False"),
        ({"deterministic": "yes"}, r"deterministic='yes': expected True or False"),
        ({"weight_decay": -1.0}, r"option weight_decay=-1\.0: expected 0 or more"),
        ({"stride": 0}, r"stride=0: expected 3 whole numbers above 0"),
        ({"patch": 32, "stride": (32, 32, 48)}, r"stride=\[32, 32, 48\]: expected at most the patch, \[32, 32, 32\]"),
        ({"dataset_options": {"dim": 2}}, r"unknown option of data set 'phantom' 'dim'; did you mean 'dims'"),
        ({"dataset_options": {"dims": 4}}, r"phantom: dims=4, expected 2 or 3"),
        ({"dataset_options": "dims=2"}, r"dataset_options='dims=2': expected options by name, such as \{'dims': 2\}"),
        ({"dataset_options": ["dims", 2]}, r"dataset_options=\['dims', 2\]: expected options by name"),
        ({"dataset_options": []}, r"dataset_options=\[\]: expected options by name"),
        ({"dataset_options": {2: "dims"}}, r"dataset_options=\{2: 'dims'\}: expected options by name"),
        ({"dataset_options": {"root": "x"}}, r"dataset_options root='x': expected data_root= instead"),
        ({"learning_rate": float("nan")}, r"option learning_rate=nan of ugmcl: expected a finite number"),
        ({"learning_rate": float("inf")}, r"option learning_rate=inf of ugmcl: expected a finite number"),
        ({"weight": -float("inf")}, r"option weight=-inf of ugmcl: expected a finite number"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_a_mistake_is_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        configure("ugmcl", **settings)
    assert "\n" not in str(caught.value)


def test_a_configuration_is_refused_for_a_data_set_without_a_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "_presets", lambda: {"quick": {"all": {"iterations": 5}}})
    with pytest.raises(UserError, match=r"preset 'quick' has no factor for data set 'phantom' in 3D: give factor="):
        configure("supervised")


def test_importing_the_package_or_configuring_needs_no_keyword_that_is_not_named(tiny: Callable[..., Any]) -> None:
    with pytest.raises(TypeError):
        configure("supervised", "phantom")  # type: ignore[call-arg]
    assert tiny("supervised").dataset_options == {"dims": 2, "num_classes": 2, "size": [32, 32], "version": 1}
