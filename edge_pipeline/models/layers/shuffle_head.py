"""The head that moves channels to space, so that nothing is sampled off the CFA's phase."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from edge_pipeline.models.layers.convolution import ReflectConv

__all__ = ["ShuffleHead", "compress", "expand"]

# Below black by more than this, a sample is clipped: about four sigma of a noisy base-ISO capture.
_OFFSET = 1 / 64

# Predicted filters have a fixed norm, so the correction would start far larger than the picture.
_CORRECTION = 1 / 8

# Malvar, He and Cutler, "High-quality linear interpolation for demosaicing of Bayer-patterned
# color images", ICASSP 2004, figure 2; all times 8.
_GREEN = (
    (0, 0, -1, 0, 0),
    (0, 0, 2, 0, 0),
    (-1, 2, 4, 2, -1),
    (0, 0, 2, 0, 0),
    (0, 0, -1, 0, 0),
)
_ALONG_ROW = (
    (0, 0, 0.5, 0, 0),
    (0, -1, 0, -1, 0),
    (-1, 4, 5, 4, -1),
    (0, -1, 0, -1, 0),
    (0, 0, 0.5, 0, 0),
)
_ACROSS = (
    (0, 0, -1.5, 0, 0),
    (0, 2, 0, 2, 0),
    (-1.5, 0, 6, 0, -1.5),
    (0, 2, 0, 2, 0),
    (0, 0, -1.5, 0, 0),
)


def compress(x: Tensor) -> Tensor:
    """A square root that evens out photon noise: sqrt(x + 1/64), x clipped at -1/64.

    Its variance is then nearly the same in shadows and lights (Anscombe's transform without
    constants), and its error weighs about as it does after the sRGB curve.
    """
    return torch.sqrt(torch.clamp(x, min=-_OFFSET) + _OFFSET)


def expand(z: Tensor) -> Tensor:
    """The inverse of compress: linear again, never below -1/64."""
    return torch.square(F.relu(z)) - _OFFSET


def _malvar_at_packed_resolution() -> Tensor:
    """Malvar's 5x5 filters on an RGGB mosaic as [12, 4, 3, 3] on packed Bayer."""
    centre = ((0.0,) * 5,) * 2 + ((0.0, 0.0, 8.0, 0.0, 0.0),) + ((0.0,) * 5,) * 2
    along = torch.tensor(_ALONG_ROW)
    green, across = torch.tensor(_GREEN), torch.tensor(_ACROSS)
    itself = torch.tensor(centre)
    # For the four pixels of a cell, R G / G B: the filters that give R, G and B there.
    filters = {
        (0, 0): (itself, green, across),
        (0, 1): (along, itself, along.T),
        (1, 0): (along.T, itself, along),
        (1, 1): (across, green, itself),
    }
    weight = torch.zeros(3, 2, 2, 4, 3, 3)
    for (row, column), by_colour in filters.items():
        for colour, kernel in enumerate(by_colour):
            for dy in range(5):
                for dx in range(5):
                    y, x = row + dy - 2, column + dx - 2
                    plane = (y % 2) * 2 + x % 2
                    value = kernel[dy, dx] / 8
                    weight[colour, row, column, plane, y // 2 + 1, x // 2 + 1] += value
    return weight.reshape(12, 4, 3, 3)


class ShuffleHead(nn.Module):
    """Four values a colour at packed resolution, moved to space over a linear demosaic.

    The linear part is a 3x3 convolution of the packed capture, which reaches as far as a 5x5
    filter on the mosaic; for Bayer it starts as Malvar's. The network adds a correction to it.

    Args:
        in_channels: channels of the packed capture.
        out_channels: channels of the picture.

    Source: `../shared/figures.md`, section 5 (why the published head is not shipped).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.linear = ReflectConv(in_channels, 4 * out_channels)
        if (in_channels, out_channels) == (4, 3):
            with torch.no_grad():
                self.linear.weight.copy_(_malvar_at_packed_resolution())
                nn.init.zeros_(self.linear.bias)  # type: ignore[arg-type]

    def forward(self, compressed: Tensor, correction: Tensor) -> Tensor:
        """Join both parts.

        Args:
            compressed: [N, in_channels, H, W], the capture after `compress`.
            correction: [N, 4 * out_channels, H, W].

        Returns:
            [N, out_channels, 2H, 2W], linear.
        """
        z = self.linear(compressed) + _CORRECTION * correction
        return F.pixel_shuffle(expand(z), 2)
