"""Pictures read back as they were meant: pixels, profile, EXIF, and nothing half written."""

import errno
import io
import json
import os
from datetime import datetime

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms

from edge_pipeline.errors import JobError, OutputError
from edge_pipeline.isp import encoders, output
from edge_pipeline.isp.exif import ascii_text
from edge_pipeline.isp.icc import srgb_profile
from edge_pipeline.isp.output import (
    bits_of,
    format_of,
    refuse_existing,
    sidecar_path,
    write_picture,
)
from edge_pipeline.raw.capture import CaptureExif

EXIF = CaptureExif(
    make="Nikon",
    model="D5 [x]",
    lens="50mm f/1.8",
    exposure_s=1 / 250,
    f_number=5.6,
    focal_mm=50.0,
    iso=102400,
    time=datetime(2024, 2, 29, 13, 5, 59),
)
PLAIN = {"exif": EXIF, "software": "edge-pipeline 9", "sidecar": None, "force": False}


def some_picture(bits=8, size=(37, 52)):
    return np.random.default_rng(0).integers(0, 2**bits, (*size, 3), np.dtype(f"u{bits // 8}"))


def check_tags(base, photo):
    assert base[ExifTags.Base.Make] == "Nikon"
    assert base[ExifTags.Base.Model] == "D5 [x]"
    assert base[ExifTags.Base.Orientation] == 1
    assert base[ExifTags.Base.Software] == "edge-pipeline 9"
    assert photo[ExifTags.Base.ExposureTime] == pytest.approx(1 / 250)
    assert photo[ExifTags.Base.FNumber] == pytest.approx(5.6)
    assert photo[ExifTags.Base.FocalLength] == 50
    assert photo[ExifTags.Base.ISOSpeedRatings] == 65535
    assert photo[ExifTags.Base.RecommendedExposureIndex] == 102400
    assert photo[ExifTags.Base.DateTimeOriginal] == "2024:02:29 13:05:59"
    assert photo[ExifTags.Base.LensModel] == "50mm f/1.8"
    assert photo[ExifTags.Base.ColorSpace] == 1


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".png", ".JPG"])
def test_8_bit_pictures_carry_profile_and_exif(tmp_path, suffix):
    path, rgb = tmp_path / f"a{suffix}", some_picture()
    write_picture(path, rgb, **PLAIN)
    with Image.open(path) as image:
        exif = image.getexif()
        photo = exif.get_ifd(ExifTags.IFD.Exif)
        check_tags(exif, photo)
        assert photo[ExifTags.Base.ExifImageWidth] == 52
        assert photo[ExifTags.Base.ExifImageHeight] == 37
        assert image.info["icc_profile"] == srgb_profile()
        assert image.size == (52, 37)
        if suffix == ".png":
            np.testing.assert_array_equal(np.asarray(image), rgb)
        else:
            assert image.format == "JPEG"


def test_tiff_has_16_bits_profile_and_an_exif_directory(tmp_path):
    path, rgb = tmp_path / "a.tiff", some_picture(bits=16, size=(37, 52))
    write_picture(path, rgb, **PLAIN)
    np.testing.assert_array_equal(tifffile.imread(path), rgb)
    with tifffile.TiffFile(path) as tiff:
        tags = tiff.pages[0].tags
        codes = [tag.code for tag in tags]
        assert codes == sorted(codes)
        assert tags["ExifTag"].value["LensModel"] == "50mm f/1.8"
        assert tags["InterColorProfile"].value == srgb_profile()
        assert tags["BitsPerSample"].value == (16, 16, 16)
    with Image.open(path) as image:
        exif = image.getexif()
        check_tags(exif, exif.get_ifd(ExifTags.IFD.Exif))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tiff"])
def test_captures_that_tell_nothing_are_written_too(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write_picture(path, some_picture(bits_of(format_of(path))), **(PLAIN | {"exif": CaptureExif()}))
    with Image.open(path) as image:
        assert ExifTags.Base.Make not in image.getexif()
        assert image.getexif()[ExifTags.Base.Orientation] == 1


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tiff"])
def test_equal_pictures_give_equal_files(tmp_path, suffix):
    one, two = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    for path in (one, two):
        write_picture(path, some_picture(bits_of(format_of(path))), **PLAIN)
    assert one.read_bytes() == two.read_bytes()


def test_the_profile_is_sound_and_is_srgb():
    profile = ImageCms.getOpenProfile(io.BytesIO(srgb_profile()))
    picture = Image.fromarray(some_picture())
    same = ImageCms.profileToProfile(picture, profile, ImageCms.createProfile("sRGB"))
    assert np.abs(np.asarray(same).astype(int) - some_picture()).max() <= 1


def test_nothing_is_replaced_without_force(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"precious")
    with pytest.raises(OutputError, match="exists; give --force"):
        write_picture(path, some_picture(), **PLAIN)
    assert path.read_bytes() == b"precious"
    write_picture(path, some_picture(), **(PLAIN | {"force": True}))
    assert path.read_bytes() != b"precious"


def test_a_link_that_leads_nowhere_is_not_replaced_without_force(tmp_path):
    link = tmp_path / "a.png"
    link.symlink_to(tmp_path / "unmounted/a.png")
    with pytest.raises(OutputError, match="exists; give --force"):
        refuse_existing(link, force=False)
    refuse_existing(link, force=True)


def test_a_picture_that_appeared_meanwhile_is_kept(tmp_path, monkeypatch):
    path, write = tmp_path / "a.png", output.write_png

    def overtaken(*words):
        write(*words)
        path.write_bytes(b"another command's")

    monkeypatch.setattr(output, "write_png", overtaken)
    with pytest.raises(OutputError, match="exists; give --force"):
        write_picture(path, some_picture(), **PLAIN)
    assert path.read_bytes() == b"another command's"
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_that_is_not_utf8_stands_in_the_sidecar(tmp_path):
    name = os.fsdecode(b"caf\xe9.dng")
    write_picture(tmp_path / "a.png", some_picture(), **(PLAIN | {"sidecar": {"file": name}}))
    assert json.loads((tmp_path / "a.png.json").read_bytes()) == {"file": name}


def test_an_existing_sidecar_is_kept_too_and_then_no_picture_is_written(tmp_path):
    path = tmp_path / "a.png"
    sidecar_path(path).write_text("mine")
    with pytest.raises(OutputError, match=r"a\.png\.json exists"):
        write_picture(path, some_picture(), **(PLAIN | {"sidecar": {"x": 1}}))
    assert [p.name for p in tmp_path.iterdir()] == ["a.png.json"]


def test_the_sidecar_is_json_beside_the_picture(tmp_path):
    path = tmp_path / "a.jpg"
    write_picture(path, some_picture(), **(PLAIN | {"sidecar": {"lens": "Ø"}}))
    assert json.loads((tmp_path / "a.jpg.json").read_text(encoding="utf-8")) == {"lens": "Ø"}


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tiff"])
@pytest.mark.parametrize("sidecar", [None, {"x": 1}])
def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch, suffix, sidecar):
    def full(*_args, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(encoders.Image.Image, "save", full)
    monkeypatch.setattr(encoders.tifffile, "imwrite", full)
    monkeypatch.setattr(encoders, "_chunk", full)
    path = tmp_path / f"a{suffix}"
    with pytest.raises(JobError, match=f"cannot write .*a{suffix}.*No space left"):
        write_picture(path, some_picture(), **(PLAIN | {"sidecar": sidecar}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tiff"])
def test_an_interrupt_leaves_what_was_there(tmp_path, monkeypatch, suffix):
    def interrupted(*_args, **_options):
        raise KeyboardInterrupt

    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"old")
    monkeypatch.setattr(encoders.Image.Image, "save", interrupted)
    monkeypatch.setattr(encoders.tifffile, "imwrite", interrupted)
    monkeypatch.setattr(encoders, "_chunk", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_picture(path, some_picture(), **(PLAIN | {"force": True}))
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"old"]


@pytest.mark.parametrize(("name", "said"), [("a.webp", "'.webp'"), ("a", "no extension")])
def test_other_extensions_are_refused(tmp_path, name, said):
    with pytest.raises(OutputError, match=f"{said}; expected one of .jpg"):
        format_of(tmp_path / name)


def test_a_folder_is_no_picture(tmp_path):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        write_picture(tmp_path / "a.png", some_picture(), **(PLAIN | {"force": True}))


def test_a_jpeg_that_would_be_too_wide_is_refused(tmp_path):
    wide = np.zeros((1, 70000, 3), np.uint8)
    with pytest.raises(OutputError, match="JPEG cannot hold 70000 x 1"):
        write_picture(tmp_path / "a.jpg", wide, **PLAIN)


def test_text_that_exif_cannot_hold_is_replaced():
    assert ascii_text(" Objektiv Ø\n50\x00 ") == "Objektiv ?50"
