"""A DNG writer of one page: whatever Bayer or other capture a test needs LibRaw to open."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["Dng", "write_dng"]

_BYTE, _ASCII, _SHORT, _LONG, _RATIONAL, _SRATIONAL = 1, 2, 3, 4, 5, 10
_SIZES = {_BYTE: 1, _ASCII: 1, _SHORT: 2, _LONG: 4, _RATIONAL: 8, _SRATIONAL: 8}
_FORMATS = {_BYTE: "B", _SHORT: "H", _LONG: "I", _RATIONAL: "I", _SRATIONAL: "i"}
_COLOURS = {"R": 0, "G": 1, "B": 2, "C": 3, "M": 4, "Y": 5}
_DENOMINATOR = 1_000_000

Entry = tuple[int, int, bytes | Sequence[int] | Sequence[float]]
# XYZ to camera of a Nikon, so that colours are plausible.
_MATRIX = (0.9020, -0.2890, -0.0715, -0.4535, 1.2436, 0.2348, -0.0934, 0.1919, 0.7086)


@dataclass(frozen=True)
class Dng:
    """What the file says.

    Attributes:
        filters: letters of the colour filter cell, rows after each other, from the corner of the
            active area; empty for none (monochrome or linear).
        cell: rows and columns of the cell.
        black: levels of the 2 x 2 pixels at the corner of the active area, rows after each other.
        white: white level, one or one for each plane.
        neutral: AsShotNeutral, the camera's values for white; None leaves the tag out.
        matrix: ColorMatrix1 for D65, or None for no matrix.
        active: top, left, bottom, right of the active area.
        strip_rows: rows of a strip; 0 for one strip.
        make: the camera's maker; empty for no tag.
        extra: types and values of further tags of the main directory.
        exif, gps: types and values of the tags of the Exif and of the GPS directory.
    """

    filters: str = "RGGB"
    cell: tuple[int, int] = (2, 2)
    black: tuple[int, ...] = (64, 64, 64, 64)
    white: tuple[int, ...] = (4095,)
    neutral: tuple[float, float, float] | None = (0.5, 1.0, 0.625)
    matrix: tuple[float, ...] | None = _MATRIX
    active: tuple[int, int, int, int] | None = None
    orientation: int = 1
    strip_rows: int = 0
    make: str = "Fake"
    is_dng: bool = True
    extra: Mapping[int, tuple[int, bytes | Sequence[float]]] = field(default_factory=dict)
    exif: Mapping[int, tuple[int, bytes | Sequence[float]]] = field(default_factory=dict)
    gps: Mapping[int, tuple[int, bytes | Sequence[float]]] = field(default_factory=dict)


def _payload(kind: int, values: bytes | Sequence[int] | Sequence[float]) -> tuple[int, bytes]:
    """The count and the bytes of an entry's values."""
    if isinstance(values, bytes):
        return len(values), values
    if kind in (_RATIONAL, _SRATIONAL):
        pairs = [n for v in values for n in (round(v * _DENOMINATOR), _DENOMINATOR)]
        return len(values), struct.pack(f"<{len(pairs)}{_FORMATS[kind]}", *pairs)
    return len(values), struct.pack(f"<{len(values)}{_FORMATS[kind]}", *(int(v) for v in values))


def _directory(entries: Sequence[Entry], at: int) -> bytes:
    """The bytes of a directory that starts at an offset, its values behind it."""
    head = struct.pack("<H", len(entries))
    behind = at + 2 + 12 * len(entries) + 4
    extra = b""
    for tag, kind, values in sorted(entries, key=lambda entry: entry[0]):
        count, data = _payload(kind, values)
        if len(data) > 4:
            head += struct.pack("<HHII", tag, kind, count, behind + len(extra))
            extra += data + b"\0" * (len(data) % 2)
        else:
            head += struct.pack("<HHI", tag, kind, count) + data.ljust(4, b"\0")
    return head + struct.pack("<I", 0) + extra


def _entries(mosaic: NDArray[np.uint16], dng: Dng, height: int) -> list[Entry]:
    width = mosaic.shape[1]
    samples = 1 if mosaic.ndim == 2 else mosaic.shape[2]
    photometric = 32803 if dng.filters else 34892
    entries: list[Entry] = [
        (254, _LONG, [0]),
        (256, _LONG, [width]),
        (257, _LONG, [height]),
        (258, _SHORT, [16] * samples),
        (259, _SHORT, [1]),
        (262, _SHORT, [photometric if dng.is_dng else 1]),
        (272, _ASCII, b"Model One\0"),
        (274, _SHORT, [dng.orientation]),
        (277, _SHORT, [samples]),
        (278, _LONG, [dng.strip_rows or height]),
        (284, _SHORT, [1]),
    ]
    if dng.make:
        entries.append((271, _ASCII, dng.make.encode() + b"\0"))
    entries += [(tag, kind, values) for tag, (kind, values) in dng.extra.items()]
    if not dng.is_dng:
        return entries
    entries += [
        (50706, _BYTE, [1, 4, 0, 0]),
        (50708, _ASCII, b"Fake Model One\0"),
        (50717, _LONG, list(dng.white)),
    ]
    if dng.filters:
        planes = sorted(set(dng.filters), key=lambda letter: _COLOURS[letter])
        entries += [
            (33421, _SHORT, list(dng.cell)),
            (33422, _BYTE, [_COLOURS[letter] for letter in dng.filters]),
            (50710, _BYTE, [_COLOURS[letter] for letter in planes]),
            (50713, _SHORT, [2, 2]),
            (50714, _LONG, list(dng.black)),
        ]
    if dng.matrix is not None:
        entries += [(50721, _SRATIONAL, dng.matrix), (50778, _SHORT, [21])]
    if dng.neutral is not None:
        entries.append((50728, _RATIONAL, dng.neutral))
    if dng.active is not None:
        entries.append((50829, _LONG, list(dng.active)))
    return entries


def write_dng(
    path: Path, mosaic: NDArray[np.uint16], dng: Dng | None = None, *, rows: int | None = None
) -> Path:
    """Write a DNG.

    Args:
        path: the file.
        mosaic: [H, W], or [H, W, 3] for a linear one, masked pixels included.
        dng: what the file says.
        rows: number of rows that the file states, in one strip, if it is not that of the mosaic.

    Returns:
        The path.
    """
    dng = dng or Dng()
    height = mosaic.shape[0]
    entries = _entries(mosaic, dng, rows or height)
    high = dng.strip_rows or height
    strips = [mosaic[top : top + high].astype("<u2").tobytes() for top in range(0, height, high)]
    exif: list[Entry] = [(tag, kind, values) for tag, (kind, values) in dng.exif.items()]
    gps: list[Entry] = [(tag, kind, values) for tag, (kind, values) in dng.gps.items()]
    counts = [len(strip) * (rows or height) // height for strip in strips]
    # Two passes: the first finds how long the directories are, the second fills in offsets.
    offsets, exif_at, gps_at = [0] * len(strips), 0, 0
    for _ in range(2):
        links: list[Entry] = [(273, _LONG, offsets), (279, _LONG, counts)]
        if exif:
            links.append((34665, _LONG, [exif_at]))
        if gps:
            links.append((34853, _LONG, [gps_at]))
        first = _directory(entries + links, 8)
        exif_at = 8 + len(first)
        second = _directory(exif, exif_at) if exif else b""
        gps_at = exif_at + len(second)
        third = _directory(gps, gps_at) if gps else b""
        start = gps_at + len(third)
        offsets = [start + sum(counts[:i]) for i in range(len(strips))]
    head = struct.pack("<2sHI", b"II", 42, 8) + first + second + third
    path.write_bytes(head + b"".join(strips))
    return path
