"""CRW: the camera, lens and exposure are those that exiftool finds; damage is survived."""

import json
import shutil
import struct
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.raw.ciff import _stops, read_ciff
from edge_pipeline.raw.exif import read_exif
from edge_pipeline.raw.exif_fields import ExifFields, pack_exif
from edge_pipeline.raw.image import CaptureExif
from edge_pipeline.raw.tiff import read_directories
from tests.data_files import data_file, more_captures
from tests.fakes.crw import crw

# Its pixels are cut off; its records are complete.
SAMPLE = data_file("unsupported/exiv2-canon-powershot-s40.crw")


def settings(order="<", **changed):
    values = [0] * 40
    values[4], values[17], values[20] = 2, 5, 3  # flash on, centre-weighted, aperture priority
    values[23:26] = 105, 28, 1
    values[29] = 1 << 14
    for name, value in changed.items():
        values[int(name.removeprefix("at"))] = value
    return struct.pack(f"{order}40h", *values)


def sample(order="<", model=b"Canon EOS D60", **changed):
    shot = [0] * 30
    shot[6] = -0x20 - 0x0C  # -1 1/3
    shot[21], shot[22] = 3 * 0x20, 0x60 + 0x14  # f/2.83, 2^-(3 2/3) s
    properties = [
        (0x1029, struct.pack(f"{order}4H", 2, 50, 907, 605)),
        (0x102A, struct.pack(f"{order}30h", *shot)),
        (0x102D, settings(order, **changed)),
        (0x580B, struct.pack(f"{order}I", 320500123)),
        (0x180E, struct.pack(f"{order}3I", 1046703600, 2**32 - 12600, 0x80000000)),
    ]
    camera = [(0x0810, b"Jos\xe9\0" + bytes(20)), (0x080A, b"Canon\0" + model + b"\0 ")]
    return crw(
        [
            (0x2005, b"pixels" * 3000),
            (0x300A, [(0x0805, b"harbour\0\0"), (0x2807, camera), (0x300B, properties)]),
            (0x2804, [(0x0805, b"not a comment\0")]),
        ],
        order=order,
    )


def numbers(field):
    form = {3: "H", 5: "I", 10: "i"}[field.kind]
    return struct.unpack(f"<{len(field.data) // struct.calcsize(form)}{form}", field.data)


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_records_become_fields(order):
    fields = read_ciff(sample(order))
    assert {tag: f.data for tag, f in fields.main.items()} == {
        271: b"Canon\0",
        272: b"Canon EOS D60\0",
    }
    photo = fields.photo
    assert photo[42032].data == b"Jos\xe9\0"
    assert photo[42033].data == b"0320500123\0"
    assert photo[42036].data == b"28-105 mm\0"
    assert photo[37510].data == b"ASCII\0\0\0harbour"
    assert photo[36867].data == b"2003:03:03 15:00:00\0"
    assert photo[36881].data == b"-03:30\0"
    assert numbers(photo[42034]) == (28, 1, 105, 1, 0, 0, 0, 0)
    assert numbers(photo[37386]) == (50, 1)
    assert numbers(photo[37380]) == (-4, 3)
    assert numbers(photo[33437]) == (28, 10)
    assert numbers(photo[33434]) == (10, 127)
    assert (numbers(photo[34850]), numbers(photo[37383])) == ((3,), (2,))
    assert numbers(photo[37385]) == (0x09,)  # fired, compulsory
    exif = read_exif(read_directories(pack_exif(fields)), CaptureExif(iso=100), fields)
    assert (exif.make, exif.model, exif.lens) == ("Canon", "Canon EOS D60", "28-105 mm")
    assert (exif.f_number, exif.iso, exif.focal_mm) == (2.8, 100, 50)


def test_numbers_of_other_meaning_are_no_serial_numbers():
    assert 42033 not in read_ciff(sample(model=b"Canon PowerShot G2")).photo
    assert read_ciff(sample(model=b"Canon EOS D30")).photo[42033].data == b"131a-29083\0"


def test_a_lens_of_one_length_and_a_flash_that_is_off():
    photo = read_ciff(sample(at23=50, at24=50, at4=0, at29=0)).photo
    assert photo[42036].data == b"50 mm\0"
    assert numbers(photo[37385]) == (0x10,)


@pytest.mark.parametrize("changed", [{"at25": 0}, {"at24": 0}, {"at23": 1}, {"at25": -1}])
def test_a_lens_that_cannot_be_is_not_known(changed):
    photo = read_ciff(sample(**changed)).photo
    assert 42034 not in photo
    assert 42036 not in photo


@pytest.mark.parametrize(
    ("number", "stops"), [(0, 0), (0x20, 1), (0x2C, 4 / 3), (-0x14, -2 / 3), (0x10, 0.5)]
)
def test_stops(number, stops):
    assert float(_stops(number)) == pytest.approx(stops)


@given(st.binary(max_size=300))
def test_any_bytes_are_survived(data):
    for start in (b"", crw([])[:26]):
        pack_exif(read_ciff(start + data))


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=30))
def test_any_damaged_bytes_are_survived(damage):
    data = bytearray(sample())
    data = data[:26] + data[18_026:]  # without the pixels, so that damage hits records
    struct.pack_into(
        "<I", data, len(data) - 4, struct.unpack_from("<I", data, len(data) - 4)[0] - 18_000
    )
    for at, value in damage:
        data[26 + at % (len(data) - 26)] = value
    pack_exif(read_ciff(bytes(data)))


def test_heaps_that_contain_themselves_end():
    """Every record of a heap is the heap itself."""
    count = 60_000
    entry = struct.pack("<HII", 0x2807, 10 * count + 6, 0)
    heap = struct.pack("<H", count) + entry * count + struct.pack("<I", 0)
    assert read_ciff(crw([])[:26] + heap) == ExifFields()


def check_with_exiftool(path, tmp_path):
    names = ["Make", "Model", "FNumber", "ExposureTime", "FocalLength", "DateTimeOriginal"]
    names += ["ExposureCompensation"]

    def told(file):
        done = subprocess.run(
            ["exiftool", "-j", "-n", *(f"-{n}" for n in names), str(file)],
            capture_output=True,
            check=True,
        )
        return {n: json.loads(done.stdout)[0].get(n) for n in names}

    block = tmp_path / "block.tif"
    block.write_bytes(pack_exif(read_ciff(path.read_bytes())))
    ours, theirs = told(block), told(path)
    assert None not in ours.values()
    for key in ("FNumber", "ExposureTime"):
        assert float(ours.pop(key)) == pytest.approx(float(theirs.pop(key)), rel=0.03)
    assert ours == theirs


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_a_real_file_says_what_exiftool_says(tmp_path):
    check_with_exiftool(SAMPLE, tmp_path)


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_more_real_files_say_what_exiftool_says(tmp_path):
    for path in more_captures("*.CRW"):
        check_with_exiftool(path, tmp_path)


def test_a_real_file_names_the_camera_and_the_lens():
    fields = read_ciff(SAMPLE.read_bytes())
    assert fields.main[272].data == b"Canon PowerShot S40\0"
    assert fields.photo[42036].data == b"7.1-21.3 mm\0"
    assert numbers(fields.photo[37386]) == (227, 32)
