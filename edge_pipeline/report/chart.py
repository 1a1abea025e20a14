"""Charts of values as SVG pictures in HTML pages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

__all__ = ["COLOURS", "Axis", "Chart", "Dot", "Series", "decades", "drawn", "ticks"]

# Number of colours of series in `templates/chart.html`.
COLOURS = 6

# Size of a chart and its margins, in units of the SVG picture.
_WIDTH, _HEIGHT = 640, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 26, 12, 34

# More ticks than this have no text each on a narrow screen.
_FEW = 4
# A logarithmic axis of more than this ratio has ticks at powers of 10 only.
_MANY_DECADES = 1000


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
        colour: Number of its colour; None for its position in the chart.
        mark: Shape of the dots; `none` draws the line alone, `cross` marks errors in red.
        in_key: Whether the legend has the series.
        facets: Values by which a page can filter the series, such as its device.
    """

    name: str
    dots: Sequence[Dot]
    line: Literal["straight", "steps"] | None = None
    faint: bool = False
    colour: int | None = None
    mark: Literal["dot", "hollow", "cross", "none"] = "dot"
    in_key: bool = True
    facets: Mapping[str, str] = field(default_factory=dict)

    def style(self, position: int) -> str:
        """Return the classes of the series at a position in its chart."""
        number = position if self.colour is None else self.colour
        name = "faint" if self.faint else f"s{number % COLOURS}"
        return name if self.mark == "dot" else f"{name} {self.mark}"

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
        logarithmic: Axes with logarithmic scales, `x`, `y` or both; their values are positive.
    """

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    note: str = ""
    logarithmic: str = ""


@dataclass(frozen=True)
class Axis:
    """An axis: the values of its ticks, and the positions of its ends.

    Attributes:
        values: Values of the ticks, in ascending order; the axis ends at the first and the last.
        start: Position of the first value.
        end: Position of the last value.
        logarithmic: Whether the logarithms of the values are equally spaced.
    """

    values: Sequence[float]
    start: float
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Return the position of a value; one outside the axis has that of its nearer end."""
        low, high = self.values[0], self.values[-1]
        value = min(max(value, low), high)
        if self.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return round(self.start + (value - low) / (high - low) * (self.end - self.start), 2)

    @property
    def labels(self) -> list[tuple[float, str, bool]]:
        """Value, text and rank of each tick; those of low rank have no text on narrow screens."""
        count = len(self.values)
        every = 1 if count <= _FEW else 2 if count <= 2 * _FEW else 3
        return [(v, f"{v:.6g}", k % every > 0) for k, v in enumerate(self.values)]


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


def decades(low: float, high: float) -> list[float]:
    """Return the ticks of a logarithmic axis from up to `low` to `high` or above.

    The ticks are powers of 10, with 2 and 5 times these if there are few.

    Args:
        low: Lowest value, above 0.
        high: Highest value, not below `low`.
    """
    first, last = math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1
    steps = (1, 2, 5) if high / low < _MANY_DECADES else (1,)
    every = [float(f"{k}e{power}") for power in range(first, last + 1) for k in steps]
    start = max(k for k, value in enumerate(every) if value <= low * (1 + 1e-9))
    end = min(k for k, value in enumerate(every) if value >= high * (1 - 1e-9))
    return every[start : max(end, start + 1) + 1]


def _axes(chart: Chart) -> tuple[Axis, Axis]:
    dots = [dot for series in chart.series for dot in series.dots]
    xs = [value for dot in dots for value in (dot.x, dot.left, dot.right) if value is not None]
    ys = [value for dot in dots for value in (dot.y, dot.low, dot.high) if value is not None]
    left = 0.0 if 0 < min(xs) < 0.5 * max(xs) else min(xs)
    log_x, log_y = "x" in chart.logarithmic, "y" in chart.logarithmic
    x = decades(min(xs), max(xs)) if log_x else ticks(left, max(xs))
    y = decades(min(ys), max(ys)) if log_y else ticks(min(ys), max(ys))
    return (
        Axis(x, _LEFT, _WIDTH - _RIGHT, log_x),
        Axis(y, _HEIGHT - _BOTTOM, _TOP, log_y),
    )
