"""The phi UNet whose stages are residual blocks.

The paper describes a residual connection around the operations of each resolution, as in ResNet.
As there, the connection is a 1x1 convolution if the number of channels changes, and the activation
follows the sum. There is no normalisation, as in the other networks of the paper.
"""

from __future__ import annotations

from torch import Tensor, nn

from edge_pipeline.models.layers.convolution import SLOPE, PaddedConv
from edge_pipeline.models.segmenter import build_with
from edge_pipeline.models.unet import Options, UNet

__all__ = ["Options", "build"]


class _ResidualStage(nn.Module):
    """Two 3x3 convolutions with a connection around them.

    Args:
        n_in: Number of input channels.
        n_out: Number of output channels.

    Source: K. He et al., Deep residual learning for image recognition, 2016, section 3.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            PaddedConv(n_in, n_out, 3),
            nn.LeakyReLU(SLOPE),
            PaddedConv(n_out, n_out, 3),
        )
        self.shortcut = nn.Identity() if n_in == n_out else PaddedConv(n_in, n_out, 1)
        self.activation = nn.LeakyReLU(SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        """Return maps [N, n_out, H, W] of maps [N, n_in, H, W]."""
        y: Tensor = self.activation(self.residual(x) + self.shortcut(x))
        return y


class _ResidualUNet(UNet):
    """A UNet with residual stages; source: [AmortizedScaling], appendix C "Residual UNet"."""

    def stage(self, n_in: int, n_out: int) -> nn.Module:
        """Return a stage of either part, from [N, n_in, H, W] to [N, n_out, H, W]."""
        return _ResidualStage(n_in, n_out)


def build(options: Options) -> nn.Module:
    """Return the network for `options`, with fresh weights from torch's generator."""
    return build_with(options, _ResidualUNet)
