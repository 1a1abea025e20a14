"""Limits on the size of a capture: a number of pixels, and the memory that is available."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil

from edge_pipeline.errors import CaptureError, InputError, JobError

__all__ = ["DEFAULT_MAX_PIXELS", "PixelLimits", "available_bytes", "memory_for", "pixels_in"]

# Twice the largest Bayer sensor of a camera: 151 million pixels, Phase One IQ4.
DEFAULT_MAX_PIXELS = 300_000_000

# Measured: 0.3 to 0.4 GB, see decision 26. For each pixel: the temporary files, if they are in
# memory, and the unpacked values of a headerless capture.
_BYTES_PER_PIXEL = 8
_BASE_BYTES = 400_000_000
_CGROUP = Path("/sys/fs/cgroup")


def memory_for(pixels: int) -> int:
    """Return about the bytes of memory that developing a capture of `pixels` pixels requires."""
    return _BASE_BYTES + _BYTES_PER_PIXEL * pixels


def pixels_in(memory_bytes: int) -> int:
    """Return the number of pixels of the largest capture that `memory_bytes` suffice for."""
    return max(0, memory_bytes - _BASE_BYTES) // _BYTES_PER_PIXEL


def available_bytes(cgroup: Path = _CGROUP) -> int:
    """Return the bytes of memory that this process can use without swapping.

    Args:
        cgroup: Folder of the control group, whose limit also applies, as in a container.
    """
    free = int(psutil.virtual_memory().available)
    try:
        limit = int((cgroup / "memory.max").read_text())
        used = int((cgroup / "memory.current").read_text())
        fields = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
        cached = int(fields["inactive_file"])
    except (OSError, ValueError, KeyError):  # no control group, or "max": no limit
        return free
    return min(free, max(0, limit - used + cached))


@dataclass(frozen=True)
class PixelLimits:
    """Limits on the size of a capture.

    Attributes:
        max_pixels: Largest number of pixels, including those outside the active area.
        at_once: Number of captures that are developed at once and share the memory.

    Raises:
        InputError: If a number is not positive.
    """

    max_pixels: int = DEFAULT_MAX_PIXELS
    at_once: int = 1

    def __post_init__(self) -> None:
        if self.max_pixels < 1:
            raise InputError(f"the limit is {self.max_pixels} pixels; give --max-pixels 1 or more")
        if self.at_once < 1:
            raise InputError(f"{self.at_once} captures at once are none; give 1 or more")

    def allowed(self) -> int:
        """Return the number of pixels that a capture may have now."""
        return min(self.max_pixels, pixels_in(available_bytes() // self.at_once))

    def check(self, source: Path, width: int, height: int) -> None:
        """Raise an error if a capture of this size may not be read.

        Args:
            source: Path of the capture.
            width: Number of columns.
            height: Number of rows.

        Raises:
            CaptureError: If the capture has more than `max_pixels`.
            JobError: If there is not enough memory.
        """
        if width * height > self.max_pixels:
            raise CaptureError(
                f"{source} states {width} x {height} pixels, more than the limit of "
                f"{self.max_pixels}; it is damaged, or requires a larger --max-pixels"
            )
        if width * height > self.allowed():
            raise self.too_little_memory(source, width, height)

    def too_little_memory(self, source: Path, width: int, height: int) -> JobError:
        """Return the error for a capture that does not fit into the available memory."""
        needed, share = memory_for(width * height), available_bytes() // self.at_once
        fewer = ", or give fewer --jobs" if self.at_once > 1 else ""
        return JobError(
            f"{source} states {width} x {height} pixels, which require {needed / 1e9:.1f} GB of "
            f"memory, but only {share / 1e9:.1f} GB are available; close other programs{fewer}"
        )
