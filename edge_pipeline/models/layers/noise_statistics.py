"""Measure the noise of a capture in its flattest block."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

__all__ = ["Noise", "NoiseStatistics"]

# A second difference along both axes, with unit gain for white noise and zero gain for a plane.
_LAPLACIAN = ((1.0, -2.0, 1.0), (-2.0, 4.0, -2.0), (1.0, -2.0, 1.0))  # sixths
_BLOCK = 16
_TINY = 1e-8
# By chance, the deviation in the flattest of many blocks is below that of the noise. This factor
# converts it to the flattest of 49 blocks of 8 x 8, with which the default model was trained.
_CHANCE = 0.88
# Second differences below _NONE count as zero: such pixels are clipped, or vary by less than a step
# of the sensor. A block with more than _SHARE of them, or with a value above _WHITE, is unusable.
_NONE, _SHARE, _WHITE = 1e-4, 0.1, 0.985
# _MUCH exceeds the deviation of any usable block; _PENALTY lifts unusable blocks above it. All
# factors must be in the range of half precision.
_MUCH, _PENALTY = 0.5, 1e4


class Noise(NamedTuple):
    """Standard deviations of a capture's high frequencies, each [N, channels].

    Attributes:
        least: Deviation in the flattest usable block, times 0.88; about 0.73 times that of the
            noise, or 0 if no block is usable.
        mean: Mean deviation over all blocks, which contains noise and texture.
    """

    least: Tensor
    mean: Tensor


class NoiseStatistics(nn.Module):
    """Measure the deviation of second differences in blocks of 16 x 16, without parameters.

    Args:
        channels: Number of channels of the map.

    Source: J. Immerkaer, Fast noise variance estimation, CVIU 64(2), 1996 (the filter).
    """

    laplacian: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        # On the CPU even if the network is built on the meta device.
        kernel = torch.tensor(_LAPLACIAN, device="cpu").expand(channels, 1, 3, 3) / 6
        self.register_buffer("laplacian", kernel, persistent=False)

    def forward(self, z: Tensor) -> Noise:
        """Measure the noise of each channel.

        Args:
            z: Maps [N, channels, H, W] in a coding that makes noise uniform, white at 1, H and W
                at least 18.
        """
        detail = F.conv2d(z, self.laplacian, groups=z.shape[1])
        energy = F.avg_pool2d(detail * detail, _BLOCK, _BLOCK, count_include_pad=False)
        deviation = torch.sqrt(energy + _TINY)
        even = F.relu(1 - detail.abs() * (1 / _NONE))
        share = F.avg_pool2d(even, _BLOCK, _BLOCK, count_include_pad=False)
        brightest = F.max_pool2d(z[:, :, 1:-1, 1:-1], _BLOCK, _BLOCK)
        silent = F.relu(share - _SHARE) + F.relu(brightest - _WHITE)
        seen = deviation + silent * _PENALTY
        least = -(-seen).amax((2, 3))
        known = torch.clamp(_PENALTY * (_MUCH - least), 0.0, 1.0)
        return Noise(_CHANCE * known * least, deviation.mean((2, 3)))
