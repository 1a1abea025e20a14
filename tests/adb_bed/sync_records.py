"""The binary records of the service `sync`.

Source: AOSP, packages/modules/adb/file_sync_protocol.h.
"""

import os
import struct

__all__ = ["directory_entry", "stat_reply", "stat_reply_2"]

STAT = struct.Struct("<4sIII")
STAT_2 = struct.Struct("<4sIQQIIIIQqqq")
NAME_SIZE = struct.Struct("<I")


def stat_reply(found: os.stat_result | None) -> bytes:
    """16 bytes with mode, size modulo 2**32 and time; all are zero if the path is absent."""
    return STAT.pack(b"STAT", *_short(found))


def stat_reply_2(name: bytes, found: os.stat_result | None, error: int = 0) -> bytes:
    """72 bytes with 64-bit fields, or with the error's number and zeros."""
    if found is None:
        return STAT_2.pack(name, error, *[0] * 10)
    times = (int(found.st_atime), int(found.st_mtime), int(found.st_ctime))
    owner = (found.st_nlink, found.st_uid, found.st_gid)
    return STAT_2.pack(
        name, error, found.st_dev, found.st_ino, found.st_mode, *owner, found.st_size, *times
    )


def directory_entry(name: bytes, found: os.stat_result | None, file: bytes) -> bytes:
    """One entry of a listing; without `found` the record DONE that ends it, of the same size."""
    kind = b"DONE" if found is None else name
    is_short = name == b"DENT"
    head = STAT.pack(kind, *_short(found)) if is_short else stat_reply_2(kind, found)
    return head + NAME_SIZE.pack(len(file)) + file


def _short(found: os.stat_result | None) -> tuple[int, int, int]:
    if found is None:
        return 0, 0, 0
    return found.st_mode, found.st_size & 0xFFFFFFFF, int(found.st_mtime)
