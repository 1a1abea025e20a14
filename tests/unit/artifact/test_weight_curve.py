"""Weights by the value of a fixed input: on straight lines, and one sentence for damage."""

import json
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge_pipeline.artifact.size_table import SizeTable, TableSpec
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


def tabled(**changes):
    """A curve with a product and a table."""
    table = SizeTable(TableSpec(macs=1), np.array([0.1, 0.25]), np.array([[3, 5], [4, 9]]))
    factors = {"w": (np.array([[1.0], [3.0]]), np.array([[2.0, -1.0]], np.float32))}
    return WeightCurve(
        CurveSpec(input="phi", knots=(0.1, 0.5)), {}, factors, replace(table, **changes)
    )


def test_a_product_and_a_table_are_read_back(tmp_path):
    path = tmp_path / "c.safetensors"
    path.write_bytes(tabled().content())
    found = WeightCurve.open(path)
    np.testing.assert_allclose(found.at(0.3)["w"], [4.0, -2.0])
    assert found.at(0.3)["w"].dtype == np.float32
    assert [found.table.at(value) for value in (0.1, 0.2499, 0.25, 0.5)] == [
        (3, 5),
        (3, 5),
        (4, 9),
        (4, 9),
    ]
    assert found.content() == path.read_bytes()
    with pytest.raises(InputError, match=r"phi=0\.6 must be from 0\.1 to 0\.5, the range that"):
        found.at(0.6)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"breaks": np.array([0.25, 0.1])}, "not ascending"),
        ({"breaks": np.array([0.2, 0.25])}, "begins above its first knot"),
        ({"breaks": np.array([0.1, np.inf])}, "negative or infinite"),
        ({"breaks": np.array([0.1])}, "one for each row"),
        ({"breaks": np.array([0.1, 0.25], np.float32)}, "has the types float32"),
        ({"numbers": np.array([[3, 5], [4, -9]])}, "negative or infinite"),
        ({"numbers": np.array([[3], [4]])}, "names a column"),
        ({"numbers": np.array([3, 5])}, "not two-dimensional"),
    ],
)
def test_a_tampered_table_is_refused(tmp_path, changes, complaint):
    path = tmp_path / "c.safetensors"
    path.write_bytes(tabled(**changes).content())
    with pytest.raises(ArtifactError, match=complaint):
        WeightCurve.open(path)


def resaved(path, change, spec=None):
    """The tabled curve with changed tensors, and optionally changed metadata."""
    content = tabled().content()
    tensors = safetensors.numpy.load(content)
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    metadata = header["__metadata__"]
    if spec is not None:
        (key,) = metadata
        metadata[key] = json.dumps(json.loads(metadata[key]) | spec)
    path.write_bytes(safetensors.numpy.save(change(tensors), metadata))


@pytest.mark.parametrize(
    ("without", "complaint"),
    [
        (":numbers", "incomplete table"),
        (":breaks", "incomplete table"),
        ("w:coefficients", "factors of w do not fit"),
        ("w:basis", "w:coefficients is float64"),
    ],
)
def test_a_missing_part_is_named(tmp_path, without, complaint):
    path = tmp_path / "c.safetensors"
    resaved(path, lambda held: {name: v for name, v in held.items() if name != without})
    with pytest.raises(ArtifactError, match=complaint):
        WeightCurve.open(path)


def test_a_file_of_version_1_is_read(tmp_path):
    path = tmp_path / "c.safetensors"
    weights = {"w": np.array([[1.0], [3.0]], np.float32)}
    # As version 1 wrote it: without the key `table`.
    text = '{"format":"edge_pipeline.weight_curve","version":1,"input":"phi","knots":[0.34,0.36]}'
    path.write_bytes(safetensors.numpy.save(weights, {"edge_pipeline.weight_curve": text}))
    found = WeightCurve.open(path)
    assert found.table is None
    np.testing.assert_allclose(found.at(0.35)["w"], [2.0])
