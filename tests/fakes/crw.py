"""A writer of CRW's structure, CIFF: heaps of records whose directories are at their ends."""

from __future__ import annotations

import struct
from collections.abc import Sequence

__all__ = ["Heap", "crw"]

Heap = Sequence[tuple[int, "bytes | Heap"]]


def _heap(records: Heap, order: str) -> bytes:
    space, table = b"", struct.pack(order + "H", len(records))
    for tag, value in records:
        if isinstance(value, bytes) and tag & 0x4000:
            table += struct.pack(order + "H", tag) + value.ljust(8, b"\0")
            continue
        data = value if isinstance(value, bytes) else _heap(value, order)
        table += struct.pack(order + "HII", tag, len(data), len(space))
        space += data
    return space + table + struct.pack(order + "I", len(space))


def crw(records: Heap, *, order: str = "<") -> bytes:
    """A file of the records; those whose value is a list are heaps of their own."""
    mark = b"II" if order == "<" else b"MM"
    head = mark + struct.pack(order + "I", 26) + b"HEAPCCDR" + bytes(12)
    return head + _heap(records, order)
