"""Files of a segmented picture: the mask as a PNG of labels, and the overlay as a JPEG."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from edge_pipeline.errors import InputError
from edge_pipeline.segmentation.names import LabelNames
from edge_pipeline.segmentation.pictures import Picture

__all__ = [
    "DEFAULT_OPACITY",
    "check_opacity",
    "colours_of",
    "overlay",
    "write_mask",
    "write_overlay",
]

DEFAULT_OPACITY = 0.3

# Colours that people with the common kinds of colour blindness distinguish, brightened so that
# they also show on black. Source: M. Okabe, K. Ito, Color Universal Design, 2008.
_FIRST = (
    (0, 200, 120),
    (230, 159, 0),
    (86, 180, 233),
    (240, 90, 30),
    (204, 121, 167),
    (240, 228, 66),
    (60, 110, 220),
)
# Further colours: hues at multiples of the golden ratio.
_TURN = 0.61803398875
_COLOURS = 256
# Overlays of larger pictures are scaled down: they are for looking, and a JPEG has 65535 columns.
_MOST_PIXELS = 25_000_000
_LONGEST_SIDE = 65_000
# Pixels of the picture that are drawn at a time.
_BAND_PIXELS = 1 << 20
# From this length of a side on, lines are two pixels wide.
_LARGE_SIDE = 800
_DARK = 0.35
_QUALITY = 92
_PNG_LEVEL = 6

Mask = NDArray[np.uint8]


def check_opacity(opacity: float) -> None:
    """Raise InputError unless the opacity is from 0 to 1."""
    if not 0 <= opacity <= 1:
        raise InputError(f"the opacity is {opacity:g}; give 0 to 1")


def colours_of(names: LabelNames) -> NDArray[np.uint8]:
    """Return the colours of all values of a mask, [256, 3]; the background is black."""
    table = np.empty((_COLOURS, 3), np.uint8)
    for number in range(_COLOURS):
        if number < len(_FIRST):
            table[number] = _FIRST[number]
        else:
            angles = 2 * np.pi * (number * _TURN + np.arange(3) / 3)
            table[number] = np.rint(140 + 115 * np.cos(angles))
    if names.background:
        table[1:], table[0] = table[:-1].copy(), 0
    return table


def write_mask(path: Path, labels: Mask, names: LabelNames) -> None:
    """Write labels as a PNG of 8 bits whose values are the labels, with a palette to show them.

    The text `Labels` of the file has the names, one a line.

    Args:
        path: Path of the file.
        labels: Labels [H, W].
        names: Their names.

    Raises:
        OSError: If the file cannot be written.
    """
    image = Image.frombuffer("P", labels.shape[::-1], labels, "raw", "P", 0, 1)
    image.putpalette(colours_of(names).tobytes())
    info = PngInfo()
    lines = (f"{number} {name}" for number, name in enumerate(names.names))
    info.add_itxt("Labels", "\n".join(lines))
    image.save(path, format="PNG", compress_level=_PNG_LEVEL, pnginfo=info)


def write_overlay(
    path: Path, picture: Picture, labels: Mask, names: LabelNames, opacity: float
) -> tuple[str, ...]:
    """Write the overlay of a picture as a JPEG.

    Args:
        path: Path of the file.
        picture: The picture.
        labels: Its labels [H, W].
        names: Their names.
        opacity: Share of the label's colour, 0 to 1.

    Returns:
        A note if the overlay is smaller than the picture.

    Raises:
        OSError: If the file cannot be written.
    """
    image, factor = overlay(picture, labels, names, opacity)
    image.save(path, format="JPEG", quality=_QUALITY, subsampling=0)
    return () if factor == 1 else (f"its overlay has 1/{factor} of its width and height",)


def overlay(
    picture: Picture, labels: Mask, names: LabelNames, opacity: float
) -> tuple[Image.Image, int]:
    """Draw labels over a picture: coloured areas with outlines.

    An outline has a line in the colour of its label and, outside of it, a darkened line, so that it
    shows on dark and on bright pictures.

    Args:
        picture: The picture.
        labels: Its labels [H, W].
        names: Their names; the background is not coloured.
        opacity: Share of the label's colour in its area, 0 to 1.

    Returns:
        The overlay, and the factor by which it is smaller than the picture.
    """
    factor = max(
        math.ceil(math.sqrt(labels.size / _MOST_PIXELS)),
        math.ceil(max(labels.shape) / _LONGEST_SIDE),
    )
    # The label in the middle of each block, of which the last ones can be incomplete.
    middle = (factor - 1) // 2
    rows, columns = (
        np.minimum(np.arange(0, side, factor) + middle, side - 1) for side in labels.shape
    )
    small = labels if factor == 1 else labels[np.ix_(rows, columns)]
    height, width = small.shape
    line = 1 if max(height, width) < _LARGE_SIDE else 2
    colours = colours_of(names).astype(np.float32)
    drawn = Image.new("RGB", (width, height))
    for top, bottom in _bands(height, max(1, _BAND_PIXELS // (labels.shape[1] * factor))):
        codes = _shown(picture, (top * factor, min(bottom * factor, labels.shape[0])), factor)
        # The lines of a band depend on labels beyond its edges.
        first, last = max(0, top - line - 1), min(height, bottom + line + 1)
        part = _painted(
            codes,
            small[first:last],
            (top - first, bottom - first),
            colours,
            (names.background, line, opacity),
        )
        drawn.paste(Image.fromarray(part), (0, top))
    return drawn, factor


def _bands(height: int, rows: int) -> Iterator[tuple[int, int]]:
    for top in range(0, height, rows):
        yield top, min(top + rows, height)


def _shown(picture: Picture, rows: tuple[int, int], factor: int) -> NDArray[np.float32]:
    """Return rows of a picture in colour, reduced by a factor: [h, w, 3], 0 to 255."""
    values = picture.window(rows, (0, picture.size[1]), 3) * np.float32(255)
    if factor > 1:
        reduced = [np.asarray(Image.fromarray(channel).reduce(factor)) for channel in values]
        values = np.stack(reduced)
    return values.transpose(1, 2, 0)


def _painted(
    codes: NDArray[np.float32],
    labels: Mask,
    rows: tuple[int, int],
    colours: NDArray[np.float32],
    style: tuple[bool, int, float],
) -> NDArray[np.uint8]:
    """Return a band with its labels.

    Args:
        codes: The band [h, w, 3], 0 to 255.
        labels: Labels of the band and of some rows above and below it.
        rows: Rows of `labels` that belong to the band.
        colours: Colour of each label.
        style: Whether label 0 is the background, the width of lines, and the opacity.
    """
    background, width, opacity = style
    band = slice(*rows)
    painted = labels > 0 if background else np.ones(labels.shape, np.bool_)
    inner = _edges(labels, width) & painted
    outer = _edges(labels, 1) & ~painted
    own = colours[labels[band]]
    share = np.where(painted[band], np.float32(opacity), np.float32(0))
    share = np.where(inner[band], np.float32(1), share)[..., None]
    mixed = codes + share * (own - codes)
    mixed[outer[band]] *= np.float32(_DARK)
    drawn: NDArray[np.uint8] = np.rint(mixed).clip(0, 255).astype(np.uint8)
    return drawn


def _edges(labels: Mask, width: int) -> NDArray[Any]:
    """Return which pixels are at most `width` pixels from a pixel with another label."""
    found = np.zeros(labels.shape, np.bool_)
    for distance in range(1, width + 1):
        below = labels[distance:] != labels[:-distance]
        found[distance:] |= below
        found[:-distance] |= below
        beside = labels[:, distance:] != labels[:, :-distance]
        found[:, distance:] |= beside
        found[:, :-distance] |= beside
    return found
