"""Pictures of all modes are read as they are displayed, and each fault is one sentence."""

import io
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from edge_pipeline.errors import InputError, JobError
from edge_pipeline.segmentation import reading
from edge_pipeline.segmentation.pictures import Orientation, Picture, picture_of_array
from edge_pipeline.segmentation.reading import read_picture
from tests.fakes.mutations import KINDS, mutate

HEIGHT, WIDTH = 11, 17
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (HEIGHT, WIDTH), np.uint8)
COLOUR = RNG.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
WIDE = RNG.integers(0, 65536, (HEIGHT, WIDTH), np.uint16)
WIDE_COLOUR = RNG.integers(0, 65536, (HEIGHT, WIDTH, 3), np.uint16)


def values(picture: Picture, channels: int = 3) -> np.ndarray:
    """The whole picture as [H, W, C], 0 to 1."""
    height, width = picture.size
    return picture.window((0, height), (0, width), channels).transpose(1, 2, 0)


def assert_shows(path: Path, expected: np.ndarray, tolerance: float = 0) -> None:
    found = values(read_picture(path))
    expected = expected if expected.ndim == 3 else np.repeat(expected[..., None], 3, 2)
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() <= tolerance


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp", "a.webp"])
def test_colour_and_grey_are_exact(tmp_path, name):
    for codes in (COLOUR, GREY):
        Image.fromarray(codes).save(tmp_path / name, lossless=True)
        assert_shows(tmp_path / name, codes / np.float32(255))


def test_a_jpeg_is_read_in_colour_grey_and_cmyk(tmp_path):
    smooth = np.asarray(Image.fromarray(COLOUR).resize((64, 48), Image.Resampling.BICUBIC))
    for mode in ("RGB", "L", "CMYK"):
        image = Image.fromarray(smooth).convert(mode)
        image.save(tmp_path / f"{mode}.jpg", quality=97, subsampling=0)
        shown = np.asarray(image.convert("RGB")) / 255
        assert_shows(tmp_path / f"{mode}.jpg", shown, tolerance=0.1)


def test_palettes_bits_and_transparency(tmp_path):
    image = Image.fromarray(COLOUR)
    palette = image.quantize(8)
    palette.save(tmp_path / "p.png", transparency=0)
    assert_shows(tmp_path / "p.png", np.asarray(palette.convert("RGB")) / np.float32(255))
    Image.fromarray(GREY > 128).save(tmp_path / "1.png")
    assert_shows(tmp_path / "1.png", (GREY > 128).astype(np.float32))
    image.putalpha(Image.fromarray(GREY))
    image.save(tmp_path / "rgba.png")
    assert_shows(tmp_path / "rgba.png", COLOUR / np.float32(255))
    both = Image.merge("LA", (Image.fromarray(GREY), Image.fromarray(GREY)))
    both.save(tmp_path / "la.png")
    assert_shows(tmp_path / "la.png", GREY / np.float32(255))


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_grey_of_16_bits_keeps_its_bits(tmp_path, name):
    Image.fromarray(WIDE).save(tmp_path / name)
    assert_shows(tmp_path / name, WIDE / np.float32(65535))


@pytest.mark.parametrize(
    ("codes", "options"),
    [
        (WIDE_COLOUR, {"photometric": "rgb"}),
        (WIDE_COLOUR.transpose(2, 0, 1), {"photometric": "rgb", "planarconfig": "separate"}),
        (COLOUR.transpose(2, 0, 1), {"photometric": "rgb", "planarconfig": "separate"}),
        (WIDE, {"byteorder": ">"}),
        (GREY, {"bigtiff": True}),
        (WIDE, {"compression": "zlib", "tile": (16, 16)}),
    ],
)
def test_tiffs_of_other_layouts(tmp_path, codes, options):
    tifffile.imwrite(tmp_path / "a.tif", codes, **options)
    shown = codes.transpose(1, 2, 0) if options.get("planarconfig") else codes
    # Pillow may keep the upper eight of sixteen bits in colour.
    tolerance = 1 / 255 if codes.dtype == np.uint16 and codes.ndim == 3 else 1e-6
    assert_shows(tmp_path / "a.tif", shown / np.float32(np.iinfo(codes.dtype).max), tolerance)


@pytest.mark.parametrize("codes", [GREY, WIDE])
def test_a_tiff_in_which_white_is_zero_is_inverted(tmp_path, codes):
    tifffile.imwrite(tmp_path / "a.tif", codes, photometric="miniswhite")
    assert_shows(tmp_path / "a.tif", 1 - codes / np.float32(np.iinfo(codes.dtype).max), 1e-6)


def test_tifffile_reads_what_pillow_does_not(tmp_path, monkeypatch):
    """Older versions of Pillow do not identify these files."""

    def refuse(*_, **__):
        raise reading.UnidentifiedImageError

    monkeypatch.setattr(reading.Image, "open", refuse)
    path = tmp_path / "a.tif"
    planes = WIDE_COLOUR.transpose(2, 0, 1)
    for options in ({}, {"extratags": [(274, 3, 1, 6, True)]}):
        tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate", **options)
        shown = np.rot90(WIDE_COLOUR, -1) if options else WIDE_COLOUR
        assert_shows(path, shown / np.float32(65535))
    tifffile.imwrite(
        path, np.dstack([COLOUR, GREY]), photometric="rgb", extrasamples=["unassalpha"]
    )
    assert_shows(path, COLOUR / np.float32(255))
    path.write_bytes(b"II*\0 and no more")
    with pytest.raises(InputError, match="damaged or incomplete"):
        read_picture(path)


@pytest.mark.parametrize("tag", range(1, 9))
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
def test_the_orientation_is_that_of_viewers(tmp_path, tag, name):
    exif = Image.Exif()
    exif[274] = tag
    large = Image.fromarray(np.kron(GREY, np.ones((8, 8), np.uint8)))
    large.save(tmp_path / name, exif=exif)
    with Image.open(tmp_path / name) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    picture = read_picture(tmp_path / name)
    assert picture.size == upright.shape
    np.testing.assert_allclose(values(picture)[..., 0], upright / np.float32(255), atol=1e-6)
    part = picture.window((3, 40), (5, 60), 3)[0]
    np.testing.assert_allclose(part, upright[3:40, 5:60] / np.float32(255), atol=1e-6)


@pytest.mark.parametrize("tag", [0, 9, None, "6", 2.0])
def test_an_orientation_that_is_none_changes_nothing(tag):
    assert Orientation.of(tag) == Orientation()


@given(st.data())
def test_windows_are_parts_of_the_whole(data):
    tag = data.draw(st.integers(1, 8))
    picture = Picture(Image.fromarray(COLOUR), 255, Orientation.of(tag))
    same = Picture(COLOUR, 255, Orientation.of(tag))
    height, width = picture.size
    rows = sorted(data.draw(st.sets(st.integers(0, height), min_size=2, max_size=2)))
    columns = sorted(data.draw(st.sets(st.integers(0, width), min_size=2, max_size=2)))
    for channels in (1, 3):
        expected = values(same, channels)[slice(*rows), slice(*columns)]
        for each in (picture, same):
            part = each.window(tuple(rows), tuple(columns), channels).transpose(1, 2, 0)
            np.testing.assert_allclose(part, expected, atol=1e-6)


def test_the_first_of_several_pages_is_read_with_a_note(tmp_path):
    pages = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    (tmp_path / "a.tif").rename(tmp_path / "b.tif")
    picture = read_picture(tmp_path / "b.tif")
    assert picture.notes == ("it has 2 pages, of which the first one is segmented",)
    np.testing.assert_array_equal(values(picture)[..., 0], GREY / np.float32(255))


def test_the_file_can_disappear_after_it_was_read(tmp_path):
    for name in ("a.png", "a.jpg", "a.webp", "a.tif", "a.bmp"):
        Image.fromarray(COLOUR).save(tmp_path / name)
        picture = read_picture(tmp_path / name)
        (tmp_path / name).unlink()
        assert values(picture).shape == (HEIGHT, WIDTH, 3)


def png(width: int, height: int) -> bytes:
    """A PNG that states a size and has hardly any data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def encoded(codes: np.ndarray, kind: str) -> bytes:
    held = io.BytesIO()
    Image.fromarray(codes).save(held, kind)
    return held.getvalue()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"a text\n" * 99, "is not a picture in PNG, JPEG, TIFF, BMP or WebP"),
        (encoded(COLOUR, "PNG")[:200], "is damaged or incomplete"),
        (encoded(COLOUR, "JPEG")[:500], "is damaged or incomplete"),
        (encoded(COLOUR, "GIF"), "is not a picture in PNG"),
        (png(20_000, 20_000), "more than 178956970 pixels"),
        (png(13_000, 13_000), "is damaged or incomplete"),
        (encoded(COLOUR, "TIFF")[:60], "is damaged or incomplete|is not a picture"),
    ],
    ids=["empty", "text", "png", "jpeg", "gif", "huge", "bomb", "tiff"],
)
def test_a_fault_is_one_sentence_with_the_file(tmp_path, content, words):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as refusal:
        read_picture(path)
    said = str(refusal.value)
    assert said.startswith(str(path))
    assert "\n" not in said


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    for path, words in ((tmp_path / "none.png", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(InputError, match=f"cannot read {path}: {words}"):
            read_picture(path)


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint32, np.float64])
def test_values_of_32_bits_are_refused(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "a.tif", (WIDE.astype(np.float64) * 3000).astype(dtype))
    with pytest.raises(InputError, match="8 or 16 bits"):
        read_picture(tmp_path / "a.tif")


def test_other_numbers_of_channels_are_refused(tmp_path):
    stack = np.dstack([GREY] * 5)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack", planarconfig="contig")
    with pytest.raises(InputError, match="has 5 channels; save it in grey or in colour"):
        read_picture(tmp_path / "a.tif")


def test_a_compression_that_no_reader_decodes_is_named(tmp_path):
    codes = WIDE_COLOUR.transpose(2, 0, 1)
    options = {"photometric": "rgb", "planarconfig": "separate", "compression": "zlib"}
    tifffile.imwrite(tmp_path / "a.tif", codes, **options)
    assert_shows(tmp_path / "a.tif", WIDE_COLOUR / np.float32(65535))
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as file:
        file.pages[0].tags["Compression"].overwrite(5)
    with pytest.raises(InputError, match="save it without compression"):
        read_picture(tmp_path / "a.tif")


def test_a_limit_on_pixels_applies_to_both_readers(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    stack = np.dstack([GREY] * 5)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack", planarconfig="contig")
    for name in ("a.png", "a.tif"):
        with pytest.raises(InputError, match="more than 100 pixels; cut it"):
            read_picture(tmp_path / name, max_pixels=100)


def test_exhausted_memory_is_a_failed_job(tmp_path, monkeypatch):
    def exhausted(*_, **__):
        raise MemoryError

    Image.fromarray(GREY).save(tmp_path / "a.png")
    monkeypatch.setattr(reading.Image, "open", exhausted)
    with pytest.raises(JobError, match="not enough memory to read"):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 4, 2), np.uint8), "has the shape 4x4x2"),
        (np.zeros((0, 4), np.uint8), "has the shape 0x4"),
        (np.zeros(4, np.uint8), "has the shape 4"),
        (np.zeros((4, 4), np.int64), "has the type int64"),
        (np.full((4, 4), 1.5), "values from 1.5 to 1.5"),
        (np.full((4, 4), np.nan), "values from nan"),
    ],
)
def test_an_array_of_another_kind_is_refused(array, words):
    with pytest.raises(InputError, match=words):
        picture_of_array(array)


def test_arrays_of_all_types_show_the_same():
    for array in (GREY, GREY.astype(np.uint16) * 257, GREY / 255, (GREY / 255).astype(np.float32)):
        found = values(picture_of_array(array))[..., 0]
        np.testing.assert_allclose(found, GREY / 255, atol=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("format_name", ["PNG", "JPEG", "TIFF", "BMP", "WEBP"])
def test_damaged_pictures_are_read_or_refused(tmp_path, kind, format_name):
    path, said = tmp_path / "a.png", []
    for codes in (COLOUR, GREY):
        whole = encoded(np.kron(codes, np.ones((4, 4, 1)[: codes.ndim], np.uint8)), format_name)
        for seed in range(150):
            path.write_bytes(mutate(whole, seed, kind))
            try:
                picture = read_picture(path)
                if math.prod(picture.size) < 1 << 22:
                    values(picture)
            except (InputError, JobError) as error:
                said.append(str(error))
    assert all(line.count(str(path)) == 1 and "\n" not in line for line in said)
    assert said or kind in ("tail", "zeros", "bytes")
