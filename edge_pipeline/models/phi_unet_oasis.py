"""The phi UNet of OASIS: four levels of 32 features, 25 classes ([AmortizedScaling], Table 1)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from edge_pipeline.models import unet
from edge_pipeline.models.segmenter import build_with
from edge_pipeline.models.unet import UNet

__all__ = ["Options", "build"]


@dataclass(frozen=True)
class Options(unet.Options):
    """Options of `unet.Options` with the defaults of the OASIS network.

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


def build(options: Options) -> nn.Module:
    """Return the network for `options`, with fresh weights from torch's generator."""
    return build_with(options, UNet)
