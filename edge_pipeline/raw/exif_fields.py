"""EXIF fields as a file stores them: read without loss, bounded, and packed again.

A field keeps its type and its bytes, so that fractions stay exact, text keeps its encoding, and a
value has the same meaning in a file of the other byte order. Only tags of the EXIF standard are
read. Maker notes are not among them, because they contain offsets into the file; nor are tags that
describe the sensor's picture, such as its size.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from edge_pipeline.raw.tiff import tiff_starts

__all__ = [
    "EXIF_POINTER",
    "GPS_POINTER",
    "ExifFields",
    "Field",
    "fields_from_json",
    "fields_to_json",
    "pack_directory",
    "pack_exif",
    "read_fields",
]

EXIF_POINTER, GPS_POINTER = 34665, 34853

# Bytes of one number of each TIFF type; 129 is EXIF 3.0's UTF-8 text. A fraction is two numbers.
_UNITS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 1, 7: 1, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8, 129: 1}
_FRACTIONS = (5, 10)
_ENTRY = struct.Struct("<HHI")
_MOST_ENTRIES = 1024
# A JPEG stores EXIF in a segment of at most 65533 bytes.
_MOST_BYTES = 60000
_USER_COMMENT, _UNICODE = 37510, b"UNICODE\0"


def _tags(*ranges: int | tuple[int, int]) -> frozenset[int]:
    pairs = [(r, r) if isinstance(r, int) else r for r in ranges]
    return frozenset(tag for first, last in pairs for tag in range(first, last + 1))


# Source: EXIF 3.0, tables 4 to 8 (CIPA DC-008-2023); 18246, 18249 and 40091 to 40095 are Windows'
# rating, title, comment, author, keywords and subject.
_MAIN = _tags(269, 270, 271, 272, 306, 315, 18246, 18249, 33432, (40091, 40095))
_PHOTO = _tags(
    *(33434, 33437, 34850, 34852, 34855, (34864, 34869), 36867, 36868, (36880, 36882)),
    *((37377, 37386), _USER_COMMENT, (37520, 37522), (37888, 37893), 41483, 41493, 41495),
    *(41728, 41729, (41986, 41994), 41996, 42016, (42032, 42039), 42041, (42080, 42082)),
)
_GPS = _tags((0, 31))
# DNG's CameraSerialNumber and LensInfo, and the EXIF tags of the same contents.
_DNG = {50735: 42033, 50736: 42034}


class Field(NamedTuple):
    """The value of a tag.

    Attributes:
        kind: TIFF type, such as 2 for text and 5 for fractions.
        length: Number of values.
        data: The values, little-endian.
    """

    kind: int
    length: int
    data: bytes


@dataclass(frozen=True)
class ExifFields:
    """The fields of a file, by tag.

    Attributes:
        main: Fields of the first directory, such as camera and author.
        photo: Fields of the EXIF directory, such as exposure and lens.
        gps: Fields of the GPS directory.
    """

    main: Mapping[int, Field] = field(default_factory=dict)
    photo: Mapping[int, Field] = field(default_factory=dict)
    gps: Mapping[int, Field] = field(default_factory=dict)


def read_fields(data: bytes | mmap.mmap) -> tuple[ExifFields, list[int]]:
    """Return the EXIF fields of a camera's file; fields that cannot be read are omitted.

    Args:
        data: Bytes of a TIFF, CR3, RAF or MRW file.

    Returns:
        The fields, and the tags of those that were omitted because a JPEG could not hold them.
    """
    starts = tiff_starts(data)
    readers = [_Reader(data, start) for start in starts]
    if not readers:
        return ExifFields(), []
    first, main_at = readers[0], readers[0].first_directory()
    main = first.fields(main_at, _MAIN)
    photo = first.fields(main_at, _PHOTO)  # TIFF/EP files have these in the first directory
    photo |= {new: f for old, new in _DNG.items() for f in first.fields(main_at, {old}).values()}
    if len(readers) > 1:  # CR3 has three TIFF structures
        photo |= readers[1].fields(readers[1].first_directory(), _PHOTO)
        gps = readers[2].fields(readers[2].first_directory(), _GPS) if len(readers) > 2 else {}
    else:
        photo |= first.fields(first.pointer(main_at, EXIF_POINTER), _PHOTO)
        gps = first.fields(first.pointer(main_at, GPS_POINTER), _GPS)
    return _limited(ExifFields(main, photo, gps))


def _limited(fields: ExifFields) -> tuple[ExifFields, list[int]]:
    """Omit the longest fields until all fit into a JPEG."""
    groups = [dict(fields.main), dict(fields.photo), dict(fields.gps)]
    omitted = []
    while sum(len(f.data) for group in groups for f in group.values()) > _MOST_BYTES:
        group = max(groups, key=lambda g: max((len(f.data) for f in g.values()), default=0))
        tag = max(group, key=lambda t: len(group[t].data))
        omitted.append(tag)
        del group[tag]
    return ExifFields(*groups), omitted


class _Reader:
    """Reads chosen tags of one TIFF structure."""

    def __init__(self, data: bytes | mmap.mmap, start: int) -> None:
        self.data = data
        self.start = start
        self.order = ">" if data[start : start + 2] == b"MM" else "<"

    def first_directory(self) -> int:
        return self._long(4)

    def pointer(self, directory: int, tag: int) -> int:
        """Return the offset that a tag states; 0 if the tag is absent."""
        found = self.fields(directory, {tag}, kinds={4, 13}).get(tag)
        return struct.unpack_from("<I", found.data)[0] if found else 0

    def fields(
        self, directory: int, tags: frozenset[int] | set[int], kinds: set[int] | None = None
    ) -> dict[int, Field]:
        """Return the fields of a directory; of none if its offset is 0 or outside the file."""
        head = self._bytes(directory, 2) if directory else b""
        count = struct.unpack(self.order + "H", head)[0] if head else 0
        found: dict[int, Field] = {}
        for number in range(min(count, _MOST_ENTRIES)):
            entry = self._bytes(directory + 2 + 12 * number, 12)
            if not entry:
                break
            tag, kind, length = struct.unpack_from(self.order + "HHI", entry)
            if tag in tags and (kinds is None or kind in kinds):
                value = self._field(tag, 4 if kind == 13 else kind, length, entry[8:])
                if value is not None:
                    found.setdefault(tag, value)
        return found

    def _field(self, tag: int, kind: int, count: int, inside: bytes) -> Field | None:
        if kind not in _UNITS or not 0 < count <= 2**31:
            return None
        size = count * _UNITS[kind] * (2 if kind in _FRACTIONS else 1)
        if size <= 4:
            raw = inside[:size]
        else:
            # Longer values are read only as far as `_limited` needs to omit them.
            raw = self._bytes(
                struct.unpack(self.order + "I", inside)[0], min(size, _MOST_BYTES + 8)
            )
        unit = 2 if tag == _USER_COMMENT and _is_utf16(raw) else _UNITS[kind]
        if self.order == ">" and unit > 1 and len(raw) % unit == 0:
            text = len(_UNICODE) if tag == _USER_COMMENT and unit == 2 else 0
            swapped = np.frombuffer(raw[text:], f">u{unit}").astype(f"<u{unit}").tobytes()
            raw = raw[:text] + swapped
        return Field(kind, count, raw) if raw else None

    def _long(self, offset: int) -> int:
        raw = self._bytes(offset, 4)
        return int(struct.unpack(self.order + "I", raw)[0]) if raw else 0

    def _bytes(self, offset: int, size: int) -> bytes:
        """Return bytes of the structure; none if they are not all inside the file."""
        raw = bytes(self.data[self.start + offset : self.start + offset + size])
        return raw if len(raw) == size else b""


def _is_utf16(comment: bytes) -> bool:
    """Return whether a user comment is UTF-16 in the file's byte order, without a mark of it."""
    return comment.startswith(_UNICODE) and comment[8:10] not in (b"\xfe\xff", b"\xff\xfe")


def pack_directory(
    fields: Mapping[int, Field], start: int, ready: Mapping[int, bytes] | None = None
) -> bytes:
    """Return a little-endian TIFF directory, followed by its values, of even length.

    Args:
        fields: Fields by tag.
        start: Even offset at which the directory will be.
        ready: Entries of 12 bytes by tag, whose values are already in the file; fields replace
            those of the same tag.
    """
    entries = dict(ready or {})
    behind = start + 2 + 12 * len(entries.keys() | fields.keys()) + 4
    values = b""
    for tag in sorted(fields):
        kind, count, data = fields[tag]
        if len(data) <= 4:
            place = data.ljust(4, b"\0")
        else:
            place = struct.pack("<I", behind + len(values))
            values += data + b"\0" * (len(data) % 2)
        entries[tag] = _ENTRY.pack(tag, kind, count) + place
    table = b"".join(entries[tag] for tag in sorted(entries))
    return struct.pack("<H", len(entries)) + table + bytes(4) + values


def pack_exif(fields: ExifFields) -> bytes:
    """Return the fields as a little-endian TIFF structure, as JPEG and PNG store them."""
    links: dict[int, Field] = {}
    for pointer, group in ((EXIF_POINTER, fields.photo), (GPS_POINTER, fields.gps)):
        if group:
            links[pointer] = Field(4, 1, bytes(4))
    at = 8 + len(pack_directory({**fields.main, **links}, 8))
    behind = b""
    for pointer, group in ((EXIF_POINTER, fields.photo), (GPS_POINTER, fields.gps)):
        if group:
            links[pointer] = Field(4, 1, struct.pack("<I", at + len(behind)))
            behind += pack_directory(group, at + len(behind))
    return b"II*\0\x08\0\0\0" + pack_directory({**fields.main, **links}, 8) + behind


def fields_to_json(fields: ExifFields) -> dict[str, Any]:
    """Return the fields as JSON values."""
    groups = {"main": fields.main, "photo": fields.photo, "gps": fields.gps}
    return {
        name: [[tag, f.kind, f.length, f.data.hex()] for tag, f in group.items()]
        for name, group in groups.items()
    }


def fields_from_json(groups: Mapping[str, Any]) -> ExifFields:
    """Return the fields from their JSON values; the inverse of `fields_to_json`."""
    return ExifFields(
        **{
            name: {
                tag: Field(kind, length, bytes.fromhex(data)) for tag, kind, length, data in group
            }
            for name, group in groups.items()
        }
    )
