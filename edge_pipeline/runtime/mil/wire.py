"""The wire format of Protocol Buffers, as far as a Core ML model uses it.

Read here rather than with coremltools' classes: those take six seconds to import, and what checks
a converter should share nothing with it.

Source: https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["Message", "varints"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIDTH = {_FIXED64: 8, _FIXED32: 4}


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The unsigned number at `at`, and where the next byte is."""
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("a number is cut short")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _signed(value: int) -> int:
    """What an int32 or int64 field means by an unsigned number."""
    return value - (1 << 64) if value >= 1 << 63 else value


def varints(data: bytes) -> list[int]:
    """The numbers of a packed field of int32, int64 or bool.

    Raises:
        ValueError: the bytes end within a number.
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
            raise ValueError(f"a field has the wire type {kind}")
        if at + size > len(data):
            raise ValueError("a field is cut short")
        yield number, data[at : at + size]
        at += size


class Message:
    """One message's fields, by number.

    Args:
        data: the serialised message.

    Raises:
        ValueError: the bytes are no message.
    """

    def __init__(self, data: bytes) -> None:
        self._fields: dict[int, list[int | bytes]] = {}
        for number, value in _fields(data):
            self._fields.setdefault(number, []).append(value)

    def __contains__(self, number: int) -> bool:
        return number in self._fields

    def bytes_of(self, number: int) -> list[bytes]:
        """All values of a field that holds bytes, text or messages."""
        found = self._fields.get(number, [])
        if not all(isinstance(value, bytes) for value in found):
            raise ValueError(f"field {number} holds numbers where bytes were expected")
        return [value for value in found if isinstance(value, bytes)]

    def messages(self, number: int) -> list[Message]:
        """All values of a field that holds messages."""
        return [Message(value) for value in self.bytes_of(number)]

    def message(self, number: int) -> Message:
        """The one message of a field; an empty one where it is absent, as the format has it."""
        found = self.bytes_of(number)
        return Message(found[-1] if found else b"")

    def text(self, number: int) -> str:
        """The text of a field; empty where it is absent."""
        found = self.bytes_of(number)
        return found[-1].decode() if found else ""

    def texts(self, number: int) -> list[str]:
        """All texts of a field."""
        return [value.decode() for value in self.bytes_of(number)]

    def number(self, number: int) -> int:
        """The number of a field; 0 where it is absent."""
        found = self.numbers(number)
        return found[-1] if found else 0

    def numbers(self, number: int) -> list[int]:
        """All numbers of a field, packed or not."""
        found: list[int] = []
        for value in self._fields.get(number, []):
            found += varints(value) if isinstance(value, bytes) else [value]
        return found

    def packed(self, number: int) -> bytes:
        """The bytes of a packed field of floats, or those of one that holds bytes."""
        return b"".join(self.bytes_of(number))

    def entries(self, number: int) -> dict[str, Message]:
        """A map from text to messages."""
        return {entry.text(1): entry.message(2) for entry in self.messages(number)}
