"""The child process that runs LibRaw: `python -m edge_pipeline.raw.reader CAPTURE FOLDER PIXELS`.

A damaged file can make LibRaw crash or hang. In a process of its own, this fails one capture only.
The process writes `facts.json` and `mosaic.npy` into the folder. If the capture is refused, there
is no mosaic and the facts contain only the reason. PIXELS is the largest number of pixels that is
decoded.
"""

from __future__ import annotations

import io
import json
import mmap
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rawpy
from numpy.typing import NDArray

from edge_pipeline.raw.child import confine
from edge_pipeline.raw.ciff import read_ciff
from edge_pipeline.raw.exif import exif_to_json, read_exif
from edge_pipeline.raw.exif_fields import pack_exif, read_fields
from edge_pipeline.raw.image import CaptureExif
from edge_pipeline.raw.limits import DEFAULT_MAX_PIXELS
from edge_pipeline.raw.sensor import (
    RefusedError,
    read_gains,
    read_layout,
    read_matrix,
    read_white,
)
from edge_pipeline.raw.sniff import (
    BEGINNINGS,
    HEADERLESS_HINT,
    describe_foreign,
    is_ciff,
    measured_from_end,
    names_a_camera,
)
from edge_pipeline.raw.stored import row_bands
from edge_pipeline.raw.tiff import Directory, read_directories

__all__ = ["CANNOT_STORE", "main"]

# Exit status: the capture was read, but its contents could not be written into the folder.
CANNOT_STORE = 3

_PHOTOMETRIC, _PHOTOMETRIC_CFA = 262, 32803
_DNG_VERSION = 50706
_STRIPS, _TILES = (273, 279), (324, 325)
# LibRaw's flip: bit 0 mirrors columns, bit 1 rows, bit 2 transposes. Source: LibRaw, tiff.cpp.
_FLIP_TO_ORIENTATION = {0: 1, 1: 2, 2: 4, 3: 3, 4: 5, 5: 8, 6: 6, 7: 7}
_TRUNCATED = "is truncated or damaged; copy it from the camera again"
_UNKNOWN = (
    "is truncated or damaged, or of a camera that LibRaw does not know; "
    "copy it from the camera again, or convert it to DNG"
)
# The Kodak DC120 has 1.53. A damaged file may state anything.
_LARGEST_ASPECT = 4.0
_WIDTH, _HEIGHT = 256, 257
# Source: LibRaw, identify.cpp: files of fewer rows or columns are "no RAW".
_LEAST_SIDE = 22
_TOO_LARGE_FOR_MEMORY = "states a size that does not fit into memory; the file is damaged"
# Largest memory that decoding uses: that of the program, and bytes for each pixel.
_BASE_BYTES, _BYTES_PER_PIXEL = 1 << 31, 16


def _exif_of_libraw(raw: Any) -> CaptureExif:
    """Return LibRaw's data on lens and exposure; no data if LibRaw's are invalid."""
    try:
        other, lens = raw.other, raw.lens
        return CaptureExif(
            lens=lens.model.strip() or None,
            exposure_s=other.shutter_speed,
            f_number=other.aperture,
            focal_mm=other.focal_length,
            iso=round(other.iso_speed),
            # LibRaw returns 1970 if the file has no time.
            time=other.timestamp if other.timestamp.year > 1970 else None,
        )
    except (ValueError, OverflowError, OSError):
        return CaptureExif()


def _missing_data(directories: list[Directory], size: int) -> bool:
    """Return whether a DNG's tags place pixels beyond the end of the file."""
    for directory in directories:
        if _PHOTOMETRIC_CFA not in directory.numbers(_PHOTOMETRIC):
            continue
        for offsets, counts in (_STRIPS, _TILES):
            pairs = zip(directory.numbers(offsets), directory.numbers(counts), strict=False)
            if any(offset + count > size for offset, count in pairs):
                return True
    return False


def _empty_tail(mosaic: NDArray[np.uint16], black: list[float]) -> bool:
    """Return whether the last rows are zero although black is not: their data are missing."""
    rows = max(2, mosaic.shape[0] // 64)
    return min(black) > 0 and not mosaic[-rows:].any()


def _exif(raw: Any, data: mmap.mmap, directories: list[Directory]) -> tuple[CaptureExif, list[int]]:
    """Return the capture's EXIF, and the tags that are too long for a picture."""
    if is_ciff(data):
        fields = read_ciff(data)
        return read_exif(read_directories(pack_exif(fields)), _exif_of_libraw(raw), fields), []
    fields, omitted = read_fields(data)
    return read_exif(directories, _exif_of_libraw(raw), fields), omitted


def _pixel_aspect(stated: float) -> tuple[float, list[str]]:
    """Return the width of a pixel divided by its height, and notes about it."""
    if 1 / _LARGEST_ASPECT <= stated <= _LARGEST_ASPECT:
        return float(stated), []
    return 1.0, [
        f"the file states pixels {stated:g} times as wide as high; they are assumed to be square"
    ]


@contextmanager
def _storing() -> Iterator[None]:
    """End the process with status `CANNOT_STORE` if writing fails."""
    try:
        yield
    except OSError as error:
        sys.stderr.write(f"{error.strerror or 'writing failed'}\n")
        sys.exit(CANNOT_STORE)


def _store(folder: Path, mosaic: NDArray[np.uint16]) -> None:
    with _storing(), (folder / "mosaic.npy").open("wb") as file:
        header = {"descr": mosaic.dtype.str, "fortran_order": False, "shape": mosaic.shape}
        np.lib.format.write_array_header_1_0(file, header)
        # Not np.save, which copies a part of LibRaw's array, and whose error does not contain the
        # reason, such as a full disk.
        for rows in row_bands(mosaic):
            file.write(np.ascontiguousarray(mosaic[rows]).data)


def _read(raw: Any, data: mmap.mmap, folder: Path) -> dict[str, Any]:
    """Store the active area and return the facts about the capture."""
    directories = read_directories(data)
    is_dng = any(_DNG_VERSION in directory.tags for directory in directories)
    layout = read_layout(raw, directories, data[:16])
    mosaic = raw.raw_image[layout.rows, layout.columns]
    if is_dng and _missing_data(directories, len(data)):
        raise RefusedError(_TRUNCATED)
    if _empty_tail(mosaic, layout.black):
        raise RefusedError(_TRUNCATED)
    # A view of LibRaw's memory, which `read_matrix` changes.
    _store(folder, mosaic)
    exif, omitted = _exif(raw, data, directories)
    kind, matrix = read_matrix(raw, is_dng=is_dng)
    daylight = read_gains(list(raw.daylight_whitebalance))
    aspect, notes = _pixel_aspect(raw.sizes.pixel_aspect)
    notes += [f"the EXIF tag {tag} is too long for a picture and is omitted" for tag in omitted]
    return {
        "pattern": layout.pattern,
        "black": layout.black,
        "white": read_white(raw, is_dng=is_dng),
        "wb": read_gains(list(raw.camera_whitebalance)),
        # LibRaw returns ones if the multipliers are not known.
        "daylight_wb": None if daylight == [1, 1, 1] else daylight,
        "matrix_kind": kind,
        "matrix": matrix,
        "orientation": _FLIP_TO_ORIENTATION.get(raw.sizes.flip, 1),
        "exif": exif_to_json(exif),
        "pixel_aspect": aspect,
        "notes": notes,
    }


def _known_by_size_alone(data: mmap.mmap) -> bool:
    """Return whether LibRaw recognised the file as a camera's by its length alone.

    LibRaw has a table of file lengths for cameras that write no header. A headerless capture of
    another camera that has one of these lengths would be developed wrongly. The test appends a
    byte: LibRaw then rejects a file that it recognised by its length.
    """
    if measured_from_end(data):
        return False
    try:
        with rawpy.imread(io.BytesIO(data[:] + b"\0")):
            return False
    except rawpy.LibRawError:
        return True


def _imread(capture: Path, data: mmap.mmap) -> rawpy.RawPy:
    """Open a capture with LibRaw; from memory if its name is not UTF-8, which rawpy requires."""
    try:
        str(capture).encode()
    except UnicodeEncodeError:
        return rawpy.imread(io.BytesIO(data[:]))
    return rawpy.imread(str(capture))


def _too_small(directories: list[Directory]) -> str | None:
    """Return the reason if the capture is too small for LibRaw; None if it is not too small."""
    for directory in directories:
        if _PHOTOMETRIC_CFA in directory.numbers(_PHOTOMETRIC):
            sides = [int(n) for tag in (_WIDTH, _HEIGHT) for n in directory.numbers(tag)]
            if len(sides) == 2 and 0 < min(sides) < _LEAST_SIDE:
                return (
                    f"has {sides[0]} x {sides[1]} pixels; LibRaw reads files "
                    f"of at least {_LEAST_SIDE} rows and columns"
                )
    return None


def _open(capture: Path, data: mmap.mmap) -> rawpy.RawPy:
    """Open a camera's own file.

    Raises:
        RefusedError: If the file is damaged, not supported, or not a camera's own file.
    """
    directories = read_directories(data)
    from_camera = names_a_camera(directories)
    try:
        raw = _imread(capture, data)
    except rawpy.LibRawFileUnsupportedError as error:
        if is_ciff(data):
            raise RefusedError(_TRUNCATED) from error
        why = _too_small(directories) or _UNKNOWN if from_camera else describe_foreign(data)
        raise RefusedError(why) from error
    except rawpy.LibRawIOError as error:
        begins = data[:64].startswith(BEGINNINGS) or from_camera
        raise RefusedError(_TRUNCATED if begins else describe_foreign(data)) from error
    if from_camera:
        return raw
    if data[:4] in (b"II*\0", b"MM\0*") or data[:3] == b"\xff\xd8\xff":
        raise RefusedError(describe_foreign(data))
    if _known_by_size_alone(data):
        raise RefusedError(f"has no header that tells its format; {HEADERLESS_HINT}")
    return raw


def _run(capture: Path, data: mmap.mmap, max_pixels: int, folder: Path) -> dict[str, Any]:
    """Store a capture's mosaic and return its facts, or the reason for refusing it."""
    try:
        with _open(capture, data) as raw:
            if raw.sizes.raw_width * raw.sizes.raw_height > max_pixels:
                return {"too_large": [raw.sizes.raw_width, raw.sizes.raw_height]}
            return _read(raw, data, folder)
    except RefusedError as refusal:
        why = str(refusal)
    except (rawpy.LibRawIOError, rawpy.LibRawDataError):
        why = _TRUNCATED
    except (rawpy.LibRawTooBigError, rawpy.LibRawUnsufficientMemoryError, MemoryError):
        why = _TOO_LARGE_FOR_MEMORY
    except (rawpy.LibRawError, NotImplementedError):
        why = "cannot be decoded by LibRaw; convert it to DNG, or copy it from the camera again"
    return {"refused": why}


def main(capture: Path, folder: Path, max_pixels: int = DEFAULT_MAX_PIXELS) -> None:
    """Read `capture`; write its mosaic and facts, or the reason for refusing it, into `folder`.

    Args:
        capture: Path of a file that is not empty.
        folder: Path of an empty folder.
        max_pixels: Number of pixels above which the capture is not decoded; then the facts contain
            its size as `too_large`.

    Raises:
        SystemExit: With status `CANNOT_STORE` if writing fails; stderr has the reason.
    """
    with (
        capture.open("rb") as handle,
        mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        facts = _run(capture, data, max_pixels, folder)
    with _storing():
        (folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


def _main(capture: Path, folder: Path, max_pixels: int) -> None:
    size = capture.stat().st_size
    confine(folder, _BASE_BYTES + _BYTES_PER_PIXEL * max_pixels + 3 * size)
    main(capture, folder, max_pixels)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
