"""Dynamic patch-wise convolution, which uses different weights for each patch of a map.

A map is split into patches that overlap by the kernel's halo. Each patch is convolved with its own
weights, as a channel group of one convolution, and the results are joined into a map.
"""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

__all__ = ["PatchwiseConv2d", "WeightMapper", "merge", "split"]


def split(x: Tensor, grid: tuple[int, int], halo: int) -> Tensor:
    """Split a map into patches, each with the border pixels of its neighbours.

    The whole map is padded by reflection first, so the halo of a patch contains reflected pixels
    only at the map's edge and true neighbours elsewhere.

    Args:
        x: Feature maps [N, C, H, W]; H and W are multiples of the grid, and larger than the halo.
        grid: Number of patches along the height and along the width.
        halo: Pixels to include beyond the patch, on each side.

    Returns:
        Patches [N * rows * columns, C, H / rows + 2 * halo, W / columns + 2 * halo], in row-major
        order.

    Source: [HyperSeg], section 3.3.
    """
    n, c, height, width = x.shape
    rows, columns = grid
    step_h, step_w = height // rows, width // columns
    tall, wide = step_h + 2 * halo, step_w + 2 * halo
    if halo:
        x = F.pad(x, (halo, halo, halo, halo), mode="reflect")
    # [N, C, rows, columns, tall, wide]
    patches = x.unfold(2, tall, step_h).unfold(3, wide, step_w)
    return patches.permute(0, 2, 3, 1, 4, 5).reshape(n * rows * columns, c, tall, wide)


def merge(patches: Tensor, grid: tuple[int, int]) -> Tensor:
    """Join patches into a map; the inverse of `split` with halo 0.

    Args:
        patches: Patches [N * rows * columns, C, h, w], in row-major order.
        grid: Number of patches along the height and along the width.

    Returns:
        Feature maps [N, C, rows * h, columns * w].
    """
    rows, columns = grid
    _, c, tall, wide = patches.shape
    apart = patches.reshape(-1, rows, columns, c, tall, wide)
    # [N, C, rows, h, columns, w]
    return apart.permute(0, 3, 1, 4, 2, 5).reshape(-1, c, rows * tall, columns * wide)


class PatchwiseConv2d(nn.Module):
    """A convolution of patches, each with its own given weights; it has no parameters.

    Args:
        in_channels: Number of input channels, C_in in the paper.
        out_channels: Number of output channels, C_out in the paper.
        kernel_size: Height and width of the kernel, an odd number.
        groups: Number of channel groups of a patch, G in the paper; it divides both channel counts.

    Attributes:
        weights: Number of weights of one patch.
        fan_in: Number of weights per output value.

    Source: [HyperSeg], section 3.3, equation 8.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.groups = kernel_size, groups
        self.fan_in = in_channels // groups * kernel_size**2
        self.weights = out_channels * self.fan_in

    def forward(self, patches: Tensor, weight: Tensor) -> Tensor:
        """Convolve without padding.

        Args:
            patches: Patches [B, in_channels, h, w], including the halo.
            weight: Weights [B, weights]: per patch, [out, in / groups, kernel, kernel] flattened.

        Returns:
            Patches [B, out_channels, h - kernel_size + 1, w - kernel_size + 1].
        """
        b, c, tall, wide = patches.shape
        k = self.kernel_size
        kernel = weight.reshape(b * self.out_channels, c // self.groups, k, k)
        # [B, C, h, w] -> [1, B * C, h, w]: `groups` channel groups per patch
        grouped = patches.reshape(1, b * c, tall, wide)
        y = F.conv2d(grouped, kernel, groups=b * self.groups)
        return y.reshape(b, self.out_channels, y.shape[2], y.shape[3])


class WeightMapper(nn.Module):
    """Map each patch's signal vector to its weights of several patch-wise convolutions.

    One grouped 1x1 convolution computes the weights of all layers, in the order of the layers. A
    layer's weights are in the order of PatchwiseConv2d, so those of one output channel are
    adjacent. If the groups do not divide the number of weights, the last outputs are unused.

    Args:
        signal_channels: Length of a patch's signal vector, a multiple of `groups`.
        layers: Convolutions whose weights are computed.
        groups: Number of channel groups of the mapping.

    Source: [HyperSeg], sections 3.1 and 3.2, equations 3, 6 and 7.
    """

    def __init__(
        self, signal_channels: int, layers: tuple[PatchwiseConv2d, ...], groups: int = 1
    ) -> None:
        super().__init__()
        self.sizes = tuple(layer.weights for layer in layers)
        given = math.ceil(sum(self.sizes) / groups) * groups
        self.conv = nn.Conv2d(signal_channels, given, 1, bias=False, groups=groups)
        # Normal, as published; scaled so that a signal of unit variance leads to He's variance.
        with torch.no_grad():
            weight, first = self.conv.weight.normal_(), 0
            for layer in layers:
                spread = math.sqrt(2 / layer.fan_in / (signal_channels / groups))
                weight[first : first + layer.weights] *= spread
                first += layer.weights

    def forward(self, signal: Tensor) -> tuple[Tensor, ...]:
        """Compute the weights of each layer.

        Args:
            signal: Signal vectors [N, signal_channels, rows, columns].

        Returns:
            Weights [N * rows * columns, weights] of each layer, in order.
        """
        mapped = self.conv(signal)
        # [N, given, rows, columns] -> [N * rows * columns, given]
        each = mapped.permute(0, 2, 3, 1).reshape(-1, mapped.shape[1])
        if self.sizes == each.shape[1:]:
            return (each,)  # slicing all of it would leave an operator in the export
        ends = list(itertools.accumulate(self.sizes))
        return tuple(each[:, end - n : end] for n, end in zip(self.sizes, ends, strict=True))
