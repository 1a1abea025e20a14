"""Patch-wise convolutions out of operators that every backend runs, no tensor above rank 5.

A map is worked on in strips of patch rows. A strip's patches lie with their channels before their
pixels, [patches, channels, pixels], the pixels of a patch row after row: then every point-wise
convolution is one batched matrix product, and moving by a tap of a depth-wise one is one stretch of
memory. What is cut off at the ends of rows is computed in vain and left out at the end of the
strip; it is a sixteenth for patches of 32.

Why so, and what else was tried: `docs/decisions/0006-lowering-patchwise-convolution.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import torch
from torch import Tensor

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

# What a strip's widest tensor may take: about a core's second-level cache.
_STRIP_BYTES = 2 << 20

# How a depth-wise convolution is computed: as one of all patches and channels with weights of run
# time, or as a product and a sum a tap.
DepthwiseAlgorithm = Literal["convolution", "taps"]


@dataclass(frozen=True)
class Patches:
    """The patches of one strip.

    Attributes:
        values: [patches, channels, (rows - 1) * pitch + columns], or to the end of the last row.
        rows: of one patch, halo included.
        columns: of one patch, halo included.
        pitch: values from a pixel to the one below.
        first: the number of the strip's first patch.
    """

    values: Tensor
    rows: int
    columns: int
    pitch: int
    first: int

    def own(self, per_patch: Tensor) -> Tensor:
        """The part of [all patches, ...] that belongs to these."""
        return _part(per_patch, 0, self.first, self.values.shape[0])


class Stage(Protocol):
    """One operation on patches."""

    def apply(self, patches: Patches) -> Patches:
        """The patches that come out."""
        ...

    def channels(self, before: int) -> int:
        """How many channels come out where `before` go in."""
        ...


@dataclass(frozen=True)
class Pointwise:
    """A 1x1 convolution of each patch.

    Attributes:
        weight: [patches, out, in].
    """

    weight: Tensor

    def apply(self, patches: Patches) -> Patches:
        """See Stage. Weights on the left: the map stays as it lies."""
        return replace(patches, values=torch.bmm(patches.own(self.weight), patches.values))

    def channels(self, before: int) -> int:
        """See Stage."""
        return int(self.weight.shape[1])


@dataclass(frozen=True)
class Depthwise:
    """A depth-wise convolution of each patch, without padding.

    Attributes:
        weight: [patches, channels, kernel rows, kernel columns].
        algorithm: see DepthwiseAlgorithm.
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
        """A product and a sum a tap; a tap is a stretch of memory further on."""
        count, channels = patches.values.shape[:2]
        rows, columns = self.weight.shape[2:]
        taps = patches.own(self.weight).reshape(count, channels, rows * columns)
        length = (smaller.rows - 1) * patches.pitch + smaller.columns
        total: Tensor | None = None
        for tap in range(rows * columns):
            start = tap // columns * patches.pitch + tap % columns
            product = _part(patches.values, 2, start, length) * _part(taps, 2, tap, 1)
            # Added at once: nine products would not stay in the cache until the first sum.
            total = product if total is None else total + product
        assert total is not None  # noqa: S101 - a kernel has a tap
        return total

    def _convolution(self, patches: Patches) -> Tensor:
        """One channel group a patch and channel."""
        count, channels = patches.values.shape[:2]
        groups = count * channels
        kernel = patches.own(self.weight).reshape(groups, 1, *self.weight.shape[2:])
        maps = patches.values.reshape(1, groups, patches.rows, patches.pitch)
        y = torch.conv2d(_part(maps, 3, 0, patches.columns), kernel, groups=groups)
        return y.reshape(count, channels, y.shape[2] * y.shape[3])

    def channels(self, before: int) -> int:
        """See Stage."""
        return before


@dataclass(frozen=True)
class Added:
    """A value a channel, the same for all patches.

    Attributes:
        value: of one element, or as many as there are channels.
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
    """Limits; None for none.

    Attributes:
        low: least value.
        high: greatest value.
    """

    low: float | None
    high: float | None

    def apply(self, patches: Patches) -> Patches:
        """See Stage."""
        return replace(patches, values=patches.values.clamp(self.low, self.high))

    def channels(self, before: int) -> int:
        """See Stage."""
        return before


def _part(x: Tensor, dim: int, start: int, length: int) -> Tensor:
    """x[start : start + length] along `dim`; x itself where that is all of it."""
    if start == 0 and length == x.shape[dim]:
        return x
    part: Tensor = torch.ops.aten.slice.Tensor(x, dim, start, start + length)
    return part


def _joined(parts: list[Tensor], dim: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)


def _whole_rows(patches: Patches) -> Patches:
    """The same, the last row as long as the others; what is put at its end is never looked at."""
    missing = patches.rows * patches.pitch - patches.values.shape[2]
    if missing == 0:
        return patches
    filled: Tensor = torch.ops.aten.constant_pad_nd.default(patches.values, [0, missing], 0.0)
    return replace(patches, values=filled)


def _beside(blocks: Tensor, halo: int) -> Tensor:
    """Give each block the columns of its neighbours, and the outer ones their reflection.

    Args:
        blocks: [patch columns, n, width], width above halo.
        halo: how many columns on each side, at least 1.

    Returns:
        [patch columns, n, width + 2 * halo].
    """
    count, _, width = blocks.shape
    leftmost, rightmost = _part(blocks, 0, 0, 1), _part(blocks, 0, count - 1, 1)
    mirrored = (
        [_part(leftmost, 2, i, 1) for i in range(halo, 0, -1)],
        [_part(rightmost, 2, width - 2 - i, 1) for i in range(halo)],
    )
    left, right = (_joined(columns, 2) for columns in mirrored)
    if count > 1:
        before, after = _part(blocks, 0, 0, count - 1), _part(blocks, 0, 1, count - 1)
        left = torch.cat([left, _part(before, 2, width - halo, halo)], 0)
        right = torch.cat([_part(after, 2, 0, halo), right], 0)
    return torch.cat([left, blocks, right], 2)


def _cut(x: Tensor, grid: tuple[int, int], halo: int, top: int, rows: int) -> Patches:
    """The patches of the patch rows [top, top + rows)."""
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
    """The strip's map, [1, channels, rows of pixels, columns of pixels], from its patches."""
    whole = _whole_rows(patches)
    channels, tall, wide = whole.values.shape[1], whole.rows, whole.columns
    if rows == 1:
        # Transposed before it is cut, so that what is moved are whole rows.
        lines = whole.values.reshape(columns, channels * tall, whole.pitch).permute(1, 0, 2)
        return _part(lines, 2, 0, wide).reshape(1, channels, tall, columns * wide)
    apart = whole.values.reshape(rows, columns, channels, tall, whole.pitch)
    moved = apart.permute(2, 0, 3, 1, 4)  # [channels, rows, tall, columns, pitch]
    return _part(moved, 4, 0, wide).reshape(1, channels, rows * tall, columns * wide)


def _strip_rows(shape: torch.Size, grid: tuple[int, int], halo: int, widest: int) -> int:
    """Patch rows a strip, so that its widest tensor fits, and strips are of like height."""
    tall, wide = shape[2] // grid[0] + 2 * halo, shape[3] // grid[1] + 2 * halo
    most = max(1, _STRIP_BYTES // (4 * widest * grid[1] * tall * wide))
    strips = -(-grid[0] // most)
    return -(-grid[0] // strips)


def run(x: Tensor, grid: tuple[int, int], halo: int, stages: Sequence[Stage]) -> Tensor:
    """Cut a map into patches, let them go through `stages`, and put them side by side again.

    Args:
        x: [1, C, H, W]; H and W are multiples of the grid.
        grid: patches along the height and along the width.
        halo: pixels of its neighbours that a patch has on each side; at the map's edge, their
            reflection. Below a patch's own height and width.
        stages: what is done with patches; they take the halo away again.

    Returns:
        [1, channels of the last stage, H, W].
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
