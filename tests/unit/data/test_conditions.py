import numpy as np
import pytest

from edge_pipeline.data.conditions import draw_conditions
from edge_pipeline.raw.noise import NOISE_LEVELS

CROPS = 3


@pytest.fixture(scope="module")
def drawn():
    return [draw_conditions(np.random.default_rng(i), CROPS) for i in range(600)]


def test_the_same_state_draws_the_same_conditions():
    first, again = (draw_conditions(np.random.default_rng(7), CROPS) for _ in range(2))
    np.testing.assert_array_equal(first.saturation, again.saturation)
    assert (first.sensor, first.gains, first.push) == (again.sensor, again.gains, again.push)


def test_cameras_keep_grey_and_gains_are_at_least_one(drawn):
    for conditions in drawn:
        np.testing.assert_allclose(conditions.camera_to_srgb.sum(1), 1, atol=1e-9)
        assert min(conditions.gains) == 1
        assert max(conditions.gains) <= 2.6
    own = [np.array_equal(conditions.camera_to_srgb, np.eye(3)) for conditions in drawn]
    assert 0.28 < np.mean(own) < 0.42


def test_noise_spans_none_to_beyond_the_highest_level(drawn):
    noises = [conditions.sensor.noise for conditions in drawn]
    some = [noise for noise in noises if noise.a > 0]
    assert 0.18 < 1 - len(some) / len(noises) < 0.32
    assert min(noise.a for noise in some) < NOISE_LEVELS["low"].a / 4
    assert max(noise.a for noise in some) > NOISE_LEVELS["high"].a
    assert all(noise.b > 0 for noise in some)
    assert all(noise.b == 0 for noise in noises if noise.a == 0)


def test_a_quarter_is_underexposed_by_up_to_four_stops_and_judged_as_if_it_were_not(drawn):
    pushed = [conditions for conditions in drawn if conditions.push > 1]
    assert 0.18 < len(pushed) / len(drawn) < 0.32
    assert 12 < max(conditions.push for conditions in pushed) <= 16
    for conditions in pushed:
        assert conditions.exposure * conditions.push == pytest.approx(1)
    bright = [conditions.exposure for conditions in drawn if conditions.push == 1]
    assert min(bright) < 0.5
    assert 1.5 < max(bright) < 5


def test_saturation_is_drawn_for_every_crop(drawn):
    drawn_values = np.stack([conditions.saturation for conditions in drawn])
    assert drawn_values.shape == (len(drawn), CROPS)
    natural = (drawn_values == 1).all(1)
    assert 0.5 < natural.mean() < 0.7
    assert drawn_values.min() >= 0.7
    assert 2 < drawn_values.max() <= 2.2


def test_lenses_shift_red_and_blue_against_green_by_up_to_a_pixel_and_a_half(drawn):
    lenses = [conditions.lens for conditions in drawn if conditions.lens is not None]
    assert 0.58 < len(lenses) / len(drawn) < 0.72
    shift = np.stack([lens.shift for lens in lenses])  # [n, crops, 3, 2]
    assert shift.shape[1:] == (CROPS, 3, 2)
    against_green = np.linalg.norm(shift[:, :, 0] - shift[:, :, 1], axis=-1)
    assert 1.2 < against_green.max() <= 1.5 + 1e-6
    # What a common shift adds is the same for the three colours, at most half a pixel.
    assert np.abs(shift[:, :, 1]).max() <= 0.5
    opposed = (shift[:, :, 0] - shift[:, :, 1]) * (shift[:, :, 2] - shift[:, :, 1])
    assert np.mean(opposed.sum(-1) < 0) > np.mean(opposed.sum(-1) > 0)
    assert all(np.all(lens.blur >= 0) and lens.blur.max() < 4 for lens in lenses)
    assert all(np.abs(lens.magnification - 1).max() < 0.01 for lens in lenses)


def test_sensors_have_faults_now_and_then(drawn):
    sensors = [conditions.sensor for conditions in drawn]
    assert {sensor.levels for sensor in sensors} == {940, 3840, 15500}
    defective = [sensor.defects for sensor in sensors if sensor.defects]
    assert 0.13 < len(defective) / len(sensors) < 0.27
    assert all(10**-4.5 <= share <= 1e-3 for share in defective)
    assert 0.22 < np.mean([sensor.clips_black for sensor in sensors]) < 0.38
    imbalances = np.array([sensor.green_imbalance for sensor in sensors])
    assert 0.08 < np.mean(imbalances != 1) < 0.22
    assert np.abs(imbalances - 1).max() < 0.03
