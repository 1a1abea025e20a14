"""Correct faults of the sensor and of the lens before a capture is developed."""

from __future__ import annotations

from typing import Any

from edge_pipeline.isp.settings import Settings
from edge_pipeline.raw.fringes import Measured
from edge_pipeline.raw.hot_pixels import repaired
from edge_pipeline.raw.image import Capture
from edge_pipeline.raw.realign import measure_fringes, realigned

__all__ = ["corrected"]


def corrected(capture: Capture, settings: Settings) -> tuple[Capture, dict[str, Any]]:
    """Return a corrected capture, and the corrections for its sidecar.

    Args:
        capture: Capture that was read; it is not changed.
        settings: Options of the user, of which `hot_pixels` and `fringes` are used.

    Returns:
        The capture, and its corrections as JSON values: the number of hot and of dead pixels, and
        for red and blue the displacement in mosaic pixels and whether it was corrected. An option
        that is off has the value null.
    """
    corrections: dict[str, Any] = {"hot_pixels": None, "dead_pixels": None, "fringes": None}
    if settings.hot_pixels == "on":
        capture, pixels = repaired(capture)
        corrections |= {"hot_pixels": pixels.hot, "dead_pixels": pixels.count - pixels.hot}
    if settings.fringes == "auto":
        measured = measure_fringes(capture)
        capture = realigned(capture, measured)
        corrections["fringes"] = {"red": _told(measured.red), "blue": _told(measured.blue)}
    return capture, corrections


def _told(measured: Measured) -> dict[str, Any]:
    """Return a measurement as JSON values."""
    told = {name: round(value, 3) for name, value in measured.displacement._asdict().items()}
    return {"corrected": measured.certain, "blocks": measured.blocks, **told}
