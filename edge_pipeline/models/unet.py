"""The UNet whose maps shrink by any factor phi per level.

Choices that the paper leaves open: Sizes are rounded down, to at least one pixel; the paper's text
rounds to the nearest integer, but only rounding down reproduces its tables. Interpolation is
bilinear with torch's default `align_corners=False`, because the paper does not mention corners.
Convolutions pad with zeros and keep the size of their maps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edge_pipeline.errors import InputError
from edge_pipeline.models import segmenter
from edge_pipeline.models.layers.convolution import SLOPE, PaddedConv
from edge_pipeline.models.layers.rescaling import Phi
from edge_pipeline.models.segmenter import Segmenter

__all__ = ["Encoder", "Options", "UNet"]


@dataclass(frozen=True)
class Options(segmenter.Options):
    """Options of a UNet.

    Attributes:
        decoder: Channels of each decoder stage from coarse to fine; one stage fewer than `encoder`.

    The others are those of `segmenter.Options`.
    """

    decoder: str = "32-16-8-4"

    def __post_init__(self) -> None:
        super().__post_init__()
        stages = len(self.widths("decoder"))
        if stages != self.levels - 1:
            raise InputError(
                f"decoder={self.decoder} has {stages} stages, and the {self.levels} of "
                f"encoder={self.encoder} require {self.levels - 1} decoder stages"
            )


class Encoder(Segmenter):
    """Base class of networks with the encoder of the UNet.

    A stage is two 3x3 convolutions, each followed by LeakyReLU; bilinear interpolation connects the
    stages. Subclasses may replace the operations of a stage.

    Args:
        options: Options of the network.
    """

    def __init__(self, options: segmenter.Options) -> None:
        super().__init__(options)
        n_in = options.in_channels
        for level, width in enumerate(options.widths("encoder")):
            self.add_module(f"encoder{level}", self.stage(n_in, width))
            n_in = width

    def stage(self, n_in: int, n_out: int) -> nn.Module:
        """Return the operations of a stage, from [N, n_in, H, W] to [N, n_out, H, W]."""
        return nn.Sequential(
            PaddedConv(n_in, n_out, 3),
            nn.LeakyReLU(SLOPE),
            PaddedConv(n_out, n_out, 3),
            nn.LeakyReLU(SLOPE),
        )

    def encoded(self, x: Tensor, phi: Phi) -> list[Tensor]:
        """Return the map of each level, fine to coarse, of a picture [N, in_channels, H, W].

        Raises:
            InputError: If phi is outside the trained range.
        """
        sizes = self.sizes(x, phi)
        # maps[i]: [N, encoder[i], *sizes[i]]
        maps: list[Tensor] = [self.get_submodule("encoder0")(x)]
        for level in range(1, self.levels):
            smaller = self.resized(maps[-1], sizes[level])
            maps.append(self.get_submodule(f"encoder{level}")(smaller))
        return maps


class UNet(Encoder):
    """A UNet with any rescaling factor.

    A decoder stage has the operations of an encoder stage. Its input is the encoder's map of the
    same level, concatenated with the output of the next coarser stage.

    Args:
        options: Options of the network.

    Source: [AmortizedScaling], section 4.1 and appendix A.1.
    """

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        encoder, decoder = options.widths("encoder"), options.widths("decoder")
        n_in = encoder[-1]
        for level, width in zip(reversed(range(len(decoder))), decoder, strict=True):
            self.add_module(f"decoder{level}", self.decoder_stage(encoder[level] + n_in, width))
            n_in = width
        self.classify = PaddedConv(n_in, options.out_channels, 1)

    def decoder_stage(self, n_in: int, n_out: int) -> nn.Module:
        """Return a decoder stage, from [N, n_in, H, W] to [N, n_out, H, W]."""
        return self.stage(n_in, n_out)

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
        skips = self.encoded(x, phi)
        y = skips.pop()
        for level in reversed(range(self.levels - 1)):
            skip = skips.pop()
            # [N, channels of skip + channels of y, H', W']
            joined = torch.cat([skip, self.resized(y, (skip.shape[2], skip.shape[3]))], 1)
            y = self.get_submodule(f"decoder{level}")(joined)
        scores: Tensor = self.classify(y)
        return scores
