"""The noise of a plane is measured within a tenth, whatever smooth scene it shows."""

import numpy as np
import pytest

from edge_pipeline.raw.noise import NOISE_LEVELS, NoiseModel
from edge_pipeline.raw.noise_level import measure_noise


def plane(model, seed=0, shape=(400, 420)):
    y, x = np.indices(shape)
    scene = 0.45 + 0.4 * np.sin(x / 90 + y / 200)
    draws = np.random.default_rng(seed).standard_normal(shape)
    return (scene + np.sqrt(model.variance(scene)) * draws).astype(np.float32)


@pytest.mark.parametrize("level", ["low", "medium"])
@pytest.mark.parametrize("seed", [0, 1])
def test_measured_deviation_is_that_of_the_model(level, seed):
    model = NOISE_LEVELS[level]
    slope, offset = measure_noise(plane(model, seed))
    for x in (0.1, 0.4, 0.8):
        assert np.sqrt(slope * x + offset) == pytest.approx(np.sqrt(model.variance(x)), rel=0.12)


def test_levels_and_their_unit_do_not_change_the_result():
    signal = plane(NOISE_LEVELS["medium"])
    expected = measure_noise(signal)
    counts = np.rint(signal * 16000 + 2000)
    assert measure_noise(counts, black=2000, scale=1 / 16000) == pytest.approx(expected, rel=1e-2)


def test_no_noise_is_zero_and_ramps_and_edges_are_not_noise():
    ramp = np.add.outer(np.arange(200) / 400, np.arange(300) / 900).astype(np.float32)
    ramp[:, 150:] += 0.1
    assert np.sqrt(measure_noise(ramp).offset) < 1e-6
    assert measure_noise(np.zeros((9, 9), np.float32)) == (0, 0)
    assert measure_noise(np.ones((64, 64), np.float32)) == (0, 0)


def test_defects_do_not_count_as_noise():
    model = NoiseModel(4e-4, 2e-3)
    clean = plane(model)
    rng = np.random.default_rng(3)
    bad = np.where(rng.random(clean.shape) < 2e-3, 1.0, clean).astype(np.float32)
    for x in (0.2, 0.8):
        a, b = (np.sqrt(n.slope * x + n.offset) for n in (measure_noise(clean), measure_noise(bad)))
        assert b == pytest.approx(a, rel=0.1)
