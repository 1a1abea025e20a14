"""The phi UNet of OASIS: four levels of 32 features, 25 classes ([AmortizedScaling], Table 1)."""

from __future__ import annotations

from dataclasses import dataclass

from edge_pipeline.models import phi_unet
from edge_pipeline.models.phi_unet import build

__all__ = ["Options", "build"]


@dataclass(frozen=True)
class Options(phi_unet.Options):
    """Options of `phi_unet.Options` with the defaults of the OASIS network.

    The classes are 24 structures and the background. The network has four levels, because only
    four reproduce the costs of Table 1; the paper's text names five. The range of phi in training
    is 0 to 1 (section 4.1, "Training").
    """

    in_channels: int = 1
    out_channels: int = 25
    encoder: str = "32-32-32-32"
    decoder: str = "32-32-32"
    phi_max: float = 1.0
    height: int = 160
    width: int = 192
