"""Canvases: orientation, quantisation, half size from parts that begin anywhere."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from edge_pipeline.isp.canvas import (
    ColourConversion,
    Order,
    Part,
    full_strips,
    half_strips,
    sensor_view,
)
from edge_pipeline.isp.colour_spaces import COLOUR_SPACES, colour_space
from edge_pipeline.raw.colour import srgb_decode, srgb_encode, to_srgb
from edge_pipeline.raw.tone import ToneCurve, apply_tone

PLAIN = ColourConversion(np.eye(3), 0.0, encoded=False, bits=16)
MATRIX = np.array([[1.6, -0.5, -0.1], [-0.2, 1.5, -0.3], [0.05, -0.55, 1.5]])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_is_what_pillow_makes_of_the_orientation(orientation):
    sensor = np.random.default_rng(0).integers(0, 255, (4, 7, 3), dtype=np.uint8)
    tagged = Image.fromarray(sensor)
    tagged.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(tagged))
    upright = np.zeros_like(expected)
    sensor_view(upright, orientation)[:] = sensor
    np.testing.assert_array_equal(upright, expected)


def cuts(size):
    """Borders of parts along an axis, some of them outside of it."""
    inner = st.lists(st.integers(0, size), max_size=4)
    return inner.map(lambda values: sorted({-3, size + 2, *values}))


@st.composite
def pictures(draw):
    height, width = draw(st.integers(2, 17)), draw(st.integers(2, 17))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    large = rng.uniform(-0.1, 1.2, (3, height + 5, width + 5)).astype(np.float32)
    return large, draw(cuts(height)), draw(cuts(width)), (height, width)


def parts_of(large, rows, cols, orientation):
    """Parts of a picture that begins at (-3, -3), in the order for the orientation."""
    order = Order.of(orientation)
    spans = [list(pairwise(rows)), list(pairwise(cols))]
    lines, others = spans[::-1] if order.by_columns else spans
    for line in reversed(lines) if order.backwards else lines:
        for other in others:
            (a, b), (c, d) = (other, line) if order.by_columns else (line, other)
            yield Part(a, c, large[:, a + 3 : b + 3, c + 3 : d + 3])


def assembled(strips, picture, conversion, orientation=1):
    large, rows, cols, size = picture
    return np.concatenate(
        [*strips(parts_of(large, rows, cols, orientation), size, conversion, orientation)]
    )


def whole(strips, rgb, conversion):
    return next(strips([Part(0, 0, rgb)], rgb.shape[1:], conversion, 1))


@given(picture=pictures(), orientation=st.integers(1, 8))
def test_full_size_is_each_pixel_coloured_and_rounded(picture, orientation):
    large, _, _, (height, width) = picture
    conversion = replace(PLAIN, matrix=MATRIX, exposure_ev=0.5)
    got = assembled(full_strips, picture, conversion, orientation)
    inside = large[:, 3 : 3 + height, 3 : 3 + width]
    expected = to_srgb(inside, MATRIX, 0.5).transpose(1, 2, 0) * 65535
    assert got.dtype == np.uint16
    assert np.abs(sensor_view(got, orientation) - expected).max() <= 0.51


@given(picture=pictures(), orientation=st.integers(1, 8))
def test_half_size_is_the_mean_of_linear_light(picture, orientation):
    large, _, _, (height, width) = picture
    got = sensor_view(assembled(half_strips, picture, PLAIN, orientation), orientation)
    high, wide = height // 2, width // 2
    inside = large[:, 3 : 3 + 2 * high, 3 : 3 + 2 * wide].astype(np.float64)
    means = inside.reshape(3, high, 2, wide, 2).mean(axis=(2, 4))
    expected = srgb_encode(means).transpose(1, 2, 0) * 65535
    assert got.shape == (high, wide, 3)
    assert np.abs(got - expected).max() <= 1.0  # half a step, and float32 under a steep curve


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_strip_is_complete_before_the_next_part_is_read(orientation):
    read = []

    def parts():
        rgb = np.zeros((3, 13, 13), np.float32)
        for part in parts_of(rgb, [0, 4, 10], [0, 4, 10], orientation):
            read.append(part)
            yield part

    strips = full_strips(parts(), (10, 10), PLAIN, orientation)
    next(strips)
    assert len(read) <= 3
    next(strips)
    assert len(read) == 4


def test_half_size_is_not_the_mean_of_the_encoded_picture():
    """The planted fault for the tolerance above: averaging after the curve is far off."""
    checks = np.indices((4, 4)).sum(0) % 2
    made = whole(half_strips, np.repeat(checks[None], 3, 0).astype(np.float32), PLAIN)
    assert abs(int(made[0, 0, 0]) - 65535 / 2) > 10000
    assert abs(int(made[0, 0, 0]) - srgb_encode(np.array(0.5)) * 65535) <= 1


def test_encoded_networks_get_exposure_in_linear_light_only():
    encoded = np.random.default_rng(1).uniform(0, 1, (3, 6, 6)).astype(np.float32)
    as_it_is = whole(full_strips, encoded, replace(PLAIN, encoded=True))
    assert np.abs(as_it_is - encoded.transpose(1, 2, 0) * 65535).max() <= 0.6
    darker = whole(full_strips, encoded, replace(PLAIN, encoded=True, exposure_ev=-1.0))
    expected = srgb_encode(srgb_decode(encoded) / 2).transpose(1, 2, 0) * 65535
    assert np.abs(darker - expected).max() <= 0.6


def test_white_is_white_at_8_bits_and_overshoot_does_not_wrap():
    bright = np.full((3, 2, 2), 1.7, np.float32)
    assert (whole(full_strips, bright, replace(PLAIN, bits=8)) == 255).all()


def test_wide_spaces_keep_colours_that_srgb_clips():
    """A green outside sRGB has other values in Display P3, and the same colour."""
    green = np.array([-0.15, 0.8, 0.05], np.float32)[:, None, None]  # linear sRGB
    space = colour_space("display-p3")
    wide = replace(PLAIN, space=space).quantised(green)[0, 0] / 65535
    linear = np.linalg.inv(space.from_srgb()) @ srgb_decode(wide)
    assert linear == pytest.approx(green[:, 0, 0], abs=1e-3)
    assert PLAIN.quantised(green)[0, 0, 0] == 0


def test_tone_is_applied_in_the_linear_light_of_the_picture():
    rgb = np.random.default_rng(2).uniform(0, 1.2, (3, 5, 6)).astype(np.float32)
    curve = ToneCurve(1.2)
    for space in COLOUR_SPACES.values():
        got = replace(PLAIN, matrix=MATRIX, exposure_ev=-0.5, tone=curve, space=space)
        linear = np.einsum("oc,chw->ohw", space.from_srgb() @ MATRIX * 2**-0.5, rgb)
        expected = space.encode(apply_tone(linear.astype(np.float32), curve)).transpose(1, 2, 0)
        assert np.abs(got.quantised(rgb) / 65535 - expected).max() < 1e-4


def test_no_tone_is_the_conversion_of_to_srgb_to_the_last_bit():
    rgb = np.random.default_rng(2).uniform(-0.1, 1.2, (3, 40, 50)).astype(np.float32)
    got = replace(PLAIN, matrix=MATRIX, exposure_ev=0.3).quantised(rgb)
    expected = (to_srgb(rgb, MATRIX, 0.3) * 65535 + 0.5).astype(np.uint16)
    np.testing.assert_array_equal(got, expected.transpose(1, 2, 0))


def test_hue_over_white_is_kept_only_if_asked_for():
    sky = np.array([0.9, 1.15, 1.4], np.float32)[:, None, None]
    assert PLAIN.quantised(sky)[0, 0].tolist()[1:] == [65535, 65535]
    red, green, blue = replace(PLAIN, keeps_hue=True).quantised(sky)[0, 0]
    assert red < green < blue == 65535
