"""Authors' weights as run folders: every kind of file that the golden values name, wrong and partial ones, and code."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ssmis_core import cli, train
from ssmis_core.errors import UserError
from ssmis_core.methods import create_method
from ssmis_core.methods.dtc import with_background
from ssmis_core.published_weights import SOURCES, import_weights
from ssmis_core.runs import Run
from tests.core.cli_helpers import contents, empty_folder

fresh = pytest.fixture(autouse=True)(empty_folder)
Load = Callable[[str], dict[str, np.ndarray]]
FILES = {  # the stored state of each kind of file, and how one is made from another with the same network
    "ssnet": ("ssnet_vnet_forward", ""),
    "bcp": ("ssnet_vnet_forward", ""),
    "uamt": ("ssnet_vnet_forward", "flat"),
    "tracoco": ("ssnet_vnet_forward", "flat"),
    "dtc": ("dtc_forward", ""),
    "ugmcl": ("ugmcl_unet3d_dt_forward", ""),
    "mcnet": ("mcnet_forward", ""),
}
PHANTOM: dict[str, Any] = {"dataset": "phantom", "labeled": 4, "dataset_options": {"size": (32, 16, 16)}}


@pytest.fixture
def published(golden: Load) -> Callable[[str], dict[str, Tensor]]:
    """`published("dtc")`: the tensors of a file by the authors' names."""

    def state(source: str, name: str | None = None) -> dict[str, Tensor]:
        stored, form = (name, "") if name else FILES[source]
        tensors = {k.removeprefix("w."): torch.from_numpy(v) for k, v in golden(stored).items() if k.startswith("w.")}
        return {k.split(".", 1)[1]: v for k, v in tensors.items()} if form == "flat" else tensors

    return state


def save(content: Any, name: str = "weights.pth") -> Path:
    torch.save(content, name)
    return Path(name)


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


class Harmful:
    """A pickle that would run a command."""

    def __reduce__(self) -> Any:
        return os.system, ("touch harmed",)


def damaged(state: dict[str, Tensor]) -> dict[str, tuple[str, Any, str]]:
    """Kinds of wrong files: the source they are said to be of, what is in them, what is said of it."""
    part = {key: value for key, value in state.items() if "block_nine" not in key}
    wide = {key: value.repeat_interleave(2, 0) if "block_two.conv.0" in key else value for key, value in state.items()}
    return {
        "code": ("ssnet", Harmful(), "cannot be read as weights alone"),
        "a whole network": ("ssnet", torch.nn.Conv2d(1, 1, 1), "cannot be read as weights alone"),
        "no state": ("ssnet", {"epoch": 3, "loss": 0.5}, "holds no state dict (found epoch, loss)"),
        "a list": ("ssnet", [1, 2], "holds no state dict (found list)"),
        "another network": ("ssnet", torch.nn.Linear(2, 2).state_dict(), "is no V-Net or U-Net of this field"),
        "a part": ("ssnet", part, "published weights do not fit: missing ['up.3.0.weight'"),
        "not numbers": ("ssnet", {key: value * math.nan for key, value in state.items()}, "tensors are not finite"),
        "two networks": ("ssnet", {**state, "module.x": torch.ones(1), "x": torch.ones(1)}, "both with and without"),
        "another backbone": ("ugmcl", state, "is a vnet, but files of ugmcl are unet3d"),
        "other sizes": ("ssnet", wide, "other shape ['down.1.0.weight'"),
        "one head": ("dtc", state, "has no last convolution of a network of this kind"),
        "one decoder": ("mcnet", state, "has no last convolution of a network of this kind"),
    }


@pytest.mark.parametrize("kind", damaged({}))
def test_a_wrong_file_is_one_line_that_says_what_is_missing_and_writes_nothing(
    kind: str, published: Callable[..., dict[str, Tensor]]
) -> None:
    source, content, told = damaged(published("ssnet"))[kind]
    with pytest.raises(UserError) as error:
        import_weights(save(content), source, run_dir="run", **PHANTOM)
    message = str(error.value)
    assert message.startswith("weights.pth: ") and told in message and "\n" not in message
    assert not Path("run").exists() and not Path("harmed").exists()


def test_a_cut_file_an_unknown_source_and_another_number_of_classes_are_one_line(
    published: Callable[..., dict[str, Tensor]],
) -> None:
    path = save(published("ssnet"))
    with pytest.raises(UserError, match="unknown source of weights 'ssnett'; did you mean 'ssnet'"):
        import_weights(path, "ssnett", run_dir="run", **PHANTOM)
    four = {**PHANTOM, "dataset_options": {"size": (32, 16, 16), "num_classes": 4}}
    with pytest.raises(UserError, match="its network has num_classes 2, not 4 as phantom has"):
        import_weights(path, "ssnet", run_dir="run", **four)
    whole = path.read_bytes()
    for content in (
        whole[:2000],
        whole[:-3000],
        b"",
        b"\x80",
        whole[:300] + b"\xff" * 40 + whole[340:2000],
        b"PK\x03\x04",
    ):
        path.write_bytes(content)
        with pytest.raises(UserError, match="cannot be read as weights alone"):
            import_weights(path, "ssnet", run_dir="run", **PHANTOM)
    Path("file").write_text("not a folder")
    with pytest.raises(UserError, match="file: is there and not empty"):
        import_weights(path, "ssnet", run_dir="file", **PHANTOM)
    with pytest.raises(UserError, match="no such file"):
        import_weights("none.pth", "ssnet", run_dir="run", **PHANTOM)
    assert not Path("run").exists()
