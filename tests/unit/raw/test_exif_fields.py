"""EXIF fields: nothing is lost in either byte order, and no file can hang or crash the reader."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edge_pipeline.raw.exif_fields import (
    _GPS,
    _MAIN,
    _PHOTO,
    _UNITS,
    ExifFields,
    Field,
    fields_from_json,
    fields_to_json,
    pack_directory,
    pack_exif,
    read_fields,
)
from tests.fakes.dng import Dng, write_dng


def _field(kind: int, length: int, data: bytes) -> Field:
    size = length * _UNITS[kind] * (2 if kind in (5, 10) else 1)
    return Field(kind, length, (data * size)[:size])


FIELDS = st.builds(
    _field, st.sampled_from(sorted(_UNITS)), st.integers(1, 40), st.binary(min_size=1, max_size=99)
)
GROUPS = [
    st.dictionaries(st.sampled_from(sorted(tags)), FIELDS, max_size=8)
    for tags in (_MAIN, _PHOTO - {37510}, _GPS)
]
EXIFS = st.builds(ExifFields, *GROUPS)


def big_endian(fields: ExifFields, *, start: int = 8) -> bytes:
    """The same fields as a TIFF of the other byte order, written independently of the package."""

    def value(field: Field) -> bytes:
        unit = _UNITS[field.kind]
        return b"".join(field.data[at : at + unit][::-1] for at in range(0, len(field.data), unit))

    def directory(group: dict[int, Field], at: int) -> bytes:
        head, behind = struct.pack(">H", len(group)), b""
        first = at + 2 + 12 * len(group) + 4
        for tag, field in sorted(group.items()):
            data = value(field)
            place = data.ljust(4, b"\0")
            if len(data) > 4:
                place = struct.pack(">I", first + len(behind))
                behind += data
            head += struct.pack(">HHI", tag, field.kind, field.length) + place
        return head + bytes(4) + behind

    links = {34665: Field(4, 1, bytes(4)), 34853: Field(4, 1, bytes(4))}
    photo_at = start + len(directory({**fields.main, **links}, start))
    photo = directory(dict(fields.photo), photo_at)
    links[34665] = Field(4, 1, struct.pack("<I", photo_at))
    links[34853] = Field(4, 1, struct.pack("<I", photo_at + len(photo)))
    main = directory({**fields.main, **links}, start)
    return (
        struct.pack(">2sHI", b"MM", 42, start).ljust(start, b"\0")
        + main
        + photo
        + directory(dict(fields.gps), photo_at + len(photo))
    )


@given(EXIFS)
def test_no_bit_is_lost(fields: ExifFields) -> None:
    assert read_fields(pack_exif(fields)) == (fields, [])
    assert fields_from_json(fields_to_json(fields)) == fields


@given(EXIFS)
def test_the_byte_order_does_not_matter(fields: ExifFields) -> None:
    assert read_fields(big_endian(fields)) == (fields, [])


def test_fractions_are_not_reduced_and_signs_and_types_stay() -> None:
    photo = {
        33434: Field(5, 1, struct.pack("<2I", 10, 600)),
        37380: Field(10, 1, struct.pack("<2i", 2, 6)),
        42034: Field(5, 4, struct.pack("<8I", 24, 1, 70, 1, 0, 0, 0, 0)),
    }
    kept, _ = read_fields(pack_exif(ExifFields(photo=photo)))
    assert kept.photo == photo


@pytest.mark.parametrize("order", ["little", "big"])
def test_a_comment_in_utf16_keeps_its_letters(order: str) -> None:
    text = "Grüße 東京"
    payload = {"little": "utf-16-le", "big": "utf-16-be"}[order]
    raw = b"UNICODE\0" + text.encode(payload)
    entry = struct.pack({"little": "<HHI", "big": ">HHI"}[order], 37510, 7, len(raw))
    form = {"little": "<", "big": ">"}[order]
    data = (
        ({"little": b"II*\0", "big": b"MM\0*"}[order] + struct.pack(form + "I", 8))
        + struct.pack(form + "H", 1)
        + entry
        + struct.pack(form + "II", 26, 0)
        + raw
    )
    kept = read_fields(data)[0].photo[37510]
    assert kept.data[8:].decode("utf-16-le") == text


def test_tiff_ep_files_have_the_exposure_in_the_first_directory(tmp_path: Path) -> None:
    dng = Dng(
        extra={33434: (5, [0.25]), 37385: (3, [16]), 34855: (3, [50])},
        exif={34855: (3, [800])},
    )
    data = write_dng(tmp_path / "a.dng", np.ones((24, 24), np.uint16), dng).read_bytes()
    photo = read_fields(data)[0].photo
    assert photo[37385] == Field(3, 1, b"\x10\0")
    assert photo[33434] == Field(5, 1, struct.pack("<2I", 250_000, 1_000_000))
    assert photo[34855] == Field(3, 1, struct.pack("<H", 800))  # the Exif directory's counts


def test_the_serial_number_and_lens_of_a_dng(tmp_path: Path) -> None:
    dng = Dng(extra={50735: (2, b"0042\0"), 50736: (5, [24, 70, 2.8, 2.8])})
    data = write_dng(tmp_path / "a.dng", np.ones((24, 24), np.uint16), dng).read_bytes()
    photo = read_fields(data)[0].photo
    assert photo[42033] == Field(2, 5, b"0042\0")
    assert photo[42034].length == 4


def test_what_describes_the_sensors_file_is_not_read(tmp_path: Path) -> None:
    untrue = {37500: (7, b"maker note"), 40961: (3, [2]), 40962: (4, [6000]), 40965: (4, [8])}
    untrue |= {41486: (5, [300.0]), 37122: (5, [4.0]), 42240: (5, [2.2]), 41730: (7, b"cfa!")}
    data = write_dng(
        tmp_path / "a.dng",
        np.ones((24, 24), np.uint16),
        Dng(orientation=6, extra={305: (2, b"Firmware 1\0")}, exif=untrue),
    ).read_bytes()
    fields, _ = read_fields(data)
    assert set(fields.main) == {271, 272}
    assert fields.photo == {}


def test_cr3_has_its_fields_in_three_boxes() -> None:
    parts = [
        ExifFields(main={271: Field(2, 6, b"Canon\0")}),
        ExifFields(main={34855: Field(3, 1, b"\x20\x03")}),
        ExifFields(main={1: Field(2, 2, b"N\0")}),
    ]
    boxes = b"\0\0\0\x18ftypcrx " + bytes(12)
    for name, part in zip((b"CMT1", b"CMT2", b"CMT4"), parts, strict=True):
        boxes += b"\0\0\0\x99" + name + pack_exif(part)
    fields, _ = read_fields(boxes)
    assert fields == ExifFields(parts[0].main, parts[1].main, parts[2].main)


def test_mrw_has_them_in_a_block() -> None:
    exif = ExifFields({272: Field(2, 4, b"A2 \0")}, {34850: Field(3, 1, b"\2\0")})
    block = pack_exif(exif)
    head = b"\0MRM\0\0\1\0\0PRD" + struct.pack(">I", 8) + bytes(8)
    data = head + b"\0TTW" + struct.pack(">I", len(block)) + block
    assert read_fields(data) == (exif, [])


def test_raf_has_them_in_its_preview() -> None:
    exif = ExifFields({272: Field(2, 4, b"X-A\0")}, {37383: Field(3, 1, b"\5\0")})
    preview = io.BytesIO()
    Image.new("RGB", (8, 8)).save(preview, "JPEG", exif=b"Exif\0\0" + pack_exif(exif))
    assert read_fields(b"FUJIFILMCCD-RAW " + bytes(100) + preview.getvalue()) == (exif, [])


def test_fields_too_long_for_a_jpeg_are_named_and_omitted() -> None:
    long, small = Field(7, 50_000, b"x" * 50_000), Field(2, 2, b"A\0")
    fields = ExifFields({315: small}, {37510: long}, {28: Field(7, 40_000, b"y" * 40_000)})
    kept, omitted = read_fields(pack_exif(fields))
    assert omitted == [37510]
    assert (kept.main, kept.photo, kept.gps) == (fields.main, {}, fields.gps)
    huge = ExifFields({315: Field(2, 10**6, b"x" * 10**6)}, {34850: Field(3, 1, b"\2\0")})
    assert read_fields(pack_exif(huge)) == (ExifFields({}, huge.photo), [315])


@given(st.binary(max_size=400))
def test_any_bytes_are_survived(data: bytes) -> None:
    for start in (b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"FUJIFILMCCD-RAWExif\0\0II*\0"):
        check_sound(read_fields(start + data)[0])


@given(EXIFS, st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1))
def test_any_damaged_bytes_are_survived(fields: ExifFields, damage: list[tuple[int, int]]) -> None:
    data = bytearray(pack_exif(fields))
    for at, value in damage:
        data[at % len(data)] = value
    check_sound(read_fields(bytes(data))[0])


def check_sound(fields: ExifFields) -> None:
    """The fields can be written, and read again by us and by Pillow."""
    block = pack_exif(fields)
    assert len(block) < 65_527
    assert read_fields(block)[0] == fields
    exif = Image.Exif()
    exif.load(b"Exif\0\0" + block)
    known = [tag for tag, field in fields.main.items() if field.kind != 129]  # not by Pillow
    assert len(exif) == len(known) + bool(fields.photo) + bool(fields.gps)


def test_a_directory_that_points_to_itself_ends() -> None:
    link = struct.pack("<HHII", 34665, 4, 1, 8)
    data = b"II*\0\x08\0\0\0" + struct.pack("<H", 1) + link + struct.pack("<I", 8)
    assert read_fields(data) == (ExifFields(), [])


def test_a_file_of_overlapping_long_values_is_read_quickly() -> None:
    """A directory of 65535 entries, each of which states 4 GB."""
    entries = b"".join(struct.pack("<HHII", tag, 7, 2**32 - 1, 0) for tag in range(65_535))
    data = b"II*\0\x08\0\0\0" + struct.pack("<H", 65_535) + entries
    assert read_fields(data)[0] == ExifFields()


@given(st.dictionaries(st.integers(1, 65_535), FIELDS, max_size=8), st.integers(0, 5000))
def test_directories_are_sorted_and_even(fields: dict[int, Field], at: int) -> None:
    packed = pack_directory(fields, 2 * at, {65_535: struct.pack("<HHII", 65_535, 3, 1, 7)})
    (count,) = struct.unpack_from("<H", packed)
    tags = [struct.unpack_from("<H", packed, 2 + 12 * i)[0] for i in range(count)]
    assert tags == sorted({*fields, 65_535})
    assert len(packed) % 2 == 0
