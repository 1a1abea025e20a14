"""Sizes fit and are never larger; resampling is in linear light, in place, and bounded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edge_pipeline.errors import InputError
from edge_pipeline.isp import resize
from edge_pipeline.isp.bands import Bands
from edge_pipeline.isp.resize import parse_resize, square_size
from edge_pipeline.isp.resize import resampled as resampled_bands
from edge_pipeline.raw.colour import srgb_decode, srgb_encode

SIDES = st.integers(1, 20_000)


def resampled(picture, size, bits):
    """The whole picture, from bands of seven rows."""
    height, width, _ = picture.shape
    parts = (picture[row : row + 7] for row in range(0, height, 7))
    return resampled_bands(Bands(width, height, 16, parts), size, bits).whole()


def some_picture(height=61, width=83):
    return np.random.default_rng(0).integers(0, 65536, (height, width, 3), np.uint16)


@pytest.mark.parametrize(
    ("text", "size", "expected"),
    [
        ("2048", (6000, 4000), (2048, 1365)),
        ("2048", (4000, 6000), (1365, 2048)),
        ("2048x", (4000, 6000), (2048, 3072)),
        ("x1365", (6000, 4000), (2048, 1365)),
        ("2048x1365", (6000, 4000), (2048, 1365)),
        ("2048X100", (6000, 4000), (150, 100)),
        (" 50% ", (601, 400), (301, 200)),
        ("33.3%", (1000, 10), (333, 3)),
        ("100%", (601, 400), (601, 400)),
        ("1", (6000, 1), (1, 1)),
        ("0.001%", (60, 40), (1, 1)),
        ("9000", (6000, 4000), (6000, 4000)),
        ("9000x9000", (6000, 4000), (6000, 4000)),
    ],
)
def test_sizes(text, size, expected):
    assert parse_resize(text).size(*size) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "0", "0x5", "5x0", "0%", "100.1%", "101%", "-5", "5%x", "1e3", "nan", "5.5"),
        *("1xx2", "9" * 7, "٣", "2048 x 1365", "2048×1365", "50 %", "%"),
    ],
)
def test_other_sizes_are_one_sentence(text):
    with pytest.raises(InputError, match=r"size .*; give ") as caught:
        parse_resize(text)
    assert "\n" not in str(caught.value)


@given(SIDES, SIDES, st.integers(1, 20_000), st.integers(1, 20_000))
def test_a_picture_fits_is_never_larger_and_keeps_its_shape(width, height, most_w, most_h):
    for text in (f"{most_w}", f"{most_w}x", f"x{most_h}", f"{most_w}x{most_h}", "37.5%"):
        chosen = parse_resize(text)
        new_width, new_height = chosen.size(width, height)
        assert 1 <= new_width <= width
        assert 1 <= new_height <= height
        if chosen.long_edge:
            assert max(new_width, new_height) == min(max(width, height), most_w)
        if chosen.width:
            assert new_width <= most_w
        if chosen.height:
            assert new_height <= most_h
        if min(new_width, new_height) > 1:  # each side is rounded by half a pixel at most
            assert 2 * abs(new_width * height - new_height * width) <= width + height


@given(SIDES, SIDES, st.floats(0.25, 4))
def test_square_pixels_never_shorten_a_side(width, height, aspect):
    new_width, new_height = square_size(width, height, aspect)
    assert new_width >= width
    assert new_height >= height
    assert new_width * height == pytest.approx(
        width * aspect * new_height, rel=0.6 / min(width, height)
    )


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("size", [(20, 30), (83, 30), (200, 61), (1, 1), (7, 200)])
def test_a_constant_picture_stays_constant(bits, size):
    flat = np.broadcast_to(np.array([65535, 30000, 0], np.uint16), (61, 83, 3))
    made = resampled(flat, size, bits)
    assert made.shape == (size[1], size[0], 3)
    assert made.dtype == (np.uint8 if bits == 8 else np.uint16)
    expected = np.round(np.array([65535, 30000, 0]) / 65535 * (2**bits - 1))
    assert (made == expected).all()


def test_light_is_averaged_not_its_encoding():
    """Stripes of black and white have half the light, which sRGB encodes as 188, not 128."""
    stripes = np.zeros((64, 64, 3), np.uint16)
    stripes[:, ::2] = 65535
    middle = resampled(stripes, (8, 8), 8)[2:-2, 2:-2]
    assert np.abs(middle.astype(int) - 188).max() <= 1


@pytest.mark.parametrize("size", [(40, 30), (83, 20), (100, 80), (82, 60)])
def test_bands_make_the_same_picture_as_pillow_at_once(monkeypatch, size):
    picture = some_picture()
    whole = []
    for channel in range(3):
        light = srgb_decode(picture[..., channel].astype(np.float32) / 65535)
        plane = Image.fromarray(light).resize(size, Image.Resampling.LANCZOS)
        whole.append(srgb_encode(np.asarray(plane)) * 65535)
    for values in (1, 20_000, 1 << 24):
        monkeypatch.setattr(resize, "_BAND_VALUES", values)
        made = resampled(picture, size, 16)
        assert np.abs(made - np.stack(whole, axis=-1)).max() <= 2


def test_nothing_moves():
    """The centre of a spot stays where it was, relative to the picture."""
    rows, cols = np.mgrid[:120, :200]
    spot = np.exp(-((rows - 40.5) ** 2 + (cols - 150.5) ** 2) / 200)
    picture = (srgb_encode(np.repeat(spot[..., None], 3, axis=2)) * 65535).astype(np.uint16)
    made = srgb_decode(resampled(picture, (50, 30), 16)[..., 0] / 65535)
    rows, cols = np.mgrid[:30, :50] + 0.5
    assert (rows * made).sum() / made.sum() == pytest.approx(41 / 4, abs=0.01)
    assert (cols * made).sum() / made.sum() == pytest.approx(151 / 4, abs=0.01)


def test_a_band_is_bounded():
    for width, step in ((6000, 3.0), (65535, 1.0), (100, 0.5), (20_000, 500.0)):
        margin = int(np.ceil(3 * max(step, 1))) + 1
        rows = resize._band_rows(step, margin, width)
        assert rows >= 1
        if rows > 1:
            assert (rows * step + 2 * margin) * width <= resize._BAND_VALUES
