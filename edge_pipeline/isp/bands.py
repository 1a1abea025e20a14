"""A picture as bands of rows, from top to bottom, so that it is never in memory as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bands"]

Integers = NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True, eq=False)
class Bands:
    """An upright picture whose rows are computed while they are read; they can be read once.

    Attributes:
        width: Width in pixels.
        height: Height in pixels.
        bits: Bits per channel, 8 or 16.
        parts: [h, W, 3], uint8 or uint16: the rows in order, any number of them in each part.
    """

    width: int
    height: int
    bits: int
    parts: Iterable[Integers]

    @classmethod
    def of(cls, rgb: Integers) -> Bands:
        """Return the bands of a picture [H, W, 3]."""
        height, width, _ = rgb.shape
        return cls(width, height, 8 * rgb.dtype.itemsize, [rgb])

    @property
    def nbytes(self) -> int:
        """Number of bytes of all pixels."""
        return self.height * self.width * 3 * self.bits // 8

    def regrouped(self, rows: int) -> Iterator[Integers]:
        """Yield the picture in bands of `rows` rows; the last one may have fewer."""
        waiting: list[Integers] = []
        count = 0
        for part in self.parts:
            rest = part
            while count + len(rest) >= rows:
                waiting.append(rest[: rows - count])
                rest = rest[rows - count :]
                yield _joined(waiting)
                waiting, count = [], 0
            if len(rest):
                waiting.append(rest)
                count += len(rest)
        if waiting:
            yield _joined(waiting)

    def whole(self) -> Integers:
        """Return the picture, [H, W, 3]."""
        dtype = np.uint8 if self.bits == 8 else np.uint16
        rgb: Integers = np.empty((self.height, self.width, 3), dtype)
        row = 0
        for part in self.parts:
            rgb[row : row + len(part)] = part
            row += len(part)
        return rgb


def _joined(parts: list[Integers]) -> Integers:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
