"""The authors' checkpoints by key mapping: their parameter names onto ours.

The field's V-Nets all come from one file, so their keys differ from ours by rule: `encoder.`/`decoder.` prefixes in
SS-Net, BCP and CPAM, none in UA-MT, DTC and SASSNet. Keys of heads and selectors beside a backbone have no place in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from torch import Tensor, nn

from ssmis_core.errors import UserError

_VNET_BLOCKS = {
    **{f"block_{n}": f"down.{i}" for i, n in enumerate(("one", "two", "three", "four", "five"))},
    **{f"block_{n}_dw": f"downsample.{i}" for i, n in enumerate(("one", "two", "three", "four"))},
    **{f"block_{n}_up": f"upsample.{i}" for i, n in enumerate(("five", "six", "seven", "eight"))},
    **{f"block_{n}": f"up.{i}" for i, n in enumerate(("six", "seven", "eight", "nine"))},
}
_UNET_BLOCKS = {
    **{f"conv{i + 1}": f"down.{i}" for i in range(4)},
    "center": "down.4",
    **{f"up_concat{4 - i}.conv": f"up.{i}" for i in range(4)},
}
_UNET2D_BLOCKS = {
    "in_conv.conv_conv": "down.0",
    **{f"down{i}.maxpool_conv.1.conv_conv": f"down.{i}" for i in range(1, 5)},
    **{f"up{i + 1}.conv1x1": f"narrow.{i}" for i in range(4)},
    **{f"up{i + 1}.up": f"narrow.{i}" for i in range(4)},  # a decoder that goes up by transposed convolutions
    **{f"up{i + 1}.conv.conv_conv": f"up.{i}" for i in range(4)},
    "out_conv": "head",
}


def vnet_key(key: str, *, two_heads: bool = False) -> str | None:
    """Our name of a published V-Net parameter, None for one that we have no place for.

    two_heads: DTC's and SASSNet's order, where `out_conv` is the distance head and `out_conv2` the logits.
    """
    key = re.sub(r"^(encoder|decoder)\.", "", key)
    heads = {"out_conv": "distance_head", "out_conv2": "head"} if two_heads else {"out_conv": "head"}
    name, _, rest = key.partition(".")
    if name in heads:
        return f"{heads[name]}.{rest}"
    if name in _VNET_BLOCKS and rest.startswith("conv."):
        return f"{_VNET_BLOCKS[name]}.{rest.removeprefix('conv.')}"
    return None


def several_decoders_key(key: str, *, of_one: Callable[[str], str | None] = vnet_key) -> str | None:
    """Our name of a parameter of MC-Net and MC-Net+: `encoder.*` and `decoder1.*` to `decoder3.*`.

    of_one: the rule of the network with one decoder, `vnet_key` or `unet2d_key`.
    """
    match = re.fullmatch(r"decoder(\d)\.(.+)", key)
    if match is None:
        return of_one(key) if key.startswith("encoder.") else None
    own = of_one(f"decoder.{match[2]}")
    return own if own is None or match[1] == "1" else f"others.{int(match[1]) - 2}.{own}"


def unet2d_key(key: str) -> str | None:
    """Our name of a parameter of the published 2D U-Net (`encoder.*`, `decoder.*`)."""
    match = re.fullmatch(r"(?:encoder|decoder)\.(.+?)((?:\.\d+)?\.\w+)", key)
    return f"{_UNET2D_BLOCKS[match[1]]}{match[2]}" if match and match[1] in _UNET2D_BLOCKS else None


def unet3d_key(key: str) -> str | None:
    """Our name of a parameter of the released 3D U-Net (its instance norms have none)."""
    if key.startswith("final."):
        return f"head.{key.removeprefix('final.')}"
    for theirs, ours in _UNET_BLOCKS.items():
        match = re.fullmatch(re.escape(theirs) + r"\.conv([12])\.0\.(weight|bias)", key)
        if match:
            return f"{ours}.{3 * (int(match[1]) - 1)}.{match[2]}"
    return None


def load_published(network: nn.Module, state: Mapping[str, Tensor], rename: Callable[[str], str | None]) -> None:
    """Load a published state dict through a renaming; UserError lists what is missing or of another shape."""
    mapped = {new: value for key, value in state.items() if (new := rename(key)) is not None}
    own = network.state_dict()
    for key in own:  # a count that files of old torch do not have, and that nothing here reads
        if key.endswith("num_batches_tracked"):
            mapped.setdefault(key, own[key])
    missing = [key for key in own if key not in mapped]
    wrong = [key for key in own if key in mapped and own[key].shape != mapped[key].shape]
    if missing or wrong:
        raise UserError(
            f"published weights do not fit: missing {missing or 'nothing'}, other shape {wrong or 'nothing'}"
        )
    network.load_state_dict({key: mapped[key] for key in own})
