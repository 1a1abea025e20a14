"""What is measured of methods whose faults are known."""

import numpy as np
import pytest

from benchmarks.isp.captures import (
    Take,
    blurred,
    finish,
    flat_take,
    real_take,
    reference,
    shifted,
    take,
    taken_by,
)
from benchmarks.isp.measurements import (
    measure_borders,
    measure_exposure,
    measure_flats,
    measure_noise,
    measure_phases,
    measure_real_zipper,
    measure_shift,
    measure_zipper,
)
from benchmarks.isp.networks import from_packed
from edge_pipeline.data.validation import neutral_shot, validation_sample
from edge_pipeline.raw.noise import NOISE_LEVELS
from tests.fakes.dng import Dng, write_dng


@pytest.fixture(scope="module")
def picture():
    """Soft shapes in colour, [100, 140, 3]."""
    noise = np.random.default_rng(3).integers(0, 256, (100, 140, 3), dtype=np.uint8)
    soft = blurred(noise, 3.0).astype(np.float32)
    return np.clip((soft - 128) * 6 + 128, 0, 255).astype(np.uint8)


def nearest(packed):
    """Every 2 x 2 pixels take the colour of their cell: the crudest method there is."""
    red, green, again, blue = packed
    small = np.stack([red, (green + again) / 2, blue])
    return small.repeat(2, axis=1).repeat(2, axis=2)


def checkered(packed):
    """A perfect method for flat surfaces but for one phase of green, which is 5 % too bright."""
    rgb = nearest(packed)
    rgb[1, 0::2, 0::2] *= 1.05
    return rgb


def test_a_take_is_the_sample_that_validation_measures(picture):
    for level in NOISE_LEVELS:
        ours, theirs = take(picture, level, 1), validation_sample(picture, level, 1)
        np.testing.assert_array_equal(ours.packed, theirs.packed)
        np.testing.assert_array_equal(ours.target, theirs.target)
        assert ours.noise == NOISE_LEVELS[level]


def test_a_perfect_method_loses_nothing_anywhere(picture):
    methods = {"perfect": reference}
    assert all(q == (100, 1) for q in measure_noise(methods, [picture])["perfect"].values())
    assert all(q == (100, 1) for q in measure_shift(methods, [picture])["perfect"].values())
    assert measure_borders(methods, [picture])["perfect"] == (100, 100)
    assert measure_phases(methods)["perfect"].grid == (0, 0, 0)
    assert measure_phases(methods)["perfect"].colour_worst == pytest.approx(0, abs=1e-3)
    assert all(flat == (0, 0, 0) for flat in measure_flats(methods)["perfect"].values())
    assert measure_exposure(methods, [picture])["perfect"].loss_db == 0


def test_noise_and_shift_are_seen(picture):
    methods = {"nearest": from_packed(nearest)}
    psnr = [q.psnr_db for q in measure_noise(methods, [picture])["nearest"].values()]
    assert psnr == sorted(psnr, reverse=True)
    assert psnr[0] - psnr[-1] > 5
    assert list(measure_shift(methods, [picture], (0.0, 1.0))["nearest"]) == [0.0, 1.0]


def test_a_checkered_network_is_found_by_the_grid_and_by_the_zipper(picture):
    methods = {"nearest": from_packed(nearest), "checkered": from_packed(checkered)}
    phases = measure_phases(methods)
    assert max(phases["nearest"].grid) < 0.01
    assert phases["checkered"].grid[1] > 3
    counts = measure_zipper(methods, [picture])
    assert counts["checkered"] > 10 * counts["nearest"] + 1000
    # Half of the rows and of the columns alternate.
    flat = Take(np.full((4, 32, 32), 0.5), np.zeros((3, 64, 64)), np.eye(3))
    real = measure_real_zipper(methods, {"flat": flat})
    assert real["nearest"]["flat"] == 0
    assert real["checkered"]["flat"] > 5e5


def test_a_shift_moves_red_and_blue_apart_and_leaves_green(picture):
    moved = shifted(picture, 1.0)
    np.testing.assert_array_equal(moved[..., 1], picture[..., 1])
    inner = np.s_[8:-8, 8:-8]
    one_down = np.roll(picture[..., 0], (1, 1), (0, 1))[inner]
    one_up = np.roll(picture[..., 2], (-1, -1), (0, 1))[inner]
    assert np.abs(moved[..., 0][inner].astype(int) - one_down).max() <= 1
    assert np.abs(moved[..., 2][inner].astype(int) - one_up).max() <= 1


def test_half_a_shift_twice_is_a_shift(picture):
    soft = blurred(picture, 1.5)
    twice, once = shifted(shifted(soft, 0.5), 0.5), shifted(soft, 1.0)
    assert np.abs(twice.astype(int) - once)[8:-8, 8:-8].max() <= 2


def test_an_underexposed_capture_is_darker_and_its_reference_is_not(picture):
    normal, dark = take(picture, "none", 0), take(picture, "none", 0, 4.0)
    np.testing.assert_allclose(16 * dark.target, normal.target, rtol=1e-5)
    np.testing.assert_allclose(reference(dark), reference(normal), atol=1e-5)
    assert dark.packed.max() <= 1 / 16 + 1e-4


def test_white_clips_and_black_keeps_its_noise_unless_clipped():
    white = flat_take(1.5, 64, "high")
    assert white.packed.max() == 1
    assert (white.target == 1).all()
    black = flat_take(0.0, 64, "high")
    assert abs(black.packed.mean()) < 0.002
    assert flat_take(0.0, 64, "high", clip_black=True).packed.min() == 0
    flats = measure_flats({"nearest": from_packed(nearest)})["nearest"]
    assert flats["none"] == pytest.approx((0, 0, 0), abs=1e-3)
    assert flats["high"].black_clipped > flats["high"].black > 1


def test_finish_pushes_a_take_by_its_exposure(picture):
    dark = taken_by(picture, neutral_shot(NOISE_LEVELS["none"]), 0, exposure_ev=1.0)
    camera = np.full((3, 2, 2), 0.25, np.float32)
    assert finish(camera, dark) == pytest.approx(0.7354, abs=1e-3)  # sRGB of 0.5


@pytest.mark.parametrize("order", ["RGGB", "GRBG", "GBRG", "BGGR"])
def test_a_real_capture_is_cut_to_start_on_red(tmp_path, order):
    levels = {"R": 1000, "G": 2000, "B": 3000}
    cell = np.array([levels[letter] for letter in order], np.uint16).reshape(2, 2)
    path = tmp_path / "a.dng"
    write_dng(path, np.tile(cell, (60, 70)), Dng(filters=order, neutral=(1.0, 1.0, 1.0)))
    sample = real_take(path, side=64)
    assert sample.packed.shape == (4, 32, 32)
    expected = (np.array([1000, 2000, 2000, 3000]) - 64) / (4095 - 64)
    np.testing.assert_allclose(sample.packed.mean(axis=(1, 2)), expected, rtol=1e-3)
    np.testing.assert_allclose(sample.packed.std(axis=(1, 2)), 0, atol=1e-6)
