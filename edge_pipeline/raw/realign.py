"""Correct lateral colour fringes on the mosaic: sample red and blue where green shows the scene."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.raw.displacement import Displacement
from edge_pipeline.raw.edge_blocks import edge_blocks
from edge_pipeline.raw.fringes import Measured, measure
from edge_pipeline.raw.image import Capture
from edge_pipeline.raw.resample import STRIP_ROWS, Phases, sample
from edge_pipeline.raw.scaled import Scaled, greens_around
from edge_pipeline.raw.stored import like, row_bands

__all__ = ["Fringes", "measure_fringes", "realigned"]

Plane = NDArray[np.float32]

_BAND_ROWS = 192  # of a colour plane; a multiple of STRIP_ROWS, so that bands do not matter
# Plane pixels around a pixel at which the difference is read: half the largest displacement and
# more; and around these, at which green is read.
_INNER_REACH = STRIP_ROWS
_REACH = 15


@dataclass(frozen=True)
class Fringes:
    """The measured displacements of red and blue of a capture."""

    red: Measured
    blue: Measured


def measure_fringes(capture: Capture) -> Fringes:
    """Measure the displacements of red and blue against green; see `fringes.measure`."""
    scaled = Scaled(capture)
    blocks = edge_blocks(scaled)
    red, blue = (measure(blocks, index, scaled.size) for index in (0, 3))
    return Fringes(red, blue)


def realigned(capture: Capture, fringes: Fringes) -> Capture:
    """Return a capture in which red and blue show the scene where green shows it.

    Not the colour itself is interpolated, which would blur it, but its difference from green at
    the same point of the scene, which is smooth; green is then added at the new position.

    Args:
        capture: Capture to correct; it is not changed.
        fringes: Its displacements, from `measure_fringes`; only certain ones are corrected.

    Returns:
        A capture with the same green pixels, or the same capture if no displacement is certain.

    Source: the use of differences follows E. Martinec's CA_correct in RawTherapee.
    """
    pairs = ((0, fringes.red), (3, fringes.blue))
    certain = [(index, each.displacement) for index, each in pairs if each.certain]
    if not certain:
        return capture
    highest = max(float(capture.mosaic[rows].max()) for rows in row_bands(capture.mosaic))
    bands = _bands(Scaled(capture), certain, max(capture.white, highest))
    return replace(capture, mosaic=like(capture.mosaic, bands))


def _bands(
    scaled: Scaled, certain: list[tuple[int, Displacement]], highest: float
) -> Iterator[NDArray[Any]]:
    """Yield bands of rows of the realigned mosaic."""
    whole = np.issubdtype(scaled.mosaic.dtype, np.integer)
    height, width = (n // 2 for n in scaled.size)
    picture_height, picture_width = scaled.mosaic.shape
    for top in range(0, height, _BAND_ROWS):
        bottom = min(top + _BAND_ROWS, height)
        band = np.array(scaled.values(slice(top, bottom), slice(0, width)))
        planes = scaled.planes((top - _REACH, bottom + _REACH), (-_REACH, width + _REACH))
        green = _green(planes)
        for index, displacement in certain:
            values = _moved(planes[index], green, index, top, displacement, scaled.size)
            values /= np.float32(scaled.scale[index])
            values += np.float32(scaled.black[index])
            np.clip(values, 0, highest, out=values)
            target = band[index // 3 :: 2, index // 3 :: 2]
            target[...] = np.rint(values, out=values) if whole else values
        first = max(0, scaled.top - 2 * top)
        last = picture_height + scaled.top - 2 * top
        yield band[first:last, scaled.left : scaled.left + picture_width]


def _green(planes: list[Plane]) -> Phases:
    """Return green at all four pixels of the cells; at red and blue, along the smoother axis.

    The edge of the result, one cell wide, is not interpolated.
    """
    ends = []
    for index in (0, 3):
        up, down, left, right = greens_around(planes, index)
        vertical = np.abs(up - down)
        horizontal = np.abs(left - right)
        for change in (vertical, horizontal):
            change += np.float32(1e-3)
            change *= change
        # The weights are the inverse squares of the changes.
        mean = (up + down) * horizontal
        mean += (left + right) * vertical
        vertical += horizontal
        mean /= vertical
        mean *= np.float32(0.5)
        ends.append(np.pad(mean, 1, mode="edge"))
    return (ends[0], planes[1]), (planes[2], ends[1])


def _moved(
    colour: Plane,
    green: Phases,
    index: int,
    top: int,
    moved: Displacement,
    size: tuple[int, int],
) -> Plane:
    """Return rows of the red (0) or blue (3) plane from `top` on, realigned, without the reach."""
    first = index // 3
    height, width = colour.shape
    outer, inner = _REACH - _INNER_REACH, slice(_INNER_REACH, -_INNER_REACH)
    rows = first + 2 * (top - _INNER_REACH + np.arange(height - 2 * outer, dtype=np.float32))
    columns = first + 2 * (np.arange(width - 2 * outer, dtype=np.float32) - _INNER_REACH)
    down, right = moved.at(rows[:, None], columns[None], size)
    near = slice(outer, -outer)
    difference = colour[near, near] - sample(green, first, down, right, outer)
    half = np.float32(-0.5)
    down, right = half * down[inner, inner], half * right[inner, inner]
    back = sample(((difference,),), 0, down, right, _INNER_REACH)
    back += green[first][first][_REACH:-_REACH, _REACH:-_REACH]
    return back
