"""Several `.tflite` files in one: each program computes what it did, equal constants once."""

import numpy as np
import pytest

pytest.importorskip("litert_torch", reason="the litert extra is not installed")

import torch
from ai_edge_litert import interpreter as litert

from edge_pipeline.artifact.manifest import ProgramSpec
from edge_pipeline.artifact.tensors import TensorSpec
from edge_pipeline.compiler.backends.litert.convert import convert
from edge_pipeline.compiler.backends.litert.merging import SMALLEST_SHARED, merged
from edge_pipeline.errors import RuntimeFailure
from edge_pipeline.runtime.litert import open_session
from tests.programs import exported

INNER = 37
WIDE = np.random.default_rng(1).standard_normal((16, INNER, 1, 1)).astype(np.float32)


class Small(torch.nn.Module):
    """Multiplies by equal constants, then adds one of its own."""

    def __init__(self, factor, side):
        super().__init__()
        self.conv = torch.nn.Conv2d(INNER, 16, 1, bias=False)
        self.conv.weight.data = torch.from_numpy(WIDE.copy())
        self.register_buffer("own", torch.full((1, 16, 1, 1), float(factor)))
        self.side = side

    def forward(self, x):
        y = self.conv(x) + self.own
        return y if self.side == 4 else y.relu()


def tensor(name, *shape):
    return TensorSpec(name=name, shape=shape, layout="NCHW", meaning="a test's")


@pytest.fixture(scope="module")
def parts():
    found = {}
    for name, factor, side in (("forward_1", 2, 4), ("forward_2", 3, 6)):
        example = torch.zeros(1, INNER, side, side)
        found[name] = convert(exported(Small(factor, side), example), ["x"], ["y"])
    return found


def spec(name, side):
    shape = (1, 16, side, side)
    return ProgramSpec.model_construct(
        name=name, inputs=(tensor("x", 1, INNER, side, side),), outputs=(tensor("y", *shape),)
    )


def test_each_signature_computes_what_its_file_did(parts, tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(merged(parts))
    for name, side in (("forward_1", 4), ("forward_2", 6)):
        x = np.random.default_rng(3).standard_normal((1, INNER, side, side)).astype(np.float32)
        (tmp_path / "one.tflite").write_bytes(parts[name])
        found = []
        for file in (tmp_path / "one.tflite", path):
            with open_session(file, spec(name, side), 1) as session:
                session.run({"x": np.zeros_like(x)})
                found.append(session.run({"x": x})["y"])
        np.testing.assert_array_equal(*found)
        assert np.abs(found[0]).max() > 0


def test_equal_constants_are_stored_once(parts):
    one = WIDE.tobytes()
    assert len(one) >= SMALLEST_SHARED
    assert all(part.count(one) == 1 for part in parts.values())
    assert merged(parts).count(one) == 1


def test_the_second_program_runs_in_the_delegate_too(parts, tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(merged(parts))
    x = np.random.default_rng(4).standard_normal((1, INNER, 6, 6)).astype(np.float32)
    with open_session(path, spec("forward_2", 6), 1) as session:
        found = session.run({"x": x})["y"]
    # The runtime's own kernels sum in another order than XNNPACK.
    plain = litert.Interpreter(
        model_path=str(path),
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF,
    )
    plain.allocate_tensors()
    other = plain.get_signature_runner("forward_2")(x=x)["y"]
    np.testing.assert_allclose(found, other, atol=1e-4)
    assert (found != other).any()


def test_a_file_without_the_program_is_refused(parts, tmp_path):
    (tmp_path / "m.tflite").write_bytes(merged(parts))
    with pytest.raises(RuntimeFailure, match="has the signatures forward_1, forward_2; expected"):
        open_session(tmp_path / "m.tflite", spec("forward_3", 4), 1)


def test_a_file_of_several_signatures_is_refused(parts):
    with pytest.raises(ValueError, match="several subgraphs or signatures"):
        merged({"a": merged(parts), "b": parts["forward_1"]})
