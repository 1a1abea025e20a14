"""Encode pictures as JPEG, PNG and TIFF while their rows are computed."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from edge_pipeline.cores import usable_cores
from edge_pipeline.errors import OutputError
from edge_pipeline.isp.bands import Bands
from edge_pipeline.isp.colour_spaces import ColourSpace
from edge_pipeline.isp.exif import add_to_tiff, jpeg_fields
from edge_pipeline.isp.icc import icc_profile
from edge_pipeline.isp.parallel import in_order
from edge_pipeline.raw.exif_fields import ExifFields, pack_exif

__all__ = ["FULL_COLOUR_QUALITY", "check_size", "write_jpeg", "write_png", "write_tiff"]

FULL_COLOUR_QUALITY = 90
_JPEG_LONGEST_SIDE = 65535
_RESTARTS = 8  # restart markers are numbered modulo 8
_RST7, _END = b"\xff\xd7", b"\xff\xd9"
# Markers: start of scan; starts of frames with Huffman coding, of which Pillow writes the first.
_SOS, _SOF = 0xDA, 0xC0
_TIFF_MOST_BYTES = 2**32 - 2**25  # offsets have 32 bits; noise hardly compresses
_ROWS_PER_STRIP = 64
_COMPRESSORS = 4
_TIFF_LEVEL = 1  # noise hardly compresses at any level, and higher levels take five times as long
_PNG_LEVEL = 6
_PNG_ROWS = 64
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_RGB = 2

Rows = NDArray[np.uint8]


def check_size(format_name: str, bands: Bands) -> None:
    """Raise OutputError if a picture is too large for a format, `jpg`, `png` or `tiff`."""
    size = f"{bands.width} x {bands.height} pixels"
    if format_name == "jpg" and max(bands.height, bands.width) > _JPEG_LONGEST_SIDE:
        raise OutputError(f"a JPEG cannot hold {size}; write PNG or TIFF, or a smaller size")
    if format_name == "tiff" and bands.nbytes > _TIFF_MOST_BYTES:
        raise OutputError(f"a TIFF cannot hold {size}; write PNG, or a smaller size")


def write_jpeg(
    path: Path, bands: Bands, fields: ExifFields, space: ColourSpace, quality: int
) -> None:
    """Write a JPEG of 8 bits per channel.

    Pillow cannot encode a picture in parts. Each band of eight rows of blocks is therefore encoded
    as a JPEG of its own with the same tables and a restart marker after each row of blocks. A
    restart marker resets the decoder, so the data of the bands, with the eighth marker between
    them, are those of the whole picture.

    Source: ITU-T T.81, sections B.2 (markers) and E.1.4 (restart).
    """
    full_colour = quality >= FULL_COLOUR_QUALITY
    block = 8 if full_colour else 16
    with path.open("wb") as file:
        for number, band in enumerate(bands.regrouped(block * _RESTARTS)):
            tags: dict[str, bytes] = {}
            if number == 0:
                exif = b"Exif\0\0" + pack_exif(jpeg_fields(fields))
                tags = {"icc_profile": icc_profile(space), "exif": exif}
            encoded = io.BytesIO()
            Image.fromarray(band).save(
                encoded,
                format="JPEG",
                quality=quality,
                subsampling="4:4:4" if full_colour else "4:2:0",
                restart_marker_rows=1,
                **tags,
            )
            header, data = _split(encoded.getvalue(), bands.height)
            file.write(_RST7 if number else header)
            file.write(data)
        file.write(_END)


def _split(jpeg: bytes, height: int) -> tuple[bytes, memoryview]:
    """Return a JPEG's header, in which the height is replaced, and its data without the end."""
    header, at, marker = bytearray(), 2, 0
    frame = 0
    while marker != _SOS:
        marker, length = struct.unpack_from(">xBH", jpeg, at)
        if marker == _SOF:
            frame = at
        at += 2 + length
    header[:] = jpeg[:at]
    struct.pack_into(">H", header, frame + 5, height)
    return bytes(header), memoryview(jpeg)[at : -len(_END)]


def write_png(path: Path, bands: Bands, fields: ExifFields, space: ColourSpace) -> None:
    """Write a PNG of 8 bits per channel.

    Source: PNG specification, third edition, sections 5 (chunks), 9 (filters) and 12.7 (the
        choice of a filter by the least sum of absolute differences).
    """
    profile = b"ICC Profile\0\0" + zlib.compress(icc_profile(space))
    head = struct.pack(">IIBBBBB", bands.width, bands.height, 8, _PNG_RGB, 0, 0, 0)
    compressor = zlib.compressobj(_PNG_LEVEL, zlib.DEFLATED, 15, 9, zlib.Z_FILTERED)
    above: Rows = np.zeros((1, 3 * bands.width), np.uint8)
    with path.open("wb") as file:
        file.write(_PNG_SIGNATURE)
        _chunk(file, b"IHDR", head)
        _chunk(file, b"iCCP", profile)
        _chunk(file, b"eXIf", pack_exif(fields))
        for band in bands.regrouped(_PNG_ROWS):
            rows = np.ascontiguousarray(band, np.uint8).reshape(len(band), -1)
            filtered = _filtered(rows, np.concatenate([above, rows[:-1]]))
            above = rows[-1:]
            _chunk(file, b"IDAT", compressor.compress(filtered.data))
        _chunk(file, b"IDAT", compressor.flush())
        _chunk(file, b"IEND", b"")


def _chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    if data or kind == b"IEND":
        checksum = zlib.crc32(data, zlib.crc32(kind))
        file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum))


def _filtered(rows: Rows, above: Rows) -> Rows:
    """Return rows [h, 3 W] with the filter of the least differences, [h, 1 + 3 W].

    Args:
        rows: Rows of pixels.
        above: The row above each of them.
    """
    left, corner = (np.pad(part[:, :-3], ((0, 0), (3, 0))) for part in (rows, above))
    mean = ((left.astype(np.uint16) + above) >> 1).astype(np.uint8)
    predictions = (None, left, above, mean, _paeth(left, above, corner))
    result: Rows = np.empty((len(rows), 1 + rows.shape[1]), np.uint8)
    least = np.full(len(rows), np.iinfo(np.int64).max)
    for kind, prediction in enumerate(predictions):
        values = rows if prediction is None else rows - prediction
        costs = np.minimum(values, -values).sum(axis=1, dtype=np.int64)
        better = costs < least
        result[better, 0] = kind
        result[better, 1:] = values[better]
        least = np.minimum(least, costs)
    return result


def _paeth(left: Rows, above: Rows, corner: Rows) -> Rows:
    """Return the neighbour that is closest to left + above - corner."""
    a, b, c = (part.astype(np.int16) for part in (left, above, corner))
    to_left, to_above = np.abs(b - c), np.abs(a - c)
    to_corner = np.abs(a + b - 2 * c)
    nearest = np.where(to_above <= to_corner, above, corner)
    return np.where((to_left <= to_above) & (to_left <= to_corner), left, nearest)


def write_tiff(path: Path, bands: Bands, fields: ExifFields, space: ColourSpace) -> None:
    """Write a TIFF in strips, which are compressed here because tifffile accepts no rows."""
    tifffile.imwrite(
        path,
        _strips(bands),
        shape=(bands.height, bands.width, 3),
        dtype=np.uint8 if bands.bits == 8 else np.uint16,
        byteorder="<",
        bigtiff=False,
        photometric="rgb",
        compression="zlib",
        predictor=True,
        rowsperstrip=_ROWS_PER_STRIP,
        metadata=None,
        software=False,
        iccprofile=icc_profile(space),
    )
    add_to_tiff(path, fields)


def _strips(bands: Bands) -> Iterator[bytes]:
    """Yield compressed strips of differences between neighbours (TIFF 6.0, section 14)."""

    def compressed(_worker: int, band: NDArray[Any]) -> bytes:
        differences: NDArray[Any] = band.astype(band.dtype.newbyteorder("<"))
        differences[:, 1:] -= band[:, :-1]
        return zlib.compress(differences.data, _TIFF_LEVEL)

    workers = range(min(_COMPRESSORS, usable_cores()))
    yield from in_order(compressed, workers, bands.regrouped(_ROWS_PER_STRIP))
