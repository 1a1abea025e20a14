"""The headers and records of the ADB protocol have the layouts of its documents."""

import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.adb_bed.packets import CNXN, MAX_DATA, WRTE, Packet, parse
from tests.adb_bed.sync_records import directory_entry, stat_reply, stat_reply_2

WORD = st.integers(0, 2**32 - 1)


def test_greeting_has_the_bytes_of_the_protocol() -> None:
    data = Packet(CNXN, 0x01000001, MAX_DATA, b"device::").encode()
    assert data == (
        b"CNXN\x01\x00\x00\x01\x00\x00\x10\x00\x08\x00\x00\x00\x00\x00\x00\x00\xbc\xb1\xa7\xb1device::"
    )


@given(WORD, WORD, WORD, st.binary(max_size=100))
def test_header_returns(command: int, arg0: int, arg1: int, data: bytes) -> None:
    found = parse(Packet(command, arg0, arg1, data).encode()[:24])
    assert (found.command, found.arg0, found.arg1, found.size) == (command, arg0, arg1, len(data))


@given(st.integers(0, 31))
def test_wrong_magic_is_refused(bit: int) -> None:
    head = bytearray(Packet(WRTE, 1, 2, b"").encode())
    head[20 + bit // 8] ^= 1 << bit % 8
    with pytest.raises(ValueError, match="magic"):
        parse(bytes(head))


def test_too_long_packet_is_refused() -> None:
    head = struct.pack("<6I", WRTE, 1, 2, MAX_DATA + 1, 0, WRTE ^ 0xFFFFFFFF)
    with pytest.raises(ValueError, match=str(MAX_DATA + 1)):
        parse(head)


def test_records_have_the_lengths_of_the_protocol(tmp_path: Path) -> None:
    found = tmp_path.stat()
    assert len(stat_reply(found)) == 16
    assert len(stat_reply_2(b"STA2", found)) == 72
    assert len(directory_entry(b"DENT", found, b"name")) == 20 + 4
    assert len(directory_entry(b"DNT2", found, b"name")) == 76 + 4


@pytest.mark.parametrize(("name", "size"), [(b"DENT", 20), (b"DNT2", 76)])
def test_end_of_a_listing_is_a_whole_record(name: bytes, size: int) -> None:
    end = directory_entry(name, None, b"")
    assert end == b"DONE" + bytes(size - 4)


def test_absent_path_is_all_zero_or_its_error() -> None:
    assert stat_reply(None) == b"STAT" + bytes(12)
    assert stat_reply_2(b"LST2", None, 2) == b"LST2" + struct.pack("<I", 2) + bytes(64)


def test_fields_are_where_a_host_reads_them(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    file.chmod(0o640)
    os.utime(file, (1_000_000, 2_000_000))
    found = file.stat()
    assert struct.unpack("<4sIII", stat_reply(found))[1:] == (found.st_mode, 5, 2_000_000)
    fields = struct.unpack("<4sIQQIIIIQqqq", stat_reply_2(b"STA2", found))
    assert fields[1] == 0
    assert fields[4] == found.st_mode
    assert fields[8:11] == (5, 1_000_000, 2_000_000)
