"""Canvases: assemble the tiles of a picture, convert their colours, quantise, turn upright.

To save memory, a full-size picture is kept only as the integers that are written. A half-size
picture is kept in linear float32, which takes as much memory, until all tiles are there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.errors import InputError
from edge_pipeline.isp.colour_spaces import SRGB, ColourSpace
from edge_pipeline.raw.colour import srgb_decode, to_srgb
from edge_pipeline.raw.tone import ToneCurve, apply_tone, clip_keeping_hue

__all__ = ["Canvas", "ColourConversion", "FullCanvas", "HalfCanvas", "sensor_view", "upright_size"]

_FLIPS_ROWS = frozenset({3, 4, 6, 7})
_FLIPS_COLS = frozenset({2, 3, 7, 8})
_TRANSPOSES = frozenset({5, 6, 7, 8})
_BAND_ROWS = 256

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


class Canvas(Protocol):
    """Assembles a picture from parts in the sensor's orientation."""

    def put(self, top: int, left: int, rgb: NDArray[np.float32]) -> None:
        """Add a part.

        Args:
            top: Row of the picture at which the part begins; rows outside the picture are dropped.
            left: Column of the picture at which the part begins; likewise.
            rgb: [3, h, w], output of the network.
        """
        ...

    def finish(self) -> Integers:
        """Return the upright picture, [H, W, 3]."""
        ...


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
        encoded = self._encoded(linear)
        encoded *= float(np.iinfo(self.dtype).max)
        encoded += 0.5
        integers: Integers = encoded.astype(self.dtype)
        return integers.transpose(1, 2, 0)

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


def _upright_shape(size: tuple[int, int], orientation: int) -> tuple[int, int, int]:
    width, height = upright_size(size[1], size[0], orientation)
    return height, width, 3


def _inside(start: int, length: int, size: int) -> tuple[slice, slice]:
    """Return the part of [start, start + length) inside [0, size), relative to 0 and to start."""
    low, high = max(start, 0), min(start + length, size)
    return slice(low, high), slice(low - start, max(high, low) - start)


class FullCanvas:
    """A picture of the capture's size.

    Args:
        size: Height and width of the capture, in the sensor's orientation.
        conversion: Conversion of the network's output to the picture's values.
        orientation: EXIF orientation, 1..8.
    """

    def __init__(
        self, size: tuple[int, int], conversion: ColourConversion, orientation: int
    ) -> None:
        self._conversion = conversion
        self._upright = np.zeros(_upright_shape(size, orientation), conversion.dtype)
        self._sensor = sensor_view(self._upright, orientation)

    def put(self, top: int, left: int, rgb: NDArray[np.float32]) -> None:
        """Add a part; see `Canvas`."""
        rows, from_rows = _inside(top, rgb.shape[1], self._sensor.shape[0])
        cols, from_cols = _inside(left, rgb.shape[2], self._sensor.shape[1])
        part = rgb[:, from_rows, from_cols]
        if part.size:
            self._sensor[rows, cols] = self._conversion.quantised(self._conversion.linear(part))

    def finish(self) -> Integers:
        """Return the upright picture, [H, W, 3]."""
        return self._upright


class HalfCanvas:
    """A picture of half the capture's size: each pixel is the mean of 2 x 2, in linear light.

    An odd last row or column is dropped. Parts may begin on odd pixels.

    Args:
        size: Height and width of the capture, in the sensor's orientation, at least 2.
        conversion: Conversion of the network's output to the picture's values.
        orientation: EXIF orientation, 1..8.

    Raises:
        InputError: If the capture has fewer than 2 rows or columns.
    """

    def __init__(
        self, size: tuple[int, int], conversion: ColourConversion, orientation: int
    ) -> None:
        height, width = size[0] // 2, size[1] // 2
        if not height or not width:
            raise InputError(f"{size[1]} x {size[0]} pixels have no half size; give --size full")
        self._conversion = conversion
        self._orientation = orientation
        self._means = np.zeros((3, height, width), np.float32)

    def put(self, top: int, left: int, rgb: NDArray[np.float32]) -> None:
        """Add a part; see `Canvas`."""
        _, height, width = self._means.shape
        rows, from_rows = _inside(top, rgb.shape[1], 2 * height)
        cols, from_cols = _inside(left, rgb.shape[2], 2 * width)
        part = self._conversion.linear(rgb[:, from_rows, from_cols])
        if not part.size:
            return
        sums = _pair_sums(_pair_sums(part, rows.start, axis=1), cols.start, axis=2)
        place = self._means[
            :,
            rows.start // 2 : rows.start // 2 + sums.shape[1],
            cols.start // 2 : cols.start // 2 + sums.shape[2],
        ]
        place += sums / 4

    def finish(self) -> Integers:
        """Return the upright picture, [H, W, 3]."""
        _, height, width = self._means.shape
        upright = np.zeros(
            _upright_shape((height, width), self._orientation), self._conversion.dtype
        )
        sensor = sensor_view(upright, self._orientation)
        for row in range(0, height, _BAND_ROWS):
            band = slice(row, row + _BAND_ROWS)
            sensor[band] = self._conversion.quantised(self._means[:, band])
        return upright


def _pair_sums(values: NDArray[np.float32], start: int, axis: int) -> NDArray[np.float32]:
    """Return the sums of pixels 2i and 2i + 1 along an axis that begins at pixel `start`."""
    length = values.shape[axis]
    begins = [0, *range(2 - start % 2, length, 2)]
    return np.asarray(np.add.reduceat(values, begins, axis=axis), np.float32)
