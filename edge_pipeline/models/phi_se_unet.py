"""The phi UNet with squeeze-and-excitation after each encoder and decoder stage.

The two fully connected layers of squeeze-and-excitation are 1x1 convolutions of a 1x1 map here, so
the hypernetwork predicts them like all convolutions. The activation between them is the LeakyReLU
of the paper's other layers: at a width of one channel, a ReLU could be zero for every picture.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from edge_pipeline.errors import InputError
from edge_pipeline.models import unet
from edge_pipeline.models.layers.convolution import SLOPE, PaddedConv
from edge_pipeline.models.segmenter import build_with
from edge_pipeline.models.unet import UNet

__all__ = ["Options", "build"]


@dataclass(frozen=True)
class Options(unet.Options):
    """Options of a UNet with squeeze-and-excitation.

    Attributes:
        reduction: Channels of a stage per channel of its squeezed map, which has at least one.

    The others are those of `unet.Options`.
    """

    reduction: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reduction < 1:
            raise InputError(f"reduction={self.reduction} must be at least 1")


class _SqueezeExcitation(nn.Module):
    """Multiplication of each channel by a factor that the means of all channels determine.

    Args:
        channels: Number of channels.
        reduction: Divisor of the number of channels of the squeezed map.

    Source: J. Hu et al., Squeeze-and-excitation networks, 2018, section 3.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        squeezed = max(1, channels // reduction)
        self.squeeze = PaddedConv(channels, squeezed, 1)
        self.activation = nn.LeakyReLU(SLOPE)
        self.excite = PaddedConv(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return maps [N, channels, H, W] of the same shape, each times a factor from 0 to 1."""
        means = x.mean((2, 3), keepdim=True)  # [N, channels, 1, 1]
        factors: Tensor = self.excite(self.activation(self.squeeze(means))).sigmoid()
        return x * factors


class _SEUNet(UNet):
    """A UNet with squeeze-and-excitation; source: [AmortizedScaling], appendix C "SENet"."""

    options: Options

    def stage(self, n_in: int, n_out: int) -> nn.Module:
        """Return a stage of either part, from [N, n_in, H, W] to [N, n_out, H, W]."""
        convolutions = super().stage(n_in, n_out)
        return nn.Sequential(convolutions, _SqueezeExcitation(n_out, self.options.reduction))


def build(options: Options) -> nn.Module:
    """Return the network for `options`, with fresh weights from torch's generator."""
    return build_with(options, _SEUNet)
