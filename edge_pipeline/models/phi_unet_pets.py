"""The phi UNet of OxfordPets and CUBBirds: five levels, one class (papers/000, Table 2)."""

from __future__ import annotations

from dataclasses import dataclass

from edge_pipeline.models import phi_unet
from edge_pipeline.models.phi_unet import build

__all__ = ["Options", "build"]


@dataclass(frozen=True)
class Options(phi_unet.Options):
    """See `phi_unet.Options`; its defaults are this network's.

    phi is trained over 0 to 0.6 (section 4.1, "Training"): above, the maps outgrew the authors'
    GPU.
    """
