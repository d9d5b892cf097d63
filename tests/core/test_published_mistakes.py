"""Files that are no author's weights: wrong and partial ones, others' networks, and code."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ssmis_core import cli, published_weights
from ssmis_core.errors import UserError
from ssmis_core.methods import create_method
from ssmis_core.networks.published_keys import published_name, vnet_key
from ssmis_core.published_weights import import_weights
from tests.core.cli_helpers import contents, empty_folder
from tests.core.published_helpers import PHANTOM, flat, published_states, save, without

fresh = pytest.fixture(autouse=True)(empty_folder)
published = pytest.fixture(published_states)


class Harmful:
    """A pickle that would run a command."""

    def __reduce__(self) -> Any:
        return os.system, ("touch harmed",)


def damaged(state: dict[str, Tensor]) -> dict[str, tuple[str, Any, str]]:
    """Kinds of wrong files: the source they are said to be of, what is in them, what is said of it."""
    part = {key: value for key, value in state.items() if "block_nine" not in key}
    one = {key: value[:1] if "out_conv" in key else value for key, value in state.items()}
    wide = {key: value.repeat_interleave(2, 0) if "block_two.conv.0" in key else value for key, value in state.items()}
    return {
        "code": ("ssnet", Harmful(), "cannot be read as weights alone"),
        "a whole network": ("ssnet", torch.nn.Conv2d(1, 1, 1), "cannot be read as weights alone"),
        "no state": ("ssnet", {"epoch": 3, "loss": 0.5}, "holds no state dict (found epoch, loss)"),
        "a list": ("ssnet", [1, 2], "holds no state dict (found list)"),
        "another network": ("ssnet", torch.nn.Linear(2, 2).state_dict(), "is no V-Net or U-Net of this field"),
        "a part": ("ssnet", part, "fit: missing decoder.block_nine.conv.0.weight, decoder.block_nine"),
        "not numbers": ("ssnet", {key: value * math.nan for key, value in state.items()}, "tensors are not finite"),
        "two networks": ("ssnet", {**state, "module.x": torch.ones(1), "x": torch.ones(1)}, "both with and without"),
        "another backbone": ("ugmcl", state, "is a vnet, but files of ugmcl are unet3d"),
        "other sizes": (
            "ssnet",
            wide,
            "fit: other shape encoder.block_two.conv.0.weight, encoder.block_two.conv.0.bias",
        ),
        "one head": ("dtc", state, "fit: missing decoder.out_conv2.weight, decoder.out_conv2.bias"),
        "one decoder": ("mcnet", state, "fit: missing decoder1.block_five_up.conv.0.weight, decoder1.block_five_up"),
        "one channel": ("ssnet", one, "fit: other shape decoder.out_conv.weight, decoder.out_conv.bias"),
        "no first convolution": ("ssnet", without(state, "one.conv.0.weight"), "encoder.block_one.conv.0.weight"),
        "no last convolution": ("ssnet", without(state, "out_conv"), "decoder.out_conv.weight, decoder.out_conv.bias"),
        "no first block": ("uamt", flat(without(state, "block_one.")), "missing block_one.conv.0.weight, block_one."),
        "no statistics": ("ssnet", without(state, "running"), f"{FIRST}.running_mean, {FIRST}.running_var, "),
        "some statistics": ("ssnet", without(state, "six.conv.0", "six.conv.1.running_var"), "six.conv.1.running_var"),
        "norms without tensors": (
            "ssnet",
            without(state, *NORM, ".conv.1."),
            f"missing {FIRST}.weight, {FIRST}.bias, ",
        ),
        "an odd layer": ("ssnet", {**state, f"{LAST}.3.weight": torch.ones(2)}, f"fit: no place for {LAST}.3.weight"),
        "two sources": ("ssnet", {**state, **flat(state)}, "the same place for encoder.block_one.conv.0.weight and bl"),
    }


FIRST, LAST = "encoder.block_one.conv.1", "decoder.block_nine.conv"
NORM = ("running_", "num_batches_tracked", ".conv.4.", ".conv.7.")


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


ODD: dict[str, Callable[[Tensor], Tensor]] = {
    "sparse": lambda x: x.to_sparse(),
    "of type float8_e4m3fn": lambda x: x.to(torch.float8_e4m3fn),
    "of type qint8": lambda x: torch.quantize_per_tensor(x, 0.1, 0, torch.qint8),
    "without numbers": lambda x: x.to("meta"),
    "of type complex64": lambda x: x.to(torch.complex64),
    "of type int64": lambda x: x.long(),
    "of type bool": lambda x: x.bool(),
    "empty, 0x1x3x3x3": lambda x: x[:0],
    "expanded, a shape 400x2x1x3x3x3": lambda x: x.expand(400, *x.shape),
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_a_tensor_that_is_no_weight_is_one_line_that_names_it(
    kind: str, published: Callable[..., dict[str, Tensor]]
) -> None:
    odd = ODD[kind](torch.ones(2, 1, 3, 3, 3))
    for key in ("encoder.block_one.conv.0.weight", "decoder.block_six_up.conv.1.running_var"):
        with pytest.raises(UserError, match=f"^weights.pth: {key} is {kind}.*; expected a plain tensor"):
            import_weights(save({**published("ssnet"), key: odd}), "ssnet", run_dir="run", **PHANTOM)
    assert not Path("run").exists()


def test_a_small_file_of_large_shapes_asks_for_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.device("meta"):
        network = create_method("ssnet", dims=3, num_classes=2, filters=400).network
    zero = torch.zeros(())
    state = {published_name(key, vnet_key): zero.expand(value.shape) for key, value in network.state_dict().items()}
    monkeypatch.setattr(published_weights, "create_method", None)
    with pytest.raises(UserError, match=r"encoder\.block_one\.conv\.0\.weight is expanded"):
        import_weights(save(state), "ssnet", run_dir="run", **PHANTOM)


def test_what_lies_beside_the_network_may_be_of_any_kind(published: Callable[..., dict[str, Tensor]]) -> None:
    state = {**published("ssnet"), "queue_ptr": torch.zeros(1, dtype=torch.int64)}
    assert import_weights(save(state), "ssnet", run_dir="run", **PHANTOM).info["imported"]["left_out"] == ["queue_ptr"]


def test_names_that_an_error_lists_are_few_and_the_rest_is_counted(published: Callable[..., dict[str, Tensor]]) -> None:
    with pytest.raises(UserError, match=r"missing decoder.block_five_up\.conv\.0\.weight, .* and \d+ more$") as error:
        import_weights(save(without(published("ssnet"), "decoder.")), "ssnet", run_dir="run", **PHANTOM)
    assert str(error.value).count("decoder.") == 10
    with pytest.raises(UserError, match=r"missing conv1\.conv2\.0\.weight$"):
        import_weights(save(without(published("ugmcl"), "conv1.conv2.0.weight")), "ugmcl", run_dir="run", **PHANTOM)


@pytest.mark.parametrize("numbers", [(1, 2, 3, 4), (0, 1, 2), (1, 2, 10)])
def test_decoders_that_mc_net_does_not_have_are_refused(
    numbers: tuple[int, ...], published: Callable[..., dict[str, Tensor]]
) -> None:
    state = published("mcnet")
    more = {
        key.replace("decoder2", f"decoder{n}"): value
        for n in numbers
        for key, value in state.items()
        if "decoder2" in key and n not in (1, 2)
    }
    with pytest.raises(UserError, match=f"weights.pth: has decoders {', '.join(map(str, numbers))}; expected 1 and 2"):
        import_weights(save({**state, **more}), "mcnet", run_dir="run", **PHANTOM)
    with pytest.raises(UserError, match=r"missing decoder2\.block_five_up\.conv\.1\.weight, "):
        import_weights(save(without(state, "decoder2")), "mcnet", run_dir="run", **PHANTOM)


def test_a_network_is_made_only_after_its_file_was_seen_to_fit(
    published: Callable[..., dict[str, Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first convolution says how wide the network is: 400 filters would ask for tens of gigabytes."""
    made = []
    monkeypatch.setattr(
        published_weights, "create_method", lambda *a, **k: made.append(torch.empty(0).device) or create_method(*a, **k)
    )
    state = {**published("ssnet"), "encoder.block_one.conv.0.weight": torch.zeros(400, 1, 3, 3, 3)}
    with pytest.raises(UserError, match=r"fit: other shape encoder\.block_one\.conv\.0\.bias"):
        import_weights(save(state), "ssnet", run_dir="run", **PHANTOM)
    assert made == [torch.device("meta")]


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


def test_a_file_that_may_not_be_read_is_not_called_damaged(
    published: Callable[..., dict[str, Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    path = save(published("ssnet"))
    monkeypatch.setattr(torch, "load", refused)
    with pytest.raises(UserError, match=r"weights.pth: cannot be read \(Permission denied\)"):
        import_weights(path, "ssnet", run_dir="run", **PHANTOM)


@pytest.mark.parametrize("place", ["weights.pth/run", "weights.pth/deeper/run"])
def test_a_run_folder_under_a_file_is_a_mistake_of_one_line(
    place: str, published: Callable[..., dict[str, Tensor]], capsys: pytest.CaptureFixture[str]
) -> None:
    before = save(published("ssnet")).read_bytes()
    command = ["import-weights", "weights.pth", "--from", "ssnet", "--dataset", "phantom", "--labeled", "4"]
    assert cli.run([*command, "--data-option", "size=32", "--run-dir", place]) == 2
    told = capsys.readouterr().err
    assert f"{place}: cannot be a folder, weights.pth is a file" in told and told.count("\n") == 1
    assert list(contents(Path())) == ["weights.pth"] and Path("weights.pth").read_bytes() == before
