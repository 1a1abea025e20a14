"""Strips: distributions of samples, and intervals, on one horizontal axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edge_pipeline.report.chart import Axis, decades, ticks
from edge_pipeline.report.measured.view import Row, SessionView, ratio_text
from edge_pipeline.report.words import ms

__all__ = ["Strip", "Strips", "ratio_strips", "sample_strips"]

# Width and height of a strip in units of its SVG picture, and the width of a bin of its samples.
_WIDTH, _HEIGHT, _BIN = 1000, 40, 8
# An axis is logarithmic if the largest value exceeds the least by this factor.
_WIDE = 12
# Samples beyond this multiple of the 99th percentile do not widen the axis.
_FAR = 1.5


@dataclass(frozen=True)
class Strip:
    """One row on an axis; positions are from 0 to 1000.

    Attributes:
        row: The row.
        name: Name beside the strip.
        text: Value at the strip's end.
        middle: Position of the median or of the ratio.
        low: Position of the lower end of the bar: the 5th percentile, or that of the interval.
        high: Position of the upper end: the 95th percentile, or that of the interval.
        shape: Path of the samples' distribution, as in SVG; empty without samples.
        tail: Position of the 99th percentile; None without samples.
        beyond: Whether samples lie beyond the end of the axis.
    """

    row: Row
    name: str
    text: str
    middle: float
    low: float
    high: float
    shape: str = ""
    tail: float | None = None
    beyond: bool = False


@dataclass(frozen=True)
class Strips:
    """Strips with one axis.

    Attributes:
        strips: The strips, in order.
        axis: The axis.
        unit: Unit of the axis.
    """

    strips: Sequence[Strip]
    axis: Axis
    unit: str


def sample_strips(rows: Sequence[Row], name: Callable[[Row], str]) -> Strips | None:
    """Return the distributions of the samples of rows with times; None if there are none.

    Args:
        rows: The rows.
        name: Function that returns the name beside a row's strip.
    """
    latencies = [row.record.latency for row in rows if row.record.latency is not None]
    if not latencies:
        return None
    high = max(min(one.max_ms, _FAR * one.p99_ms) for one in latencies)
    low = min(one.min_ms for one in latencies)
    axis = _axis(low, high)
    return Strips([strip for row in rows for strip in _samples(row, name(row), axis)], axis, "ms")


def _samples(row: Row, name: str, axis: Axis) -> list[Strip]:
    latency = row.record.latency
    if latency is None:
        return []
    strip = Strip(
        row,
        name,
        f"{ms(latency.median_ms)} ms",
        axis.at(latency.median_ms),
        axis.at(latency.p5_ms),
        axis.at(latency.p95_ms),
        _shape([axis.at(value) for value in row.record.samples_ms]),
        axis.at(latency.p99_ms),
        latency.max_ms > axis.values[-1],
    )
    return [strip]


def ratio_strips(session: SessionView) -> Strips | None:
    """Return the ratios of a session's rows with their intervals; None if it has none."""
    found = [(row, ratio) for row in session.rows if (ratio := session.ratio(row)) is not None]
    if not found:
        return None
    low = min(1.0, *(ratio.low for _, ratio in found))
    high = max(1.0, *(ratio.high for _, ratio in found))
    wide = high / low > _WIDE
    axis = Axis(decades(low, high) if wide else ticks(low, high), 0, _WIDTH, logarithmic=wide)
    strips = [
        Strip(
            row,
            row.name,
            ratio_text(ratio),
            axis.at(ratio.value),
            axis.at(ratio.low),
            axis.at(ratio.high),
        )
        for row, ratio in found
    ]
    return Strips(strips, axis, "times the base")


def _axis(low: float, high: float) -> Axis:
    if low > 0 and high / low > _WIDE:
        return Axis(decades(low, high), 0, _WIDTH, logarithmic=True)
    return Axis(ticks(0, high), 0, _WIDTH)


def _shape(positions: Sequence[float]) -> str:
    """Return the outline of a smoothed histogram, symmetric about the middle of the strip."""
    bins = _WIDTH // _BIN
    counts, edges = np.histogram(positions, bins=bins, range=(0, _WIDTH))
    smooth = np.convolve(counts, [0.25, 0.5, 0.25], mode="same")
    (used,) = np.nonzero(smooth)
    first, last = int(used[0]), int(used[-1])
    heights = smooth[first : last + 1] / smooth.max() * (_HEIGHT / 2)
    places = edges[first : last + 1] + _BIN / 2
    middle = _HEIGHT / 2
    upper = [f"{x:.0f} {middle - h:.1f}" for x, h in zip(places, heights, strict=True)]
    lower = [f"{x:.0f} {middle + h:.1f}" for x, h in zip(places, heights, strict=True)]
    ends = [f"{places[0] - _BIN:.0f} {middle}", f"{places[-1] + _BIN:.0f} {middle}"]
    return "M" + "L".join([ends[0], *upper, ends[1], *reversed(lower)]) + "Z"
