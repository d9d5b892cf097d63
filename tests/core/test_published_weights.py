"""Authors' weights as run folders: every kind of file that the golden values name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ssmis_core import cli, train
from ssmis_core.errors import UserError
from ssmis_core.methods import create_method
from ssmis_core.methods.dtc import with_background
from ssmis_core.networks.published_keys import published_name, vnet_key
from ssmis_core.published_weights import SOURCES, import_weights, recognise
from ssmis_core.runs import Run
from tests.core.cli_helpers import contents, empty_folder
from tests.core.published_helpers import FILES, PHANTOM, Load, published_states, save

fresh = pytest.fixture(autouse=True)(empty_folder)
published = pytest.fixture(published_states)


@pytest.mark.parametrize("source", SOURCES)
def test_a_run_of_published_weights_gives_the_published_answer(
    source: str, published: Callable[..., dict[str, Tensor]], golden: Load
) -> None:
    run = import_weights(save(published(source)), source, run_dir="run", **PHANTOM)
    stored = golden(FILES[source][0])
    logits = torch.from_numpy(stored.get("logits", stored.get("logits_1")))
    expected = torch.softmax(with_background(logits) if source == "dtc" else logits, 1)
    torch.testing.assert_close(run.method().predict(torch.from_numpy(stored["x"])), expected, rtol=1e-4, atol=1e-5)
    assert run.status == "imported" and run.info["imported"]["from"] == source and run.config.preset == "full"
    assert len(run.info["imported"]["sha256"]) == 64 and run.info["imported"]["left_out"] == []
    both = run.load_weights()
    for one, other in (("student", "teacher"), ("network_1", "network_2")):
        pairs = [key for key in both if key.startswith(f"{one}.")]
        assert all(torch.equal(both[key], both[key.replace(one, other, 1)]) for key in pairs)


def test_three_decoders_are_mc_net_plus(published: Callable[..., dict[str, Tensor]]) -> None:
    run = import_weights(save(published("mcnet", "mcnet_plus_forward")), "mcnet", run_dir="run", **PHANTOM)
    assert run.config.method == "mcnet_plus" and len(run.method().network.others) == 2


def test_the_unet_of_mc_net_on_acdc_is_recognised_by_its_decoders() -> None:
    """Keys as its code names them: `conv1x1` where a decoder interpolates, `up` where it has transposed weights."""
    network = create_method("mcnet", dims=2, num_classes=4, filters=2, network="unet2d", norm="batch").network
    state = {}
    for key, value in network.state_dict().items():
        which = 2 if key.startswith("others.0.") else 1
        place, rest = re.fullmatch(r"(down\.\d|narrow\.\d|up\.\d|head)\.(.+)", key.removeprefix("others.0.")).groups()  # type: ignore[union-attr]
        kind, _, number = place.partition(".")
        theirs = {
            "down": "encoder." + ("in_conv" if number == "0" else f"down{number}.maxpool_conv.1") + ".conv_conv",
            "narrow": f"decoder{which}.up{int(number or 0) + 1}." + ("up" if which == 2 else "conv1x1"),
            "up": f"decoder{which}.up{int(number or 0) + 1}.conv.conv_conv",
            "head": f"decoder{which}.out_conv",
        }[kind]
        state[f"{theirs}.{rest}"] = value
    given = {"dataset": "phantom", "labeled": 4, "dataset_options": {"dims": 2, "size": 32, "num_classes": 4}}
    run = import_weights(save(state), "mcnet", run_dir="run", **given)
    assert run.config.method == "mcnet" and run.info["imported"]["left_out"] == []
    x = torch.randn(1, 1, 32, 32)
    torch.testing.assert_close(run.method().predict(x), network.eval()(x).logits.detach().softmax(1))


def test_files_of_an_older_torch_lack_a_count_that_nothing_reads(published: Callable[..., dict[str, Tensor]]) -> None:
    state = {key: value for key, value in published("ssnet").items() if "num_batches_tracked" not in key}
    assert import_weights(save(state), "ssnet", run_dir="run", **PHANTOM).status == "imported"


def test_the_unet_of_acdc_is_recognised_and_what_lies_beside_it_is_left_out(
    published: Callable[..., dict[str, Tensor]], golden: Load
) -> None:
    options = {"dims": 2, "size": 96, "num_classes": 4}
    given = {"dataset": "phantom", "labeled": 4, "dataset_options": options}
    run = import_weights(save(published("ssnet", "unet2d_forward")), "ssnet", run_dir="run", **given)
    assert run.config.options["network"] == "unet2d"
    left_out = run.info["imported"]["left_out"]
    assert left_out and all(key.startswith(("projection", "prediction", "contrastive")) for key in left_out)
    stored = golden("unet2d_forward")
    expected = torch.softmax(torch.from_numpy(stored["output_0"]), 1)
    torch.testing.assert_close(run.method().predict(torch.from_numpy(stored["x"])), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda state: {"net": state, "opt": {"lr": 0.01}},
        lambda state: {"state_dict": {f"module.{key}": value for key, value in state.items()}, "epoch": 3},
        lambda state: {"model": {"state_dict": state}, "optimizer": {}},
    ],
)
def test_a_state_inside_a_checkpoint_is_found(
    wrapped: Callable[[Any], Any], published: Callable[..., dict[str, Tensor]]
) -> None:
    state = published("bcp")
    plain = import_weights(save(state), "bcp", run_dir="plain", **PHANTOM).load_weights()
    inside = import_weights(save(wrapped(state)), "bcp", run_dir="inside", **PHANTOM).load_weights()
    assert all(torch.equal(plain[key], inside[key]) for key in plain)


def test_the_command_makes_a_run_that_evaluates_and_that_training_leaves_alone(
    published: Callable[..., dict[str, Tensor]], capsys: pytest.CaptureFixture[str]
) -> None:
    save(published("ssnet"))
    command = ["import-weights", "weights.pth", "--from", "ssnet", "--dataset", "phantom", "--labeled", "4"]
    assert cli.run([*command, "--data-option", "size=32", "--run-dir", "run"]) == 0
    assert "ssmis evaluate run" in capsys.readouterr().out
    assert cli.run(["evaluate", "run", "--device", "cpu"]) == 0
    assert "weights: imported; how they were selected is for their authors to say" in capsys.readouterr().out
    assert json.loads(Path("run/summary.json").read_text())["conventions"]["status"] == "imported"
    before, run = contents(Path("run")), Run("run")
    with pytest.raises(UserError, match="holds imported weights, which training would replace"):
        train(run.config, run_dir="run", device="cpu")
    assert contents(Path("run")) == before
    assert cli.run([*command, "--run-dir", "run"]) == 2
    assert "run: is there and not empty" in capsys.readouterr().err and contents(Path("run")) == before


def test_a_network_without_norms_is_told_from_the_places_of_its_convolutions() -> None:
    """Without norms the published stages hold a convolution and a ReLU in turns: conv.0, conv.2, conv.4."""
    network = create_method("bcp", dims=3, num_classes=2, filters=2, norm="none").student
    state = {}
    for key, value in network.state_dict().items():
        block, _, rest = published_name(key, vnet_key).partition(".conv.")
        state[f"{block}.conv.{rest.replace('3.', '2.').replace('6.', '4.')}" if rest else block] = value
    run = import_weights(save(state), "bcp", run_dir="run", **PHANTOM)
    assert run.config.options["norm"] == "none" and run.info["imported"]["left_out"] == []
    x = torch.randn(1, 1, 32, 16, 16)
    torch.testing.assert_close(run.method().predict(x), network.eval()(x).logits.detach().softmax(1))
    extra = {**state, "encoder.block_two.conv.1.weight": torch.ones(4)}
    with pytest.raises(UserError, match=r"no place for encoder\.block_two\.conv\.1\.weight"):
        import_weights(save(extra), "bcp", run_dir="none", **PHANTOM)


@pytest.mark.parametrize("source", SOURCES)
def test_every_parameter_has_a_published_name(source: str, published: Callable[..., dict[str, Tensor]]) -> None:
    state = published(source)
    found = recognise(state, SOURCES[source], Path("weights.pth"))
    names = [
        published_name(found.rename(key) or "", found.rename, flat=source in ("uamt", "tracoco", "dtc"))
        for key in state
    ]
    assert names == list(state)
