"""Predict filters from a picture of any size, tile by tile, exactly as from the whole picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import lcm

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.artifact.manifest import ProgramSpec, Reduction, Stage

__all__ = ["Picture", "streamed_filters"]

Arrays = dict[str, NDArray[np.float32]]
Run = Callable[[ProgramSpec, Arrays], Arrays]
_REDUCTIONS = {"max": np.maximum, "min": np.minimum, "mean": np.add}
_PIXELS = (2, 3)


@dataclass(frozen=True)
class Picture:
    """A picture that is read in windows.

    Attributes:
        name: Name of the programs' input.
        size: Height and width, in pixels of the input.
        cut: Function that returns a window, [1, C, h, w], for its rows and columns.
        stride: Number of which the sides of a window must be multiples.
        minimum: Smallest side of a window.
        largest: Largest side of a window; windows are larger only if halos leave no room.
    """

    name: str
    size: tuple[int, int]
    cut: Callable[[slice, slice], NDArray[np.float32]]
    stride: int
    minimum: int
    largest: int


@dataclass(frozen=True)
class _Span:
    """One axis of a tile: the window, and the part of it whose map elements count."""

    start: int
    stop: int
    core_start: int
    core_stop: int | None

    def elements(self, stride: int) -> slice:
        """Return the elements of the window's map that count; the last tile has no end."""
        end = None if self.core_stop is None else (self.core_stop - self.start) // stride
        return slice((self.core_start - self.start) // stride, end)


def streamed_filters(stages: Sequence[Stage], run: Run, picture: Picture) -> Arrays:
    """Return the predicted filters of a picture.

    Windows lie inside the picture, so at its borders the network pads as it does for the whole
    picture; elsewhere, a map's element counts only if its window contains all its inputs.

    Args:
        stages: Stages of the predictor.
        run: Function that runs a program on inputs by name.
        picture: The picture.

    Returns:
        Filters by name; values that only later stages use are included.
    """
    filters: Arrays = {}
    values: Arrays = {}
    for stage in stages:
        given = {t.name: filters[t.name] for t in stage.maps.inputs if t.name in filters}
        totals = {one.value: _Total(one) for one in stage.reductions}
        for rows, columns in _tiles(stage, picture):
            window = picture.cut(slice(rows.start, rows.stop), slice(columns.start, columns.stop))
            maps = run(stage.maps, {picture.name: window} | given)
            for total in totals.values():
                name = total.reduction.map
                stride = stage.strides[name]
                total.add(maps[name][:, :, rows.elements(stride), columns.elements(stride)])
        shapes = {t.name: tuple(map(int, t.shape)) for t in stage.filters.inputs}
        values |= {name: total.result() for name, total in totals.items()}
        inputs = {name: values[name].reshape(shape) for name, shape in shapes.items()}
        filters |= run(stage.filters, inputs)
    return filters


@dataclass
class _Total:
    """A reduction over the tiles that were seen so far."""

    reduction: Reduction
    value: NDArray[np.float64] | None = None
    count: int = field(default=0)

    def add(self, part: NDArray[np.float32]) -> None:
        """Add the counting elements of a tile, [N, C, h, w]; there may be none."""
        if not part.size:
            return
        combine = _REDUCTIONS[self.reduction.kind]
        reduced = combine.reduce(part, axis=_PIXELS, dtype=np.float64)
        self.value = reduced if self.value is None else combine(self.value, reduced)
        self.count += part.shape[2] * part.shape[3]

    def result(self) -> NDArray[np.float32]:
        """Return the value of each channel, [N, C]."""
        # A picture of the smallest size has an element in each map, so there is a value.
        value = np.zeros(0) if self.value is None else self.value
        if self.reduction.kind == "mean":
            value = value / self.count
        return value.astype(np.float32)


def _tiles(stage: Stage, picture: Picture) -> Iterator[tuple[_Span, _Span]]:
    grid = lcm(picture.stride, *stage.strides.values())
    rows, columns = (list(_spans(n, grid, stage.halo, picture)) for n in picture.size)
    for row in rows:
        for column in columns:
            yield row, column


def _spans(size: int, grid: int, halo: int, picture: Picture) -> Iterator[_Span]:
    """Yield the windows of an axis; each begins on the grid and lies inside the picture."""
    margin = -(-halo // grid) * grid
    room = max(grid, (picture.largest - 2 * margin) // grid * grid)
    for begin in range(0, size, room):
        stop = min(size, begin + room + margin)
        start = max(0, begin - margin)
        if stop - start < picture.minimum:
            start = max(0, stop - picture.minimum) // grid * grid
            stop = min(size, max(stop, start + picture.minimum))
        is_last = begin + room >= size
        yield _Span(start, stop, begin, None if is_last else begin + room)
