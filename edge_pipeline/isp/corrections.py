"""Correct faults of the sensor before a capture is developed."""

from __future__ import annotations

from typing import Any

from edge_pipeline.raw.hot_pixels import repaired
from edge_pipeline.raw.image import Capture

__all__ = ["corrected"]


def corrected(capture: Capture, *, hot_pixels: bool) -> tuple[Capture, dict[str, Any]]:
    """Return a corrected capture, and the corrections for its sidecar.

    Args:
        capture: capture that was read; it is not changed.
        hot_pixels: whether hot and dead pixels are repaired.
    """
    if not hot_pixels:
        return capture, {}
    capture, pixels = repaired(capture)
    return capture, {"hot_pixels": pixels.hot, "dead_pixels": pixels.count - pixels.hot}
