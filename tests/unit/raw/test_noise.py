"""The noise is as strong as its model says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.errors import InputError
from edge_pipeline.raw.noise import NOISE_LEVELS, NoiseModel, add_noise


@pytest.mark.parametrize("name", ["low", "medium", "high"])
@pytest.mark.parametrize("level", [0.0, 0.05, 0.5, 1.0])
def test_mean_and_variance(name: str, level: float) -> None:
    model = NOISE_LEVELS[name]
    x = np.full((400, 500), level, np.float32)
    noisy = add_noise(x, model, np.random.default_rng(1))
    expected = model.a * level + model.b**2
    assert noisy.dtype == np.float32
    # Five standard deviations of the estimates from 200,000 draws.
    assert float(noisy.mean()) == pytest.approx(level, abs=5 * (expected / x.size) ** 0.5)
    assert float(noisy.var()) == pytest.approx(expected, rel=5 * (2 / x.size) ** 0.5)


def test_levels_are_those_of_the_figures() -> None:
    figures = {
        "none": (0, 0),
        "low": (4e-4, 0.002),
        "medium": (3e-3, 0.008),
        "high": (1.5e-2, 0.025),
    }
    assert {name: (model.a, model.b) for name, model in NOISE_LEVELS.items()} == figures


def test_no_noise_changes_nothing() -> None:
    x = np.random.default_rng(0).random((5, 7), np.float32)
    np.testing.assert_array_equal(add_noise(x, NOISE_LEVELS["none"], np.random.default_rng(0)), x)


def test_a_seed_repeats() -> None:
    x, model = np.ones((3, 4), np.float32), NOISE_LEVELS["high"]
    first, second = (add_noise(x, model, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@given(st.floats(-10, 10))
def test_variance_never_falls_below_read_noise(x: float) -> None:
    model = NoiseModel(0.01, 0.02)
    assert float(model.variance(np.array(x))) >= 0.02**2


@pytest.mark.parametrize(("a", "b"), [(-1, 0), (0, -1), (float("nan"), 0), (0, float("inf"))])
def test_wrong_parameters_are_refused(a: float, b: float) -> None:
    with pytest.raises(InputError, match="give 0 or more"):
        NoiseModel(a, b)
