"""The authors' checkpoints by key mapping: their parameter names onto ours.

The field's V-Nets all come from one file, so their keys differ from ours by rule: `encoder.`/`decoder.` prefixes in
SS-Net, BCP and CPAM, none in UA-MT, DTC and SASSNet. Keys of heads and selectors beside a backbone have no place in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

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


Rename = Callable[[str], str | None]
TOLD = 10  # names that an error lists


def vnet_key(key: str, *, two_heads: bool = False, norms: bool = True) -> str | None:
    """Our name of a published V-Net parameter, None for one that we have no place for.

    two_heads: DTC's and SASSNet's order, where `out_conv` is the distance head and `out_conv2` the logits. norms:
    whether a normalisation follows each convolution; without one the published stages count two places a convolution,
    where ours keep an empty third.
    """
    key = re.sub(r"^(encoder|decoder)\.", "", key)
    heads = {"out_conv": "distance_head", "out_conv2": "head"} if two_heads else {"out_conv": "head"}
    name, _, rest = key.partition(".")
    if name in heads:
        return f"{heads[name]}.{rest}"
    if name in _VNET_BLOCKS and rest.startswith("conv."):
        rest = rest.removeprefix("conv.")
        if not norms and not name.endswith(("_up", "_dw")):
            rest = re.sub(r"^\d+", lambda place: str(int(place[0]) * 3 // 2), rest)
        return f"{_VNET_BLOCKS[name]}.{rest}"
    return None


def several_decoders_key(key: str, *, of_one: Rename = vnet_key) -> str | None:
    """Our name of a parameter of MC-Net and MC-Net+: `encoder.*` and `decoder1.*` to `decoder3.*`.

    of_one: the rule of the network with one decoder, `vnet_key` or `unet2d_key`.
    """
    match = re.fullmatch(r"decoder(\d+)\.(.+)", key)
    if match is None:
        return of_one(key) if key.startswith("encoder.") else None
    own, number = of_one(f"decoder.{match[2]}"), int(match[1])
    return own if own is None or number == 1 else f"others.{number - 2}.{own}"


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


def published_name(key: str, rename: Rename, *, flat: bool = False) -> str:
    """The published name of one of our parameters, which `rename` leads back to it; ours where there is none.

    flat: a file without the prefixes encoder. and decoder., where both spellings are known.
    """
    names = [name for name in _spellings(key, flat) if rename(name) == key]
    # the second decoder of MC-Net's U-Net is the one with transposed convolutions, the later of two spellings
    return key if not names else names[-1] if key.startswith("others.0.narrow.") else names[0]


def _spellings(key: str, flat: bool) -> Iterator[str]:
    """Names that authors may have for one of our parameters, the likelier ones first."""
    other = re.match(r"others\.(\d+)\.", key)
    own = key.removeprefix(other[0]) if other else key
    ways = ["encoder."] if own.startswith("down") else ["decoder.", "decoder1."]
    prefixes = [f"decoder{int(other[1]) + 2}."] if other else ["", *ways] if flat else [*ways, ""]
    for prefix in prefixes:
        yield from (prefix + name for name in _spellings_of_one(own))


def _spellings_of_one(key: str) -> Iterator[str]:
    """Names without a prefix, of a network with one decoder; which rule they are of is for `rename` to say."""
    head, _, rest = key.rpartition(".")
    if head.endswith("head"):
        yield from (f"{name}.{rest}" for name in ("out_conv", "out_conv2", "final"))
    for blocks in (_VNET_BLOCKS, _UNET2D_BLOCKS, _UNET_BLOCKS):
        for theirs, ours in blocks.items():
            if not key.startswith(f"{ours}."):
                continue
            place, _, kind = key.removeprefix(f"{ours}.").rpartition(".")
            inner = f"{place}.{kind}" if place else kind
            yield f"{theirs}.{inner}"
            yield f"{theirs}.conv.{inner}"
            if place.isdigit():
                yield f"{theirs}.conv.{int(place) * 2 // 3}.{kind}"  # numbered without norms
                yield f"{theirs}.conv{int(place) // 3 + 1}.0.{kind}"


def load_published(network: nn.Module, state: Mapping[str, Tensor], rename: Rename) -> None:
    """Load a published state dict through a renaming; UserError, by the published names, where they do not fit."""
    network.load_state_dict(fitted(network, state, rename))


def fitted(network: nn.Module, state: Mapping[str, Tensor], rename: Rename) -> dict[str, Tensor]:
    """The state by our names: every tensor of the network, from one source each, and none that it has no place for.

    Names and shapes alone are compared, so a network on the device "meta" tells whether a file fits.
    Raises UserError that lists what is missing, of another shape, without a place or given twice.
    """
    sources: dict[str, list[str]] = {}
    for key in state:
        if (name := rename(key)) is not None:
            sources.setdefault(name, []).append(key)
    own = network.state_dict()
    flat = not any(key.startswith(("encoder.", "decoder")) for key in state)
    # a count that files of old torch do not have, and that nothing here reads
    missing = [key for key in own if key not in sources and not key.endswith("num_batches_tracked")]
    odd = {
        "missing": [published_name(key, rename, flat=flat) for key in sorted(missing, key=_is_of_another)],
        "other shape": [
            key for name, keys in sources.items() for key in keys if name in own and own[name].shape != state[key].shape
        ],
        "no place for": [key for name, keys in sources.items() if name not in own for key in keys],
        "the same place for": [" and ".join(keys) for keys in sources.values() if len(keys) > 1],
    }
    if any(odd.values()):
        told = "; ".join(f"{what} {_listed(keys)}" for what, keys in odd.items() if keys)
        raise UserError(f"published weights do not fit: {told}")
    return {key: state[sources[key][0]] if key in sources else own[key] for key in own}


def _is_of_another(key: str) -> bool:
    """Whether a parameter is of a second or third decoder: those are told after the first."""
    return key.startswith("others.")


def _listed(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - TOLD} more" if len(keys) > TOLD else ""
    return ", ".join(keys[:TOLD]) + more
