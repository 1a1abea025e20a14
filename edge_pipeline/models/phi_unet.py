"""The phi UNet for pictures and classes of the user; `phi_unet_pets` has the paper's options."""

from __future__ import annotations

from torch import nn

from edge_pipeline.models.segmenter import build_with
from edge_pipeline.models.unet import Options, UNet

__all__ = ["Options", "build"]


def build(options: Options) -> nn.Module:
    """Return the network for `options`, with fresh weights from torch's generator."""
    return build_with(options, UNet)
