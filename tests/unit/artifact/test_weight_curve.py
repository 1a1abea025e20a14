"""Weights by the value of a fixed input: on straight lines, and one sentence for damage."""

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge_pipeline.artifact.weight_curve import CurveSpec, WeightCurve
from edge_pipeline.errors import ArtifactError, InputError

KNOTS = (0.1, 0.15, 0.6)
SPEC = CurveSpec(input="phi", knots=KNOTS)


def weights(seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"a_0.weight": (3, 4, 3, 3, 3), "a_0.bias": (3, 4), "b.weight": (1, 2)}
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.fixture
def file(tmp_path):
    (tmp_path / "c.safetensors").write_bytes(WeightCurve(SPEC, weights()).content())
    return tmp_path / "c.safetensors"


@pytest.mark.parametrize("index", range(len(KNOTS)))
def test_at_its_knots_it_has_the_weights_themselves(file, index):
    found = WeightCurve.open(file).at(KNOTS[index])
    for name, value in weights().items():
        assert np.array_equal(found[name], value[index if len(value) > 1 else 0])


@given(st.floats(KNOTS[0], KNOTS[-1]))
def test_between_knots_weights_are_straight(value):
    held = weights()
    found = WeightCurve(SPEC, held).at(value)
    assert list(found) == list(held)
    assert found["a_0.weight"].dtype == np.float32
    expected = np.interp(value, KNOTS, held["a_0.bias"][:, 2].astype(np.float64))
    assert abs(found["a_0.bias"][2] - expected) <= 1e-7 * np.abs(held["a_0.bias"]).max()


def test_the_same_bytes_whatever_the_order(file):
    backwards = dict(reversed(weights().items()))
    assert WeightCurve(SPEC, backwards).content() == file.read_bytes()


@pytest.mark.parametrize("value", [0.05, 0.61, float("nan")])
def test_a_value_outside(file, value):
    with pytest.raises(
        InputError, match=r"must be from 0\.1 to 0\.6, the range in which the program"
    ):
        WeightCurve.open(file).at(value)


@pytest.mark.parametrize("knots", [(0.1,), (0.2, 0.1), (0.1, 0.1)])
def test_knots_ascend(knots):
    with pytest.raises(ValidationError):
        CurveSpec(input="phi", knots=knots)


def test_another_file(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"no")
    with pytest.raises(ArtifactError, match="not a readable weight curve"):
        WeightCurve.open(path)
    path.write_bytes(safetensors.numpy.save(weights()))
    with pytest.raises(ArtifactError, match="does not contain a weight curve"):
        WeightCurve.open(path)
    with pytest.raises(ArtifactError, match="not a readable"):
        WeightCurve.open(tmp_path / "absent")
    for wrong in (np.ones((2, 4), np.float32), np.ones((3, 4), np.float16)):
        path.write_bytes(WeightCurve(SPEC, weights() | {"w": np.asarray(wrong)}).content())
        with pytest.raises(ArtifactError, match=r"w is .* at 3 knots"):
            WeightCurve.open(path)
