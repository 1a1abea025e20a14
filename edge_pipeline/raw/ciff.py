"""Read the camera, lens and exposure of a Canon CRW file, whose structure is CIFF, as EXIF fields.

Sources: CIFF Specification on Image Data File, version 1.0 revision 4, Canon 1997; P. Harvey, "The
Canon RAW (CRW) File Format" and "Canon Tags" (exiftool.org), for the records that Canon does not
describe.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from datetime import datetime, timedelta
from fractions import Fraction
from typing import NamedTuple

from edge_pipeline.raw.exif_fields import ExifFields, Field

__all__ = ["read_ciff"]

_IN_ENTRY = 0x4000
_HEAPS = (0x2800, 0x3000)
_KIND, _TAG = 0x3800, 0x3FFF
_DEEPEST, _MOST_RECORDS, _LONGEST_RECORD = 6, 1024, 4096

_COMMENT, _MAKE_MODEL, _OWNER = 0x0805, 0x080A, 0x0810
_FOCAL, _SHOT, _SETTINGS = 0x1029, 0x102A, 0x102D
_SERIAL, _TIME = 0x180B, 0x180E
_COMMENT_HEAP = 0x300A
_ZONE_IS_KNOWN = 0x80000000

# Canon's number -> EXIF's. Shot in 20: program, shutter, aperture, manual, bulb.
_PROGRAMS = {1: 2, 2: 4, 3: 3, 4: 1, 7: 1}
# Spot, average, evaluative, partial, centre-weighted.
_METERING = {1: 3, 2: 1, 3: 5, 4: 6, 5: 2}
# Off, auto, on, red-eye, slow-sync, both; without the bit that says that it fired.
_FLASH = {0: 0x10, 1: 0x18, 2: 0x08, 3: 0x48, 4: 0x08, 5: 0x58, 6: 0x48}


class _Record(NamedTuple):
    heap: int
    tag: int
    data: bytes


def read_ciff(data: bytes | mmap.mmap) -> ExifFields:
    """Return the EXIF fields that a CRW file's records state; damaged records are skipped.

    Args:
        data: Bytes of the file.
    """
    order = ">" if data[:2] == b"MM" else "<"
    start = struct.unpack_from(order + "I", data, 2)[0] if len(data) >= 6 else 0
    records = list(_records(data, order, start, len(data)))
    first: dict[int, bytes] = {}
    for record in records:
        if record.tag != _COMMENT:
            first.setdefault(record.tag, record.data)
    main: dict[int, Field] = {}
    make, _, model = first.get(_MAKE_MODEL, b"").partition(b"\0")
    for tag, text in ((271, make), (272, model)):
        main |= _text(tag, text)
    photo = _text(42032, first.get(_OWNER, b""))
    comments = (r.data for r in records if (r.heap, r.tag) == (_COMMENT_HEAP, _COMMENT))
    if comment := _cleaned(next(comments, b"")):
        photo[37510] = Field(7, 8 + len(comment), b"ASCII\0\0\0" + comment)
    photo |= _serial(_numbers(first, _SERIAL, order + "I", 1), _cleaned(model))
    photo |= _time(_numbers(first, _TIME, order + "3I", 3), order)
    settings = _numbers(first, _SETTINGS, order + "h", 30)
    photo |= _from_settings(settings)
    photo |= _from_shot(_numbers(first, _SHOT, order + "h", 7))
    focal = _numbers(first, _FOCAL, order + "H", 2)
    units = settings[25] if settings else 1
    if focal and focal[1] and units > 0:
        photo[37386] = Field(5, 1, struct.pack("<2I", focal[1], units))
    return ExifFields(main, photo)


def _records(data: bytes | mmap.mmap, order: str, start: int, end: int) -> Iterator[_Record]:
    """Yield the records of all heaps, at most `_MOST_RECORDS`; pixels and previews are cut off."""
    waiting, left = [(0, start, end, 0)], _MOST_RECORDS
    while waiting:
        heap, start, end, depth = waiting.pop(0)
        if end - start < 6 or end > len(data) or depth > _DEEPEST:
            continue
        table = start + struct.unpack_from(order + "I", data, end - 4)[0]
        if table + 2 > end:
            continue
        (count,) = struct.unpack_from(order + "H", data, table)
        for at in range(table + 2, min(table + 2 + 10 * count, end - 9), 10):
            if left == 0:
                return
            left -= 1
            code, size, offset = struct.unpack_from(order + "HII", data, at)
            if code & _IN_ENTRY:
                yield _Record(heap, code & _TAG, bytes(data[at + 2 : at + 10]))
            elif start + offset + size > end:
                continue
            elif code & _KIND in _HEAPS:
                inside = start + offset
                waiting.append((code & _TAG, inside, inside + size, depth + 1))
            else:
                shown = min(size, _LONGEST_RECORD)
                part = bytes(data[start + offset : start + offset + shown])
                yield _Record(heap, code & _TAG, part)


def _numbers(records: dict[int, bytes], tag: int, form: str, least: int) -> tuple[int, ...]:
    """Return a record's numbers; none if it is absent or has fewer than `least`."""
    raw = records.get(tag, b"")
    one = struct.calcsize(form[0] + form[-1])
    count = len(raw) // one
    return struct.unpack_from(f"{form[0]}{count}{form[-1]}", raw) if count >= least else ()


def _cleaned(raw: bytes) -> bytes:
    return raw.split(b"\0")[0].strip()


def _text(tag: int, raw: bytes) -> dict[int, Field]:
    text = _cleaned(raw)
    return {tag: Field(2, len(text) + 1, text + b"\0")} if text else {}


def _short(tag: int, value: int | None) -> dict[int, Field]:
    return {} if value is None else {tag: Field(3, 1, struct.pack("<H", value))}


def _serial(number: tuple[int, ...], model: bytes) -> dict[int, Field]:
    """Return the serial number of the body, which only EOS cameras store, as Canon prints it."""
    if not number or b"EOS" not in model:
        return {}
    high, low = divmod(number[0], 1 << 16)
    text = f"{high:x}-{low:05d}" if model.endswith(b"D30") else f"{number[0]:010d}"
    return _text(42033, text.encode())


def _time(numbers: tuple[int, ...], order: str) -> dict[int, Field]:
    """Return the time, which is in seconds since 1970 by the camera's clock, and its zone."""
    if not numbers or not numbers[0]:
        return {}
    time = datetime(1970, 1, 1) + timedelta(seconds=numbers[0])
    text = time.strftime("%Y:%m:%d %H:%M:%S").encode()
    fields = _text(36867, text) | _text(36868, text)
    (zone,) = struct.unpack(order + "i", struct.pack(order + "I", numbers[1]))
    if numbers[2] & _ZONE_IS_KNOWN and abs(zone) <= 14 * 3600:
        sign = "-" if zone < 0 else "+"
        offset = f"{sign}{abs(zone) // 3600:02d}:{abs(zone) % 3600 // 60:02d}".encode()
        fields |= _text(36881, offset) | _text(36882, offset)
    return fields


def _stops(number: int) -> Fraction:
    """Return Canon's number of stops: 32nds, in which 12 and 20 denote one and two thirds."""
    whole, part = divmod(abs(number), 32)
    exact = {12: Fraction(1, 3), 20: Fraction(2, 3)}.get(part, Fraction(part, 32))
    return (whole + exact) * (-1 if number < 0 else 1)


def _from_settings(settings: tuple[int, ...]) -> dict[int, Field]:
    if not settings:
        return {}
    fields = _short(34850, _PROGRAMS.get(settings[20])) | _short(37383, _METERING.get(settings[17]))
    flash = _FLASH.get(settings[4])
    if flash is not None:
        fields |= _short(37385, flash | (settings[29] != 0))
    longest, shortest, units = settings[23:26]
    if 0 < shortest <= longest and units > 0:
        pairs = (shortest, units, longest, units, 0, 0, 0, 0)  # 0/0: the f-numbers are not known
        fields[42034] = Field(5, 4, struct.pack("<8I", *pairs))
        ends = dict.fromkeys(f"{round(end / units, 1):g}" for end in (shortest, longest))
        fields |= _text(42036, f"{'-'.join(ends)} mm".encode())
    return fields


def _from_shot(shot: tuple[int, ...]) -> dict[int, Field]:
    if not shot:
        return {}
    bias = _stops(shot[6])
    fields = {37380: Field(10, 1, struct.pack("<2i", bias.numerator, bias.denominator))}
    aperture, shutter = shot[21:23] if len(shot) > 22 else (0, 0)
    # The exposure that the camera aimed at is used if it did not record the real one.
    if aperture := aperture or shot[4]:
        fields[33437] = _tenths(2.0 ** (_stops(aperture) / 2))
    if shutter := shutter or shot[5]:
        fields[33434] = _tenths(2.0 ** -_stops(shutter))
    return fields


def _tenths(value: float) -> Field:
    """Return tenths of a value of 1 or more, otherwise the reciprocal of tenths: 10/1031."""
    value = min(max(value, 1e-6), 1e6)
    pair = (round(10 * value), 10) if value >= 1 else (10, round(10 / value))
    return Field(5, 1, struct.pack("<2I", *pair))
