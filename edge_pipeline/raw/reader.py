"""The child process that LibRaw runs in: `python -m edge_pipeline.raw.reader CAPTURE FOLDER`.

LibRaw reads files that anyone may have damaged. Here it may crash or hang without taking more
than one capture down. It writes `facts.json` into the folder, and `mosaic.npy` beside it unless
the capture is refused; then the facts hold one thing, why.
"""

from __future__ import annotations

import io
import itertools
import json
import mmap
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import rawpy
from numpy.typing import NDArray

from edge_pipeline.raw.cfa import PATTERNS
from edge_pipeline.raw.exif import exif_to_json, read_exif
from edge_pipeline.raw.image import CaptureExif
from edge_pipeline.raw.sniff import (
    HEADERLESS_HINT,
    describe_foreign,
    measured_from_end,
    names_a_camera,
)
from edge_pipeline.raw.tiff import Directory, read_directories

__all__ = ["main"]

_PHOTOMETRIC, _PHOTOMETRIC_CFA, _PHOTOMETRIC_LINEAR = 262, 32803, 34892
_DNG_VERSION = 50706
_STRIPS, _TILES = (273, 279), (324, 325)
# LibRaw's flip: bit 0 mirrors columns, bit 1 rows, bit 2 transposes. Source: LibRaw, tiff.cpp.
_FLIP_TO_ORIENTATION = {0: 1, 1: 2, 2: 4, 3: 3, 4: 5, 5: 8, 6: 6, 7: 7}
_TRUNCATED = "is truncated or damaged; copy it from the camera again"
_SMALLEST_GAIN = 1e-5
_LARGEST_ASPECT_ERROR = 0.01
# Raw values of the bands that the colour matrix is measured with: nothing clips.
_GREY, _MORE = 24000, 6000


class _RefusedError(Exception):
    """The capture is not one that can be developed; the message completes `FILE ...`."""


def _pattern(raw: Any, directories: list[Directory], head: bytes) -> str:
    """The Bayer order at the corner of the active area.

    Raises:
        _RefusedError: the sensor has no Bayer filter.
    """
    if raw.raw_type != rawpy.RawType.Flat:
        if head[:4] == b"FOVb":
            raise _RefusedError("is a Foveon capture; only Bayer sensors are supported")
        linear = any(_PHOTOMETRIC_LINEAR in d.numbers(_PHOTOMETRIC) for d in directories)
        what = "a linear DNG, already demosaiced" if linear else "in full colour at every pixel"
        raise _RefusedError(f"is {what}; give the camera's own Bayer capture")
    cell = raw.raw_pattern
    height, width = cell.shape
    if (height, width) == (6, 6):
        raise _RefusedError("is an X-Trans capture; only Bayer sensors are supported")
    if (height, width) == (1, 1):
        raise _RefusedError("comes from a monochrome sensor; only Bayer sensors are supported")
    sizes = raw.sizes
    rotated = sizes.width > sizes.raw_width or sizes.height > sizes.raw_height
    letters = _letters(raw)
    if (height, width) != (2, 2) or rotated or letters not in PATTERNS:
        raise _RefusedError(
            f"has a colour filter of {height} x {width} pixels starting with {letters}; "
            f"only the Bayer orders {', '.join(PATTERNS)} are supported"
        )
    return letters


def _corner(raw: Any) -> NDArray[np.uint8]:
    """Colour indices of the top left 2 x 2 pixels of the active area.

    rawpy's pattern starts at the corner of the whole sensor, masked pixels included.
    """
    cell = raw.raw_pattern
    sizes = raw.sizes
    rolled = np.roll(cell, (-sizes.top_margin, -sizes.left_margin), axis=(0, 1))
    return np.asarray(rolled[:2, :2], np.uint8)


def _letters(raw: Any) -> str:
    names = raw.color_desc.decode("ascii", "replace")
    return "".join(names[i] if i < len(names) else "?" for i in _corner(raw).ravel())


def _black(raw: Any, pattern: str) -> list[float]:
    """Black level for R, G on red rows, G on blue rows, B.

    LibRaw lists it by colour index, and which of the greens is index 1 depends on the order.
    """
    levels = [float(raw.black_level_per_channel[i]) for i in _corner(raw).ravel()]
    red_row, red_column = divmod(pattern.index("R"), 2)
    cell = np.roll(np.array(levels).reshape(2, 2), (-red_row, -red_column), axis=(0, 1))
    return [float(level) for level in cell.ravel()]


def _white(raw: Any, *, is_dng: bool) -> float:
    """The value of saturation.

    A DNG states it, for each channel if it likes; the least is taken, so that what is saturated
    anywhere is so everywhere. What LibRaw finds elsewhere in maker notes is where the response
    stops being linear, well below saturation.
    """
    levels = raw.camera_white_level_per_channel
    if is_dng and levels and min(levels) > max(raw.black_level_per_channel):
        return float(min(*levels, raw.white_level))
    return float(raw.white_level)


def _gains(multipliers: list[float]) -> list[float] | None:
    """Multipliers with G = 1, as LibRaw takes them; None where they say nothing."""
    red, green, blue = multipliers[:3]
    green = green or 1.0
    if not np.isfinite(multipliers[:3]).all() or min(red, green, blue) <= _SMALLEST_GAIN:
        return None
    return [red / green, 1.0, blue / green]


def _colour(raw: Any, *, is_dng: bool) -> tuple[str, list[list[float]] | None]:
    """The matrix that LibRaw itself would use, and which it is; this spoils the raw image.

    Source: LibRaw, identify.cpp: a DNG's own camera-to-sRGB matrix, else the camera table's.
    """
    camera_to_srgb = np.asarray(raw.color_matrix, np.float64)[:, :3]
    if is_dng and camera_to_srgb[0, 0] > 0.125:
        return "camera_to_srgb", camera_to_srgb.tolist()
    xyz_to_camera = np.asarray(raw.rgb_xyz_matrix, np.float64)[:3]
    if np.any(xyz_to_camera):
        return "xyz_to_camera", xyz_to_camera.tolist()
    measured = _measured_matrix(raw)
    return "camera_to_srgb", None if np.allclose(
        measured, np.eye(3), atol=1e-3
    ) else measured.tolist()


def _measured_matrix(raw: Any) -> NDArray[np.float64]:
    """The camera-to-sRGB matrix, seen from what LibRaw makes of four flat bands.

    From a few makers' own tags (Kodak, Leaf) LibRaw takes a matrix that rawpy does not show. A
    grey band and one each with more red, green and blue give its columns. The raw image is
    overwritten.
    """
    mosaic, cell = raw.raw_image_visible, _corner(raw)
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


def _exif(raw: Any, directories: list[Directory]) -> CaptureExif:
    other, lens = raw.other, raw.lens
    # LibRaw gives 1 s and f/1 for a zero in the file, and 1970 for no time.
    known_time = isinstance(other.timestamp, datetime) and other.timestamp.year > 1970
    fallback = CaptureExif(
        lens=lens.model.strip() or None,
        exposure_s=other.shutter_speed,
        f_number=other.aperture,
        focal_mm=other.focal_length,
        iso=round(other.iso_speed),
        time=other.timestamp if known_time else None,
    )
    return read_exif(directories, fallback)


def _missing_data(directories: list[Directory], size: int) -> bool:
    """Whether a DNG's tags place pixels beyond the end of the file."""
    for directory in directories:
        if _PHOTOMETRIC_CFA not in directory.numbers(_PHOTOMETRIC):
            continue
        for offsets, counts in (_STRIPS, _TILES):
            pairs = zip(directory.numbers(offsets), directory.numbers(counts), strict=False)
            if any(offset + count > size for offset, count in pairs):
                return True
    return False


def _empty_tail(mosaic: NDArray[np.uint16], black: list[float]) -> bool:
    """Whether the last rows are zero although the sensor's black is not: data that never came."""
    rows = max(2, mosaic.shape[0] // 64)
    return min(black) > 0 and not mosaic[-rows:].any()


def _read(raw: Any, data: mmap.mmap) -> tuple[NDArray[np.uint16], dict[str, Any]]:
    directories = read_directories(data)
    is_dng = any(_DNG_VERSION in directory.tags for directory in directories)
    pattern = _pattern(raw, directories, data[:16])
    mosaic = raw.raw_image_visible.copy()
    black = _black(raw, pattern)
    if (is_dng and _missing_data(directories, len(data))) or _empty_tail(mosaic, black):
        raise _RefusedError(_TRUNCATED)
    if min(mosaic.shape) < 2:
        raise _RefusedError(f"has an active area of {mosaic.shape}; at least 2 x 2 is needed")
    kind, matrix = _colour(raw, is_dng=is_dng)
    daylight = _gains(list(raw.daylight_whitebalance))
    notes = []
    if abs(raw.sizes.pixel_aspect - 1) > _LARGEST_ASPECT_ERROR:
        notes.append(f"pixels are {raw.sizes.pixel_aspect:g} times as wide as high, left as is")
    facts = {
        "pattern": pattern,
        "black": black,
        "white": _white(raw, is_dng=is_dng),
        "wb": _gains(list(raw.camera_whitebalance)),
        # Ones are LibRaw's "not known".
        "daylight_wb": None if daylight == [1, 1, 1] else daylight,
        "matrix_kind": kind,
        "matrix": matrix,
        "orientation": _FLIP_TO_ORIENTATION.get(raw.sizes.flip, 1),
        "exif": exif_to_json(_exif(raw, directories)),
        "notes": notes,
    }
    return mosaic, facts


def _known_by_size_alone(data: mmap.mmap) -> bool:
    """Whether LibRaw took the file for some camera's because of its length and nothing else.

    It has a table of lengths for cameras that write no header. A headerless capture of another
    camera that happens to be as long would develop to nonsense. One byte more tells.
    """
    if measured_from_end(data):
        return False
    try:
        with rawpy.imread(io.BytesIO(data[:] + b"\0")):
            return False
    except rawpy.LibRawError:
        return True


def _open(capture: Path, data: mmap.mmap) -> rawpy.RawPy:
    """Open what is a camera's own file.

    Raises:
        _RefusedError: it is not.
    """
    try:
        raw = rawpy.imread(str(capture))
    except rawpy.LibRawFileUnsupportedError as error:
        raise _RefusedError(describe_foreign(data)) from error
    if names_a_camera(read_directories(data)):
        return raw
    if data[:4] in (b"II*\0", b"MM\0*") or data[:3] == b"\xff\xd8\xff":
        raise _RefusedError(describe_foreign(data))
    if _known_by_size_alone(data):
        raise _RefusedError(f"has no header that tells what it is; {HEADERLESS_HINT}")
    return raw


def _run(capture: Path, folder: Path, data: mmap.mmap) -> dict[str, Any]:
    try:
        with _open(capture, data) as raw:
            mosaic, facts = _read(raw, data)
            np.save(folder / "mosaic.npy", mosaic, allow_pickle=False)
            return facts
    except _RefusedError as refusal:
        return {"refused": str(refusal)}
    except (rawpy.LibRawIOError, rawpy.LibRawDataError):
        return {"refused": _TRUNCATED}
    except (rawpy.LibRawTooBigError, rawpy.LibRawUnsufficientMemoryError, MemoryError):
        return {"refused": "states a size that does not fit into memory; the file is damaged"}
    except (rawpy.LibRawError, NotImplementedError) as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else error
        return {"refused": f"cannot be read by LibRaw: {str(reason).lower()}"}


def main(capture: Path, folder: Path) -> None:
    """Read `capture`; write what it holds, or why it is refused, into `folder`.

    Args:
        capture: a file that is not empty.
        folder: an empty folder.
    """
    with (
        capture.open("rb") as handle,
        mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        facts = _run(capture, folder, data)
    (folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
