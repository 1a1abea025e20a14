"""The feature pyramid network whose maps shrink by any factor phi per level.

The encoder is that of the UNet. A 1x1 convolution of each encoder map, the lateral connection, is
added to the interpolated merged map of the next coarser level, so all merged maps have the same
number of channels. As in the published network, there is no activation between merged maps, and
a 3x3 convolution follows the merged map of a prediction.

The paper predicts at several resolutions during training. This network predicts from the finest
merged map alone, in training too: only this prediction has the resolution of the labels and is
evaluated or deployed, all losses then apply to it unchanged, and because the coarser maps reach the
scores only through sums, its gradient reaches every level directly.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from edge_pipeline.errors import InputError
from edge_pipeline.models import segmenter
from edge_pipeline.models.layers.convolution import SLOPE, PaddedConv
from edge_pipeline.models.layers.rescaling import Phi
from edge_pipeline.models.segmenter import build_with
from edge_pipeline.models.unet import Encoder

__all__ = ["Options", "build"]


@dataclass(frozen=True)
class Options(segmenter.Options):
    """Options of a feature pyramid network.

    Attributes:
        pyramid: Channels of the merged maps.

    The others are those of `segmenter.Options`.
    """

    pyramid: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pyramid < 1:
            raise InputError(f"pyramid={self.pyramid} must be at least 1")


class _FPN(Encoder):
    """A feature pyramid network with any rescaling factor.

    Args:
        options: Options of the network.

    Source: [AmortizedScaling], appendix C "FPN"; T.-Y. Lin et al., Feature pyramid networks for
    object detection, 2017, section 3.
    """

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.lateral = nn.ModuleList(
            PaddedConv(width, options.pyramid, 1) for width in options.widths("encoder")
        )
        self.smooth = PaddedConv(options.pyramid, options.pyramid, 3)
        self.activation = nn.LeakyReLU(SLOPE)
        self.classify = PaddedConv(options.pyramid, options.out_channels, 1)

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
        maps = self.encoded(x, phi)
        laterals = [one(y) for one, y in zip(self.lateral, maps, strict=True)]
        merged: Tensor = laterals.pop()
        while laterals:
            finer: Tensor = laterals.pop()  # [N, pyramid, H', W']
            merged = finer + self.resized(merged, (finer.shape[2], finer.shape[3]))
        scores: Tensor = self.classify(self.activation(self.smooth(merged)))
        return scores


def build(options: Options) -> nn.Module:
    """Return the network for `options`, with fresh weights from torch's generator."""
    return build_with(options, _FPN)
