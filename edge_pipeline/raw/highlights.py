"""Highlights: estimate the light of saturated pixels from the channels that are not saturated.

After white balance the channels saturate at different light. Where only some are saturated, their
ratios are wrong: cut at one level, a blue sky becomes cyan and a yellow flower pale. The estimate
follows darktable's "inpaint opposed": a saturated pixel has the brightness of the other two
channels around it, plus the mean difference that the channels have beside saturated areas. Green is
at least as bright as the others on average, since a lower estimate would be magenta. Where all
channels are saturated, the light is unknown and becomes neutral.

Everything is computed on the mosaic of the whole capture, so the result does not depend on tiles.

Source: darktable 4.8 user manual, "highlight reconstruction", for the idea.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.raw.colour import RGBGains, unit_gains

__all__ = ["HIGHLIGHTS", "HighlightsName", "headroom", "reconstruct_highlights"]

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

Plane = NDArray[np.float32]
Flags = NDArray[np.bool_]


def reconstruct_highlights(signal: Plane, pattern: str, wb: RGBGains) -> None:
    """Replace the saturated pixels of a white-balanced mosaic in place.

    Args:
        signal: [H, W], H and W at least 2, black level 0; a channel saturates at its multiplier.
        pattern: Bayer order of the mosaic.
        wb: Multipliers (r, g, b) that were applied; scaled here so that the smallest is 1.

    A pixel becomes at least as bright as it was. Where all channels are saturated, all pixels have
    the largest multiplier, so they are white; values of other pixels do not change.
    """
    gains = dict(zip("RGB", unit_gains(wb), strict=True))
    top = np.float32(max(gains.values()))
    if not any(_saturated(signal, pattern, gains, rows).any() for rows in _bands(signal)):
        return
    flags = np.concatenate([_saturated(signal, pattern, gains, rows) for rows in _bands(signal)])
    _clip_at(signal, pattern, gains)
    # The channel that saturates first is estimated first; the next ones use its estimate.
    order = sorted("RGB", key=gains.__getitem__)
    offsets = {colour: _difference_beside(signal, flags, pattern, colour) for colour in order}
    # Green comes last again, so that it is not below both others.
    for colour in (*order, *order, "G"):
        for row, column in _phases(pattern, colour):
            mine = (slice(row, None, 2), slice(column, None, 2))
            if not flags[mine].any():
                continue
            estimate = _opposed(signal, row, column, is_green=colour == "G")
            estimate += np.float32(offsets[colour])
            np.minimum(estimate, top, out=estimate)
            np.maximum(estimate, signal[mine], out=estimate)
            signal[mine] = np.where(flags[mine], estimate, signal[mine])
    _whiten(signal, flags, pattern, top)


def headroom(signal: Plane, exposure_ev: float = 0.0) -> float:
    """Return the brightest light to keep.

    At most a thousandth of the pixels exceed it, unless it is 1.5 in the picture.

    Args:
        signal: [H, W], white-balanced mosaic, 1 = white.
        exposure_ev: Stops of light to be added before white is 1 in the picture, 0 or less.

    Returns:
        1 to 1.5 times 2^-exposure_ev.
    """
    above = signal[signal > 1]
    spared = int(signal.size * _SPECULAR)
    if above.size <= spared:
        return 1.0
    place = above.size - 1 - spared
    most = _MOST_HEADROOM * 2.0**-exposure_ev
    return float(min(np.partition(above, place)[place], most))


def _bands(signal: Plane) -> Iterator[slice]:
    for row in range(0, signal.shape[0], _BAND_ROWS):
        yield slice(row, min(row + _BAND_ROWS, signal.shape[0]))


def _saturated(signal: Plane, pattern: str, gains: dict[str, float], rows: slice) -> Flags:
    """Return which pixels of a band, which begins on an even row, are saturated."""
    band = signal[rows]
    flags = np.empty(band.shape, np.bool_)
    for colour, gain in gains.items():
        for row, column in _phases(pattern, colour):
            mine = (slice(row, None, 2), slice(column, None, 2))
            flags[mine] = band[mine] >= np.float32(_SATURATED * gain)
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


def _difference_beside(signal: Plane, flags: Flags, pattern: str, colour: str) -> float:
    """Return the mean difference of a colour and the others beside areas where it is saturated.

    For green, the result is 0 or more.
    """
    total, count = 0.0, 0
    for row, column in _phases(pattern, colour):
        mine = flags[row::2, column::2]
        if not mine.any():
            continue
        one, other = _neighbours(flags.view(np.uint8), row, column, is_green=colour == "G")
        usable = _grown(mine, _BESIDE) & ~mine & (one == 0) & (other == 0)
        opposed = _opposed(signal, row, column, is_green=colour == "G")
        difference = signal[row::2, column::2] - opposed
        total += float(difference.sum(where=usable, dtype=np.float64))
        count += int(usable.sum())
    mean = total / count if count else 0.0
    return max(mean, 0.0) if colour == "G" else mean


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
