"""The UNet whose maps shrink by any factor phi per level.

Choices that the paper leaves open: Sizes are rounded down, to at least one pixel; the paper's text
rounds to the nearest integer, but only rounding down reproduces its tables. Interpolation is
bilinear with torch's default `align_corners=False`, because the paper does not mention corners.
Convolutions pad with zeros and keep the size of their maps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edge_pipeline.models.layers.convolution import SLOPE, PaddedConv
from edge_pipeline.models.layers.rescaling import Phi
from edge_pipeline.models.segmenter import Options, Segmenter, build_with

__all__ = ["Options", "UNet", "build"]


class UNet(Segmenter):
    """A UNet with any rescaling factor.

    A stage is two 3x3 convolutions, each followed by LeakyReLU; bilinear interpolation connects the
    stages. The input of a decoder stage is the encoder's map of the same level, concatenated with
    the output of the next coarser stage.

    Args:
        options: Options of the network.

    Source: [AmortizedScaling], section 4.1 and appendix A.1.
    """

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        encoder, decoder = options.widths("encoder"), options.widths("decoder")
        n_in = options.in_channels
        for level, width in enumerate(encoder):
            self.add_module(f"encoder{level}", self.stage(n_in, width))
            n_in = width
        for level, width in zip(reversed(range(len(decoder))), decoder, strict=True):
            self.add_module(f"decoder{level}", self.stage(encoder[level] + n_in, width))
            n_in = width
        self.classify = PaddedConv(n_in, options.out_channels, 1)

    def stage(self, n_in: int, n_out: int) -> nn.Module:
        """Return the operations of one level, from [N, n_in, H, W] to [N, n_out, H, W]."""
        return nn.Sequential(
            PaddedConv(n_in, n_out, 3),
            nn.LeakyReLU(SLOPE),
            PaddedConv(n_out, n_out, 3),
            nn.LeakyReLU(SLOPE),
        )

    def forward(self, x: Tensor, phi: Phi) -> Tensor:
        """Segment pictures.

        Args:
            x: Picture [N, in_channels, H, W], 0 to 1.
            phi: Rescaling factor within `phi_range`; it determines the map sizes.

        Returns:
            Scores [N, out_channels, H, W], before softmax or sigmoid.

        Raises:
            InputError: If phi is outside the trained range.
        """
        sizes = self.sizes(x, phi)
        # skips[i]: [N, encoder[i], *sizes[i]]
        skips: list[Tensor] = [self.get_submodule("encoder0")(x)]
        for level in range(1, self.levels):
            smaller = self.resized(skips[-1], sizes[level])
            skips.append(self.get_submodule(f"encoder{level}")(smaller))
        y = skips[-1]
        for level in reversed(range(self.levels - 1)):
            # [N, encoder[level] + channels of y, *sizes[level]]
            joined = torch.cat([skips[level], self.resized(y, sizes[level])], 1)
            y = self.get_submodule(f"decoder{level}")(joined)
        scores: Tensor = self.classify(y)
        return scores


def build(options: Options) -> nn.Module:
    """Return the network for `options`, with fresh weights from torch's generator."""
    return build_with(options, UNet)
