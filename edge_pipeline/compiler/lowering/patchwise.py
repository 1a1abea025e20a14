"""Patch-wise convolution, built from operators that every backend runs, with tensors up to rank 5.

A map is processed in strips of patch rows. The patches of a strip are stored as [patches, channels,
pixels], with the pixels of a patch row by row. So every point-wise convolution is one batched
matrix product, and the shift by a tap of a depth-wise convolution is one contiguous slice. This
also computes values at the ends of rows that are not needed, a sixteenth for patches of 32; they
are cut off last. Reasons: `docs/decisions/0006-lowering-patchwise-convolution.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import torch
from torch import Tensor

from edge_pipeline.compiler.lowering.depthwise import tap_sum
from edge_pipeline.compiler.lowering.movement import part
from edge_pipeline.compiler.lowering.padding import Padding, window

__all__ = [
    "Added",
    "Clamp",
    "Depthwise",
    "DepthwiseAlgorithm",
    "Patches",
    "Pointwise",
    "Stage",
    "run",
]

# Largest size of a strip's widest tensor: about the second-level cache of a core.
_STRIP_BYTES = 2 << 20

# Algorithm of a depth-wise convolution: one `conv2d` with a group per patch and channel and weights
# computed at run time, or one product and one sum per tap.
DepthwiseAlgorithm = Literal["convolution", "taps"]


@dataclass(frozen=True)
class Patches:
    """The patches of one strip.

    Attributes:
        values: Tensor [patches, channels, (rows - 1) * pitch + columns or rows * pitch].
        rows: Rows of one patch, including its halo.
        columns: Columns of one patch, including its halo.
        pitch: Number of values from a pixel to the one below it.
        first: Index of the strip's first patch in the map.
    """

    values: Tensor
    rows: int
    columns: int
    pitch: int
    first: int

    def own(self, per_patch: Tensor) -> Tensor:
        """Return the part of a tensor [all patches, ...] that belongs to these patches."""
        return part(per_patch, 0, self.first, self.values.shape[0])


class Stage(Protocol):
    """One operation on patches."""

    def apply(self, patches: Patches) -> Patches:
        """Return the result of the operation."""
        ...

    def channels(self, before: int) -> int:
        """Return the number of output channels for `before` input channels."""
        ...


@dataclass(frozen=True)
class Pointwise:
    """A 1x1 convolution of each patch.

    Attributes:
        weight: Weight [patches, out, in].
    """

    weight: Tensor

    def apply(self, patches: Patches) -> Patches:
        """See Stage. The weight is the left operand, so the map needs no transposition."""
        return replace(patches, values=torch.bmm(patches.own(self.weight), patches.values))

    def channels(self, before: int) -> int:
        """See Stage."""
        return int(self.weight.shape[1])


@dataclass(frozen=True)
class Depthwise:
    """A depth-wise convolution of each patch, without padding.

    Attributes:
        weight: Weight [patches, channels, kernel rows, kernel columns].
        algorithm: See DepthwiseAlgorithm.
    """

    weight: Tensor
    algorithm: DepthwiseAlgorithm

    def apply(self, patches: Patches) -> Patches:
        """See Stage."""
        kernel_rows, kernel_columns = self.weight.shape[2:]
        smaller = replace(
            patches,
            rows=patches.rows - kernel_rows + 1,
            columns=patches.columns - kernel_columns + 1,
        )
        if self.algorithm == "taps":
            return replace(smaller, values=self._taps(patches, smaller))
        values = self._convolution(_whole_rows(patches))
        return replace(smaller, values=values, pitch=smaller.columns)

    def _taps(self, patches: Patches, smaller: Patches) -> Tensor:
        """Compute one product and one sum per tap; a shift by a tap is a contiguous slice."""
        count, channels = patches.values.shape[:2]
        rows, columns = self.weight.shape[2:]
        taps = patches.own(self.weight).reshape(count, channels, rows * columns)
        length = (smaller.rows - 1) * patches.pitch + smaller.columns
        starts = [i * patches.pitch + j for i in range(rows) for j in range(columns)]
        return tap_sum(patches.values, taps, starts, length)

    def _convolution(self, patches: Patches) -> Tensor:
        """Compute one `conv2d` with a group for each channel of each patch."""
        count, channels = patches.values.shape[:2]
        groups = count * channels
        kernel = patches.own(self.weight).reshape(groups, 1, *self.weight.shape[2:])
        maps = patches.values.reshape(1, groups, patches.rows, patches.pitch)
        y = torch.conv2d(part(maps, 3, 0, patches.columns), kernel, groups=groups)
        return y.reshape(count, channels, y.shape[2] * y.shape[3])

    def channels(self, before: int) -> int:
        """See Stage."""
        return before


@dataclass(frozen=True)
class Added:
    """The addition of a constant per channel, the same for all patches.

    Attributes:
        value: Tensor of one element, or of one element per channel.
    """

    value: Tensor

    def apply(self, patches: Patches) -> Patches:
        """See Stage."""
        return replace(patches, values=patches.values + self.value.reshape(1, -1, 1))

    def channels(self, before: int) -> int:
        """See Stage."""
        return before


@dataclass(frozen=True)
class Clamp:
    """The limitation of values to the range from `low` to `high`; None means no limit."""

    low: float | None
    high: float | None

    def apply(self, patches: Patches) -> Patches:
        """See Stage."""
        return replace(patches, values=patches.values.clamp(self.low, self.high))

    def channels(self, before: int) -> int:
        """See Stage."""
        return before


def _joined(parts: list[Tensor], dim: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)


def _whole_rows(patches: Patches) -> Patches:
    """Fill the last row of each patch up to the pitch; the values that are added are never used."""
    missing = patches.rows * patches.pitch - patches.values.shape[2]
    if missing == 0:
        return patches
    filled: Tensor = torch.ops.aten.constant_pad_nd.default(patches.values, [0, missing], 0.0)
    return replace(patches, values=filled)


def _beside(blocks: Tensor, halo: int) -> Tensor:
    """Extend each block by columns of its neighbours, and by reflection at the edges of the map.

    Args:
        blocks: Tensor [patch columns, n, width]; the width must be greater than the halo.
        halo: Number of columns on each side, at least 1.

    Returns:
        Tensor [patch columns, n, width + 2 * halo].
    """
    count, _, width = blocks.shape
    leftmost, rightmost = part(blocks, 0, 0, 1), part(blocks, 0, count - 1, 1)
    mirrored = (
        [part(leftmost, 2, i, 1) for i in range(halo, 0, -1)],
        [part(rightmost, 2, width - 2 - i, 1) for i in range(halo)],
    )
    left, right = (_joined(columns, 2) for columns in mirrored)
    if count > 1:
        before, after = part(blocks, 0, 0, count - 1), part(blocks, 0, 1, count - 1)
        left = torch.cat([left, part(before, 2, width - halo, halo)], 0)
        right = torch.cat([part(after, 2, 0, halo), right], 0)
    return torch.cat([left, blocks, right], 2)


def _cut(x: Tensor, grid: tuple[int, int], halo: int, top: int, rows: int) -> Patches:
    """Return the patches of the patch rows [top, top + rows)."""
    _, channels, height, width = x.shape
    count = grid[1]
    own_h, own_w = height // grid[0], width // count
    tall, wide = own_h + 2 * halo, own_w + 2 * halo
    padding = Padding(halo, halo, "reflect")
    # [channels, rows, tall, W]
    each = [
        window(x, 2, i * own_h, tall, padding).reshape(channels, 1, tall, width)
        for i in range(top, top + rows)
    ]
    lines = channels * rows * tall
    blocks = _joined(each, 1).reshape(lines, count, own_w).permute(1, 0, 2)
    if halo:
        blocks = _beside(blocks, halo)
    if rows > 1:
        # [columns, channels, rows, pixels] -> [rows, columns, channels, pixels]
        blocks = blocks.reshape(count, channels, rows, tall * wide).permute(2, 0, 1, 3)
    values = blocks.reshape(rows * count, channels, tall * wide)
    return Patches(values, tall, wide, wide, top * count)


def _put(patches: Patches, rows: int, columns: int) -> Tensor:
    """Return the map of a strip, [1, channels, pixel rows, pixel columns], from its patches."""
    whole = _whole_rows(patches)
    channels, tall, wide = whole.values.shape[1], whole.rows, whole.columns
    if rows == 1:
        # Transposed before the halo is cut off, so that whole rows are moved.
        lines = whole.values.reshape(columns, channels * tall, whole.pitch).permute(1, 0, 2)
        return part(lines, 2, 0, wide).reshape(1, channels, tall, columns * wide)
    apart = whole.values.reshape(rows, columns, channels, tall, whole.pitch)
    moved = apart.permute(2, 0, 3, 1, 4)  # [channels, rows, tall, columns, pitch]
    return part(moved, 4, 0, wide).reshape(1, channels, rows * tall, columns * wide)


def _strip_rows(shape: torch.Size, grid: tuple[int, int], halo: int, widest: int) -> int:
    """Return the patch rows per strip: within the size limit, and similar for all strips."""
    tall, wide = shape[2] // grid[0] + 2 * halo, shape[3] // grid[1] + 2 * halo
    most = max(1, _STRIP_BYTES // (4 * widest * grid[1] * tall * wide))
    strips = -(-grid[0] // most)
    return -(-grid[0] // strips)


def run(x: Tensor, grid: tuple[int, int], halo: int, stages: Sequence[Stage]) -> Tensor:
    """Cut a map into patches, apply `stages` to them, and join the results to a map.

    Args:
        x: Map [1, C, H, W]; H and W must be multiples of the grid.
        grid: Number of patches along the height and along the width.
        halo: Pixels of its neighbours, or reflected ones at the edge of the map, that a patch
            includes on each side. Must be less than the height and width of a patch.
        stages: Operations on the patches; together they must consume the halo.

    Returns:
        Map [1, channels of the last stage, H, W].
    """
    counts = [x.shape[1]]
    for stage in stages:
        counts.append(stage.channels(counts[-1]))
    rows = _strip_rows(x.shape, grid, halo, max(counts))
    strips = []
    for top in range(0, grid[0], rows):
        height = min(rows, grid[0] - top)
        patches = _cut(x, grid, halo, top, height)
        for stage in stages:
            patches = stage.apply(patches)
        strips.append(_put(patches, height, grid[1]))
    return _joined(strips, 2)
