from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from edge_pipeline.data.capture_synthesis import (
    MARGIN,
    blurred_and_shifted,
    mosaic,
    scene,
    synthesise_crops,
)
from edge_pipeline.data.conditions import Conditions, Lens, Sensor
from edge_pipeline.data.pictures import load_mixture
from edge_pipeline.raw.colour import srgb_decode
from edge_pipeline.raw.noise import NoiseModel

SENSOR = Sensor(NoiseModel(0, 0), 1 << 16, 1.0, 0.0, clips_black=False)
PLAIN = Conditions(
    np.eye(3), (2.0, 1.0, 1.5), 1.0, 1.0, np.ones(2, np.float32), lens=None, sensor=SENSOR
)


@pytest.fixture(scope="module")
def pictures():
    return load_mixture([("procedural", 1.0, {"count": 6, "size": 100})])


def lens(shift=(0.0, 0.0), blur=0.0, magnification=(1.0, 1.0, 1.0), crops=2):
    """A lens that shifts red and blue alike, and blurs all colours alike."""
    shifts = np.zeros((crops, 3, 2), np.float32)
    shifts[:, [0, 2]] = shift
    return Lens(shifts, np.float32(magnification), np.full(3, blur, np.float32))


def light(side=48, crops=2):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(crops, 3, side, side, generator=generator)


def cropped(x):
    return x[..., MARGIN:-MARGIN, MARGIN:-MARGIN]


def with_sensor(**fields):
    return replace(PLAIN, sensor=replace(SENSOR, **fields))


def grey(value, side=512):
    return torch.full((1, 3, side, side), value)


def noise_of(conditions, value=0.4, side=512):
    """A recorded grey map less what it would be without noise, by plane, before white balance."""
    gains = np.array([2.0, 1.0, 1.0, 1.5])[:, None, None]
    got = mosaic(grey(value, side), conditions, np.random.default_rng(0))[0].numpy()
    return got / gains - value / gains


@pytest.mark.parametrize("shift", [(1, 0), (0, 1), (-2, 1), (3, -4)])
def test_a_shift_by_whole_pixels_rolls_red_and_blue(shift):
    x = light()
    got = blurred_and_shifted(x, lens(shift))
    rolled = np.roll(x.numpy(), (-shift[0], -shift[1]), axis=(2, 3))
    np.testing.assert_allclose(got[:, [0, 2]], cropped(rolled)[:, [0, 2]], atol=1e-6)
    np.testing.assert_allclose(got[:, 1], cropped(x)[:, 1], atol=1e-6)


def test_a_shift_by_half_a_pixel_is_exact_for_a_ramp():
    ramp = torch.arange(48.0).expand(2, 3, 48, 48) / 48
    got = blurred_and_shifted(ramp, lens((0.0, 0.5)))
    np.testing.assert_allclose(got[:, 0], cropped(ramp)[:, 0] + 0.5 / 48, atol=1e-6)


@pytest.mark.parametrize("blur", [0.2, 0.6, 1.2])
def test_blurs_keep_the_mean(blur):
    x = torch.zeros(2, 3, 48, 48)
    x[..., 20:28, 20:28] = light(8)
    got = blurred_and_shifted(x, lens(blur=blur))
    torch.testing.assert_close(got.sum((2, 3)), x.sum((2, 3)), rtol=1e-3, atol=0)
    flat = torch.full((2, 3, 48, 48), 0.3)
    torch.testing.assert_close(blurred_and_shifted(flat, lens(blur=blur)), cropped(flat))


def test_a_blur_is_that_of_scipy():
    x = light()
    got = blurred_and_shifted(x, lens(blur=1.0))[0, 0]
    wanted = gaussian_filter(x[0, 0].numpy(), 1.0, truncate=MARGIN)
    np.testing.assert_allclose(got, cropped(wanted), atol=1e-5)
    wrong = gaussian_filter(x[0, 0].numpy(), 1.1, truncate=MARGIN)
    assert np.abs(got - cropped(wrong)).max() > 1e-3  # the tolerance can be missed


def test_magnification_shifts_in_proportion_to_the_distance_from_the_centre():
    ramp = torch.arange(48.0).expand(2, 3, 48, 48) / 48
    got = blurred_and_shifted(ramp, lens(magnification=(1.01, 1.0, 1.0)))
    places = np.arange(MARGIN, 48 - MARGIN)
    np.testing.assert_allclose(got[0, 0, 0] * 48, places + 0.01 * (places - 24), atol=1e-4)


def test_saturation_is_the_distance_from_grey():
    picture = torch.randint(40, 90, (2, 3, 8, 8), dtype=torch.uint8)
    linear = srgb_decode(picture.numpy().astype(np.float32) / 255)
    np.testing.assert_allclose(scene(picture, PLAIN), linear, atol=1e-6)
    grey_of = np.einsum("c,nchw->nhw", [0.2126, 0.7152, 0.0722], linear)[:, None]
    double = scene(picture, replace(PLAIN, saturation=np.float32([2, 2])))
    wanted = np.clip(2 * linear - grey_of, 0, 1)
    np.testing.assert_allclose(double, wanted, atol=1e-5)


def test_without_noise_a_mosaic_is_the_target_sampled_by_the_cfa():
    target = light(16)
    packed = mosaic(target, PLAIN, np.random.default_rng(0))
    for plane, (colour, row, column) in enumerate(((0, 0, 0), (1, 0, 1), (1, 1, 0), (2, 1, 1))):
        wanted = target[:, colour, row::2, column::2]
        torch.testing.assert_close(packed[:, plane], wanted, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("a", "b"), [(4e-4, 0.002), (1.5e-2, 0.025)])
def test_noise_has_the_variance_of_its_model(a, b):
    noise = noise_of(with_sensor(noise=NoiseModel(a, b)))
    for plane, gain in zip(noise, (2.0, 1.0, 1.0, 1.5), strict=True):
        assert plane.mean() == pytest.approx(0, abs=1e-3)
        assert plane.var() == pytest.approx(a * 0.4 / gain + b * b, rel=0.03)


def test_defects_have_the_share_that_they_are_drawn_with():
    clean = noise_of(PLAIN)
    assert np.abs(clean).max() < 1e-4
    noise = noise_of(with_sensor(defects=0.01), side=1024)
    wrong = np.abs(noise) > 1e-4
    assert wrong.mean() == pytest.approx(0.015, rel=0.03)
    dead = np.abs(noise + 0.4 / np.array([2.0, 1.0, 1.0, 1.5])[:, None, None]) < 1e-4
    assert dead.mean() == pytest.approx(0.005, rel=0.05)


def test_blacks_are_clipped_by_sensors_that_do_so_and_lights_by_all():
    noisy = NoiseModel(1e-3, 0.02)
    for clips in (False, True):
        conditions = with_sensor(noise=noisy, clips_black=clips)
        dark = mosaic(grey(0.0, 64), conditions, np.random.default_rng(0))
        assert (dark.min() < -0.02) == (not clips)
        bright = mosaic(grey(1.0, 64), conditions, np.random.default_rng(0))
        assert bright.max() == 1


def test_a_green_imbalance_is_on_red_rows_alone():
    packed = mosaic(grey(0.5, 8), with_sensor(green_imbalance=1.02), np.random.default_rng(0))
    assert packed[0, 1].mean() == pytest.approx(0.51, abs=1e-4)
    assert packed[0, [0, 2, 3]].mean() == pytest.approx(0.5, abs=1e-4)


def test_values_are_those_of_the_converter():
    packed = mosaic(light(16), with_sensor(levels=10), np.random.default_rng(0))
    codes = packed[:, 1] * 10
    torch.testing.assert_close(codes, codes.round(), atol=1e-5, rtol=0)


def test_crops_are_a_function_of_the_seed(pictures):
    def draw(seed):
        rng = np.random.default_rng(seed)
        return synthesise_crops(pictures, count=2, size=32, rng=rng)

    (packed, target, conditions), (again, _, _) = draw(3), draw(3)
    assert packed.shape == (2, 4, 16, 16)
    assert target.shape == (2, 3, 32, 32)
    assert conditions.saturation.shape == (2,)
    assert torch.equal(packed, again)
    assert not torch.equal(packed, draw(4)[0])


def test_crops_are_finite_and_in_range_whatever_the_conditions(pictures):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        packed, target, _ = synthesise_crops(pictures, count=2, size=32, rng=rng)
        assert target.isfinite().all()
        assert 0 <= target.min() <= target.max() <= 1
        assert packed.isfinite().all()
        assert packed.max() <= 1
