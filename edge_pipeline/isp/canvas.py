"""Assemble the tiles of a picture in strips, convert their colours, quantise, turn upright.

Tiles are computed in such an order that the strips follow each other from top to bottom in the
upright picture: rows of tiles, or columns for orientations that swap the axes; forwards, or
backwards for those that flip them. Each strip is complete before the next one begins, so the
picture is never in memory as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.isp.colour_spaces import SRGB, ColourSpace
from edge_pipeline.raw.colour import srgb_decode, to_srgb
from edge_pipeline.raw.tone import ToneCurve, apply_tone, clip_keeping_hue

__all__ = [
    "ColourConversion",
    "Order",
    "Part",
    "full_strips",
    "half_strips",
    "sensor_view",
    "upright_size",
]

_FLIPS_ROWS = frozenset({3, 4, 6, 7})
_FLIPS_COLS = frozenset({2, 3, 7, 8})
_TRANSPOSES = frozenset({5, 6, 7, 8})
_BAND_PIXELS = 1 << 15

Integers = NDArray[np.unsignedinteger[Any]]


def sensor_view(upright: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return a writable view of an upright picture in the sensor's orientation.

    Args:
        upright: [H, W, ...] in the sensor's sizes, or [W, H, ...] if the orientation swaps axes.
        orientation: EXIF orientation, 1..8.

    Source: EXIF 2.32, section 4.6.4, Orientation.
    """
    view = upright.swapaxes(0, 1) if orientation in _TRANSPOSES else upright
    if orientation in _FLIPS_ROWS:
        view = view[::-1]
    if orientation in _FLIPS_COLS:
        view = view[:, ::-1]
    return view


@dataclass(frozen=True)
class ColourConversion:
    """The conversion from the network's output to quantised values of a colour space.

    Attributes:
        matrix: [3, 3], from the network's colours to linear sRGB.
        exposure_ev: Stops of light to add.
        encoded: Whether the network outputs encoded sRGB rather than linear light.
        bits: Bits per channel, 8 or 16.
        tone: Curve to apply in the linear light of `space`; None for none.
        keeps_hue: Whether colours over white keep their hue, rather than being clipped by channel.
        space: Colour space of the picture.
    """

    matrix: NDArray[np.float64]
    exposure_ev: float
    encoded: bool
    bits: int
    tone: ToneCurve | None = None
    keeps_hue: bool = False
    space: ColourSpace = SRGB

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        """Type of the picture's integers."""
        return np.uint8 if self.bits == 8 else np.uint16

    def linear(self, rgb: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convert the network's output, [3, h, w], to linear light."""
        return np.asarray(srgb_decode(rgb), np.float32) if self.encoded else rgb

    def quantised(self, linear: NDArray[np.float32]) -> Integers:
        """Convert linear light, [3, h, w], to integers, [h, w, 3]."""
        _, height, width = linear.shape
        result = np.empty((height, width, 3), self.dtype)
        # A band of a few rows stays in the processor's cache from step to step.
        rows = max(1, _BAND_PIXELS // width)
        for row in range(0, height, rows):
            encoded = self._encoded(linear[:, row : row + rows])
            encoded *= float(np.iinfo(self.dtype).max)
            encoded += 0.5
            result[row : row + rows] = encoded.astype(self.dtype).transpose(1, 2, 0)
        return result

    def _encoded(self, linear: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convert linear light, [3, h, w], to encoded values, 0..1."""
        if self.tone is None and not self.keeps_hue and self.space == SRGB:
            return to_srgb(linear, self.matrix, self.exposure_ev)
        matrix = self.space.from_srgb() @ self.matrix * 2.0**self.exposure_ev
        # [3, 3] x [3, h, w] -> [3, h, w]
        rgb = np.einsum("oc,chw->ohw", matrix.astype(np.float32), linear)
        if self.tone is not None:
            rgb = apply_tone(rgb, self.tone)
        elif self.keeps_hue:
            rgb = clip_keeping_hue(rgb)
        return np.asarray(self.space.encode(rgb), np.float32)


def upright_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    """Return the width and height of an upright picture.

    Args:
        width: Width in the sensor's orientation.
        height: Height in the sensor's orientation.
        orientation: EXIF orientation, 1..8.
    """
    return (height, width) if orientation in _TRANSPOSES else (width, height)


def _inside(start: int, length: int, size: int) -> tuple[slice, slice]:
    """Return the part of [start, start + length) inside [0, size), relative to 0 and to start."""
    low, high = max(start, 0), min(start + length, size)
    return slice(low, high), slice(low - start, max(high, low) - start)


class Part(NamedTuple):
    """A part of a picture in the sensor's orientation.

    Attributes:
        top: Row of the picture at which the part begins; rows outside the picture are dropped.
        left: Column of the picture at which the part begins; likewise.
        rgb: Float32 [3, h, w], output of the network.
    """

    top: int
    left: int
    rgb: NDArray[np.float32]


@dataclass(frozen=True)
class Order:
    """The order of the parts of a picture for an orientation; see `tiles.tiles`.

    Attributes:
        by_columns: Whether parts follow each other column by column.
        backwards: Whether the last row (or column) of parts comes first.
        mirrored: Whether rows of the upright picture run against the rows (or columns) of parts.
    """

    by_columns: bool
    backwards: bool
    mirrored: bool

    @classmethod
    def of(cls, orientation: int) -> Order:
        """Return the order for an EXIF orientation, 1..8."""
        rows, cols = orientation in _FLIPS_ROWS, orientation in _FLIPS_COLS
        if orientation in _TRANSPOSES:
            return cls(by_columns=True, backwards=cols, mirrored=rows)
        return cls(by_columns=False, backwards=rows, mirrored=cols)

    def upright(self, strip: Integers) -> Integers:
        """Return a strip, whose rows lie along the upright picture's, turned upright."""
        strip = strip[::-1] if self.backwards else strip
        return strip[:, ::-1] if self.mirrored else strip


def full_strips(
    parts: Iterable[Part], size: tuple[int, int], conversion: ColourConversion, orientation: int
) -> Iterator[Integers]:
    """Yield strips of a picture of the capture's size, upright, from top to bottom.

    Args:
        parts: Parts that cover the picture, in the order for the orientation.
        size: Height and width of the capture, in the sensor's orientation.
        conversion: Conversion of the network's output to the picture's values.
        orientation: EXIF orientation, 1..8.
    """
    order = Order.of(orientation)
    height, width = size[::-1] if order.by_columns else size
    for (first, last), own in _strips(parts, order, height):
        strip = np.zeros((last - first, width, 3), conversion.dtype)
        for part in own:
            rows, from_rows = _inside(part.top, part.rgb.shape[1], size[0])
            cols, from_cols = _inside(part.left, part.rgb.shape[2], size[1])
            inside = part.rgb[:, from_rows, from_cols]
            if not inside.size:
                continue
            pixels = conversion.quantised(conversion.linear(inside))
            if order.by_columns:
                strip[_from(cols, first), rows] = pixels.swapaxes(0, 1)
            else:
                strip[_from(rows, first), cols] = pixels
        yield order.upright(strip)


def half_strips(
    parts: Iterable[Part], size: tuple[int, int], conversion: ColourConversion, orientation: int
) -> Iterator[Integers]:
    """Yield strips of a picture of half the capture's size, upright, from top to bottom.

    Each pixel is the mean of 2 x 2, in linear light. An odd last row or column is dropped. Parts
    may begin on odd pixels: two strips then share a row of the result, which is completed by the
    second one.

    Args:
        parts: Parts that cover the picture, in the order for the orientation.
        size: Height and width of the capture, in the sensor's orientation, at least 2.
        conversion: Conversion of the network's output to the picture's values.
        orientation: EXIF orientation, 1..8.
    """
    order = Order.of(orientation)
    half = (size[0] // 2, size[1] // 2)
    length, width = half[::-1] if order.by_columns else half
    shared: tuple[int, NDArray[np.float32]] | None = None
    for (first, last), own in _strips(parts, order, 2 * length):
        begin, end = first // 2, (last + 1) // 2
        means = np.zeros((3, end - begin, width), np.float32)
        if shared is not None:
            means[:, shared[0] - begin] = shared[1]
        for part in own:
            _add_means(means, part, half, begin, order, conversion)
        low, high = begin, end
        if order.backwards:
            low += first % 2
            shared = (begin, means[:, 0]) if first % 2 else None
        else:
            high -= last % 2
            shared = (end - 1, means[:, -1]) if last % 2 else None
        if high > low:
            done = np.ascontiguousarray(means[:, low - begin : high - begin])
            yield order.upright(conversion.quantised(done))


def _strips(
    parts: Iterable[Part], order: Order, length: int
) -> Iterator[tuple[tuple[int, int], Iterator[Part]]]:
    """Yield the strips' rows (or columns) inside the picture, and their parts."""

    def span(part: Part) -> tuple[int, int]:
        start = part.left if order.by_columns else part.top
        size = part.rgb.shape[2 if order.by_columns else 1]
        return max(0, start), min(start + size, length)

    for rows, own in groupby(parts, span):
        if rows[0] < rows[1]:
            yield rows, own


def _from(rows: slice, first: int) -> slice:
    return slice(rows.start - first, rows.stop - first)


def _add_means(
    means: NDArray[np.float32],
    part: Part,
    half: tuple[int, int],
    begin: int,
    order: Order,
    conversion: ColourConversion,
) -> None:
    """Add a part to a strip of means, [3, h, w], that begins at the row (or column) `begin`."""
    rows, from_rows = _inside(part.top, part.rgb.shape[1], 2 * half[0])
    cols, from_cols = _inside(part.left, part.rgb.shape[2], 2 * half[1])
    inside = conversion.linear(part.rgb[:, from_rows, from_cols])
    if not inside.size:
        return
    sums = _pair_sums(_pair_sums(inside, rows.start, axis=1), cols.start, axis=2)
    top, left = rows.start // 2, cols.start // 2
    if order.by_columns:
        sums, top, left = sums.swapaxes(1, 2), left, top
    place = means[:, top - begin : top - begin + sums.shape[1], left : left + sums.shape[2]]
    place += sums / 4


def _pair_sums(values: NDArray[np.float32], start: int, axis: int) -> NDArray[np.float32]:
    """Return the sums of pixels 2i and 2i + 1 along an axis that begins at pixel `start`."""
    length = values.shape[axis]
    begins = [0, *range(2 - start % 2, length, 2)]
    return np.asarray(np.add.reduceat(values, begins, axis=axis), np.float32)
