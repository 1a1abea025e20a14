"""Read the tags of TIFF files and of RAW formats built like them; damaged parts are skipped.

DNG, NEF, CR2, ARW, PEF, SRW, 3FR are TIFF files. RW2 and ORF differ in the header's second word.
CR3 contains small TIFF files in its boxes, RAF one in the EXIF segment of its JPEG preview, MRW
one in a block.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Directory", "Value", "read_directories", "tiff_starts"]

Value = tuple[float, ...] | str
_SUB_DIRECTORIES = (330, 34665)  # SubIFDs, Exif
_MOST_DIRECTORIES = 64
_MOST_VALUES = 1 << 16
_MOST_VALUES_OF_ALL = 1 << 22
_SEARCHED = 1 << 20
# TIFF field type -> struct format of one value.
_FORMATS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I"}
_ASCII, _RATIONAL, _SIGNED_RATIONAL = 2, 5, 10


@dataclass(frozen=True)
class Directory:
    """One image file directory.

    Attributes:
        tags: Values or text of each tag, by tag number.
        is_exif: Whether this is the Exif directory.
    """

    tags: dict[int, Value]
    is_exif: bool

    def text(self, tag: int) -> str | None:
        """Return the tag's text without padding; None if it is absent, empty or not text."""
        value = self.tags.get(tag)
        return (value.strip() or None) if isinstance(value, str) else None

    def numbers(self, tag: int) -> tuple[float, ...]:
        """Return the tag's numbers; an empty tuple if the tag is absent or text."""
        value = self.tags.get(tag, ())
        return () if isinstance(value, str) else value


def tiff_starts(data: bytes | mmap.mmap) -> list[int]:
    """Return the offsets at which TIFF structures begin in a camera's file.

    The second structure of a CR3 has the exposure, the third the position; other files have one.
    """
    if data[:2] in (b"II", b"MM"):
        return [0]
    if data[4:8] == b"ftyp":  # CR3: box CMT1 has the camera, CMT2 the exposure, CMT4 the position
        found = (data.find(name, 0, _SEARCHED) for name in (b"CMT1", b"CMT2", b"CMT4"))
        return [at + 4 for at in found if at >= 0]
    if data[:4] == b"\0MRM":
        at = data.find(b"\0TTW", 8, _SEARCHED)
        return [at + 8] if at >= 0 else []
    if data[:15] == b"FUJIFILMCCD-RAW":
        at = data.find(b"Exif\0\0", 0, _SEARCHED)
        return [at + 6] if at >= 0 else []
    return []


def read_directories(data: bytes | mmap.mmap) -> list[Directory]:
    """Return all directories that can be read; those behind a broken link are omitted.

    Args:
        data: Bytes of the file.
    """
    found: list[Directory] = []
    for number, start in enumerate(tiff_starts(data)):
        reader = _Reader(data, start)
        found += reader.walk(first_is_exif=number > 0)
    return found


class _Reader:
    """Reads the directories of one TIFF structure within a file."""

    def __init__(self, data: bytes | mmap.mmap, start: int) -> None:
        self.data = data
        self.start = start
        self.order = ">" if data[start : start + 2] == b"MM" else "<"
        self.values_left = _MOST_VALUES_OF_ALL

    def unpack(self, form: str, offset: int) -> tuple[float, ...]:
        """Return the values at an offset; an empty tuple if they lie outside the file."""
        at = self.start + offset
        form = self.order + form
        if offset < 0 or at + struct.calcsize(form) > len(self.data):
            return ()
        return struct.unpack_from(form, self.data, at)

    def walk(self, *, first_is_exif: bool) -> Iterator[Directory]:
        """Yield every directory once: those of the chain, and their subdirectories."""
        waiting = [(int(o), first_is_exif) for o in self.unpack("I", 4)]
        seen: set[int] = set()
        while waiting and len(seen) < _MOST_DIRECTORIES:
            offset, is_exif = waiting.pop(0)
            if offset in seen or offset == 0:
                continue
            seen.add(offset)
            directory, following = self.directory(offset, is_exif=is_exif)
            yield directory
            waiting += [(int(o), is_exif) for o in following]
            for tag in _SUB_DIRECTORIES:
                waiting += [(int(o), tag == 34665) for o in directory.numbers(tag)]

    def directory(self, offset: int, *, is_exif: bool) -> tuple[Directory, tuple[float, ...]]:
        """Return the directory at an offset, and the offset of the next one in the chain."""
        tags: dict[int, Value] = {}
        count = int(next(iter(self.unpack("H", offset)), 0))
        for entry in range(count):
            fields = self.unpack("HHI", offset + 2 + 12 * entry)
            if not fields:
                break
            tag, kind, length = (int(f) for f in fields)
            value = self.value(kind, length, offset + 10 + 12 * entry)
            if value is not None:
                tags[tag] = value
        return Directory(tags, is_exif), self.unpack("I", offset + 2 + 12 * count)

    def value(self, kind: int, length: int, at: int) -> Value | None:
        """Return an entry's value, stored in the entry or where it points; None if unreadable."""
        rational = kind in (_RATIONAL, _SIGNED_RATIONAL)
        form = {_ASCII: "s", _RATIONAL: "I", _SIGNED_RATIONAL: "i"}.get(kind) or _FORMATS.get(kind)
        if form is None or not 0 < length <= min(_MOST_VALUES, self.values_left):
            return None
        self.values_left -= length
        form = f"{2 * length if rational else length}{form}"
        if struct.calcsize("<" + form) > 4:
            pointer = self.unpack("I", at)
            if not pointer:
                return None
            at = int(pointer[0])
        if kind == _ASCII:
            raw = self.data[self.start + at : self.start + at + length]
            return raw.split(b"\0")[0].decode("utf-8", "replace")
        values = self.unpack(form, at)
        if not values:
            return None
        if rational:
            return tuple(
                n / d if d else 0.0 for n, d in zip(values[::2], values[1::2], strict=True)
            )
        return values
