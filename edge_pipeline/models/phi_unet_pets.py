"""The phi UNet of OxfordPets and CUBBirds: five levels, one class ([AmortizedScaling], Table 2)."""

from __future__ import annotations

from dataclasses import dataclass

from edge_pipeline.models import phi_unet
from edge_pipeline.models.phi_unet import build

__all__ = ["Options", "build"]


@dataclass(frozen=True)
class Options(phi_unet.Options):
    """Options of `phi_unet.Options`, whose defaults are those of this network.

    The range of phi in training is 0 to 0.6 (section 4.1, "Training"), because maps of larger phi
    did not fit into the memory of the authors' GPU.
    """
