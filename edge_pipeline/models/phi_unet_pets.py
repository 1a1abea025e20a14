"""The phi UNet of OxfordPets and CUBBirds: five levels, one class ([AmortizedScaling], Table 2)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from edge_pipeline.models import unet
from edge_pipeline.models.segmenter import build_with
from edge_pipeline.models.unet import UNet

__all__ = ["Options", "build"]


@dataclass(frozen=True)
class Options(unet.Options):
    """Options of `unet.Options` with the defaults of the OxfordPets and CUBBirds network.

    The range of phi in training is 0 to 0.6 (section 4.1, "Training"), because maps of larger phi
    did not fit into the memory of the authors' GPU.
    """

    phi_max: float = 0.6


def build(options: Options) -> nn.Module:
    """Return the network for `options`, with fresh weights from torch's generator."""
    return build_with(options, UNet)
