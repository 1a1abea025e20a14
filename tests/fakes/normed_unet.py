"""A phi UNet with batch normalisation in each stage, which no registered network has."""

from __future__ import annotations

from torch import nn

from edge_pipeline.models.segmenter import build_with
from edge_pipeline.models.unet import Options, UNet

__all__ = ["Options", "build"]


class _NormedUNet(UNet):
    def stage(self, n_in: int, n_out: int) -> nn.Module:
        return nn.Sequential(super().stage(n_in, n_out), nn.BatchNorm2d(n_out))


def build(options: Options) -> nn.Module:
    """Return the network for `options`, with fresh weights from torch's generator."""
    return build_with(options, _NormedUNet)
