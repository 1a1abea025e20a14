"""Dynamic patch-wise convolution: weights that differ from patch to patch of one map.

A map is split into patches that overlap by the kernel's halo, each patch is convolved with its own
weights – one channel group a patch – and the results are put side by side again.
"""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

__all__ = ["PatchwiseConv2d", "WeightMapper", "merge", "split"]


def split(x: Tensor, grid: tuple[int, int], halo: int) -> Tensor:
    """Cut a map into patches, each with the border pixels of its neighbours.

    The whole map is padded by reflection first, so a patch at the map's edge sees the reflection
    and every other patch sees its true neighbours.

    Args:
        x: [N, C, H, W]; H and W are multiples of the grid, and larger than the halo.
        grid: patches along the height and along the width.
        halo: pixels that a patch sees beyond its own, on each side.

    Returns:
        [N * rows * columns, C, H / rows + 2 * halo, W / columns + 2 * halo], rows outermost.

    Source: papers/001, section 3.3.
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
    """Put patches side by side; the inverse of `split` without a halo.

    Args:
        patches: [N * rows * columns, C, h, w], rows outermost.
        grid: patches along the height and along the width.

    Returns:
        [N, C, rows * h, columns * w].
    """
    rows, columns = grid
    _, c, tall, wide = patches.shape
    apart = patches.reshape(-1, rows, columns, c, tall, wide)
    # [N, C, rows, h, columns, w]
    return apart.permute(0, 3, 1, 4, 2, 5).reshape(-1, c, rows * tall, columns * wide)


class PatchwiseConv2d(nn.Module):
    """A convolution of patches, each with its own weights; it has no parameters.

    Args:
        in_channels: C_in.
        out_channels: C_out.
        kernel_size: height and width of the kernel, odd.
        groups: channel groups G of one patch; C_in and C_out are multiples of it.

    Attributes:
        weights: how many values one patch's kernel has.
        fan_in: how many of them meet in one output value.

    Source: papers/001, section 3.3, equation 8.
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
            patches: [B, in_channels, h, w], halo included.
            weight: [B, weights], a row a patch: [out, in / groups, kernel, kernel], flat.

        Returns:
            [B, out_channels, h - kernel_size + 1, w - kernel_size + 1].
        """
        b, c, tall, wide = patches.shape
        k = self.kernel_size
        kernel = weight.reshape(b * self.out_channels, c // self.groups, k, k)
        # [B, C, h, w] -> [1, B * C, h, w]: one group a patch, or `groups` of them
        grouped = patches.reshape(1, b * c, tall, wide)
        y = F.conv2d(grouped, kernel, groups=b * self.groups)
        return y.reshape(b, self.out_channels, y.shape[2], y.shape[3])


class WeightMapper(nn.Module):
    """From a signal vector a patch to the weights of several patch-wise convolutions.

    One grouped 1x1 convolution gives the weights of all layers, in the layers' order; a layer's
    weights lie in the order that PatchwiseConv2d takes, so those of one output channel are
    neighbours. Where the groups do not divide the number of weights, it gives a few more, unused.

    Args:
        signal_channels: length S of a patch's signal vector, a multiple of groups.
        layers: what the weights are for.
        groups: channel groups of the mapping.

    Source: papers/001, sections 3.1 and 3.2, equations 3, 6 and 7.
    """

    def __init__(
        self, signal_channels: int, layers: tuple[PatchwiseConv2d, ...], groups: int = 1
    ) -> None:
        super().__init__()
        self.sizes = tuple(layer.weights for layer in layers)
        given = math.ceil(sum(self.sizes) / groups) * groups
        self.conv = nn.Conv2d(signal_channels, given, 1, bias=False, groups=groups)
        # Normal, as published; so spread that a signal of unit variance gives He's kernels.
        with torch.no_grad():
            weight, first = self.conv.weight.normal_(), 0
            for layer in layers:
                spread = math.sqrt(2 / layer.fan_in / (signal_channels / groups))
                weight[first : first + layer.weights] *= spread
                first += layer.weights

    def forward(self, signal: Tensor) -> tuple[Tensor, ...]:
        """The weights of each layer.

        Args:
            signal: [N, signal_channels, rows, columns].

        Returns:
            [N * rows * columns, weights] for each layer, in order.
        """
        mapped = self.conv(signal)
        # [N, given, rows, columns] -> [N * rows * columns, given]
        each = mapped.permute(0, 2, 3, 1).reshape(-1, mapped.shape[1])
        if self.sizes == each.shape[1:]:
            return (each,)  # a slice of all of it would stay in the exported program
        ends = list(itertools.accumulate(self.sizes))
        return tuple(each[:, end - n : end] for n, end in zip(self.sizes, ends, strict=True))
