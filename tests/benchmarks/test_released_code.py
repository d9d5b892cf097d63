"""A released script is run from a patched copy, with stand-ins for packages that it needs for logs and pictures."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from ssmis_core.errors import UserError

SCRIPT = """
from torchvision import transforms
from easydict import EasyDict
from tensorboardX import SummaryWriter

patch_size = (112, 112, 80)
both = transforms.Compose([lambda x: x + 1, lambda x: 2 * x])(3)
SummaryWriter("log").add_scalar("loss", 1.0, 1)
setting = EasyDict()
setting.seed = 7
"""


@pytest.fixture
def released(script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The module, with one released code: tmp_path/Toy/code/toy_script.py."""
    module = script("released_code")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    monkeypatch.setattr(torch.Tensor, "cuda", torch.Tensor.cuda)
    monkeypatch.setattr(torch.nn.Module, "cuda", torch.nn.Module.cuda)
    toy = module.Released("Toy", "code", "toy_script.py", patched=(("toy_script.py", *module.SIZE),))
    monkeypatch.setattr(module, "RELEASED", {"toy": toy})
    (tmp_path / "Toy" / "code").mkdir(parents=True)
    (tmp_path / "Toy" / "code" / "toy_script.py").write_text(SCRIPT)
    return module


def test_a_copy_is_patched_and_runs_without_the_packages_for_logs(released: ModuleType, tmp_path: Path) -> None:
    folder = released.open_released("toy", tmp_path, tmp_path / "copy", (32, 32, 16))
    import toy_script

    assert Path(toy_script.__file__) == folder / "toy_script.py" and toy_script.patch_size == (32, 32, 16)
    assert toy_script.both == 8 and toy_script.setting["seed"] == 7
    assert (tmp_path / "Toy" / "code" / "toy_script.py").read_text() == SCRIPT
    if not torch.cuda.is_available():
        assert torch.ones(1).cuda().device.type == "cpu"


def test_tracocos_crops_keep_both_sizes_of_a_smaller_patch(script: Callable[[str], ModuleType]) -> None:
    text = "112 - w, 112 - h, 80 - d"
    for file, size, replacement in script("released_code").RELEASED["tracoco"].patched:
        if file == "Dataloader/augmentation.py":
            text = text.replace(size, replacement.format(x=80, z=48))
    assert text == "80 - w, 80 - h, 48 - d"


def test_a_checkout_that_is_not_there_or_another_version_is_one_line(released: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder, expected the checkouts of SS-Net"):
        released.open_released("toy", tmp_path / "elsewhere", tmp_path / "copy")
    (tmp_path / "Toy" / "code" / "toy_script.py").write_text("patch_size = 1\n")
    with pytest.raises(UserError, match="another version of the released code"):
        released.open_released("toy", tmp_path, tmp_path / "copy")
