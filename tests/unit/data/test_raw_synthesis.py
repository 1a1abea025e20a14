import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.data.raw_synthesis import (
    CAMERAS_TO_SRGB,
    Shot,
    augment,
    clean_camera_rgb,
    mosaic_of,
    synthesise,
)
from edge_pipeline.raw.cfa import unpack
from edge_pipeline.raw.colour import to_srgb
from edge_pipeline.raw.noise import NOISE_LEVELS, NoiseModel

QUIET = Shot(np.eye(3), (2.0, 1.0, 1.5), 1.0, NoiseModel(0, 0), 1 << 16)


def picture(seed=0, size=32):
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


@given(
    seed=st.integers(0, 10_000),
    camera=st.sampled_from(list(CAMERAS_TO_SRGB)),
    red=st.floats(1, 2.6),
    blue=st.floats(1, 2.6),
    exposure=st.floats(0.3, 2),
)
def test_without_noise_the_capture_is_the_target_sampled_by_the_cfa(
    seed, camera, red, blue, exposure
):
    shot = Shot(camera, (red, 1.0, blue), exposure, NoiseModel(0, 0), 1 << 16)
    sample = synthesise(picture(seed), shot, np.random.default_rng(seed))
    mosaic, target = unpack(sample.packed), sample.target
    for colour, row, column in ((0, 0, 0), (1, 0, 1), (1, 1, 0), (2, 1, 1)):
        got, wanted = mosaic[row::2, column::2], target[colour, row::2, column::2]
        assert np.abs(got - wanted).max() < 1e-4


def test_developing_the_target_gives_the_picture_back():
    muted = (picture(1) // 4 + 96).astype(np.uint8)  # inside the camera's gamut
    shot = Shot(CAMERAS_TO_SRGB.mean(0), (2.0, 1.0, 1.5), 1.0, NoiseModel(0, 0), 1 << 14)
    back = to_srgb(clean_camera_rgb(muted, shot), shot.camera_to_srgb).transpose(1, 2, 0)
    assert np.abs(back - muted / 255).max() < 1e-3


@pytest.mark.parametrize("level", ["low", "medium", "high"])
def test_noise_has_the_variance_of_its_model(level):
    camera = np.full((3, 512, 512), 0.4, np.float32)
    noise = NOISE_LEVELS[level]
    shot = Shot(np.eye(3), (2.0, 1.0, 1.0), 1.0, noise, 1 << 16)
    mosaic = mosaic_of(camera, shot, np.random.default_rng(0))
    for plane, value in ((mosaic[0::2, 0::2], 0.2), (mosaic[1::2, 1::2], 0.4)):
        assert plane.mean() == pytest.approx(value, abs=1e-3)
        assert plane.var() == pytest.approx(noise.a * value + noise.b**2, rel=0.03)


def test_noise_goes_below_black_and_light_clips_at_white():
    shot = Shot(np.eye(3), (1.0, 1.0, 1.0), 1.0, NOISE_LEVELS["high"], 1000)
    rng = np.random.default_rng(0)
    assert mosaic_of(np.zeros((3, 64, 64), np.float32), shot, rng).min() < -0.02
    assert mosaic_of(np.ones((3, 64, 64), np.float32), shot, rng).max() == 1.0


def test_values_are_those_of_the_converter():
    shot = Shot(np.eye(3), (1.0, 1.0, 1.0), 1.0, NOISE_LEVELS["low"], 10)
    mosaic = mosaic_of(np.full((3, 8, 8), 0.37, np.float32), shot, np.random.default_rng(0))
    assert np.allclose(mosaic * 10, np.round(mosaic * 10), atol=1e-5)


def test_highlights_stay_neutral():
    white = np.full((8, 8, 3), 255, np.uint8)
    over = Shot(QUIET.camera_to_srgb, QUIET.gains, 4.0, NoiseModel(0, 0), 1000)
    assert np.all(synthesise(white, over, np.random.default_rng(0)).packed == 1)


@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 99))
def test_crops_are_squares_of_the_size_asked_for(height, width, seed):
    source = np.zeros((height, width, 3), np.uint8)
    assert augment(source, 24, np.random.default_rng(seed)).shape == (24, 24, 3)


def test_every_camera_keeps_grey():
    assert np.allclose(CAMERAS_TO_SRGB.sum(2), 1)
