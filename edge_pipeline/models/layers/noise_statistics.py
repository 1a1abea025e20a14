"""Measure the noise of a capture where it is flattest."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

__all__ = ["Noise", "NoiseStatistics"]

# A second difference along both axes; it has unit gain for white noise and none for a plane.
_LAPLACIAN = ((1.0, -2.0, 1.0), (-2.0, 4.0, -2.0), (1.0, -2.0, 1.0))  # sixths
_BLOCK = 16
_TINY = 1e-8
# The flattest of many blocks has less than the noise by chance. With this factor, the value is that
# of the flattest of 49 blocks of 8 x 8, which the default model was trained with.
_CHANCE = 0.88
# A smaller second difference is none; pixels without one are clipped, or finer than a step of the
# sensor.
# Blocks with a larger share of them, or with a value about white, say nothing of the noise.
_NONE, _SHARE, _WHITE = 1e-4, 0.1, 0.985
# Above any deviation of values in 0..1; a block that says nothing has more. All factors have to be
# numbers of half precision.
_MUCH, _PENALTY = 0.5, 1e4


class Noise(NamedTuple):
    """Standard deviations of a capture's high frequencies, each [N, channels].

    Attributes:
        least: of the flattest block without clipped pixels, times 0.88: about 0.73 of the noise;
            0 if there is no such block.
        mean: the mean over all blocks: noise and texture.
    """

    least: Tensor
    mean: Tensor


class NoiseStatistics(nn.Module):
    """The deviation of second differences in blocks of 16 x 16; it has no parameters.

    Args:
        channels: of the map.

    Source: J. Immerkaer, Fast noise variance estimation, CVIU 64(2), 1996 (the filter).
    """

    laplacian: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        # On the CPU even where a network is built without memory, on the meta device.
        kernel = torch.tensor(_LAPLACIAN, device="cpu").expand(channels, 1, 3, 3) / 6
        self.register_buffer("laplacian", kernel, persistent=False)

    def forward(self, z: Tensor) -> Noise:
        """Measure.

        Args:
            z: [N, channels, H, W] in a coding that evens noise out, white at 1, H and W at least
                18.
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
