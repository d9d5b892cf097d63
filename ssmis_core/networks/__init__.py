"""Backbones of the field: V-Net and U-Net, in 2D and 3D, with an optional signed-distance head."""

from __future__ import annotations

from typing import Any

from torch import nn

from ssmis_core.errors import unknown
from ssmis_core.networks.output import Output
from ssmis_core.networks.unet3d import UNet3D
from ssmis_core.networks.vnet import VNet

__all__ = ["FIXED", "NETWORKS", "Output", "UNet3D", "VNet", "create_network"]

NETWORKS: dict[str, type[nn.Module]] = {"vnet": VNet, "unet3d": UNet3D}

# Options that a network leaves no choice of.
FIXED: dict[str, dict[str, str]] = {"unet3d": {"norm": "instance"}}


def create_network(name: str, **settings: Any) -> nn.Module:
    """A network by name; UserError for an unknown one."""
    if name not in NETWORKS:
        raise unknown("network", name, NETWORKS)
    return NETWORKS[name](**settings)
