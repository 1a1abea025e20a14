import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge_pipeline.train.prior import Prior

BETA = {"distribution": "beta", "arguments": {"a": 2.0, "b": 5.0}}
TRUNCNORM = {
    "distribution": "truncnorm",
    "arguments": {"a": -2.0, "b": 2.0, "loc": 0.3, "scale": 0.1},
}
NORM = {"distribution": "norm", "arguments": {"loc": 0.9, "scale": 0.3}}
KINDS = {"uniform": {}, "beta": BETA, "truncnorm": TRUNCNORM, "norm": NORM}


@pytest.mark.parametrize("kind", KINDS)
def test_the_values_have_the_distribution_cut_to_the_range(kind):
    low, high = 0.15, 0.45
    values = Prior(low=low, high=high, **KINDS[kind]).draw(np.random.default_rng(0), 4000)

    def cut(x, name=kind):
        if name == "uniform":
            return np.clip((x - low) / (high - low), 0, 1)
        whole = getattr(scipy.stats, name)(**KINDS[name]["arguments"])
        return (whole.cdf(x) - whole.cdf(low)) / (whole.cdf(high) - whole.cdf(low))

    assert scipy.stats.kstest(values, cut).pvalue > 0.01
    other = "uniform" if kind != "uniform" else "beta"
    assert scipy.stats.kstest(values, lambda x: cut(x, other)).pvalue < 1e-4


@given(
    st.sampled_from(sorted(KINDS)),
    st.tuples(st.floats(0.001, 1), st.floats(0.001, 1)).filter(lambda x: abs(x[0] - x[1]) > 1e-3),
    st.integers(0, 2**32 - 1),
)
def test_values_are_in_the_range_and_repeat_with_their_seed(kind, limits, seed):
    low, high = sorted(limits)
    if kind == "truncnorm" and (high <= 0.1 or low >= 0.5):  # it ends at two deviations
        with pytest.raises(ValidationError, match="has no probability between"):
            Prior(low=low, high=high, **TRUNCNORM)
        return
    prior = Prior(low=low, high=high, **KINDS[kind])
    values = prior.draw(np.random.default_rng(seed), 20)
    assert values.shape == (20,)
    assert ((values >= low) & (values <= high)).all()
    np.testing.assert_array_equal(prior.draw(np.random.default_rng(seed), 20), values)


@pytest.mark.parametrize("kind", KINDS)
def test_a_range_of_one_value_has_only_this_value(kind):
    prior = Prior(low=0.3, high=0.3, **KINDS[kind])
    np.testing.assert_array_equal(prior.draw(np.random.default_rng(0), 5), np.full(5, 0.3))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"low": 0.0}, "greater than 0"),
        ({"high": 1.1}, "less than or equal to 1"),
        ({"low": float("nan")}, "low"),
        ({"low": 0.5, "high": 0.4}, "low is 0.5 and high is 0.4; low must not exceed high"),
        ({"distribution": "poisson"}, "scipy.stats has no continuous distribution 'poisson'"),
        ({"distribution": "kstest"}, "no continuous distribution 'kstest'"),
        ({"distribution": "__class__"}, "no continuous distribution '__class__'"),
        ({"arguments": {"a": 1}}, "the uniform distribution has no arguments"),
        (BETA | {"arguments": {"a": 1}}, "beta requires the argument 'b'"),
        (
            BETA | {"arguments": {"a": 1, "b": 1, "c": 1}},
            "no argument 'c'; it has a, b, loc, scale",
        ),
        (BETA | {"arguments": {"a": -1, "b": 1}}, "has no probability between 0.05 and 0.6"),
        (BETA | {"arguments": {"a": 1, "b": float("nan")}}, "has no probability between"),
        (BETA | {"arguments": {"a": 1, "b": 1, "loc": 5}}, "has no probability between"),
        (
            {"distribution": "vonmises", "arguments": {"kappa": 4, "loc": -40, "scale": 5}},
            "vonmises with .* has no probability between 0.05 and 0.6; give other arguments",
        ),
        ({"lowest": 0.1}, "Extra inputs"),
    ],
)
def test_a_wrong_prior_is_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        Prior(**fields)
