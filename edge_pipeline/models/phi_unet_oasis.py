"""The phi UNet of OASIS: four levels of 32 features, 25 classes (papers/000, Table 1)."""

from __future__ import annotations

from dataclasses import dataclass

from edge_pipeline.models import phi_unet
from edge_pipeline.models.phi_unet import build

__all__ = ["Options", "build"]


@dataclass(frozen=True)
class Options(phi_unet.Options):
    """See `phi_unet.Options`; other defaults.

    24 structures and the background. Four levels, though the text names five: the costs of
    Table 1 come out with four only. phi is trained over 0 to 1 (section 4.1, "Training").
    """

    in_channels: int = 1
    out_channels: int = 25
    encoder: str = "32-32-32-32"
    decoder: str = "32-32-32"
    phi_max: float = 1.0
    height: int = 160
    width: int = 192
