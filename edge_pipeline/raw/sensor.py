"""Read a sensor's layout, levels and colours from LibRaw; used by the child process `reader`."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, NoReturn

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
# Raw values of the bands with which the colour matrix is measured; none of them clips.
_GREY, _MORE = 24000, 6000


class RefusedError(Exception):
    """The capture cannot be developed; the message is a sentence without its subject, the file."""


@dataclass(frozen=True)
class Layout:
    """The active area of a sensor.

    Attributes:
        rows: Rows of the active area.
        columns: Columns of the active area.
        pattern: Bayer order at the top left corner of the active area.
        black: Black levels for R, G on red rows, G on blue rows, B.
    """

    rows: slice
    columns: slice
    pattern: str
    black: list[float]


def _check_kind(raw: Any, directories: list[Directory], head: bytes) -> None:
    """Raise RefusedError unless the sensor has a 2 x 2 colour filter."""
    if raw.raw_type != rawpy.RawType.Flat:
        if head[:4] == b"FOVb":
            raise RefusedError(f"is a Foveon capture; {_BAYER_ONLY}")
        linear = any(_LINEAR in directory.numbers(_PHOTOMETRIC) for directory in directories)
        kind = "a linear DNG, already demosaiced" if linear else "in full colour at every pixel"
        raise RefusedError(f"is {kind}; give the camera's own Bayer capture")
    if raw.raw_pattern is None or raw.raw_pattern.shape == (1, 1):  # LibRaw found no filter
        _refuse_monochrome(directories)
    height, width = raw.raw_pattern.shape
    # LibRaw ignores the size of the colour filter's cell in a DNG, except that of X-Trans.
    for directory in directories:
        if _CFA in directory.numbers(_PHOTOMETRIC) and len(directory.numbers(_CELL)) == 2:
            stated = directory.numbers(_CELL)
            height, width = max(height, int(stated[0])), max(width, int(stated[1]))
    if (height, width) == (6, 6):
        raise RefusedError(f"is an X-Trans capture; {_BAYER_ONLY}")
    sizes = raw.sizes
    if sizes.width > sizes.raw_width or sizes.height > sizes.raw_height:
        raise RefusedError(f"comes from a sensor turned by 45 degrees; {_BAYER_ONLY}")
    if (height, width) != (2, 2):
        raise RefusedError(f"has a colour filter of {height} x {width} pixels; {_BAYER_ONLY}")


def _refuse_monochrome(directories: list[Directory]) -> NoReturn:
    if any(_CFA in directory.numbers(_PHOTOMETRIC) for directory in directories):
        raise RefusedError(f"states a colour filter that LibRaw does not know; {_BAYER_ONLY}")
    raise RefusedError(f"comes from a monochrome sensor; {_BAYER_ONLY}")


def _corner(raw: Any, top: int, left: int) -> NDArray[np.uint8]:
    """Return the colour indices of 2 x 2 pixels; `top` and `left` count masked pixels too."""
    return np.asarray(np.roll(raw.raw_pattern, (-top, -left), axis=(0, 1)), np.uint8)


def _stated_area(raw: Any, directories: list[Directory]) -> tuple[int, int, int, int]:
    """Return top, left, bottom and right of the active area.

    LibRaw moves an odd corner of a DNG's active area inwards, to even numbers. This function
    restores the row or the column that LibRaw drops.
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
    """Return the active area, its Bayer order and its black levels.

    LibRaw lists black levels by colour index. Which of the two greens has index 1 depends on the
    Bayer order, and the 2 x 2 levels of a DNG begin at the corner that LibRaw uses.

    Args:
        raw: File opened with rawpy.
        directories: Directories of the file's tags.
        head: First bytes of the file.

    Raises:
        RefusedError: If the sensor has no Bayer filter.
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
    """Return the white level, the value at which the sensor saturates.

    A DNG can state one for each channel; the smallest is used, so that a saturated pixel of any
    channel reaches it. For other files, the levels for each channel are not used: LibRaw reads from
    maker notes where the response stops being linear, well below saturation.
    """
    levels = raw.camera_white_level_per_channel
    if is_dng and levels and min(levels) > max(raw.black_level_per_channel):
        return float(min(*levels, raw.white_level))
    return float(raw.white_level)


def read_gains(multipliers: list[float]) -> list[float] | None:
    """Return multipliers scaled to G = 1, as LibRaw scales them; None if they are not usable."""
    red, green, blue = multipliers[:3]
    green = green or 1.0
    if not np.isfinite(multipliers[:3]).all() or min(red, green, blue) <= _SMALLEST_GAIN:
        return None
    return [red / green, 1.0, blue / green]


def read_matrix(raw: Any, *, is_dng: bool) -> tuple[str, list[list[float]] | None]:
    """Return the colour matrix that LibRaw would use, and its kind; may overwrite the raw image.

    Returns:
        "camera_to_srgb" or "xyz_to_camera", and 3 x 3 numbers or None if LibRaw uses no matrix.

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
    """Measure the camera-to-sRGB matrix: let LibRaw render four flat bands.

    For a few manufacturers (Kodak, Leaf) LibRaw uses a matrix that rawpy does not expose. The
    differences between a grey band and bands with more red, green or blue are its columns. The raw
    image is overwritten.
    """
    mosaic = raw.raw_image_visible
    cell = _corner(raw, raw.sizes.top_margin, raw.sizes.left_margin)
    height = mosaic.shape[0] // 8 * 2  # even height of a band
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
    # Half size: [H/2, W/2, 3]; each band is sampled in its middle.
    bands = [linear[band * height // 2 + height // 4, linear.shape[1] // 2] for band in range(4)]
    grey, *coloured = (band.astype(np.float64) for band in bands)
    return np.stack([(colour - grey) / _MORE for colour in coloured], axis=1)
