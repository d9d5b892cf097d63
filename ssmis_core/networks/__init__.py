"""Backbones of the field: V-Net and U-Net, in 2D and 3D, with an optional signed-distance head."""

from __future__ import annotations

from typing import Any

from torch import nn

from ssmis_core.errors import UserError, unknown
from ssmis_core.networks.output import Output
from ssmis_core.networks.unet2d import UNet2D
from ssmis_core.networks.unet3d import UNet3D
from ssmis_core.networks.vnet import VNet

__all__ = ["FIXED", "NETWORKS", "Output", "UNet2D", "UNet3D", "VNet", "create_network"]

NETWORKS: dict[str, type[nn.Module]] = {"vnet": VNet, "unet2d": UNet2D, "unet3d": UNet3D}

# Networks that have a fixed number of dimensions. V-Net and `unet3d`, named after its BraTS recipe, have either.
DIMS: dict[str, int] = {"unet2d": 2}

# Options that a network leaves no choice of.
FIXED: dict[str, dict[str, str]] = {"unet2d": {"norm": "batch"}, "unet3d": {"norm": "instance"}}


def create_network(name: str, **settings: Any) -> nn.Module:
    """A network by name; UserError for an unknown one, or for a number of dimensions that it does not have."""
    if name not in NETWORKS:
        raise unknown("network", name, NETWORKS)
    dims = settings.get("dims", DIMS.get(name))
    if dims != DIMS.get(name, dims):
        others = ", ".join(other for other in NETWORKS if DIMS.get(other, dims) == dims)
        raise UserError(f"network {name} has {DIMS[name]} dimensions, found dims={dims}; expected one of {others}")
    return NETWORKS[name](**settings)
