"""Sizes of pictures: fit into a size, make pixels square, and resample in linear light.

The network develops every pixel of the capture, with 16 bits per channel. Bands of rows are decoded
to linear light, resampled in float32 and encoded again, while the next rows are developed. So
memory is bounded, and an 8-bit picture is rounded only once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_pipeline.errors import InputError
from edge_pipeline.isp.bands import Bands
from edge_pipeline.raw.colour import srgb_decode, srgb_encode

__all__ = ["Resize", "parse_resize", "resampled", "square_size"]

Size = tuple[int, int]
Integers = NDArray[np.unsignedinteger[Any]]
Transfer = Callable[[NDArray[np.float32]], NDArray[np.floating[Any]]]

_FORMS = re.compile(r"(\d{1,6})|(\d{1,6})?x(\d{1,6})?|(\d{1,3}(?:\.\d{1,6})?)%", re.ASCII)
_LANCZOS_LOBES = 3
_BAND_VALUES = 1 << 22  # numbers of a band, 16 MiB in float32


@dataclass(frozen=True)
class Resize:
    """The largest size of a picture; a smaller picture keeps its size.

    Attributes:
        text: The size as the user wrote it.
        width: Largest width in pixels; None for any.
        height: Largest height in pixels; None for any.
        long_edge: Largest length of the longer side in pixels; None for any.
        share: Share of the width and of the height, above 0 and at most 1.
    """

    text: str
    width: int | None = None
    height: int | None = None
    long_edge: int | None = None
    share: Fraction = Fraction(1)

    def size(self, width: int, height: int) -> Size:
        """Return the width and height, at least 1, of a picture of `width` x `height` pixels."""
        scale = self.share
        for limit, side in (
            (self.width, width),
            (self.height, height),
            (self.long_edge, max(width, height)),
        ):
            if limit is not None:
                scale = min(scale, Fraction(limit, side))
        return _rounded(width * scale), _rounded(height * scale)


def _rounded(value: Fraction) -> int:
    return max(1, int(value + Fraction(1, 2)))


def parse_resize(text: str) -> Resize:
    """Parse a size.

    Args:
        text: `2048` for the longer side, `2048x`, `x1365` or `2048x1365` for a box, or `50%`.

    Raises:
        InputError: If the text is none of these, a length is 0, or the share is not 0..100 %.
    """
    name = text.strip().lower()
    found = _FORMS.fullmatch(name)
    if found is None or name == "x":
        raise InputError(
            f"the size {text!r} is not known; give the longer side as in 2048, a box as in 2048x, "
            "x1365 or 2048x1365, or a share as in 50%"
        )
    edge, width, height, share = found.groups()
    if share is not None:
        if not 0 < Fraction(share) <= 100:
            raise InputError(f"the size is {text!r}; give more than 0% and at most 100%")
        return Resize(name, share=Fraction(share) / 100)
    box = [None if number is None else int(number) for number in (width, height, edge)]
    if 0 in box:
        raise InputError(f"the size {text!r} has a length of 0 pixels; give 1 or more")
    return Resize(name, width=box[0], height=box[1], long_edge=box[2])


def square_size(width: int, height: int, pixel_aspect: float) -> Size:
    """Return the size of a picture after its pixels are made square; no side becomes shorter.

    Args:
        width: Width of the picture, in its own pixels.
        height: Height of the picture.
        pixel_aspect: Width of a pixel divided by its height, positive.

    Source: LibRaw, `stretch`.
    """
    if pixel_aspect < 1:
        return width, int(height / pixel_aspect + 0.5)
    return int(width * pixel_aspect + 0.5), height


def resampled(
    bands: Bands,
    size: Size,
    bits: int,
    *,
    decode: Transfer = srgb_decode,
    encode: Transfer = srgb_encode,
) -> Bands:
    """Resample a picture in linear light with a Lanczos filter of three lobes.

    Args:
        bands: Picture of 16 bits per channel, encoded.
        size: Width and height of the result.
        bits: Bits per channel of the result, 8 or 16.
        decode: Function from encoded values, 0..1, to linear light.
        encode: The inverse of `decode`; it clips its input to 0..1.

    Returns:
        The picture, encoded, which is computed while it is read. A constant picture stays constant.
    """
    light = np.asarray(decode(np.linspace(0, 1, 65536, dtype=np.float32)), np.float32)
    return Bands(size[0], size[1], bits, _resampled(bands, size, bits, light, encode))


def _resampled(
    bands: Bands, size: Size, bits: int, light: NDArray[np.float32], encode: Transfer
) -> Iterator[Integers]:
    """Yield the bands of `resampled`; `light` is the linear light of each 16-bit value."""
    width, height = bands.width, bands.height
    new_width, new_height = size
    step = height / new_height
    margin = int(np.ceil(_LANCZOS_LOBES * max(step, 1))) + 1
    rows = _band_rows(step, margin, max(width, new_width))
    source = _Rows(bands)
    for top in range(0, new_height, rows):
        bottom = min(top + rows, new_height)
        first = max(0, int(top * step) - margin)
        last = min(height, int(np.ceil(bottom * step)) + margin)
        box = (0, top * step - first, width, min(bottom * step, height) - first)
        part = source.between(first, last)
        result: Integers = np.empty(
            (bottom - top, new_width, 3), np.uint8 if bits == 8 else np.uint16
        )
        for channel in range(3):
            plane = Image.fromarray(light[part[:, :, channel]])
            band = np.asarray(
                plane.resize((new_width, bottom - top), Image.Resampling.LANCZOS, box=box)
            )
            encoded = np.asarray(encode(band), np.float32)
            result[:, :, channel] = encoded * np.float32(2**bits - 1) + 0.5
        yield result


class _Rows:
    """Rows of bands, which are dropped when later ones are read."""

    def __init__(self, bands: Bands) -> None:
        self._parts = iter(bands.parts)
        self._first = 0
        self._known: list[Integers] = []

    def between(self, first: int, last: int) -> Integers:
        """Return the rows [first, last); `first` is never less than before."""
        while self._known and self._first + len(self._known[0]) <= first:
            self._first += len(self._known.pop(0))
        count = sum(map(len, self._known))
        while self._first + count < last:
            part = next(self._parts)
            skipped = max(0, min(len(part), first - self._first)) if not self._known else 0
            self._first += skipped
            if len(part) > skipped:
                self._known.append(part[skipped:])
            count = sum(map(len, self._known))
        start = self._first
        return np.concatenate(self._known)[first - start : last - start]


def _band_rows(step: float, margin: int, width: int) -> int:
    """Return the rows of the result that are resampled at once, at least 1."""
    source_rows = _BAND_VALUES // width - 2 * margin
    return max(1, int(source_rows / max(step, 1)))
