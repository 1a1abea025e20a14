"""ONNX Runtime: memory of weights that are mapped, and of runs."""

import ctypes
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_pipeline.artifact.manifest import ProgramName, ProgramSpec
from edge_pipeline.artifact.tensors import TensorSpec
from edge_pipeline.runtime.onnx import open_session
from tests.fakes.artifacts import make_files

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

_ROWS, _COLUMNS = 4096, 2048  # 32 MB
_WEIGHTS = "matrix.data"


def memory() -> tuple[float, float]:
    """Return the private resident memory of this process and that of the weights file, in MB.

    Memory that other tests freed is first returned to the system; otherwise, an allocation could
    use it again and would not be seen.
    """
    ctypes.CDLL(None).malloc_trim(0)
    private = weights = 0
    inside = False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if not value.strip().endswith("kB") and "-" in name.split(" ")[0]:
            inside = _WEIGHTS in line
        elif name == "Anonymous":
            private += int(value.split()[0])
        elif name == "Rss" and inside:
            weights += int(value.split()[0])
    return private / 1e3, weights / 1e3


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ProgramSpec]:
    """A program that multiplies a row by a large matrix."""
    weight = np.ones((_ROWS, _COLUMNS), np.float32)
    shapes = {"packed": [1, _COLUMNS], "filters": [1, _ROWS]}
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    ]
    node = helper.make_node("Gemm", ["packed", "weight"], ["filters"], transB=1)
    graph = helper.make_graph(
        [node], "product", values[:1], values[1:], [numpy_helper.from_array(weight, "weight")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    path = tmp_path_factory.mktemp("product") / "matrix.onnx"
    onnx.save(model, path, save_as_external_data=True, location=_WEIGHTS)
    inputs, outputs = (
        (TensorSpec(name=name, shape=tuple(shape), layout="NC", meaning="a row"),)
        for name, shape in shapes.items()
    )
    spec = make_files(size=(32, 32))[0].programs[0]
    changed = {"inputs": inputs, "outputs": outputs, "extra": (_WEIGHTS,)}
    return path, spec.model_copy(update=changed)


@pytest.mark.parametrize(("name", "is_mapped"), [("predict_filters", True), ("forward", False)])
def test_weights_of_a_predictor_stay_in_their_file(
    product: tuple[Path, ProgramSpec], name: ProgramName, is_mapped: bool
) -> None:
    path, spec = product
    size = _ROWS * _COLUMNS * 4 / 1e6
    before, _ = memory()
    with open_session(path, spec.model_copy(update={"name": name}), 1) as session:
        found = session.run({"packed": np.ones((1, _COLUMNS), np.float32)})["filters"].copy()
        private, weights = memory()
    np.testing.assert_array_equal(found, np.full((1, _ROWS), _COLUMNS, np.float32))
    assert (private - before < size / 2) == is_mapped
    assert (weights > size / 2) == is_mapped
    private, weights = memory()
    assert private - before < size / 2
    assert weights == 0


def test_further_runs_of_a_size_take_no_further_memory(product: tuple[Path, ProgramSpec]) -> None:
    _, spec = product
    # A chain of sums of maps of 8 MB.
    shape = [1, 2, 1024, 1024]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in ("packed", "rgb")]
    names = ["packed", *(f"map{i}" for i in range(6)), "rgb"]
    nodes = [
        helper.make_node("Sin" if i % 2 else "Exp", [names[i]], [names[i + 1]]) for i in range(7)
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "chain", ends[:1], ends[1:]),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=9,
    )
    path = product[0].parent / "chain.onnx"
    onnx.save(model, path)
    tensors = [
        (TensorSpec(name=end.name, shape=tuple(shape), layout="NCHW", meaning="maps"),)
        for end in ends
    ]
    spec = spec.model_copy(update={"inputs": tensors[0], "outputs": tensors[1]})
    packed = np.zeros(shape, np.float32)
    with open_session(path, spec, 1) as session:
        session.run({"packed": packed})
        first, _ = memory()
        for _ in range(3):
            session.run({"packed": packed})
        assert memory()[0] < first + 4
