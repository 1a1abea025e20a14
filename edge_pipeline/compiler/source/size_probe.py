"""Measure how a network depends on sizes, by running it: scale, stride, halo and minimum."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from edge_pipeline.compiler.source.fixed_weights import FixedWeightsNetwork, Size
from edge_pipeline.compiler.source.network import SourceNetwork

__all__ = ["SizeProbe", "nan_reach"]

# The smallest side to probe at and the largest stride to search for, in pixels.
_LEAST_SIDE, _WIDEST_STRIDE = 64, 64
# The largest difference between a tile and the whole picture, as a share of the output's span, that
# is due to rounding: convolutions of other sizes sum in another order.
_ROUNDING = 1e-4


class SizeProbe:
    """Runs a network at several sizes, on inputs that are made from its example.

    Args:
        network: Network whose first input is a map of one picture, [1, C, H, W].

    Attributes:
        scale: Output pixels per pixel of the first input along an axis; None if an output is not a
            map, or has fewer pixels than the input.
    """

    def __init__(self, network: SourceNetwork) -> None:
        self._network = FixedWeightsNetwork(network)
        self.scale = _scale(self._network.run(network.example), self._network.size)

    @staticmethod
    def fits(network: SourceNetwork) -> bool:
        """Return whether the network's first input is a map of one picture."""
        first = network.example[0]
        return first.dim() == 4 and first.shape[0] == 1 and first.is_floating_point()

    def reach(self, least: int = 0, stride: int = 1) -> int | None:
        """Return how far away inputs affect an output pixel, in pixels of the first input.

        One half of the input is set to NaN. Outputs in the other half that are NaN depend on it.

        Args:
            least: Smallest height and width to probe at.
            stride: The two halves meet at a multiple of this.

        Returns:
            The number of pixels; None if it is more than half of the largest probed size, which is
            the example's, or if an output depends on the whole input.
        """
        if self.scale is None:
            return None
        scale = self.scale
        found = (self._reach_at(size, scale, stride) for size in self._sizes(least))
        return next((reach for reach in found if reach is not None), None)

    def difference(self, stride: int, halo: int) -> float:
        """Return how much a tile differs from the same part of the whole picture.

        Args:
            stride: Number of pixels between each border of the tile and that of the picture.
            halo: Number of pixels along the tile's borders that are not compared.

        Returns:
            The largest difference, as a share of the output's span; infinity if the network does
            not run at the tile's size.
        """
        if self.scale is None:
            return float("inf")
        height, width = next(self._sizes(2 * (halo + stride) + 1))
        if not self._network.accepts((height - 2 * stride, width - 2 * stride)):
            return float("inf")
        inputs = self._network.inputs((height, width))
        tile = self._network.cut(inputs, ((stride, height - stride), (stride, width - stride)))
        inner, outer = halo * self.scale, (halo + stride) * self.scale
        worst = 0.0
        for part, whole in zip(self._network.run(tile), self._network.run(inputs), strict=True):
            expected = _without_border(whole, outer)
            if _without_border(part, inner).shape != expected.shape:
                return float("inf")
            span = float(whole.max() - whole.min()) or 1.0
            worst = max(worst, float((_without_border(part, inner) - expected).abs().max()) / span)
        return worst

    def is_exact(self, stride: int, halo: int) -> bool:
        """Return whether a tile cut at `stride` equals the whole picture, except for its halo."""
        return self.difference(stride, halo) <= _ROUNDING

    def stride(self, halo: int | None) -> int | None:
        """Return the smallest stride at which tiles with a halo are exact.

        Args:
            halo: Result of `reach`; if None, the network must only run at multiples of the stride.

        Returns:
            The stride, at most 64; None if there is none.
        """
        height, width = self._network.size
        for stride in range(1, _WIDEST_STRIDE + 1):
            if height % stride or width % stride:
                continue
            if halo is None:
                fits = self._network.accepts((height + stride, width + stride))
            else:
                fits = self.is_exact(stride, -(-halo // stride) * stride)
            if fits:
                return stride
        return None

    def minimum(self, stride: int) -> int:
        """Return the smallest multiple of `stride` that the network accepts as height and width."""
        most = min(self._network.size)
        sides = (
            side for side in range(stride, most, stride) if self._network.accepts((side, side))
        )
        return next(sides, most)

    def _sizes(self, least: int) -> Iterator[Size]:
        """Yield the smallest size to probe at, found by halving the example's, then its doubles."""
        height, width = self._network.size
        while not (height % 2 or width % 2) and min(height, width) // 2 >= max(least, _LEAST_SIDE):
            if not self._network.accepts((height // 2, width // 2)):
                break
            height, width = height // 2, width // 2
        while min(height, width) < least:
            height, width = 2 * height, 2 * width
        yield height, width
        while 2 * height <= self._network.size[0]:
            height, width = 2 * height, 2 * width
            yield height, width

    def _reach_at(self, size: Size, scale: int, stride: int) -> int | None:
        """Return the largest reach to the four sides at one size; None if it exceeds the size."""
        inputs, farthest = self._network.inputs(size), 0
        for axis in (0, 1):
            half = size[axis] // 2 // stride * stride
            for span in ((0, half), (half, size[axis])):
                part = ((0, size[0]), span) if axis else (span, (0, size[1]))
                outputs = self._network.run(self._network.spoilt(inputs, part))
                edges = (span[0] * scale, span[1] * scale)
                reach = max(nan_reach(output, axis + 2, edges) for output in outputs)
                if reach >= min(half, size[axis] - half) * scale:
                    return None
                farthest = max(farthest, -(-reach // scale))
        return farthest


def _scale(outputs: Sequence[Tensor], size: Size) -> int | None:
    """Return the integer ratio of output sizes to the first input's size; None if there is none."""
    found = set()
    for value in outputs:
        if value.dim() != 4 or value.shape[2] % size[0] or value.shape[3] % size[1]:
            return None
        found |= {value.shape[2] // size[0], value.shape[3] // size[1]}
    return found.pop() if len(found) == 1 else None


def nan_reach(output: Tensor, axis: int, span: tuple[int, int]) -> int:
    """Return how many elements NaN values reach along an axis beyond a span."""
    others = tuple(i for i in range(output.dim()) if i != axis)
    lost = torch.isnan(output).sum(others).nonzero().flatten()
    if not len(lost):
        return 0
    return max(0, span[0] - int(lost.min()), int(lost.max()) + 1 - span[1])


def _without_border(value: Tensor, width: int) -> Tensor:
    return value[..., width : value.shape[-2] - width, width : value.shape[-1] - width]
