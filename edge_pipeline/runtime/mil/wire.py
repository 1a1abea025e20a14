"""Reader of the wire format of Protocol Buffers, as far as a Core ML model uses it.

It does not use coremltools' classes: their import takes six seconds, and the check of a converter
should not share code with it.

Source: https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["Message", "varints"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIDTH = {_FIXED64: 8, _FIXED32: 4}


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the unsigned number at byte `at`, and the position of the next byte."""
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("a number is incomplete")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _signed(value: int) -> int:
    """Return the value of an int32 or int64 field from its unsigned number."""
    return value - (1 << 64) if value >= 1 << 63 else value


def varints(data: bytes) -> list[int]:
    """Return the numbers of a packed field of int32, int64 or bool.

    Raises:
        ValueError: If the bytes end within a number.
    """
    found, at = [], 0
    while at < len(data):
        value, at = _varint(data, at)
        found.append(_signed(value))
    return found


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield number, _signed(value)
            continue
        if kind == _BYTES:
            size, at = _varint(data, at)
        elif kind in _WIDTH:
            size = _WIDTH[kind]
        else:
            raise ValueError(f"a field has the unknown wire type {kind}")
        if at + size > len(data):
            raise ValueError("a field is incomplete")
        yield number, data[at : at + size]
        at += size


class Message:
    """The fields of one message, by number.

    Args:
        data: Bytes of the serialised message.

    Raises:
        ValueError: If the bytes are not a valid message.
    """

    def __init__(self, data: bytes) -> None:
        self._fields: dict[int, list[int | bytes]] = {}
        for number, value in _fields(data):
            self._fields.setdefault(number, []).append(value)

    def __contains__(self, number: int) -> bool:
        return number in self._fields

    def bytes_of(self, number: int) -> list[bytes]:
        """Return all values of a field that contains bytes, text or messages."""
        found = self._fields.get(number, [])
        if not all(isinstance(value, bytes) for value in found):
            raise ValueError(f"field {number} contains numbers; expected bytes")
        return [value for value in found if isinstance(value, bytes)]

    def messages(self, number: int) -> list[Message]:
        """Return all values of a field that contains messages."""
        return [Message(value) for value in self.bytes_of(number)]

    def message(self, number: int) -> Message:
        """Return the message of a field; empty if the field is absent, as the format defines."""
        found = self.bytes_of(number)
        return Message(found[-1] if found else b"")

    def text(self, number: int) -> str:
        """Return the text of a field; empty if the field is absent."""
        found = self.bytes_of(number)
        return found[-1].decode() if found else ""

    def texts(self, number: int) -> list[str]:
        """Return all texts of a field."""
        return [value.decode() for value in self.bytes_of(number)]

    def number(self, number: int) -> int:
        """Return the number of a field; 0 if the field is absent."""
        found = self.numbers(number)
        return found[-1] if found else 0

    def numbers(self, number: int) -> list[int]:
        """Return all numbers of a field, packed or not."""
        found: list[int] = []
        for value in self._fields.get(number, []):
            found += varints(value) if isinstance(value, bytes) else [value]
        return found

    def packed(self, number: int) -> bytes:
        """Return the bytes of a field of bytes, or of a packed field of floats."""
        return b"".join(self.bytes_of(number))

    def entries(self, number: int) -> dict[str, Message]:
        """Return a map field as a dictionary from text to messages."""
        return {entry.text(1): entry.message(2) for entry in self.messages(number)}
