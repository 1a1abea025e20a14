"""The memory that developing a capture requires, and the size of tiles that fits into a limit."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass

from edge_pipeline.errors import InputError, JobError

__all__ = [
    "DEFAULT_MEMORY_MB",
    "LARGEST_WINDOW",
    "MOST_TILES",
    "MemoryLimit",
    "return_large_blocks",
    "usual_window",
]

# The limit with up to two tiles at a time; each further one may use `_MORE_MB`.
DEFAULT_MEMORY_MB = 400
_MORE_MB = 110
# Packed pixels along an axis: larger windows take more memory, smaller ones compute more halos.
LARGEST_WINDOW = 384
# A larger halo makes windows larger, up to this many halos along an axis, of which it takes two.
_HALOS = 8
_STEP = 32
# Tiles that are computed at a time; further threads compute operators together.
MOST_TILES = 4

# Measured with the shipped network on ONNX Runtime by benchmarks/megapixels.py, see decision 26:
# the program with its libraries; each packed pixel of a tile; and the strips of rows that are
# computed, wait, and are written.
_BASE_BYTES = 120_000_000
_BYTES_PER_TILE_PIXEL = 640
_STRIPS = 3
_RESAMPLING_BYTES = 60_000_000

# Source: glibc, malloc.h.
_M_MMAP_THRESHOLD = -3
_LARGE_BLOCK_BYTES = 1 << 22


def usual_window(halo: int) -> int:
    """Return the side of a tile for a halo, in packed pixels, if memory is not limited."""
    return max(LARGEST_WINDOW, _HALOS * halo)


def return_large_blocks() -> None:
    """Let this process return the memory of large arrays to the system at once; on glibc only.

    glibc otherwise raises the size from which it does so, up to 32 MB, and the freed arrays of one
    step remain beside those of the next: a third more memory for 100 million pixels.

    Source: mallopt(3), M_MMAP_THRESHOLD.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK_BYTES)


@dataclass(frozen=True)
class MemoryLimit:
    """A limit on the memory of a process that develops one capture at a time.

    Attributes:
        megabytes: The limit; None for 400 MB, and 110 MB more for each tile at a time above two.

    Raises:
        InputError: If the limit is not positive.
    """

    megabytes: float | None = None

    def __post_init__(self) -> None:
        if self.megabytes is not None and not 0 < self.megabytes < float("inf"):
            raise InputError(f"the limit is {self.megabytes:g} MB; give --memory 200 or more")

    def shared(self, captures: int) -> MemoryLimit:
        """Return the limit for one of several captures that are developed at once."""
        if self.megabytes is None:
            return self
        base = _BASE_BYTES / 1e6
        return MemoryLimit(max(1.0, base + (self.megabytes - base) / captures))

    def at_once(self, threads: int) -> int:
        """Return the number of tiles to compute at a time, such that tiles need not be small."""
        most = max(1, min(threads, MOST_TILES))
        if self.megabytes is None:
            return most
        usual = _BYTES_PER_TILE_PIXEL * (LARGEST_WINDOW * 2 // 3) ** 2
        room = int(self.megabytes * 1e6) - _BASE_BYTES
        return max(1, min(most, room // (2 * usual)))

    def largest_window(
        self, size: tuple[int, int], *, at_once: int, halo: int, bits: int, resamples: bool
    ) -> int:
        """Return the largest side of a tile that fits, in packed pixels.

        Args:
            size: Width and height of the upright picture, before it is resampled.
            at_once: Number of tiles that are computed at a time.
            halo: Margin of a tile, in packed pixels.
            bits: Bits per channel of the picture, before it is resampled.
            resamples: Whether the picture is resampled.

        Raises:
            JobError: If not even small tiles fit.
        """
        limit = self.megabytes or DEFAULT_MEMORY_MB + _MORE_MB * max(0, at_once - 2)
        window = usual_window(halo)
        least = 2 * halo + 2 * _STEP
        while True:
            rows = 2 * max(_STEP, window - 2 * halo)
            needed = (
                _BASE_BYTES
                + at_once * _BYTES_PER_TILE_PIXEL * window**2
                + _STRIPS * rows * size[0] * 3 * bits // 8
                + resamples * _RESAMPLING_BYTES
            )
            if needed <= limit * 1e6:
                return window
            if window - _STEP < least:
                break
            window -= _STEP
        if self.megabytes is None:  # the default is a goal, which a very wide picture exceeds
            return window
        raise JobError(
            f"a picture of {size[0]} x {size[1]} pixels requires about {-(-needed // 10**6)} MB, "
            f"and the limit is {limit:g} MB; give a larger --memory"
        )
