"""A picture has all EXIF of its capture, bit by bit, except for the tags that are its own."""

import shutil
import struct
import subprocess
from datetime import datetime

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given
from PIL import ExifTags, Image

from edge_pipeline.isp.colour_spaces import COLOUR_SPACES
from edge_pipeline.isp.exif import picture_fields
from edge_pipeline.isp.output import bits_of, format_of, write_picture
from edge_pipeline.raw.capture import CaptureExif
from edge_pipeline.raw.exif_fields import ExifFields, Field, read_fields
from tests.selection import examples
from tests.unit.raw.test_exif_fields import EXIFS


def text(letters):
    data = letters.encode() + b"\0"
    return Field(2, len(data), data)


def fractions(kind, *numbers):
    form = f"<{len(numbers)}{'I' if kind == 5 else 'i'}"
    return Field(kind, len(numbers) // 2, struct.pack(form, *numbers))


def short(number):
    return Field(3, 1, struct.pack("<H", number))


FULL = ExifFields(
    main={
        270: text("A chart"),
        271: text("Nikon"),
        272: text("D5"),
        315: text("José Ñandú"),
        33432: text("© 2026"),
    },
    photo={
        33434: fractions(5, 10, 2500),
        33437: fractions(5, 56, 10),
        34850: short(3),
        34855: short(400),
        36867: text("2024:02:29 13:05:59"),
        36881: text("+09:00"),
        37380: fractions(10, 2, 6),
        37383: short(5),
        37385: short(25),
        37386: fractions(5, 500, 10),
        37510: Field(7, 24, b"UNICODE\0" + "Grüße 東京".encode("utf-16-le")[:16]),
        37521: text("042"),
        41989: short(75),
        42033: text("987654"),
        42034: fractions(5, 24, 1, 70, 1, 28, 10, 0, 0),
        42035: text("Nikon"),
        42036: text("24-70mm f/2.8"),
        42037: text("0000123"),
    },
    gps={
        0: Field(1, 4, b"\2\3\0\0"),
        1: text("N"),
        2: fractions(5, 48, 1, 51, 1, 3013, 100),
        3: text("E"),
        4: fractions(5, 2, 1, 17, 1, 4013, 100),
        5: Field(1, 1, b"\0"),
        6: fractions(5, 352, 10),
    },
)
# Of a picture of its own.
OWN = {
    *(ExifTags.Base.Orientation, ExifTags.Base.Software, ExifTags.Base.ExifVersion),
    *(ExifTags.Base.ColorSpace, ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight),
}


def written(path, exif):
    rgb = np.full((30, 40, 3), 99, np.uint8 if bits_of(format_of(path)) == 8 else np.uint16)
    write_picture(path, rgb, exif=exif, software="program 1", sidecar=None, force=True)
    return path


def block(path):
    """The EXIF of a picture as TIFF bytes."""
    if path.suffix == ".tiff":
        return path.read_bytes()
    with Image.open(path) as image:
        return image.info["exif"].removeprefix(b"Exif\0\0")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tiff"])
def test_every_field_is_there_bit_by_bit(tmp_path, suffix):
    path = written(tmp_path / f"a{suffix}", CaptureExif(fields=FULL))
    found, _ = read_fields(block(path))
    assert dict(found.main).items() >= dict(FULL.main).items()
    assert dict(found.photo).items() >= dict(FULL.photo).items()
    assert found.gps == FULL.gps


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tiff"])
@examples(25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=EXIFS)
def test_any_field_is_there_unless_it_says_nothing(tmp_path, suffix, fields):
    path = written(tmp_path / f"a{suffix}", CaptureExif(fields=fields))
    found, _ = read_fields(block(path))
    never_zero = {33434, 33437, 37386, 34855}
    for before, after in ((fields.main, found.main), (fields.photo, found.photo)):
        for tag, field in before.items():
            says = tag in after
            assert says or not field.data.strip(b" :\0") or tag in never_zero
            assert not says or after[tag] == field
    assert found.gps == fields.gps


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tiff"])
def test_pillow_reads_the_values(tmp_path, suffix):
    path = written(tmp_path / f"a{suffix}", CaptureExif(fields=FULL))
    with Image.open(path) as image:
        exif = image.getexif()
        photo, gps = exif.get_ifd(ExifTags.IFD.Exif), exif.get_ifd(ExifTags.IFD.GPSInfo)
    assert exif[ExifTags.Base.Artist].encode("latin-1").decode() == "José Ñandú"
    assert exif[ExifTags.Base.Orientation] == 1
    assert photo[ExifTags.Base.ExposureBiasValue] == pytest.approx(1 / 3)
    assert photo[ExifTags.Base.OffsetTimeOriginal] == "+09:00"
    assert photo[ExifTags.Base.SubsecTimeOriginal] == "042"
    assert [float(part) for part in gps[ExifTags.GPS.GPSLatitude]] == [48, 51, 30.13]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tiff"])
@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_exiftool_reads_the_values_and_finds_no_fault(tmp_path, suffix):
    path = written(tmp_path / f"a{suffix}", CaptureExif(fields=FULL))
    names = ["-Artist", "-Copyright", "-UserComment", "-GPSPosition", "-ExposureCompensation"]
    names += ["-Flash", "-SubSecDateTimeOriginal", "-LensInfo", "-SerialNumber", "-LensID"]
    done = subprocess.run(["exiftool", "-s3", *names, str(path)], capture_output=True, check=True)
    assert done.stdout.decode().splitlines()[:9] == [
        "José Ñandú",
        "© 2026",
        "Grüße 東京",
        "48 deg 51' 30.13\" N, 2 deg 17' 40.13\" E",
        "+1/3",
        "Auto, Fired",
        "2024:02:29 13:05:59.042+09:00",
        "24-70mm f/2.8-?",
        "987654",
    ]
    done = subprocess.run(
        ["exiftool", "-validate", "-warning", "-a", "-s3", str(path)],
        capture_output=True,
        check=True,
    )
    faults = done.stdout.decode().splitlines()[1:]
    # exiftool does not expect zlib in a TIFF, and this tag only in a TIFF.
    known = ("IFD0 tag 0x0103 Compression", "GPSProcessingMethod")
    assert [fault for fault in faults if not fault.endswith(known)] == []


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tiff"])
@pytest.mark.skipif(shutil.which("exiv2") is None, reason="exiv2 is not installed")
def test_exiv2_reads_the_values(tmp_path, suffix):
    path = written(tmp_path / f"a{suffix}", CaptureExif(fields=FULL))
    done = subprocess.run(["exiv2", "-PEkv", str(path)], capture_output=True, check=True)
    found = dict(line.split(None, 1) for line in done.stdout.decode().splitlines() if " " in line)
    found = {name: value.strip() for name, value in found.items()}
    assert found["Exif.GPSInfo.GPSLatitude"] == "48/1 51/1 3013/100"
    assert found["Exif.Photo.ExposureTime"] == "10/2500"
    assert found["Exif.Photo.ExposureBiasValue"] == "2/6"
    assert found["Exif.Photo.LensSpecification"] == "24/1 70/1 28/10 0/0"
    assert found["Exif.Image.Artist"] == "José Ñandú"


def test_blank_values_are_replaced_by_libraws():
    blank = ExifFields(
        {271: text("  "), 306: text("    :  :     :  :  ")},
        {33434: fractions(5, 0, 1), 33437: fractions(5, 0, 0), 34855: short(0), 37380: short(0)},
    )
    exif = CaptureExif("Nikon", "D5", None, 1 / 250, None, None, 800, None, blank)
    fields = picture_fields(exif, width=4, height=3, software="x")
    assert fields.main[271] == text("Nikon")
    assert 306 not in fields.main
    assert fields.photo[33434] == fractions(5, 1, 250)
    assert fields.photo[34855] == short(800)
    assert 33437 not in fields.photo
    assert 37380 in fields.photo  # no compensation is a value


def test_values_of_the_file_count_before_libraws():
    exif = CaptureExif("Other", "Other", "Other", 1.0, 1.0, 1.0, 1, datetime(2000, 1, 1), FULL)
    fields = picture_fields(exif, width=4, height=3, software="x")
    assert dict(fields.main).items() >= dict(FULL.main).items()
    assert dict(fields.photo).items() >= dict(FULL.photo).items()


def test_sizes_orientation_and_space_are_the_pictures_own():
    exif = CaptureExif(fields=ExifFields({274: short(6)}, {40961: short(2), 40962: short(9)}))
    fields = picture_fields(
        exif, width=4, height=3, software="x", space=COLOUR_SPACES["display-p3"]
    )
    assert fields.main[274] == short(1)
    assert fields.photo[40961] == short(65535)
    assert struct.unpack("<I", fields.photo[40962].data) == (4,)
    assert fields.photo[36864].data == b"0232"


def test_text_in_utf8_by_its_type_is_exif_3():
    utf8 = Field(129, 3, b"\xc3\xb8\0")
    exif = CaptureExif(fields=ExifFields(main={315: utf8}))
    fields = picture_fields(exif, width=4, height=3, software="x")
    assert fields.photo[36864].data == b"0300"
    assert fields.main[315] == utf8


def test_the_pixels_of_a_tiff_stay_as_they_were(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 65536, (700, 40, 3), np.uint16)
    path = tmp_path / "a.tif"
    write_picture(path, rgb, exif=CaptureExif(fields=FULL), software="x", sidecar=None, force=False)
    np.testing.assert_array_equal(tifffile.imread(path), rgb)
    with tifffile.TiffFile(path) as tiff:
        assert len(tiff.pages) == 1
        assert tiff.pages[0].tags["Software"].value == "x"
        assert tiff.pages[0].tags["ExifTag"].value["BodySerialNumber"] == "987654"
        assert tiff.pages[0].tags["GPSTag"].value["GPSLatitudeRef"] == "N"


def test_endless_names_fit_into_a_jpeg(tmp_path):
    long = ExifFields(photo={37510: Field(7, 57_000, b"x" * 57_000)})
    exif = CaptureExif(make="a" * 70_000, model="b" * 70_000, lens="c" * 70_000, fields=long)
    found, _ = read_fields(block(written(tmp_path / "a.jpg", exif)))
    assert found.photo[37510] == long.photo[37510]
    assert len(found.main[271].data) == 501
