"""Measure how far a lens has shifted red and blue against green."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

__all__ = ["ColourShift"]

_BLOCK = 16
# Derivatives are small; this keeps their products within half precision. Of flat maps, the result
# is small.
_GAIN, _FLAT = 8.0, 1e-4
# Green at a red or a blue pixel is the mean of its four neighbours: (row, column) offsets in the
# maps of green on red rows and of green on blue rows.
_GREEN_AT_RED = (((0, -1), (0, 0)), ((-1, 0), (0, 0)))
_GREEN_AT_BLUE = (((0, 0), (1, 0)), ((0, 0), (0, 1)))


class ColourShift(nn.Module):
    """Compare slopes of the colour difference with curvatures of green; it has no parameters.

    If red is green shifted by d, their difference is about d times the derivative of green, and
    its slope is d times the curvature of green. An edge between colours has a slope that is even
    about the edge where the curvature is odd, so it hardly counts inside a block. In each block of
    16 x 16, the least-squares estimate of d is the mean of slope times curvature over the mean of
    the curvature squared; blocks are weighted by the latter, and the directions of blocks do not
    count.

    On crops of photographs, eight in ten values are from 0.025 to 0.1 without a shift, from 0.07 to
    0.15 with one of half a mosaic pixel, and from 0.12 to 0.28 with one of a whole pixel.
    """

    differences: Tensor
    derivatives: Tensor

    def __init__(self) -> None:
        super().__init__()
        # On the CPU even where a network is built without memory, on the meta device.
        with torch.device("cpu"):
            self.register_buffer("differences", _differences(), persistent=False)
            self.register_buffer("derivatives", _derivatives(), persistent=False)

    def forward(self, z: Tensor) -> Tensor:
        """Measure.

        Args:
            z: [N, 4, H, W], packed Bayer (R, G on red rows, G on blue rows, B) in a coding that
                evens noise out, H and W at least 20.

        Returns:
            [N, 2], of red and blue, at least 0.
        """
        maps = F.conv2d(F.conv2d(z, self.differences), self.derivatives)
        slopes, curvatures = maps[:, :4], maps[:, 4:]
        common = F.avg_pool2d(slopes * curvatures, _BLOCK, _BLOCK).abs().mean((2, 3))
        energy = F.avg_pool2d(curvatures * curvatures, _BLOCK, _BLOCK).mean((2, 3))
        return (common[:, :2] + common[:, 2:]) / (energy[:, :2] + energy[:, 2:] + _FLAT)


def _differences() -> Tensor:
    """[4, 4, 3, 3]: from packed Bayer to R - G, B - G, G at R and G at B."""
    kernel = torch.zeros(4, 4, 3, 3)
    for i, (colour, greens) in enumerate(((0, _GREEN_AT_RED), (3, _GREEN_AT_BLUE))):
        for plane, places in zip((1, 2), greens, strict=True):
            for row, column in places:
                kernel[2 + i, plane, 1 + row, 1 + column] = 0.25
        kernel[i] = -kernel[2 + i]
        kernel[i, colour, 1, 1] = 1
    return kernel


def _derivatives() -> Tensor:
    """[8, 4, 3, 3]: first derivatives of differences, second ones of green; columns, then rows."""
    smooth = torch.tensor([0.25, 0.5, 0.25])
    slope, curvature = torch.tensor([-0.5, 0.0, 0.5]), torch.tensor([1.0, -2.0, 1.0])
    kernel = torch.zeros(8, 4, 3, 3)
    for colour in range(2):
        for first, along in ((colour, slope), (4 + colour, curvature)):
            plane = colour if first < 4 else 2 + colour
            kernel[first, plane] = _GAIN * torch.outer(smooth, along)
            kernel[2 + first, plane] = _GAIN * torch.outer(along, smooth)
    return kernel
