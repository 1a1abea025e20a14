"""What LibRaw knows of a sensor, put into this package's terms; used by the child process."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import rawpy
from numpy.typing import NDArray

from edge_pipeline.raw.cfa import PATTERNS
from edge_pipeline.raw.tiff import Directory

__all__ = [
    "Layout",
    "RefusedError",
    "read_gains",
    "read_layout",
    "read_matrix",
    "read_white",
]

_PHOTOMETRIC, _CFA, _LINEAR = 262, 32803, 34892
_CELL, _ACTIVE_AREA = 33421, 50829
_BAYER_ONLY = "only Bayer sensors are supported"
_SMALLEST_GAIN = 1e-5
# Raw values of the bands that the colour matrix is measured with: nothing clips.
_GREY, _MORE = 24000, 6000


class RefusedError(Exception):
    """The capture is not one that can be developed; the message completes `FILE ...`."""


@dataclass(frozen=True)
class Layout:
    """Where the picture lies on the sensor.

    Attributes:
        rows: rows of the active area.
        columns: columns of the active area.
        pattern: the Bayer order at its corner.
        black: black level for R, G on red rows, G on blue rows, B.
    """

    rows: slice
    columns: slice
    pattern: str
    black: list[float]


def _check_kind(raw: Any, directories: list[Directory], head: bytes) -> None:
    """Raise RefusedError where there is no 2 x 2 colour filter."""
    if raw.raw_type != rawpy.RawType.Flat:
        if head[:4] == b"FOVb":
            raise RefusedError(f"is a Foveon capture; {_BAYER_ONLY}")
        linear = any(_LINEAR in directory.numbers(_PHOTOMETRIC) for directory in directories)
        what = "a linear DNG, already demosaiced" if linear else "in full colour at every pixel"
        raise RefusedError(f"is {what}; give the camera's own Bayer capture")
    height, width = raw.raw_pattern.shape
    # LibRaw ignores the size of the cell that a DNG states, except that of X-Trans.
    for directory in directories:
        if _CFA in directory.numbers(_PHOTOMETRIC) and len(directory.numbers(_CELL)) == 2:
            stated = directory.numbers(_CELL)
            height, width = max(height, int(stated[0])), max(width, int(stated[1]))
    if (height, width) == (6, 6):
        raise RefusedError(f"is an X-Trans capture; {_BAYER_ONLY}")
    if (height, width) == (1, 1):
        raise RefusedError(f"comes from a monochrome sensor; {_BAYER_ONLY}")
    sizes = raw.sizes
    if sizes.width > sizes.raw_width or sizes.height > sizes.raw_height:
        raise RefusedError(f"comes from a sensor turned by 45 degrees; {_BAYER_ONLY}")
    if (height, width) != (2, 2):
        raise RefusedError(f"has a colour filter of {height} x {width} pixels; {_BAYER_ONLY}")


def _corner(raw: Any, top: int, left: int) -> NDArray[np.uint8]:
    """Colour indices of the 2 x 2 pixels at a place of the sensor, masked pixels included."""
    return np.asarray(np.roll(raw.raw_pattern, (-top, -left), axis=(0, 1)), np.uint8)


def _stated_area(raw: Any, directories: list[Directory]) -> tuple[int, int, int, int]:
    """Top, left, bottom and right of the active area.

    LibRaw moves an odd corner of a DNG's active area inwards, to even numbers. The row or the
    column that it drops is taken back.
    """
    sizes = raw.sizes
    found = (sizes.top_margin, sizes.left_margin)
    bottom, right = found[0] + sizes.height, found[1] + sizes.width
    for directory in directories:
        area = [int(number) for number in directory.numbers(_ACTIVE_AREA)]
        if len(area) == 4 and area[2:] == [bottom, right]:
            moved = (found[0] - area[0], found[1] - area[1])
            if min(moved) >= 0 and max(moved) == 1 and min(area) >= 0:
                return area[0], area[1], bottom, right
    return *found, bottom, right


def read_layout(raw: Any, directories: list[Directory], head: bytes) -> Layout:
    """Find the active area, its Bayer order and its black levels.

    LibRaw lists black by colour index, and which of the greens is index 1 depends on the order;
    a DNG's 2 x 2 levels it lays at the corner that it uses itself.

    Args:
        raw: the open file.
        directories: its tags.
        head: its first bytes.

    Raises:
        RefusedError: it has no Bayer filter.
    """
    _check_kind(raw, directories, head)
    top, left, bottom, right = _stated_area(raw, directories)
    names = raw.color_desc.decode("ascii", "replace").ljust(4, "?")
    pattern = "".join(names[index] for index in _corner(raw, top, left).ravel())
    if pattern not in PATTERNS:
        raise RefusedError(
            f"has colour filters {pattern}; only {', '.join(PATTERNS)} are supported"
        )
    if min(bottom - top, right - left) < 2:
        raise RefusedError(f"has an active area of {bottom - top} x {right - left} pixels")
    theirs = _corner(raw, raw.sizes.top_margin, raw.sizes.left_margin)
    levels = np.array(raw.black_level_per_channel, np.float64)[theirs]
    red_row, red_column = divmod(pattern.index("R"), 2)
    black = np.roll(levels, (-red_row, -red_column), axis=(0, 1))
    return Layout(slice(top, bottom), slice(left, right), pattern, black.ravel().tolist())


def read_white(raw: Any, *, is_dng: bool) -> float:
    """The value of saturation.

    A DNG states it, for each channel if it likes; the least is taken, so that what is saturated
    anywhere is so everywhere. What LibRaw finds elsewhere in maker notes is where the response
    stops being linear, well below saturation.
    """
    levels = raw.camera_white_level_per_channel
    if is_dng and levels and min(levels) > max(raw.black_level_per_channel):
        return float(min(*levels, raw.white_level))
    return float(raw.white_level)


def read_gains(multipliers: list[float]) -> list[float] | None:
    """Multipliers with G = 1, as LibRaw takes them; None where they say nothing."""
    red, green, blue = multipliers[:3]
    green = green or 1.0
    if not np.isfinite(multipliers[:3]).all() or min(red, green, blue) <= _SMALLEST_GAIN:
        return None
    return [red / green, 1.0, blue / green]


def read_matrix(raw: Any, *, is_dng: bool) -> tuple[str, list[list[float]] | None]:
    """The matrix that LibRaw itself would use, and which it is; this may spoil the raw image.

    Returns:
        "camera_to_srgb" or "xyz_to_camera", and 3 x 3 numbers; None where LibRaw uses none.

    Source: LibRaw, identify.cpp: a DNG's own camera-to-sRGB matrix, else the camera table's.
    """
    camera_to_srgb = np.asarray(raw.color_matrix, np.float64)[:, :3]
    if is_dng and camera_to_srgb[0, 0] > 0.125:
        return "camera_to_srgb", camera_to_srgb.tolist()
    xyz_to_camera = np.asarray(raw.rgb_xyz_matrix, np.float64)[:3]
    if np.any(xyz_to_camera):
        return "xyz_to_camera", xyz_to_camera.tolist()
    measured = _measured_matrix(raw)
    unknown = np.allclose(measured, np.eye(3), atol=1e-3)
    return "camera_to_srgb", None if unknown else measured.tolist()


def _measured_matrix(raw: Any) -> NDArray[np.float64]:
    """The camera-to-sRGB matrix, seen from what LibRaw makes of four flat bands.

    From a few makers' own tags (Kodak, Leaf) LibRaw takes a matrix that rawpy does not show. A
    grey band and one each with more red, green and blue give its columns. The raw image is
    overwritten.
    """
    mosaic = raw.raw_image_visible
    cell = _corner(raw, raw.sizes.top_margin, raw.sizes.left_margin)
    height = mosaic.shape[0] // 8 * 2  # of a band, even
    for band, row, column in itertools.product(range(4), range(2), range(2)):
        channel = (0, 1, 2, 1)[cell[row, column]]
        rows = slice(band * height + row, (band + 1) * height if band < 3 else None, 2)
        mosaic[rows, column::2] = _GREY + (_MORE if band == channel + 1 else 0)
    linear = raw.postprocess(
        half_size=True,
        no_auto_scale=True,
        no_auto_bright=True,
        gamma=(1, 1),
        output_bps=16,
        user_wb=[1, 1, 1, 1],
        user_flip=0,
    )
    # Half size: [H/2, W/2, 3]; each band is taken in its middle.
    bands = [linear[band * height // 2 + height // 4, linear.shape[1] // 2] for band in range(4)]
    grey, *coloured = (band.astype(np.float64) for band in bands)
    return np.stack([(colour - grey) / _MORE for colour in coloured], axis=1)
