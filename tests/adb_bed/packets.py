"""The 24-byte headers of the ADB protocol and its commands.

Source: AOSP, packages/modules/adb/protocol.txt.
"""

import struct
from dataclasses import dataclass

__all__ = ["AUTH", "CLSE", "CNXN", "MAX_DATA", "OKAY", "OPEN", "VERSION", "WRTE", "Packet", "parse"]

AUTH, CLSE, CNXN, OKAY, OPEN, WRTE = (
    int.from_bytes(name, "little")
    for name in (b"AUTH", b"CLSE", b"CNXN", b"OKAY", b"OPEN", b"WRTE")
)
VERSION = 0x01000001  # from here on, peers ignore checksums
MAX_DATA = 0x100000
HEADER = struct.Struct("<6I")


@dataclass(frozen=True)
class Packet:
    """One message; `size` is the length of `data` that its header announces."""

    command: int
    arg0: int
    arg1: int
    data: bytes = b""
    size: int = 0

    def encode(self) -> bytes:
        """The header, with a checksum of 0, and the data."""
        head = HEADER.pack(
            self.command, self.arg0, self.arg1, len(self.data), 0, self.command ^ 0xFFFFFFFF
        )
        return head + self.data


def parse(head: bytes) -> Packet:
    """The packet that a header announces, without its data.

    Raises:
        ValueError: The last field is not the complement of the first, or the data are too long.
    """
    command, arg0, arg1, size, _, magic = HEADER.unpack(head)
    if command ^ 0xFFFFFFFF != magic:
        raise ValueError(f"the magic is {magic:#x}; it should be {command ^ 0xFFFFFFFF:#x}")
    if size > MAX_DATA:
        raise ValueError(f"a packet has {size} bytes; at most {MAX_DATA} are allowed")
    return Packet(command, arg0, arg1, size=size)
