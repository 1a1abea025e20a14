"""The pixel-shuffle head, which never resamples between the positions of the CFA."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from edge_pipeline.models.layers.convolution import ReflectConv

__all__ = ["ShuffleHead", "compress", "expand"]

# Samples more than this below black are clipped; about four sigma of a noisy base-ISO capture.
_OFFSET = 1 / 64

# Predicted filters have a fixed norm: unscaled, the initial correction would exceed the picture.
_CORRECTION = 1 / 8

# Malvar, He and Cutler, "High-quality linear interpolation for demosaicing of Bayer-patterned
# color images", ICASSP 2004, Figure 2; all weights times 8.
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
    """Return sqrt(x + 1/64), with x clipped at -1/64, which makes photon noise nearly uniform.

    The variance is then nearly the same in shadows and highlights (Anscombe's transform without
    its constants), and errors have about the same weight as after the sRGB curve.
    """
    return torch.sqrt(torch.clamp(x, min=-_OFFSET) + _OFFSET)


def expand(z: Tensor) -> Tensor:
    """Return linear values, at least -1/64; the inverse of `compress`."""
    return torch.square(F.relu(z)) - _OFFSET


def _malvar_at_packed_resolution() -> Tensor:
    """Return Malvar's 5x5 filters of an RGGB mosaic as filters [12, 4, 3, 3] of packed Bayer."""
    centre = ((0.0,) * 5,) * 2 + ((0.0, 0.0, 8.0, 0.0, 0.0),) + ((0.0,) * 5,) * 2
    along = torch.tensor(_ALONG_ROW)
    green, across = torch.tensor(_GREEN), torch.tensor(_ACROSS)
    itself = torch.tensor(centre)
    # The filters that compute R, G and B at each of the four pixels of a cell, R G / G B.
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
    """Add a correction to a linear demosaicing, then rearrange four values per colour into pixels.

    The linear part is a 3x3 convolution of the packed capture, which covers a 5x5 filter of the
    mosaic; for Bayer it is initialised with Malvar's filters. The network computes the correction.
    docs/decisions/0005-shipped-model.md describes why the published head is not shipped.

    Args:
        in_channels: Number of channels of the packed capture.
        out_channels: Number of channels of the picture.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.linear = ReflectConv(in_channels, 4 * out_channels)
        if (in_channels, out_channels) == (4, 3):
            with torch.no_grad():
                self.linear.weight.copy_(_malvar_at_packed_resolution())
                nn.init.zeros_(self.linear.bias)  # type: ignore[arg-type]

    def forward(self, compressed: Tensor, correction: Tensor) -> Tensor:
        """Return the corrected picture.

        Args:
            compressed: Packed capture [N, in_channels, H, W] after `compress`.
            correction: Output of the network [N, 4 * out_channels, H, W].

        Returns:
            Linear picture [N, out_channels, 2H, 2W].
        """
        z = self.linear(compressed) + _CORRECTION * correction
        return F.pixel_shuffle(expand(z), 2)
