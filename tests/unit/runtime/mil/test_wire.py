"""The wire format, against an encoder written here and against damaged bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.runtime.mil.wire import Message, varints


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


INT64 = st.integers(-(2**63), 2**63 - 1)


@given(st.lists(INT64))
def test_numbers_come_back(values: list[int]) -> None:
    packed = b"".join(map(varint, values))
    assert varints(packed) == values
    assert Message(field(3, packed)).numbers(3) == values
    assert Message(b"".join(field(3, v) for v in values)).numbers(3) == values


@given(st.dictionaries(st.text(), st.integers(0, 2**31)))
def test_maps_come_back(entries: dict[str, int]) -> None:
    data = b"".join(
        field(502, field(1, key.encode()) + field(2, field(7, value)))
        for key, value in entries.items()
    )
    found = Message(data).entries(502)
    assert {key: message.number(7) for key, message in found.items()} == entries


def test_what_is_absent_is_empty() -> None:
    message = Message(b"")
    assert (message.number(1), message.text(1), message.numbers(1)) == (0, "", [])
    assert 1 not in message.message(1)


def test_fixed_width_fields_are_stepped_over() -> None:
    data = varint(1 << 3 | 5) + b"abcd" + varint(2 << 3 | 1) + b"12345678" + field(3, 9)
    assert Message(data).number(3) == 9


@pytest.mark.parametrize(
    "data",
    [b"\x80", field(1, b"abc")[:-1], varint(1 << 3 | 3), b"\xff" * 12, varint(1 << 3 | 5) + b"ab"],
    ids=["number", "bytes", "group", "endless", "fixed"],
)
def test_damaged_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"incomplete|wire type"):
        Message(data)


def test_bytes_are_no_message_and_numbers_no_bytes() -> None:
    with pytest.raises(ValueError, match="field 1 contains numbers"):
        Message(field(1, 5)).bytes_of(1)
