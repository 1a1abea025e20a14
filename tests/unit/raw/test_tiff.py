"""The tag reader: right on good files, quiet on broken ones."""

import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edge_pipeline.raw.exif import exif_from_json, exif_to_json, read_exif
from edge_pipeline.raw.image import CaptureExif
from edge_pipeline.raw.sniff import describe_foreign
from edge_pipeline.raw.tiff import read_directories
from tests.data_files import data_file
from tests.fakes.dng import Dng, write_dng

EXIF = Dng(exif={33434: (5, [0.004]), 36867: (2, b"2024:02:29 13:37:00\0")})


@pytest.fixture
def dng(tmp_path: Path) -> bytes:
    return write_dng(tmp_path / "a.dng", np.ones((24, 24), np.uint16), EXIF).read_bytes()


def check(data: bytes) -> None:
    exif = read_exif(read_directories(data), CaptureExif())
    assert (exif.make, exif.model, exif.exposure_s) == ("Fake", "Model One", 0.004)
    assert exif.time is not None
    assert exif.time.isoformat() == "2024-02-29T13:37:00"


def test_dng(dng: bytes) -> None:
    check(dng)


def test_headers_of_other_makers(dng: bytes) -> None:
    """Panasonic's and Olympus' files differ in the second word of the header."""
    check(dng[:2] + b"U\0" + dng[4:])
    check(dng[:2] + b"RO" + dng[4:])


def test_cr3_boxes(dng: bytes) -> None:
    """CR3 has the camera in one TIFF structure, the exposure in another."""
    camera = struct.pack("<2sHIHHHII", b"II", 42, 8, 1, 271, 2, 6, 26) + bytes(4) + b"Canon\0"
    number = struct.pack("<2sHIHHHII", b"II", 42, 8, 1, 34855, 3, 1, 800) + bytes(4)
    boxes = (
        b"\0\0\0\x18ftypcrx " + bytes(12) + b"\0\0\0\x99CMT1" + camera + b"\0\0\0\x99CMT2" + number
    )
    exif = read_exif(read_directories(boxes), CaptureExif())
    assert (exif.make, exif.iso) == ("Canon", 800)


def test_raf_preview(tmp_path: Path) -> None:
    preview = Image.new("RGB", (8, 8))
    tags = Image.Exif()
    tags[271], tags[272] = "FUJIFILM", "X-A7"
    preview.save(tmp_path / "a.jpg", exif=tags)
    data = b"FUJIFILMCCD-RAW " + bytes(100) + (tmp_path / "a.jpg").read_bytes()
    assert read_exif(read_directories(data), CaptureExif()).model == "X-A7"


def test_sub_directories_of_the_linear_sample() -> None:
    data = data_file("unsupported/DSC8695.dng").read_bytes()
    directories = read_directories(data)
    widths = sorted(d.numbers(256)[0] for d in directories if d.numbers(256))
    assert widths == [256, 256, 600, 600]
    exif = read_exif(directories, CaptureExif())
    assert exif.lens == "24.0-70.0 mm f/2.8"
    assert exif.iso == 400


@given(st.binary(max_size=300))
def test_any_bytes_are_survived(data: bytes) -> None:
    for start in (b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"FUJIFILMCCD-RAWExif\0\0II*\0"):
        read_exif(read_directories(start + data), CaptureExif())
        assert "\n" not in describe_foreign(start + data + b"x")


@given(st.integers(0, 600), st.integers(0, 255))
def test_any_damaged_byte_is_survived(at: int, value: int) -> None:
    data = bytearray(_SAMPLE)
    data[at % len(data)] = value
    read_exif(read_directories(bytes(data)), CaptureExif())
    read_exif(read_directories(bytes(data[:at])), CaptureExif())


def test_a_chain_that_bites_its_tail_ends() -> None:
    data = struct.pack("<2sHIHHHIII", b"II", 42, 8, 1, 330, 4, 1, 8, 8)
    assert len(read_directories(data)) == 1


def test_overlapping_values_are_read_only_so_far() -> None:
    """Reading all values of this directory would take minutes and gigabytes."""
    entries = b"".join(struct.pack("<HHII", tag, 1, 65_000, 0) for tag in range(65_535))
    data = b"II*\0\x08\0\0\0" + struct.pack("<H", 65_535) + entries
    (directory,) = read_directories(data)
    assert 0 < sum(len(directory.numbers(tag)) for tag in directory.tags) <= 1 << 22


def test_json() -> None:
    for exif in (CaptureExif(), read_exif(read_directories(_SAMPLE), CaptureExif(iso=100))):
        assert exif_from_json(exif_to_json(exif)) == exif


def _sample() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return write_dng(Path(folder) / "a", np.ones((4, 4), np.uint16), EXIF).read_bytes()


_SAMPLE = _sample()
