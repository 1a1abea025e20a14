"""Charts of values as SVG pictures in HTML pages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

__all__ = ["Chart", "Dot", "Series", "drawn", "ticks"]

# Size of a chart and its margins, in units of the SVG picture.
_WIDTH, _HEIGHT = 640, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 26, 12, 46


@dataclass(frozen=True)
class Dot:
    """A point of a chart.

    Attributes:
        x: Value of the horizontal axis.
        y: Value of the vertical axis.
        text: Description that a browser shows beside the pointer.
        low: Lower end of the vertical bar through the dot; None for no bar.
        high: Upper end of the vertical bar.
        left: Left end of the horizontal bar through the dot; None for no bar.
        right: Right end of the horizontal bar.
    """

    x: float
    y: float
    text: str
    low: float | None = None
    high: float | None = None
    left: float | None = None
    right: float | None = None


@dataclass(frozen=True)
class Series:
    """Dots of one kind.

    Attributes:
        name: Name in the legend.
        dots: The dots.
        line: `straight` lines between the dots in their order; `steps` that are horizontal up to
            the next dot; None for no line.
        faint: Whether the series is drawn as the background of another one.
    """

    name: str
    dots: Sequence[Dot]
    line: Literal["straight", "steps"] | None = None
    faint: bool = False

    @property
    def corners(self) -> list[tuple[float, float]]:
        """Corners of the line."""
        dots = self.dots
        found = [(dot.x, dot.y) for dot in dots[:1] if self.line]
        for before, dot in pairwise(dots if self.line else ()):
            if self.line == "steps":
                found.append((dot.x, before.y))
            found.append((dot.x, dot.y))
        return found


@dataclass(frozen=True)
class Chart:
    """A chart.

    Attributes:
        title: Title.
        x_label: Name and unit of the horizontal axis.
        y_label: Name of the vertical axis.
        series: Series in the order of the legend, each with at least one dot; the first is drawn
            in front of the others.
        note: Sentence below the chart.
    """

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    note: str = ""


@dataclass(frozen=True)
class _Axis:
    """A linear axis: the values of its ticks, and the positions of its ends."""

    values: Sequence[float]
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return the position of a value."""
        low, high = self.values[0], self.values[-1]
        return round(self.start + (value - low) / (high - low) * (self.end - self.start), 2)


def drawn(charts: Sequence[Chart]) -> list[tuple[Any, ...]]:
    """Return the arguments of the macro `figure_of` of `templates/chart.html` for each chart."""
    box = (_WIDTH, _HEIGHT, _LEFT, _TOP, _WIDTH - _RIGHT, _HEIGHT - _BOTTOM)
    return [(chart, _axes(chart), box) for chart in charts]


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return equally spaced round numbers, the first up to `low` and the last from `high` on.

    Args:
        low: Lowest value of the axis.
        high: Highest value, not below `low`.
        count: Number of intervals, about.
    """
    most = max(abs(low), abs(high))
    if high - low <= 1e-9 * max(most, 1e-9):  # one value: an axis around it
        spread = most / 10 if most > 1e-9 else 1.0
        low, high = low - spread, high + spread
    power = 10.0 ** math.floor(math.log10((high - low) / count))
    step = next(k * power for k in (1, 2, 2.5, 5, 10) if k * power * count >= (high - low) * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{k * step:.12g}") for k in range(first, last + 1)]


def _axes(chart: Chart) -> tuple[_Axis, _Axis]:
    dots = [dot for series in chart.series for dot in series.dots]
    xs = [value for dot in dots for value in (dot.x, dot.left, dot.right) if value is not None]
    ys = [value for dot in dots for value in (dot.y, dot.low, dot.high) if value is not None]
    left = 0.0 if 0 < min(xs) < 0.5 * max(xs) else min(xs)
    return (
        _Axis(ticks(left, max(xs)), _LEFT, _WIDTH - _RIGHT),
        _Axis(ticks(min(ys), max(ys)), _HEIGHT - _BOTTOM, _TOP),
    )
