"""The measures find the faults that they are for, and nothing where there is none."""

import numpy as np
import pytest

from benchmarks.isp.measures import border_psnr, phase_spread, quality, zipper_per_megapixel

SIDE = 64


def ramp(step_codes):
    """Grey that grows by a step from column to column, in 0..1."""
    row = 60 + step_codes * np.arange(SIDE)
    return np.broadcast_to(row / 255, (3, SIDE, SIDE)).astype(np.float32)


def striped(codes, length=SIDE):
    """A ramp with a two-pixel pattern in the first columns of green."""
    picture = ramp(0.5).copy()
    picture[1, :, 0:length:2] += codes / 255
    return picture


def test_a_smooth_ramp_has_no_zipper():
    assert zipper_per_megapixel(ramp(2.5)) == (0, 0, 0)


def test_a_single_edge_and_a_four_pixel_pattern_are_no_zipper():
    edge = np.where(np.arange(SIDE) < SIDE // 2, 0.1, 0.9)
    pairs = np.where(np.arange(SIDE) % 4 < 2, 0.1, 0.9)
    for row in (edge, pairs):
        picture = np.broadcast_to(row, (3, SIDE, SIDE)).astype(np.float32)
        assert zipper_per_megapixel(picture) == (0, 0, 0)


@pytest.mark.parametrize("turned", [False, True])
def test_a_two_pixel_pattern_is_counted_in_its_channel_along_rows_and_columns(turned):
    picture = striped(6)
    if turned:
        picture = picture.transpose(0, 2, 1)
    red, green, blue = zipper_per_megapixel(picture)
    inner = SIDE - 16
    assert (red, blue) == (0, 0)
    assert green == pytest.approx((inner - 7) / inner * 1e6)


def test_a_pattern_under_two_codes_and_one_of_six_pixels_are_not_counted():
    assert zipper_per_megapixel(striped(1.4))[1] == 0
    # The border is 8 pixels wide, so columns 8 to 13 alternate, or 8 to 15.
    assert zipper_per_megapixel(striped(6, length=13))[1] == 0
    assert zipper_per_megapixel(striped(6, length=15))[1] > 0


def test_a_phase_offset_is_found_in_its_channel():
    flat = np.full((3, SIDE, SIDE), 0.5, np.float32)
    assert phase_spread(flat) == pytest.approx([0, 0, 0])
    flat[2, 1::2, 0::2] += 3 / 255
    assert phase_spread(flat) == pytest.approx([0, 0, 3], abs=1e-3)


def test_noise_alone_is_hardly_a_phase_offset():
    noise = np.random.default_rng(0).normal(0.5, 4 / 255, (3, 256, 256))
    assert phase_spread(noise).max() < 0.25


def test_errors_of_the_border_and_of_the_inside_are_told_apart():
    expected = np.full((3, SIDE, SIDE), 0.5, np.float32)
    outside, inside = expected.copy(), expected.copy()
    outside[:, :8] += 0.1
    inside[:, 8:-8, 8:-8] += 0.1
    assert border_psnr(outside, expected)[1] == 100
    assert border_psnr(inside, expected) == pytest.approx((100, 20), abs=1e-3)


def test_quality_of_a_known_error():
    expected = np.full((3, SIDE, SIDE), 0.5, np.float32)
    figures = quality(expected + np.float32(0.01), expected)
    assert figures.psnr_db == pytest.approx(40, abs=1e-3)
    assert 0.99 < figures.ssim < 1
