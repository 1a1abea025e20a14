"""Highlights: estimate the light of saturated pixels from the channels that are not saturated.

After white balance the channels saturate at different light. Where only some are saturated, their
ratios are wrong: cut at one level, a blue sky becomes cyan and a yellow flower pale. The estimate
follows darktable's "inpaint opposed": a saturated pixel has the brightness of the other two
channels around it, plus the mean difference that the channels have beside saturated areas. Green is
at least as bright as the others on average, since a lower estimate would be magenta. Where all
channels are saturated, the light is unknown and becomes neutral.

The mean difference is measured on the whole capture. The rest depends on pixels close by, so a part
of a capture with a margin becomes what it becomes in the whole.

Source: darktable 4.8 user manual, "highlight reconstruction", for the idea.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.raw.colour import RGBGains, unit_gains

__all__ = [
    "HIGHLIGHTS",
    "MARGIN",
    "Highlights",
    "HighlightsName",
    "headroom",
    "measure_highlights",
    "reconstruct_highlights",
]

HighlightsName = Literal["clip", "reconstruct"]
HIGHLIGHTS: tuple[HighlightsName, ...] = ("clip", "reconstruct")

# Share of the range from which a pixel counts as saturated; noise spreads saturated values.
_SATURATED = 0.985
# Distance from saturated areas in which the difference is measured, in pixels of one phase.
_BESIDE = 4
# Share of pixels that may stay above white: small reflections.
_SPECULAR = 1e-3
_MOST_HEADROOM = 1.5
_BAND_ROWS = 256
_MEASURE_MARGIN = 2 * _BESIDE + 2
# Rows and columns from which `Highlights.reconstruct` reads: one for each of its seven estimates.
MARGIN = 8

Plane = NDArray[np.float32]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Highlights:
    """What a capture's saturated pixels have in common; see `measure_highlights`.

    Attributes:
        pattern: Bayer order of the mosaic.
        gains: Multiplier of each colour, of which the smallest is 1.
        offsets: Mean difference of each colour and the others beside saturated areas.
    """

    pattern: str
    gains: dict[str, float]
    offsets: dict[str, float]

    def reconstruct(self, signal: Plane) -> None:
        """Replace the saturated pixels of a white-balanced mosaic, or of a part, in place.

        A pixel becomes at least as bright as it was. Where all channels are saturated, all pixels
        have the largest multiplier, so they are white; values of other pixels do not change.

        Args:
            signal: [H, W], H and W at least 2, black level 0; a channel saturates at its
                multiplier. A part begins on an even row and column; pixels that are less than
                `MARGIN` away from an edge inside the mosaic are not those of the whole.
        """
        flags = _saturated(signal, self.pattern, self.gains)
        if not flags.any():
            return
        _clip_at(signal, self.pattern, self.gains)
        top = np.float32(max(self.gains.values()))
        # The channel that saturates first is estimated first; the next ones use its estimate.
        order = sorted("RGB", key=self.gains.__getitem__)
        # Green comes last again, so that it is not below both others.
        for colour in (*order, *order, "G"):
            for row, column in _phases(self.pattern, colour):
                mine = (slice(row, None, 2), slice(column, None, 2))
                if not flags[mine].any():
                    continue
                estimate = _opposed(signal, row, column, is_green=colour == "G")
                estimate += np.float32(self.offsets[colour])
                np.minimum(estimate, top, out=estimate)
                np.maximum(estimate, signal[mine], out=estimate)
                signal[mine] = np.where(flags[mine], estimate, signal[mine])
        _whiten(signal, flags, self.pattern, top)


def measure_highlights(
    read: Callable[[int, int], Plane], height: int, pattern: str, wb: RGBGains
) -> Highlights:
    """Measure a white-balanced mosaic, in bands of rows.

    Args:
        read: Function that returns a new array with the rows [start, stop) of the mosaic, black
            level 0; a channel saturates at its multiplier.
        height: Number of rows of the mosaic.
        pattern: Bayer order of the mosaic.
        wb: Multipliers (r, g, b) that were applied; scaled here so that the smallest is 1.
    """
    gains = dict(zip("RGB", unit_gains(wb), strict=True))
    totals, counts = dict.fromkeys(gains, 0.0), dict.fromkeys(gains, 0)
    for top in range(0, height, _BAND_ROWS):
        bottom = min(top + _BAND_ROWS, height)
        first, last = max(0, top - _MEASURE_MARGIN), min(height, bottom + _MEASURE_MARGIN)
        signal = read(first, last)
        flags = _saturated(signal, pattern, gains)
        if not flags.any():
            continue
        _clip_at(signal, pattern, gains)
        inner = slice(top - first, bottom - first)
        for colour in gains:
            total, count = _difference_beside(signal, flags, pattern, colour, inner)
            totals[colour] += total
            counts[colour] += count
    offsets = {c: totals[c] / counts[c] if counts[c] else 0.0 for c in gains}
    offsets["G"] = max(offsets["G"], 0.0)
    return Highlights(pattern, gains, offsets)


def reconstruct_highlights(signal: Plane, pattern: str, wb: RGBGains) -> None:
    """Replace the saturated pixels of a whole mosaic in place; see `Highlights.reconstruct`.

    Args:
        signal: [H, W], H and W at least 2, black level 0; a channel saturates at its multiplier.
        pattern: Bayer order of the mosaic.
        wb: Multipliers (r, g, b) that were applied; scaled here so that the smallest is 1.
    """
    measured = measure_highlights(
        lambda first, last: signal[first:last].copy(), len(signal), pattern, wb
    )
    measured.reconstruct(signal)


def headroom(bands: Iterable[Plane], size: int, exposure_ev: float = 0.0) -> float:
    """Return the brightest light to keep.

    At most a thousandth of the pixels exceed it, unless it is 1.5 in the picture.

    Args:
        bands: Parts of a white-balanced mosaic, 1 = white.
        size: Number of pixels of the mosaic.
        exposure_ev: Stops of light to be added before white is 1 in the picture, 0 or less.

    Returns:
        1 to 1.5 times 2^-exposure_ev.
    """
    spared = int(size * _SPECULAR)
    highest = np.empty(0, np.float32)  # the spared pixels and the next one
    for band in bands:
        highest = np.concatenate([highest, band[band > 1]])
        if highest.size > spared + 1:
            highest = np.partition(highest, -1 - spared)[-1 - spared :]
    if highest.size <= spared:
        return 1.0
    return float(min(highest.min(), _MOST_HEADROOM * 2.0**-exposure_ev))


def _saturated(signal: Plane, pattern: str, gains: dict[str, float]) -> Flags:
    """Return which pixels are saturated."""
    flags = np.empty(signal.shape, np.bool_)
    width = signal.shape[1]
    for row in (0, 1):
        limits = [np.float32(_SATURATED * gains[colour]) for colour in pattern[2 * row :][:2]]
        np.greater_equal(
            signal[row::2], np.resize(np.array(limits, np.float32), width), out=flags[row::2]
        )
    return flags


def _clip_at(signal: Plane, pattern: str, gains: dict[str, float]) -> None:
    """Clip each channel at its multiplier; some sensors output values above the white level."""
    for colour, gain in gains.items():
        for row, column in _phases(pattern, colour):
            mine = signal[row::2, column::2]
            np.minimum(mine, np.float32(gain), out=mine)


def _phases(pattern: str, colour: str) -> list[tuple[int, int]]:
    """Return the rows and columns, each 0 or 1, at which a colour lies in the 2 x 2 cell."""
    return [divmod(place, 2) for place, name in enumerate(pattern) if name == colour]


def _neighbours(
    plane: NDArray[Any], row: int, column: int, *, is_green: bool
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return, for the pixels of a phase, the means of the other two colours in 3 x 3 pixels.

    Beside green lie one colour in the row and the other in the column; beside red or blue lie green
    in the row and the column, and the third colour at the corners.
    """
    padded = np.pad(plane, 1, mode="reflect")
    height, width = plane[row::2, column::2].shape

    def shifted(down: int, right: int) -> NDArray[Any]:
        top, left = 1 + row + down, 1 + column + right
        return padded[top : top + 2 * height - 1 : 2, left : left + 2 * width - 1 : 2]

    across = (shifted(0, -1) + shifted(0, 1)) / np.float32(2)
    down = (shifted(-1, 0) + shifted(1, 0)) / np.float32(2)
    if is_green:
        return across, down
    corners = shifted(-1, -1) + shifted(-1, 1) + shifted(1, -1) + shifted(1, 1)
    return (across + down) / np.float32(2), corners / np.float32(4)


def _opposed(signal: Plane, row: int, column: int, *, is_green: bool) -> Plane:
    """Return the brightness of the other two colours around the pixels of a phase.

    It is the mean of cube roots, cubed, which is close to the mean of perceived brightness.
    """
    one, other = _neighbours(signal, row, column, is_green=is_green)
    root = (np.cbrt(np.maximum(one, 0)) + np.cbrt(np.maximum(other, 0))) / np.float32(2)
    return np.asarray(root**3, np.float32)


def _difference_beside(
    signal: Plane, flags: Flags, pattern: str, colour: str, inner: slice
) -> tuple[float, int]:
    """Sum the differences of a colour and the others beside areas where it is saturated.

    Args:
        signal: [H, W].
        flags: [H, W], saturated pixels.
        pattern: Bayer order.
        colour: Colour to measure.
        inner: Rows that count, from an even one on.

    Returns:
        The sum, and the number of pixels.
    """
    total, count = 0.0, 0
    for row, column in _phases(pattern, colour):
        mine = flags[row::2, column::2]
        if not mine.any():
            continue
        one, other = _neighbours(flags.view(np.uint8), row, column, is_green=colour == "G")
        usable = _grown(mine, _BESIDE) & ~mine & (one == 0) & (other == 0)
        usable[: inner.start // 2] = False
        usable[(inner.stop - row + 1) // 2 :] = False
        opposed = _opposed(signal, row, column, is_green=colour == "G")
        difference = signal[row::2, column::2] - opposed
        total += float(difference.sum(where=usable, dtype=np.float64))
        count += int(usable.sum())
    return total, count


def _grown(flags: Flags, distance: int) -> Flags:
    """Return which pixels have a set pixel within a distance along both axes."""
    grown = flags
    for axis in (0, 1):
        source = grown
        for step in range(1, distance + 1):
            ahead, behind = [slice(None)] * 2, [slice(None)] * 2
            ahead[axis], behind[axis] = slice(step, None), slice(None, -step)
            further = grown.copy()
            further[tuple(ahead)] |= source[tuple(behind)]
            further[tuple(behind)] |= source[tuple(ahead)]
            grown = further
    return grown


def _whiten(signal: Plane, flags: Flags, pattern: str, top: np.float32) -> None:
    """Move pixels to `top` in place, by the share of saturated pixels around them.

    The share is that of the colour with the least saturated pixels in 3 x 3 pixels.
    """
    for colour in "RGB":
        for row, column in _phases(pattern, colour):
            mine = signal[row::2, column::2]
            shares = _neighbours(flags.view(np.uint8), row, column, is_green=colour == "G")
            share = np.minimum(*shares) * flags[row::2, column::2]
            mine += share.astype(np.float32) * (top - mine)
