"""The phi UNet whose decoder stages are pyramid pooling blocks.

The paper states that the encoder resizes dynamically and that the decoder consists of pyramid
pooling blocks. Here, the encoder and the connections between encoder and decoder are those of the
UNet, and a pyramid pooling block replaces the two convolutions of each decoder stage. As in PSPNet,
a block pools its maps to 1x1, 2x2, 3x3 and 6x6, and a quarter of the channels remains of each. An
axis that is shorter than a pooled map stays as it is.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from edge_pipeline.models.layers.convolution import SLOPE, PaddedConv
from edge_pipeline.models.layers.rescaling import resize
from edge_pipeline.models.segmenter import build_with
from edge_pipeline.models.unet import Options, UNet

__all__ = ["Options", "build"]

_BINS = (1, 2, 3, 6)


class _PyramidPooling(nn.Module):
    """A 3x3 convolution of maps and of their means over parts of the picture.

    Args:
        n_in: Number of input channels.
        n_out: Number of output channels.
        align_corners: Whether interpolation maps corners to corners.

    Source: H. Zhao et al., Pyramid scene parsing network, 2017, section 3.2.
    """

    def __init__(self, n_in: int, n_out: int, *, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        pooled = max(1, n_in // len(_BINS))
        self.pooled = nn.ModuleList(PaddedConv(n_in, pooled, 1) for _ in _BINS)
        self.merged = PaddedConv(n_in + len(_BINS) * pooled, n_out, 3)
        self.activation = nn.LeakyReLU(SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        """Return maps [N, n_out, H, W] of maps [N, n_in, H, W]."""
        height, width = x.shape[2:]
        maps = [x]
        for bins, convolution in zip(_BINS, self.pooled, strict=True):
            means = F.adaptive_avg_pool2d(x, (min(bins, height), min(bins, width)))
            part = self.activation(convolution(means))
            maps.append(resize(part, (height, width), align_corners=self.align_corners))
        y: Tensor = self.activation(self.merged(torch.cat(maps, 1)))
        return y


class _PSPUNet(UNet):
    """A UNet with pyramid pooling blocks; source: [AmortizedScaling], appendix C "PSPNet"."""

    def decoder_stage(self, n_in: int, n_out: int) -> nn.Module:
        """Return a decoder stage, from [N, n_in, H, W] to [N, n_out, H, W]."""
        return _PyramidPooling(n_in, n_out, align_corners=self.options.align_corners)


def build(options: Options) -> nn.Module:
    """Return the network for `options`, with fresh weights from torch's generator."""
    return build_with(options, _PSPUNet)
